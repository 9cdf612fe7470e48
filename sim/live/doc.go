// Package live plays the workloads of a simulation on heaps of the running kernel,
// in place of the model.
//
// Sources see the outcomes of their requests as they do in a simulation, so closed
// loops work. Their times order the operations and are not waited for: a day of
// work takes as long as the kernel needs for its requests. A refusal is an outcome
// with a cause: limit for what is beyond the budget and for want of descriptors,
// exhausted for ENOMEM.
//
// # Safety
//
// Live buffers never hold more bytes than the budget, in whole pages. All are closed
// before [Run] returns, whatever it returns, and also when it panics; a process that
// is killed is closed by the kernel.
//
// # Limits
//
// Devices, transfers and what sources demand of addresses do nothing here: the
// heaps of Linux take a size. Processes with programs are not played; package
// validate runs programs on the kernel.
package live
