package dmaheap

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// BufferInfo is what the kernel tells of a dma-buf that lives. What no source
// tells is zero.
type BufferInfo struct {
	Inode      uint64   `json:"inode"`
	Size       uint64   `json:"size"`              // bytes
	Exporter   string   `json:"exporter"`          // the heap or driver it came from
	Name       string   `json:"name,omitempty"`    // as set by SetName
	References int64    `json:"references"`        // descriptors, mappings and importers together
	Devices    []string `json:"devices,omitempty"` // that are attached
	Holders    []Holder `json:"holders,omitempty"` // processes, by their number
}

// Holder is a process that keeps a dma-buf alive.
type Holder struct {
	PID         int    `json:"pid"`
	Command     string `json:"command"`
	Descriptors []int  `json:"descriptors,omitempty"`
	Mappings    int    `json:"mappings,omitempty"` // pieces of address space
}

// Gap is something that could not be read.
type Gap struct {
	What   string `json:"what"`
	Path   string `json:"path"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy"` // what would make it readable
}

// Accounting is what could be learned of all dma-bufs.
type Accounting struct {
	Buffers []BufferInfo `json:"buffers"` // by inode
	// Complete says that the kernel listed all buffers. Otherwise those are
	// missing that only processes hold which may not be looked into, or only the
	// kernel.
	Complete bool  `json:"complete"`
	Gaps     []Gap `json:"gaps,omitempty"`
}

// Where the kernel accounts for dma-bufs, below the root of the file system.
const (
	bufinfoPath = "sys/kernel/debug/dma_buf/bufinfo"
	statsPath   = "sys/kernel/dmabuf/buffers"
	procPath    = "proc"
)

// ReadAccounting reads everything that tells of dma-bufs below root, which is the
// root of a file system; see [os.DirFS]. It reads one source after the other, so
// what comes and goes meanwhile may be seen in part. What can't be read is a gap.
func ReadAccounting(root fs.FS) Accounting {
	var a Accounting
	known := map[uint64]*BufferInfo{}
	add := func(b BufferInfo) *BufferInfo {
		at := known[b.Inode]
		if at == nil {
			at = &BufferInfo{Inode: b.Inode}
			known[b.Inode] = at
		}
		at.Size = cmp.Or(at.Size, b.Size)
		at.Exporter = cmp.Or(at.Exporter, b.Exporter)
		at.Name = cmp.Or(at.Name, b.Name)
		at.References = cmp.Or(at.References, b.References)
		at.Devices = append(at.Devices, b.Devices...)
		return at
	}
	if buffers, err := readBufinfo(root); err != nil {
		a.Gaps = append(a.Gaps, Gap{"references and attached devices of all dma-bufs", "/" + bufinfoPath, reason(err), DebugfsRemedy(root, "CONFIG_DEBUG_FS")})
	} else {
		a.Complete = true
		for _, b := range buffers {
			add(b)
		}
	}
	if buffers, err := ReadStats(root); err != nil {
		if !a.Complete {
			remedy := "a kernel with CONFIG_DMABUF_SYSFS_STATS"
			if errors.Is(err, fs.ErrPermission) {
				remedy = "run as root, outside of containers"
			}
			a.Gaps = append(a.Gaps, Gap{"sizes of all dma-bufs", "/" + statsPath, reason(err), remedy})
		}
	} else {
		a.Complete = true
		for _, b := range buffers {
			add(b)
		}
	}
	held, gaps := ReadHeld(root)
	a.Gaps = append(a.Gaps, gaps...)
	for _, b := range held {
		at := add(b)
		at.Holders = append(at.Holders, b.Holders...)
	}
	a.Buffers = []BufferInfo{}
	for _, number := range slices.Sorted(maps.Keys(known)) {
		a.Buffers = append(a.Buffers, *known[number])
	}
	return a
}

func readBufinfo(root fs.FS) ([]BufferInfo, error) {
	f, err := root.Open(bufinfoPath)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseBufinfo(f)
}

// ReadStats reads inode, size and exporter of every dma-buf from
// sys/kernel/dmabuf/buffers, which kernels with CONFIG_DMABUF_SYSFS_STATS have
// (drivers/dma-buf/dma-buf-sysfs-stats.c, Linux 6.12).
func ReadStats(root fs.FS) ([]BufferInfo, error) {
	entries, err := fs.ReadDir(root, statsPath)
	if err != nil {
		return nil, err
	}
	var buffers []BufferInfo
	for _, entry := range entries {
		number, err := strconv.ParseUint(entry.Name(), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("/%s: %q is no number of a buffer", statsPath, entry.Name())
		}
		folder := path.Join(statsPath, entry.Name())
		exporter, err := fs.ReadFile(root, path.Join(folder, "exporter_name"))
		var size []byte
		if err == nil {
			size, err = fs.ReadFile(root, path.Join(folder, "size"))
		}
		if isGone(err) {
			continue // freed since
		}
		if err != nil {
			return nil, err
		}
		bytes, err := strconv.ParseUint(strings.TrimSpace(string(size)), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("/%s/size: %q is no size", folder, size)
		}
		buffers = append(buffers, BufferInfo{Inode: number, Size: bytes, Exporter: strings.TrimSpace(string(exporter))})
	}
	return buffers, nil
}

