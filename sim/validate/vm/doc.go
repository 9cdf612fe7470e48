// Package vm runs a command of dmasim on another kernel, in a virtual machine of
// QEMU that has no disk and no network.
//
// The machine's only program is dmasim itself: a static binary that the kernel
// starts as its first process ([Init]), which mounts what Linux tells of itself,
// runs the command as a child and restarts the machine, which ends QEMU. What the
// command prints, the files that it leaves and its exit status come back over the
// second serial port; the first is the console of the kernel.
//
// There are two kinds of kernel ([Lane]): that of a Debian package, with the system
// heap and udmabuf, and a small one built from Debian's kernel sources, with CMA,
// its debugfs and the statistics of dma-bufs. Both are kept in a folder of the
// user's cache, by version and configuration.
//
// The processor is emulated (TCG) unless KVM is asked for: times measured inside are
// those of the emulator.
package vm
