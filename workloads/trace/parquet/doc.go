// Package parquet reads and writes traces as Apache Parquet, for programs that
// keep tables: the columns and their meaning are those of the CSV of package trace
// (docs/traces.md). A program imports it for its effect on that package.
//
// It is a package of its own so that the simulator's core, which also runs in a
// browser page, stays free of the library; package trace only keeps the place.
//
// A Parquet file says how large its parts become, and the library believes it. So
// all that is said is compared with bounds before a part is read: the tables at the
// end of the file, and the head of each page. Files may be uncompressed or
// compressed with Snappy or Zstandard; encrypted ones and other compressions are
// refused.
package parquet
