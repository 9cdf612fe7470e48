package record

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"dmasim/mem"
)

// tracefs is where the kernel's trace may be mounted, in the order in which to look.
var tracefs = []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}

// instance is a trace of our own.
type instance struct{ folder string }

// Record records until ctx ends or the bound is hit. The error says what is missing
// where the trace can't be used; the instance is removed in any case.
func Record(ctx context.Context, o Options, to io.Writer, started func()) (s Summary, err error) {
	root, err := mounted()
	if err != nil {
		return s, err
	}
	for _, pattern := range o.Events {
		found, err := filepath.Glob(filepath.Join(root, "events", pattern, "enable"))
		if err != nil {
			return s, fmt.Errorf("events %q: %w", pattern, err)
		}
		if len(found) == 0 {
			s.Absent = append(s.Absent, pattern)
		}
		for _, file := range found {
			s.Events = append(s.Events, strings.TrimPrefix(filepath.Dir(file), filepath.Join(root, "events")+"/"))
		}
	}
	if len(s.Events) == 0 {
		return s, fmt.Errorf("%w: %s", ErrNoEvents, strings.Join(o.Events, ", "))
	}
	t, err := newInstance(root)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, t.remove()) }()
	if err := t.start(o, s.Events); err != nil {
		return s, err
	}
	pipe, err := os.OpenFile(filepath.Join(t.folder, "trace_pipe"), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return s, err
	}
	defer pipe.Close()
	out := &limited{to: bufio.NewWriter(to), left: uint64(o.MaxSize)}
	if err := writeHead(out.to, s.Events); err != nil {
		return s, err
	}
	started()
	for ctx.Err() == nil && !out.full {
		if err := drain(pipe, out); err != nil {
			return s, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := errors.Join(t.set("tracing_on", "0"), drain(pipe, out)); err != nil {
		return s, err
	}
	if s.Lost, err = t.lost(); err != nil {
		return s, err
	}
	s.Bytes, s.Full = out.bytes, out.full
	fmt.Fprintf(out.to, "# dmasim: lost %d events\n", s.Lost)
	if s.Full {
		fmt.Fprintf(out.to, "# dmasim: ended at %v\n", o.MaxSize)
	}
	return s, out.to.Flush()
}

// mounted returns where the trace is.
func mounted() (string, error) {
	var denied error
	for _, folder := range tracefs {
		switch _, err := os.Stat(filepath.Join(folder, "instances")); {
		case err == nil:
			return folder, nil
		case errors.Is(err, fs.ErrPermission):
			denied = err
		}
	}
	if denied != nil {
		return "", fmt.Errorf("the kernel's trace is for root alone: %w; run as root, or have root remount it: mount -o remount,gid=GROUP,mode=750 %s", denied, tracefs[0])
	}
	return "", fmt.Errorf("no trace in %s: mount -t tracefs none %s, in a kernel with CONFIG_TRACING", tracefs[0], tracefs[0])
}

func newInstance(root string) (*instance, error) {
	t := &instance{filepath.Join(root, "instances", "dmasim-"+strconv.Itoa(os.Getpid()))}
	if err := os.Mkdir(t.folder, 0o750); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w: run as root", err)
		}
		return nil, err
	}
	return t, nil
}

func (t *instance) set(file, text string) error {
	return os.WriteFile(filepath.Join(t.folder, file), []byte(text), 0)
}

// start switches the events on. New ones are dropped when a buffer is full, so that
// what is written has no holes but at its end, and those are counted.
func (t *instance) start(o Options, events []string) error {
	failed := errors.Join(
		t.set("options/overwrite", "0"),
		t.set("buffer_size_kb", strconv.FormatUint(uint64(o.Buffer/mem.KiB), 10)),
		t.set("trace_clock", "mono"),
	)
	for _, event := range events {
		failed = errors.Join(failed, t.set(filepath.Join("events", event, "enable"), "1"))
	}
	return failed
}

// writeHead writes what a reader has to know, as comments.
func writeHead(to io.Writer, events []string) error {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(to, "# tracer: nop\n# dmasim: Linux %s, pages of %v\n# dmasim: events %s\n",
		strings.TrimSpace(string(release)), mem.Size(os.Getpagesize()), strings.Join(events, " "))
	return err
}

// drain copies what is there.
func drain(pipe *os.File, to io.Writer) error {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return err
	}
	text := make([]byte, 64<<10)
	for {
		n, readErr := 0, error(nil)
		if err := raw.Control(func(fd uintptr) { n, readErr = unix.Read(int(fd), text) }); err != nil {
			return err
		}
		switch {
		case errors.Is(readErr, unix.EAGAIN), readErr == nil && n <= 0:
			return nil
		case errors.Is(readErr, unix.EINTR):
			continue
		case readErr != nil:
			return fmt.Errorf("read trace_pipe: %w", readErr)
		}
		if _, err := to.Write(text[:n]); err != nil {
			return err
		}
	}
}

// lost adds up what the processors lost.
func (t *instance) lost() (uint64, error) {
	files, err := filepath.Glob(filepath.Join(t.folder, "per_cpu", "cpu*", "stats"))
	if err != nil {
		return 0, err
	}
	var sum uint64
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return 0, err
		}
		n, err := lost(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		sum += n
	}
	return sum, nil
}

// remove ends the trace. The kernel refuses while its pipe is open.
func (t *instance) remove() error {
	if err := unix.Rmdir(t.folder); err != nil {
		return &fs.PathError{Op: "remove", Path: t.folder, Err: err}
	}
	return nil
}
