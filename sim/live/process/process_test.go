//go:build linux && (amd64 || arm64 || riscv64)

package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if status, is := Main(os.Args[1:]); is {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// spawn makes a process with the descriptors 3 and on, below a limit.
func spawn(t *testing.T, limit int) *Process {
	t.Helper()
	ancestor, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	p, err := ancestor.Spawn(limit)
	if err != nil {
		t.Fatal(errors.Join(err, ancestor.Close()))
	}
	t.Cleanup(func() {
		if err := errors.Join(p.Kill(), ancestor.Close()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// call fails the test unless a call has an errno.
func call(t *testing.T, what string, got, want unix.Errno, err error) {
	t.Helper()
	if err != nil || got != want {
		t.Fatalf("%s: %v, %v; want %v", what, got, err, want)
	}
}

// pipe returns a pipe whose writing end is closed when the test ends, if not before.
func pipe(t *testing.T) (read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close(); write.Close() })
	return read, write
}

func TestDescriptors(t *testing.T) {
	p := spawn(t, 6)
	_, file := pipe(t)
	fd, errno, err := p.Accept(file, false)
	if call(t, "accept", errno, 0, err); fd != FirstFD {
		t.Errorf("the first descriptor is %d", fd)
	}
	second, errno, err := p.Dup(fd, true)
	if call(t, "dup", errno, 0, err); second != fd+1 {
		t.Errorf("the second descriptor is %d", second)
	}
	got, errno, err := p.HandOver(second)
	call(t, "hand over", errno, 0, err)
	ours, err := file.Stat()
	theirs, err2 := got.Stat()
	if err := errors.Join(err, err2, got.Close()); err != nil || !os.SameFile(ours, theirs) {
		t.Errorf("another file came back: %v", err)
	}
	_, errno, err = p.HandOver(99)
	call(t, "hand over nothing", errno, unix.EBADF, err)

	third, errno, err := p.Accept(file, false)
	call(t, "the last", errno, 0, err)
	_, errno, err = p.Accept(file, false)
	call(t, "beyond the limit", errno, unix.EMFILE, err)

	child, errno, err := p.Fork() // with all descriptors in use
	call(t, "fork", errno, 0, err)
	_, errno, err = child.Dup(fd, false)
	call(t, "the child is limited too", errno, unix.EMFILE, err)
	errno, err = child.Exec()
	call(t, "exec", errno, 0, err)
	errno, err = child.CloseFD(third)
	call(t, "exec kept the last", errno, 0, err)
	errno, err = child.CloseFD(second)
	call(t, "exec closed it", errno, unix.EBADF, err)
	errno, err = child.CloseFD(fd)
	call(t, "exec kept it", errno, 0, err)
	if err := child.Exit(); err != nil || child.Alive() {
		t.Errorf("exit: %v", err)
	}
	errno, err = p.CloseFD(second)
	call(t, "the parent has it", errno, 0, err)
	_, errno, err = p.Open("there is no such heap", false)
	call(t, "open", errno, unix.ENOENT, err)
}

// TestRuntimeHasNoDescriptors holds the runtime's files not to be among a process's,
// also at numbers that come free by an exec, before the runtime starts.
func TestRuntimeHasNoDescriptors(t *testing.T) {
	const limit = FirstFD + 12
	p := spawn(t, limit)
	_, file := pipe(t)
	fill := func() {
		t.Helper()
		for want := FirstFD; want < limit; want++ {
			fd, errno, err := p.Accept(file, true)
			if call(t, "accept", errno, 0, err); fd != want {
				t.Fatalf("descriptor %d, want %d", fd, want)
			}
		}
	}
	for range 3 {
		fill()
		errno, err := p.Exec()
		call(t, "exec", errno, 0, err)
	}
	fill()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd >= limit && fd < ChannelFD {
			t.Errorf("descriptor %q: %v", e.Name(), err)
		}
	}
}

// TestExecClosesForAll holds no thread of a process to keep what the process closes.
func TestExecClosesForAll(t *testing.T) {
	p := spawn(t, 16)
	read, write := pipe(t)
	fd, errno, err := p.Accept(write, false)
	call(t, "accept", errno, 0, err)
	errno, err = p.Exec()
	call(t, "exec", errno, 0, err)
	errno, err = p.CloseFD(fd)
	call(t, "close", errno, 0, err)
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := read.Read(make([]byte, 1)); n != 0 || err != io.EOF { // waits for the last writer
		t.Errorf("%d, %v", n, err)
	}
}

// What an exec closes is free afterwards: the new program's own files lie elsewhere.
func TestExecFreesDescriptors(t *testing.T) {
	const count = 8
	p := spawn(t, FirstFD+count)
	_, file := pipe(t)
	for i := range count {
		_, errno, err := p.Accept(file, i%2 == 0)
		call(t, "accept", errno, 0, err)
	}
	for range 2 {
		errno, err := p.Exec()
		call(t, "exec", errno, 0, err)
		for i := 0; i < count; i += 2 {
			fd, errno, err := p.Accept(file, true)
			if call(t, "accept after exec", errno, 0, err); fd != FirstFD+i {
				t.Errorf("the lowest free descriptor is %d, want %d", fd, FirstFD+i)
			}
		}
		_, errno, err = p.Accept(file, true)
		call(t, "all are used", errno, unix.EMFILE, err)
	}
}

func TestMappings(t *testing.T) {
	p := spawn(t, 16)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const size = 3 << 16
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	fd, errno, err := p.Accept(file, false)
	call(t, "accept", errno, 0, err)
	address, errno, err := p.Mmap(fd, size)
	call(t, "mmap", errno, 0, err)
	child, errno, err := p.Fork()
	call(t, "fork", errno, 0, err)
	errno, err = p.Munmap(address, size)
	call(t, "munmap", errno, 0, err)
	if err := errors.Join(child.Touch(address, size, false), child.Touch(address, size, true), child.Exit()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file.Name())
	if err != nil || text[0] != 0xff || text[os.Getpagesize()] != 0xff || text[1] != 0 {
		t.Errorf("the child did not write every page: %v", err)
	}
}

// TestChannelEnds holds every process to end with its channel, which is closed when
// who started it ends in whatever way: what it held is closed then.
func TestChannelEnds(t *testing.T) {
	p := spawn(t, 16)
	read, write := pipe(t)
	_, errno, err := p.Accept(write, false)
	call(t, "accept", errno, 0, err)
	child, errno, err := p.Fork()
	call(t, "fork", errno, 0, err)
	if err := errors.Join(write.Close(), p.Kill()); err != nil {
		t.Fatal(err)
	}
	if err := unix.Shutdown(child.channel, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if n, err := read.Read(make([]byte, 1)); n != 0 || err != io.EOF { // waits for the last writer
		t.Errorf("%d, %v", n, err)
	}
	if _, _, err := child.Dup(FirstFD, false); !errors.Is(err, ErrEnded) {
		t.Errorf("it answers: %v", err)
	}
	if err := child.Kill(); err != nil {
		t.Error(err)
	}
}

func TestMainWantsItsRole(t *testing.T) {
	for _, args := range [][]string{nil, {"run"}, {Role, "0"}} {
		if _, is := Main(args); is {
			t.Errorf("%q is such a process", args)
		}
	}
}
