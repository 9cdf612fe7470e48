package dmaheap

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestList(t *testing.T) {
	device := func(uid, gid uint32, mode fs.FileMode) *fstest.MapFile {
		return &fstest.MapFile{Mode: fs.ModeDevice | fs.ModeCharDevice | mode, Sys: &syscall.Stat_t{Uid: uid, Gid: gid}}
	}
	root := fstest.MapFS{
		"dev/dma_heap/system":   device(0, 44, 0o660),
		"dev/dma_heap/reserved": device(0, 0, 0o600),
		"dev/dma_heap/README":   file("no heap"),
	}
	got, err := List(root)
	const char = fs.ModeDevice | fs.ModeCharDevice
	want := []HeapFile{{"reserved", char | 0o600, 0, 0}, {"system", char | 0o660, 0, 44}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if got[1].Path() != "/dev/dma_heap/system" {
		t.Error(got[1].Path())
	}
	if _, err := List(fstest.MapFS{}); !errors.Is(err, ErrUnsupported) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without heaps: %v", err)
	}
	if _, err := List(closedTo{root, []string{"dev/dma_heap"}}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("folder that is closed: %v", err)
	}
}

// numbered tells inode 42 of every file.
type numbered struct{ fstest.MapFS }

func (numbered) Stat(string) (fs.FileInfo, error) {
	return fs.Stat(fstest.MapFS{"x": {Sys: &syscall.Stat_t{Ino: 42}}}, "x")
}

// TestInodeOfOldKernels uses fdinfo as it was before Linux 5.14.
func TestInodeOfOldKernels(t *testing.T) {
	got, gaps := ReadHeld(numbered{fstest.MapFS{
		"proc/7/comm":     file("server\n"),
		"proc/7/maps":     file(""),
		"proc/7/fd/3":     link("/dmabuf:"),
		"proc/7/fdinfo/3": file("pos:\t0\nsize:\t4096\ncount:\t1\nexp_name:\tsystem\n"),
	}})
	want := []BufferInfo{{Inode: 42, Size: 4096, Exporter: "system", References: 1,
		Holders: []Holder{{PID: 7, Command: "server", Descriptors: []int{3}}}}}
	if diff := cmp.Diff(want, got); gaps != nil || diff != "" {
		t.Errorf("gaps %+v\n%s", gaps, diff)
	}
}
