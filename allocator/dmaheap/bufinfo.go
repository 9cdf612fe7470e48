package dmaheap

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxText is the most of a file that is read, in bytes; a dma-buf takes some
// hundred.
const maxText = 64 << 20

// ErrTorn is what is wrong with accounting that does not end as the kernel ends
// it, or whose sums are not those of its lines.
var ErrTorn = errors.New("torn or not dma_buf/bufinfo")

// ParseBufinfo reads debugfs's dma_buf/bufinfo: every dma-buf with its references
// and the devices that are attached to it. Fences, which it also prints, are
// skipped. The kernel prints names as they are; where one has a line break in it
// the rest of the name is lost, and one made to look like accounting is an error,
// since the sums at the end tell.
// Source: drivers/dma-buf/dma-buf.c, dma_buf_debug_show, Linux 5.3 to 6.12.
func ParseBufinfo(r io.Reader) ([]BufferInfo, error) {
	text, err := readAll(r, maxText)
	if err != nil {
		return nil, fmt.Errorf("bufinfo: %w", err)
	}
	buffers := []BufferInfo{}
	attached := false // in the list of devices
	var total uint64
	for i, line := range strings.Split(text, "\n") {
		if b, ok := bufinfoRow(line); ok {
			buffers = append(buffers, b)
			total += b.Size
			attached = false
			continue
		}
		if objects, bytes, ok := bufinfoSum(line); ok {
			if objects != uint64(len(buffers)) || bytes != total {
				return nil, fmt.Errorf("bufinfo:%d: %w: %d objects of %d bytes are listed, the sum is %d of %d",
					i+1, ErrTorn, len(buffers), total, objects, bytes)
			}
			return buffers, nil
		}
		switch device, indented := strings.CutPrefix(line, "\t"); {
		case line == "\tAttached Devices:":
			attached = len(buffers) > 0
		case attached && indented:
			last := &buffers[len(buffers)-1]
			last.Devices = append(last.Devices, strings.TrimSpace(device))
		case strings.HasPrefix(line, "Total ") && strings.HasSuffix(line, " devices attached"):
			attached = false
		}
	}
	return nil, fmt.Errorf("bufinfo: %w: no sum at the end", ErrTorn)
}

func bufinfoSum(line string) (objects, bytes uint64, ok bool) {
	if !strings.HasPrefix(line, "Total ") {
		return 0, 0, false
	}
	n, _ := fmt.Sscanf(line, "Total %d objects, %d bytes", &objects, &bytes)
	return objects, bytes, n == 2
}

// bufinfoRow reads size, flags, mode, count, exporter, inode and, since Linux 5.3,
// name, with tabs between them. Size, count and inode are decimal.
func bufinfoRow(line string) (BufferInfo, bool) {
	part := strings.SplitN(line, "\t", 7)
	if len(part) < 6 {
		return BufferInfo{}, false
	}
	size, errSize := strconv.ParseUint(part[0], 10, 64)
	_, errFlags := strconv.ParseUint(part[1], 16, 32)
	_, errMode := strconv.ParseUint(part[2], 16, 32)
	count, errCount := strconv.ParseInt(part[3], 10, 64)
	number, errInode := strconv.ParseUint(part[5], 10, 64)
	if errors.Join(errSize, errFlags, errMode, errCount, errInode) != nil {
		return BufferInfo{}, false
	}
	b := BufferInfo{Inode: number, Size: size, References: count, Exporter: part[4]}
	if len(part) == 7 && part[6] != "<none>" {
		b.Name = part[6]
	}
	return b, true
}
