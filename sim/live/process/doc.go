// Package process makes real processes that do the system calls that they are told.
//
// [Start] runs this program once more, as a process that only takes requests from a
// channel. [Ancestor.Spawn] and [Process.Fork] fork from it as C programs do, without
// an exec, so descriptors and mappings are inherited as the kernel has it; [Process.Exec]
// replaces a process by this program, which drops what an exec drops.
//
// # Safety
//
// Every process has one channel of its own, and ends when that is closed. So all end
// with the process that started them, however it ends, and with them their buffers.
// They are a process group of their own: an interrupt from the terminal reaches only
// who started them, and that ends them in order. No request waits for anything but
// the kernel.
package process
