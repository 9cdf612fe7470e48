// Package record records what Linux traces of allocations: events of CMA, of
// dma-buf heaps where the kernel has some, and of the page allocator, as the text
// that tracefs prints (Documentation/trace/ftrace.rst, Linux 6.12).
//
// A recording has an instance of tracefs of its own, which other users of the trace
// do not notice and which is removed at the end. It is bounded in bytes, and loses
// nothing silently: what the kernel dropped because it was not read in time, and
// whether the bound was hit, stands in the last lines, as comments that begin with
// "# dmasim: ".
package record
