// Package timeline writes the events of a simulation while it runs, as Chrome's
// trace events: Perfetto's user interface (https://ui.perfetto.dev) and
// chrome://tracing show them on one axis of time.
//
// A heap is a process: what lives in it is a counter, its buffers are slices, in a
// row for each client, and refused requests are instants with their causes. A
// device and a simulated process are threads, whose slices are transfers and lives;
// refused maps, incidents and kills are instants, and so is a buffer that a client wanted
// and gave up.
//
// The file is written as the simulation goes; what is held grows with the buffers
// that live at a time. Those that live at the end, and transfers whose buffer was
// freed under them, end with the run or, of the latter, with the next on the device.
package timeline
