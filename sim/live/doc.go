// Package live plays the workloads and the programs of a simulation on heaps of the
// running kernel, in place of the model.
//
// Sources see the outcomes of their requests as they do in a simulation, so closed
// loops work; the times of retries, too, are those of the workload's clock. A process with a program is a real one, which does the system calls of
// its steps; package process has them. Times order the operations and are not waited
// for: a day of work takes as long as the kernel needs for its requests. A refusal is
// an outcome with a cause: limit for what is beyond the budget and for want of
// descriptors, exhausted for ENOMEM.
//
// # Safety
//
// Live buffers never hold more bytes than the budget, in whole pages. What processes
// share counts until the last descriptor, mapping and message of it is gone. All is
// closed before [Run] returns, whatever it returns, and also when it panics; a process
// that is killed is closed by the kernel, and those that it started end with it.
//
// # Limits
//
// Devices, transfers and what sources demand of addresses do nothing here: the heaps of
// Linux take a size. Steps of devices, their fences, and the memory that processes use
// beside buffers are counted as not played; a wait lasts as long as the transfers
// would that its own process started. Processes run as the user who started them.
package live
