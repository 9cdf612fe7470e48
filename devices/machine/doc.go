// Package machine knows what a Linux machine says of its own memory, and how
// Linux divides memory into zones.
//
// # What a machine says
//
// [ReadProc] reads meminfo, zoneinfo, buddyinfo, pagetypeinfo and iomem, from
// /proc or from copies:
//
//	mkdir state && cd /proc && sudo cp meminfo zoneinfo buddyinfo pagetypeinfo iomem ~/state
//
// pagetypeinfo and iomem may be missing; the first is for root only, and the
// second shows others nothing but zeros. The files of Linux 4.8 and later are
// read whole; of earlier ones, those whose zones count their own lists.
//
// A [State] has counts and no places: which blocks of a free list are where, and
// which page is whose, the kernel does not say. Whoever builds a memory of it
// has to draw places at random, and to do so more than once. A dma-buf is in no
// counter; it is among the pages of the kernel. The files are not read at one
// moment: differences that the lists of CPUs explain are let pass, and others
// become warnings.
//
// The readers are our own, and github.com/prometheus/procfs checks them in
// tests: it reads neither pagetypeinfo nor iomem, leaves out of zoneinfo where
// zones start, their CMA pages and the lists of CPUs, takes what is no number
// for absent, and reads only from a mounted file system.
//
// [State.Describe] makes of it a [Description], which package devicetree makes of a
// device tree, and which is what commands show and draw.
//
// # Zones
//
// [Zones] divides memory as Linux does on x86, arm, arm64 and RISC-V, by
// release. A kernel can be built without a zone that it usually has; what is
// modelled is what distributions build. The cited functions say the rest.
package machine