// ReadHeld reads which processes hold which dma-bufs, by descriptors and by
// mappings, from proc below root. Processes that may not be looked into are a
// gap; those that end meanwhile are none.
func ReadHeld(root fs.FS) ([]BufferInfo, []Gap) {
	entries, err := fs.ReadDir(root, procPath)
	if err != nil {
		return nil, []Gap{{"processes that hold dma-bufs", "/" + procPath, reason(err), "mount proc: mount -t proc proc /proc"}}
	}
	var processes []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			processes = append(processes, pid)
		}
	}
	slices.Sort(processes)
	var h held
	for _, pid := range processes {
		if err := h.process(root, pid); err != nil && !isGone(err) {
			h.hidden++
			if h.why == nil {
				h.why = err
			}
		}
	}
	var gaps []Gap
	if h.hidden > 0 {
		gaps = append(gaps, Gap{
			What: fmt.Sprintf("dma-bufs held by %d of %d processes", h.hidden, len(processes)), Path: "/proc/PID/fd, fdinfo and maps",
			Reason: reason(h.why), Remedy: "run as root, outside of containers",
		})
	}
	return h.buffers, gaps
}

// held collects buffers from processes, one entry for each process and buffer.
type held struct {
	buffers []BufferInfo
	hidden  int
	why     error // of the first that is hidden
}

// process adds what a process holds. What it read before an error stays.
func (h *held) process(root fs.FS, pid int) error {
	folder := path.Join(procPath, strconv.Itoa(pid))
	mine := map[uint64]int{} // where in buffers
	at := func(b BufferInfo) *BufferInfo {
		i, ok := mine[b.Inode]
		if !ok {
			command, _ := fs.ReadFile(root, path.Join(folder, "comm")) // none if it ended
			b.Holders = []Holder{{PID: pid, Command: strings.TrimSuffix(string(command), "\n")}}
			i = len(h.buffers)
			mine[b.Inode] = i
			h.buffers = append(h.buffers, b)
		}
		return &h.buffers[i]
	}
	descriptors, err := fs.ReadDir(root, path.Join(folder, "fd"))
	if err != nil {
		return err
	}
	numbers := make([]int, 0, len(descriptors))
	for _, entry := range descriptors {
		if n, err := strconv.Atoi(entry.Name()); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		b, err := readDescriptor(root, folder, n)
		if isGone(err) {
			continue // closed since
		}
		if err != nil {
			return err
		}
		if b != nil {
			holder := &at(*b).Holders[0]
			holder.Descriptors = append(holder.Descriptors, n)
		}
	}
	maps, err := root.Open(path.Join(folder, "maps"))
	if err != nil {
		return err
	}
	defer maps.Close()
	mapped, err := ParseMaps(maps)
	for _, number := range mapped {
		at(BufferInfo{Inode: number}).Holders[0].Mappings++
	}
	return err
}

// readDescriptor returns nil for a descriptor of something else.
func readDescriptor(root fs.FS, folder string, n int) (*BufferInfo, error) {
	link := path.Join(folder, "fd", strconv.Itoa(n))
	target, err := fs.ReadLink(root, link)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(target, dmabufTarget) {
		return nil, nil
	}
	f, err := root.Open(path.Join(folder, "fdinfo", strconv.Itoa(n)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := ParseFdinfo(f)
	if errors.Is(err, ErrNoDMABuf) {
		return nil, nil // the number was reused since
	}
	if err != nil {
		return nil, err
	}
	if b.Inode == 0 { // before Linux 5.14
		info, err := fs.Stat(root, link)
		if err != nil {
			return nil, err
		}
		b.Inode = inode(info)
	}
	return &b, nil
}

// dmabufTarget is what the target of a descriptor's link begins with, followed by
// the buffer's name.
const dmabufTarget = "/dmabuf:"

// reason returns what is wrong without the path, which a gap has.
func reason(err error) string {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err.Error()
	}
	return err.Error()
}

// DebugfsRemedy returns what would make a file of debugfs readable, of which the
// kernel makes none without the given options.
func DebugfsRemedy(root fs.FS, options string) string {
	const mountPoint = "sys/kernel/debug"
	entries, err := fs.ReadDir(root, mountPoint)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "run as root, outside of containers"
	case err == nil && len(entries) == 0:
		return "as root: mount -t debugfs none /" + mountPoint
	}
	return "a kernel with " + options
}

// readAll reads text of at most limit bytes.
func readAll(r io.Reader, limit int64) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return string(data), err
}
