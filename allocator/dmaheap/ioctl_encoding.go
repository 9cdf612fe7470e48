//go:build !(mips || mipsle || mips64 || mips64le || ppc64 || ppc64le || sparc64)

package dmaheap

// How a request says which way its argument goes (asm-generic/ioctl.h).
const (
	write          = 1
	read           = 2
	directionShift = 30
)
