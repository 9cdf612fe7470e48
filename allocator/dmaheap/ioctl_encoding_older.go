//go:build mips || mipsle || mips64 || mips64le || ppc64 || ppc64le || sparc64

package dmaheap

// How a request says which way its argument goes (arch/mips and arch/powerpc,
// include/uapi/asm/ioctl.h).
const (
	write          = 4
	read           = 2
	directionShift = 29
)
