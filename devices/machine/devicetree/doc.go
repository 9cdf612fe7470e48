// Package devicetree reads a machine from a flattened device tree (a .dtb file,
// or /sys/firmware/fdt): memory, reserved memory and pools, buses with their
// windows, the devices behind them, and the zones that follow.
//
// The format is read by github.com/u-root/u-root/pkg/dt. It trusts what a blob
// says of its own sizes, so parse checks the structure first: a malformed blob is
// an error that names the offset and the node.
//
// # Whose reading
//
// The meaning is ours, and follows Linux, whose reading is what a board gets,
// where it and the Devicetree Specification (v0.4) differ. A warning tells of
// each difference that a tree brings up:
//
//   - Memory is what has device_type "memory" below the root, whatever its name.
//   - Where #address-cells or #size-cells are missing, the nearest node above
//     decides; the specification has 2 and 1.
//   - The alignment of a reserved region has as many cells as an address; the
//     specification says as many as a size. Linux refuses others.
//   - /reserved-memory without ranges, or with other cells than the root's, is
//     ignored with all that is in it.
//   - Of a region with several pieces, only the first can be a pool.
//
// Sources: Linux 6.1 and 6.12, drivers/of/fdt.c (early_init_dt_scan_memory,
// __reserved_mem_reserve_reg), drivers/of/of_reserved_mem.c, drivers/of/address.c
// (of_dma_get_range, of_dma_get_max_cpu_address, __of_translate_address),
// drivers/of/device.c (of_dma_configure_id), kernel/dma/contiguous.c
// (rmem_cma_setup), coherent.c (rmem_dma_setup), swiotlb.c (rmem_swiotlb_setup).
//
// # Limits
//
//   - A blob in a file is not always what the kernel gets: firmware fills in the
//     size of memory, and on some boards windows and pools (Raspberry Pi). With EFI
//     the kernel ignores the tree's memory altogether. /sys/firmware/fdt is what it
//     got.
//   - Pools whose place the kernel chooses are placed as on a machine where nothing
//     but the tree's own regions is taken: the kernel's image, the ramdisk and what
//     EFI keeps are not known, and usually lie elsewhere.
//   - Which nodes are devices that do DMA no tree says. Taken for such are those
//     that have an IOMMU, a pool, coherence or a bus of their own, and those that
//     are named as such devices are (section 2.2.2 of the specification).
//   - How wide a device's addresses are is its driver's to say. The windows are
//     those of the bus alone.
package devicetree
