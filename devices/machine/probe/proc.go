package probe

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"

	"dmasim/allocator/dmaheap"
	"dmasim/devices/machine"
)

// Proc are copies of those files of /proc that [machine.ReadProc] reads, by name.
// It is a file system of them.
type Proc map[string][]byte

// Names returns the names of the files in order.
func (p Proc) Names() []string { return slices.Sorted(maps.Keys(p)) }

// Open implements [fs.FS].
func (p Proc) Open(name string) (fs.File, error) {
	data, ok := p[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return openCopy{bytes.NewReader(data)}, nil
}

type openCopy struct{ *bytes.Reader }

func (openCopy) Stat() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

func (openCopy) Close() error { return nil }

// readProc copies the files. The free lists change all the time, so those that
// tell of them are read one after the other.
func readProc(root fs.FS) (Proc, []dmaheap.Gap) {
	p := Proc{}
	at := prober{root: root}
	for _, file := range []struct {
		name, what, remedy string
	}{
		{"meminfo", "amounts of memory", mountProc},
		{"iomem", "where memory is", mountProc},
		{"buddyinfo", "free blocks", mountProc},
		{"pagetypeinfo", "free blocks by migrate type", "a kernel with CONFIG_PROC_PAGE_MONITOR or /proc mounted whole"},
		{"zoneinfo", "zones", mountProc},
	} {
		data, err := fs.ReadFile(root, path.Join("proc", file.name))
		if err != nil {
			at.gap(file.what, path.Join("proc", file.name), err, file.remedy)
			continue
		}
		p[file.name] = data
	}
	// Without privilege iomem can be read, and holds nothing but zeros.
	if _, err := machine.ReadProc(p); errors.Is(err, machine.ErrHiddenAddresses) {
		delete(p, "iomem")
		at.gap("where memory is", "proc/iomem", errors.New("every address is zero"), "run as root, outside of containers")
	}
	return p, at.Gaps
}
