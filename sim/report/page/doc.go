// Package page makes one HTML file of results, for a browser and without a network:
// summary, tables and figures, and a map of memory over time in which a reader can
// look at any instant, any buffer and any failure, of two runs side by side.
//
// # What is in the file
//
// A script and a style sheet of this package, the data of the runs, and the figures as
// PNG. The page asks for nothing else: its content security policy forbids every
// request, and every script but its own. What users wrote, such as names, goes into
// the page escaped, and by the script as text.
//
// Data are columns of numbers ([Columns]): variable-length integers, compressed with
// gzip and in base64, which browsers unpack themselves.
//
// # Limits
//
// Addresses and times are exact below 2^53 of their units: nanoseconds, and the
// largest power of two that divides all addresses and sizes of a run. What is left
// out of a record of lives is left out of the map too, and the page says so; below it
// shows the coarse map of the result then. Bus addresses are not in the map: of bounce
// buffers and IOMMU groups the page shows how full they were.
package page
