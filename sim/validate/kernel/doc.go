// Package kernel is the kernel's side of package validate: a running Linux, seen
// through dma-buf heaps, debugfs, sysfs, tracefs and its log. It works on Linux
// only; elsewhere every function says that it is unsupported.
//
// # Safety
//
// What a budget can't make harmless needs a virtual machine: debugfs writes, which
// outlive the process and can free the memory of others; exhaustion; and whatever
// compares counters of the whole machine, which says nothing on a busy one.
// [InsideVM] is the only judge of that.
package kernel
