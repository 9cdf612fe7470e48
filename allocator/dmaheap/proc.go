package dmaheap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrNoDMABuf is what is wrong with the fdinfo of another kind of file.
var ErrNoDMABuf = errors.New("not a dma-buf")

// ParseFdinfo reads /proc/PID/fdinfo/N of a dma-buf. The inode is 0 before Linux
// 5.14. References don't count the one that the reading itself holds.
// Source: drivers/dma-buf/dma-buf.c, dma_buf_show_fdinfo, and fs/proc/fd.c,
// seq_show, Linux 6.12.
func ParseFdinfo(r io.Reader) (BufferInfo, error) {
	text, err := readAll(r, 1<<16)
	if err != nil {
		return BufferInfo{}, fmt.Errorf("fdinfo: %w", err)
	}
	var b BufferInfo
	var known bool
	for i, line := range strings.Split(text, "\n") {
		key, value, found := strings.Cut(line, ":")
		if !found {
			continue
		}
		value = strings.TrimPrefix(value, "\t")
		var err error
		switch key {
		case "ino":
			b.Inode, err = strconv.ParseUint(value, 10, 64)
		case "size":
			b.Size, err = strconv.ParseUint(value, 10, 64)
		case "count":
			b.References, err = strconv.ParseInt(value, 10, 64)
		case "exp_name":
			b.Exporter, known = value, true
		case "name":
			// The last key, whose value may have line breaks.
			b.Name = value
		}
		if err != nil {
			return BufferInfo{}, fmt.Errorf("fdinfo:%d: %s %q is no number", i+1, key, value)
		}
		if key == "name" {
			break
		}
	}
	if !known {
		return BufferInfo{}, fmt.Errorf("fdinfo: %w", ErrNoDMABuf)
	}
	return b, nil
}

// ParseMaps reads /proc/PID/maps and returns the inodes of the dma-bufs that are
// mapped, one for each piece of address space.
// Source: fs/proc/task_mmu.c, show_map_vma, Linux 6.12.
func ParseMaps(r io.Reader) ([]uint64, error) {
	lines := bufio.NewScanner(r)
	var inodes []uint64
	for n := 1; lines.Scan(); n++ {
		// Range, permissions, offset, device, inode, and the path after spaces.
		line := lines.Text()
		at := strings.Index(line, " "+dmabufTarget)
		if at < 0 {
			continue
		}
		part := strings.Fields(line[:at])
		if len(part) != 5 {
			continue // the path of another file has this text in it
		}
		number, err := strconv.ParseUint(part[4], 10, 64)
		if err != nil {
			return inodes, fmt.Errorf("maps:%d: %q is no inode", n, part[4])
		}
		inodes = append(inodes, number)
	}
	if err := lines.Err(); err != nil {
		return inodes, fmt.Errorf("maps: %w", err)
	}
	return inodes, nil
}
