// Package golden replays recordings of the real Linux allocators against the
// models of this program.
//
// A recording is a CSV file (format dmasim-golden/1) in which every row is one
// operation and the answer that the unmodified kernel code gave: an address, a
// list of pieces, a snapshot of the state, or an error word. [Read] reads one
// strictly; [Replay] feeds its rows to the model that its header names and
// compares answer with answer, as text.
//
// # Format
//
// First "# key=value" lines: format, allocator, mode, unit (byte, page or pfn),
// base and size of what is managed, granule, ops (the number of rows), and the
// allocator's own, such as order_per_bit. Then the column names, and rows of
//
//	op,id,size,align,lo,hi,flags,result
//
// with id, size and align decimal, lo, hi and addresses hexadecimal with 0x, and
// flags joined by '|'. An empty cell is not given. IDs count up by one for each
// alloc and reserve, also those that fail; a free names the ID that it gives
// back. The result is 0xaddr; 0xaddr+0xlength pieces joined by ';'; ok; or an
// error word: an errno, NULL, or MAPERR. The recordings in testdata are short
// ones of Linux 6.12.117, written by hand to show one rule each.
//
// # After a divergence
//
// A model that gave another answer has another state from there on. It is
// neither reset nor corrected: it goes its own way, is still asked every row,
// and [Report.Agreements] counts the rows that it answered as recorded. So one
// wrong row in an otherwise true recording costs one agreement, and a wrong
// model usually loses many. Only [Report.First] says where to look.
//
// # What makes a recording malformed
//
// Anything that is wrong whatever the allocator did (a torn row, an unknown
// operation, identifiers that do not count up by one, a second free) is found
// by Read. What depends on the recorded answers (a place that overlaps a live
// one, the free of a request that failed) is found by Replay, and only up to
// the first divergence: from there on a contradiction is the consequence of
// what is reported already.
//
// So is, by Replay, a size that would need gigabytes: a model that keeps bytes for
// every page, chunk or slot has at most 2^22 of them, and 64 more for each row.
//
// # Adding a model
//
// Implement [Model] in a file named after the allocator and name its
// constructor in the table in models.go.
package golden
