// Package validate runs the same operations on the model and on a kernel, and
// compares the two after each: what was returned, where memory was taken, what is
// counted, what is left. It only compares. What is a model and what is a kernel is
// behind small interfaces, so a comparison can be tested with two models, and with
// a model that is made to be wrong.
//
// A comparison makes an [Aspect] for everything it can tell apart: how many
// operations, how many of them agreed, and the first that did not. An aspect that
// could not be observed is a [Gap]: it never counts as agreement. A [Report] says
// yes only if something was compared and nothing disagreed.
//
// After a divergence the model goes on with its own state: it is still asked every
// operation, so what follows usually disagrees as well.
//
// # What is compared
//
//   - [Contiguous]: one CMA area, driven through its dma-buf heap and through
//     debugfs, bit by bit.
//   - [SystemHeap]: the system heap, by the blocks of pages that each request takes and
//     what is left free of each order.
//   - [PerCPUWindow]: what the lists of a CPU exchange with their zone, and when.
//   - [OddCall]: what bad and odd system calls return.
//   - [Lives]: random programs of processes that share buffers: what every call
//     returns, which buffers live, and how many references each has.
//   - [Exhaustion]: how much a process can pin before somebody is killed.
//
// The kernel's side of these is in package kernel below, for Linux.
package validate
