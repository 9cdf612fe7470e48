package dmaheap

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests of this file use the kernel's heaps and skip where there are none.
// They hold at most 8 MiB.

// openHeap opens the first heap that may be opened.
func openHeap(t *testing.T) *Heap {
	t.Helper()
	heaps, err := List(os.DirFS("/"))
	if err != nil {
		t.Skipf("needs a dma-buf heap: %v", err)
	}
	for _, file := range heaps {
		var h *Heap
		if h, err = Open(file.Name); err == nil {
			t.Cleanup(func() { h.Close() })
			return h
		}
	}
	t.Skipf("needs a dma-buf heap that may be opened: %v", err)
	return nil
}

func alloc(t *testing.T, h *Heap, size uint64) *Buffer {
	t.Helper()
	b, err := h.Alloc(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() }) // closed already in most tests
	return b
}

func TestHeapAlloc(t *testing.T) {
	keepDescriptors(t)
	h := openHeap(t)
	page := uint64(os.Getpagesize())
	for _, size := range []uint64{1, page, page + 1, 1 << 20} {
		b := alloc(t, h, size)
		if want := (size + page - 1) / page * page; b.Size() != want {
			t.Errorf("asked for %d bytes, got %d, want %d", size, b.Size(), want)
		}
		if flags, err := unix.FcntlInt(b.file.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor flags %#x: %v", flags, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestHeapRefuses(t *testing.T) {
	keepDescriptors(t)
	h := openHeap(t)
	for _, test := range []struct {
		size, heap uint64
		descriptor uint32
	}{
		{0, 0, unix.O_RDWR},
		{math.MaxUint64, 0, unix.O_RDWR}, // rounded up it is 0
		{4096, 0, unix.O_APPEND},
		{4096, 1, unix.O_RDWR},
	} {
		_, err := h.AllocFlags(test.size, test.descriptor, test.heap)
		var failed *Error
		if !errors.Is(err, unix.EINVAL) || !errors.As(err, &failed) || !strings.Contains(failed.Name, h.Name()) {
			t.Errorf("%+v: %v", test, err)
		}
	}
	if _, err := Open("no-such-heap"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), h.Name()) {
		t.Errorf("open what is not there: %v", err)
	}
}

func TestHeapDescriptorLimit(t *testing.T) {
	keepDescriptors(t)
	h := openHeap(t)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var held []*Buffer
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
		for _, b := range held {
			b.Close()
		}
	}()
	few := unix.Rlimit{Cur: uint64(descriptors(t)) + 4, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	for range 64 {
		b, err := h.Alloc(4096)
		if err != nil {
			if !errors.Is(err, unix.EMFILE) {
				t.Errorf("at the limit: %v", err)
			}
			return
		}
		held = append(held, b)
	}
	t.Error("the limit was never reached")
}

func TestNames(t *testing.T) {
	b := alloc(t, openHeap(t), 4096)
	longest := strings.Repeat("n", 31)
	for _, name := range []string{"camera", longest, ""} {
		if err := b.SetName(name); err != nil {
			t.Fatal(err)
		}
		held, _ := ReadHeld(os.DirFS("/"))
		i := slices.IndexFunc(held, func(h BufferInfo) bool { return h.Inode == b.Inode() && h.Holders[0].PID == os.Getpid() })
		if i < 0 {
			t.Fatalf("not among the %d held buffers", len(held))
		}
		if held[i].Name != name || held[i].Size != 4096 || held[i].Exporter == "" || held[i].References != 1 {
			t.Errorf("named %q: %+v", name, held[i])
		}
	}
	if err := b.SetName(longest + "n"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("32 bytes: %v", err)
	}
}

func TestMappingAccess(t *testing.T) {
	keepDescriptors(t)
	b := alloc(t, openHeap(t), 1<<20)
	m, err := b.Map(Read | Write)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("written by the CPU")
	err = m.Access(Write, func(memory []byte) error {
		if uint64(len(memory)) != b.Size() || slices.ContainsFunc(memory, func(c byte) bool { return c != 0 }) {
			t.Errorf("%d bytes, which are not all zero", len(memory))
		}
		copy(memory[4096:], text)
		return m.Close() // unmapped when this returns
	})
	if err != nil {
		t.Fatal(err)
	}
	if m.memory != nil {
		t.Error("still mapped")
	}
	again, err := b.Map(Read)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	stop := errors.New("stop")
	err = again.Access(Read, func(memory []byte) error {
		if !bytes.HasPrefix(memory[4096:], text) {
			t.Errorf("read %q", memory[4096:4096+len(text)])
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("the error of the caller became %v", err)
	}
	if err := b.BeginCPUAccess(0); !errors.Is(err, unix.EINVAL) {
		t.Errorf("no access: %v", err)
	}
	if err := b.EndCPUAccess(8); !errors.Is(err, unix.EINVAL) {
		t.Errorf("unknown access: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	// The memory stays, as long as it is mapped.
	if !bytes.HasPrefix(again.memory[4096:], text) {
		t.Error("the mapping did not keep the memory")
	}
}

func TestMappingHoldsTheBuffer(t *testing.T) {
	b := alloc(t, openHeap(t), 8192)
	m, err := b.Map(Read)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	b.Close()
	held, _ := ReadHeld(os.DirFS("/"))
	i := slices.IndexFunc(held, func(h BufferInfo) bool { return h.Inode == b.Inode() })
	if i < 0 || held[i].Holders[0].Mappings != 1 || held[i].Holders[0].Descriptors != nil {
		t.Errorf("buffer %d is not held by a mapping alone: %+v", b.Inode(), held)
	}
}

func TestSyncFiles(t *testing.T) {
	keepDescriptors(t)
	b := alloc(t, openHeap(t), 4096)
	f, err := b.ExportSyncFile(Read)
	if errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// A buffer without fences has nothing to wait for.
	poll := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 0); n != 1 || err != nil || poll[0].Revents&unix.POLLIN == 0 {
		t.Errorf("not signalled: %+v, %v", poll, err)
	}
	if err := b.ImportSyncFile(f, Write); err != nil {
		t.Error(err)
	}
	if _, err := b.ExportSyncFile(0); !errors.Is(err, unix.EINVAL) {
		t.Errorf("no access: %v", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := b.ImportSyncFile(null, Read); !errors.Is(err, unix.EINVAL) {
		t.Errorf("no sync_file: %v", err)
	}
	f.Close()
	if err := b.ImportSyncFile(f, Read); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestPassToChild gives a buffer to a process, which names it.
func TestPassToChild(t *testing.T) {
	const role = "DMAHEAP_TEST_CHILD"
	if os.Getenv(role) != "" {
		b, err := FromFile(os.NewFile(3, "passed"))
		if err == nil {
			err = b.SetName("named by the child")
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	keepDescriptors(t)
	b := alloc(t, openHeap(t), 4096)
	f, err := b.File()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestPassToChild$")
	child.Env = append(os.Environ(), role+"=1")
	child.ExtraFiles = []*os.File{f}
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	taken, err := FromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f.Close()
	held, _ := ReadHeld(os.DirFS("/"))
	i := slices.IndexFunc(held, func(h BufferInfo) bool { return h.Inode == taken.Inode() })
	if taken.Inode() != b.Inode() || i < 0 || held[i].Name != "named by the child" || len(held[i].Holders[0].Descriptors) != 2 {
		t.Errorf("buffer %d: %+v", b.Inode(), held)
	}
}

func TestUdmabuf(t *testing.T) {
	keepDescriptors(t)
	page := uint64(os.Getpagesize())
	memfd, err := NewMemfd("frames", 4*page)
	if err != nil {
		t.Fatal(err)
	}
	defer memfd.Close()
	b, err := FromMemfd(memfd, page, 2*page)
	if errors.Is(err, ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		t.Skipf("needs udmabuf: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Size() != 2*page {
		t.Errorf("%d bytes", b.Size())
	}
	if _, err := memfd.WriteAt([]byte("shared"), int64(page)); err != nil {
		t.Fatal(err)
	}
	m, err := b.Map(Read)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Access(Read, func(memory []byte) error {
		if !bytes.HasPrefix(memory, []byte("shared")) {
			t.Errorf("the buffer holds %q", memory[:6])
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	for _, piece := range [][2]uint64{{0, 0}, {1, page}, {0, page + 1}, {3 * page, 2 * page}} {
		if _, err := FromMemfd(memfd, piece[0], piece[1]); !errors.Is(err, unix.EINVAL) {
			t.Errorf("offset %d, size %d: %v", piece[0], piece[1], err)
		}
	}
	shrinks, err := unix.MemfdCreate("shrinks", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(shrinks), "shrinks")
	defer f.Close()
	if err := f.Truncate(int64(page)); err != nil {
		t.Fatal(err)
	}
	if _, err := FromMemfd(f, 0, page); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a file that may shrink: %v", err)
	}
}

func TestAccountingSeesEveryBuffer(t *testing.T) {
	h := openHeap(t)
	buffers := []*Buffer{alloc(t, h, 4096), alloc(t, h, 1<<20)}
	if err := buffers[1].SetName("large"); err != nil {
		t.Fatal(err)
	}
	a := ReadAccounting(os.DirFS("/"))
	t.Logf("complete: %t; gaps: %+v", a.Complete, a.Gaps)
	for _, b := range buffers {
		i := slices.IndexFunc(a.Buffers, func(info BufferInfo) bool { return info.Inode == b.Inode() })
		if i < 0 {
			t.Fatalf("%s is missing of %+v", b, a.Buffers)
		}
		info := a.Buffers[i]
		if info.Size != b.Size() || info.References < 1 || len(info.Holders) != 1 || info.Holders[0].PID != os.Getpid() {
			t.Errorf("%+v", info)
		}
	}
	// Memory is given back after close returns, when the task leaves the kernel.
	for _, b := range buffers {
		b.Close()
	}
	for range 1000 {
		a = ReadAccounting(os.DirFS("/"))
		if !slices.ContainsFunc(a.Buffers, func(info BufferInfo) bool {
			return info.Inode == buffers[0].Inode() || info.Inode == buffers[1].Inode()
		}) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("closed buffers live: %+v", a.Buffers)
}
