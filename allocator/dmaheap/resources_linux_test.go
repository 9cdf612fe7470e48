package dmaheap

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// descriptors counts those that this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no count of descriptors: %v", err)
	}
	return len(entries)
}

// keepDescriptors fails the test if it ends with other descriptors open than it
// began with.
func keepDescriptors(t *testing.T) {
	t.Helper()
	// The runtime's poller opens some of its own, once.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	before := descriptors(t)
	t.Cleanup(func() {
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors are open, before there were %d", after, before)
		}
	})
}

// memoryBuffer returns a Buffer that is not a dma-buf: what need not be one is
// tested everywhere.
func memoryBuffer(t *testing.T, name string, size uint64) *Buffer {
	t.Helper()
	fd, err := newMemfd(name, size)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBuffer(fd)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBufferOwnsItsDescriptor(t *testing.T) {
	keepDescriptors(t)
	b := memoryBuffer(t, "owned", 8192)
	if b.Size() != 8192 || b.Inode() == 0 {
		t.Errorf("%d bytes, inode %d", b.Size(), b.Inode())
	}
	other, err := b.Dup()
	if err != nil {
		t.Fatal(err)
	}
	file, err := b.File()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	if other.Inode() != b.Inode() {
		t.Errorf("inode %d, of the duplicate %d", b.Inode(), other.Inode())
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil || stat.Ino != b.Inode() {
		t.Errorf("the file has inode %d: %v", stat.Ino, err)
	}
	for _, fd := range []uintptr{file.Fd(), other.file.Fd()} {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor flags %#x: %v", flags, err)
		}
	}
	if err := errors.Join(file.Close(), other.Close()); err != nil {
		t.Error(err)
	}
}

func TestClosedBuffer(t *testing.T) {
	keepDescriptors(t)
	b := memoryBuffer(t, "closed", 4096)
	b.Close()
	_, mapErr := b.Map(Read)
	_, dupErr := b.Dup()
	_, fileErr := b.File()
	_, exportErr := b.ExportSyncFile(Read)
	var zero Buffer
	_, heapErr := (&Heap{name: "none"}).Alloc(4096)
	for _, err := range []error{
		mapErr, dupErr, fileErr, exportErr, b.SetName("x"), b.BeginCPUAccess(Read), b.EndCPUAccess(Read), zero.Close(),
		zero.SetName("x"), heapErr, (&Heap{name: "none"}).Close(),
	} {
		var failed *Error
		if !errors.Is(err, fs.ErrClosed) || !errors.As(err, &failed) {
			t.Errorf("%v", err)
		}
	}
}

// TestNotADMABuf uses what has none of the kernel's requests.
func TestNotADMABuf(t *testing.T) {
	keepDescriptors(t)
	b := memoryBuffer(t, "plain", 4096)
	defer b.Close()
	if _, err := FromFile(b.file); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a memfd was taken for a dma-buf: %v", err)
	}
	if err := b.SetName("x"); !errors.Is(err, ErrUnsupported) || !errors.Is(err, unix.ENOTTY) {
		t.Errorf("SetName: %v", err)
	}
	if err := b.ImportSyncFile(b.file, Read); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("ImportSyncFile: %v", err)
	}
	m, err := b.Map(Read | Write)
	if err != nil {
		t.Fatal(err)
	}
	called := false
	err = m.Access(Read, func([]byte) error { called = true; return nil })
	if !errors.Is(err, ErrUnsupported) || called {
		t.Errorf("access without brackets: called %t, %v", called, err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if m.memory != nil {
		t.Error("still mapped")
	}
	if err := m.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	if err := m.Access(Read, nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("access after Close: %v", err)
	}
}

func TestMapWants(t *testing.T) {
	b := memoryBuffer(t, "wants", 4096)
	defer b.Close()
	for _, access := range []Access{0, 4, Read | 8} {
		if _, err := b.Map(access); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("map for %d: %v", access, err)
		}
	}
	m, err := b.Map(Read)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Access(Write, nil); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("write to a mapping for reading: %v", err)
	}
	huge := &Buffer{file: b.file, size: 1 << 63}
	if _, err := huge.Map(Read); err == nil {
		t.Error("mapped 2^63 bytes")
	}
}

func isMapped(t *testing.T, name string) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip(err)
	}
	return strings.Contains(string(text), "/memfd:"+name)
}

// TestDropped checks that the collector gives back what was never closed.
func TestDropped(t *testing.T) {
	const name = "dmaheap-dropped"
	b := memoryBuffer(t, name, 4096)
	b.Close()
	before := descriptors(t)
	func() {
		for range 10 {
			b := memoryBuffer(t, name, 4096)
			if _, err := b.Map(Read); err != nil {
				t.Fatal(err)
			}
		}
	}()
	for range 1000 {
		runtime.GC()
		if descriptors(t) == before && !isMapped(t, name) {
			return
		}
		time.Sleep(time.Millisecond) // cleanups have a goroutine of their own
	}
	t.Errorf("%d descriptors, before there were %d; mapped: %t", descriptors(t), before, isMapped(t, name))
}

// TestCloseWhileInUse is for the race detector.
func TestCloseWhileInUse(t *testing.T) {
	keepDescriptors(t)
	for range 50 {
		b := memoryBuffer(t, "race", 4096)
		m, err := b.Map(Read)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if other, err := b.Dup(); err == nil {
					other.Close()
				} else if !errors.Is(err, fs.ErrClosed) {
					t.Error(err)
				}
				if err := m.Access(Read, nil); !errors.Is(err, fs.ErrClosed) && !errors.Is(err, ErrUnsupported) {
					t.Error(err)
				}
			})
		}
		all.Go(func() { b.Close() })
		all.Go(func() { m.Close() })
		all.Wait()
		if m.memory != nil {
			t.Fatal("still mapped")
		}
	}
}

func TestMemfd(t *testing.T) {
	keepDescriptors(t)
	f, err := NewMemfd("sealed", 8192)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(4096); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("it shrank: %v", err)
	}
	if _, err := NewMemfd("huge", 1<<63); !errors.Is(err, unix.EFBIG) {
		t.Errorf("2^63 bytes: %v", err)
	}
}

// TestPermissionDenied opens a file of root's as nobody, in a thread that the test
// throws away.
func TestPermissionDenied(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	keepDescriptors(t)
	folder := t.TempDir()
	for path := folder; len(path) > 1; path = filepath.Dir(path) {
		if info, err := os.Stat(path); err != nil || info.Mode()&0o011 != 0o011 && os.Chmod(path, info.Mode()|0o011) != nil {
			t.Skipf("nobody can't enter %s", path)
		}
	}
	file := filepath.Join(folder, "device")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		unix.Setfsuid(65534)
		_, err = openDevice(file)
	})
	done.Wait()
	var denied *PermissionError
	if !errors.As(err, &denied) || !errors.Is(err, fs.ErrPermission) || !errors.Is(err, unix.EACCES) {
		t.Fatalf("got %v", err)
	}
	if denied.Path != file || denied.Mode != 0o600 || denied.UID != 0 || denied.GID != uint32(os.Getgid()) {
		t.Errorf("got %+v", denied)
	}
}
