package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"dmasim/allocator/dmaheap"
	"dmasim/devices/machine/probe"
	"dmasim/sim/validate"
)

const (
	cmaDebugfs = "/sys/kernel/debug/cma"
	cmaSysfs   = "/sys/kernel/mm/cma"
)

// Area is a CMA area of this machine, with the heap of its name.
type Area struct {
	name    string
	debugfs string // folder
	sysfs   string // folder; "" if there is none
	heap    *dmaheap.Heap
	log     *log // nil: it may not be read
	buffers map[string]*dmaheap.Buffer
	held    uint64 // pages allocated through debugfs
}

// OpenArea opens the CMA area that a dma-buf heap takes from. It changes nothing,
// but only opens inside of a virtual machine.
func OpenArea() (*Area, error) {
	if !InsideVM(os.DirFS("/")) {
		return nil, ErrNotVM
	}
	heaps, err := dmaheap.List(os.DirFS("/"))
	if err != nil {
		return nil, err
	}
	for _, h := range heaps {
		for _, folder := range []string{h.Name, "cma-" + h.Name} {
			dir := filepath.Join(cmaDebugfs, folder)
			if _, err := os.Stat(dir); err != nil {
				continue
			}
			a := &Area{name: h.Name, debugfs: dir, sysfs: filepath.Join(cmaSysfs, h.Name), buffers: map[string]*dmaheap.Buffer{}}
			if _, err := os.Stat(a.sysfs); err != nil {
				a.sysfs = ""
			}
			if a.heap, err = dmaheap.Open(h.Name); err != nil {
				return nil, err
			}
			a.log, _ = openLog()
			return a, nil
		}
	}
	return nil, fmt.Errorf("no CMA area in %s has a dma-buf heap: %w", cmaDebugfs, fs.ErrNotExist)
}

// Name returns the name of the area.
func (a *Area) Name() string { return a.name }

// Sees says what can be observed beside the bitmap.
func (a *Area) Sees() validate.Observes {
	return validate.Observes{Stats: a.sysfs != "", Log: a.log != nil}
}

// Config reads what has to be known to model the area as it is now. The limit of
// alignments is found by a request that is as large as the area, and traced.
func (a *Area) Config() (validate.AreaConfig, error) {
	cfg := validate.AreaConfig{PageSize: uint64(os.Getpagesize())}
	var order uint64
	for _, f := range []struct {
		name string
		to   *uint64
	}{{"base_pfn", &cfg.Base}, {"count", &cfg.Pages}, {"order_per_bit", &order}} {
		var err error
		if *f.to, err = readNumber(filepath.Join(a.debugfs, f.name)); err != nil {
			return cfg, err
		}
	}
	cfg.OrderPerBit = uint(order)
	var err error
	if cfg.AlignOrder, err = a.alignOrder(cfg.Pages * cfg.PageSize); err != nil {
		return cfg, fmt.Errorf("find CONFIG_CMA_ALIGNMENT: %w", err)
	}
	state, err := a.State()
	cfg.Taken, cfg.Stats = state.Bitmap, state.Stats
	return cfg, err
}

// alignOrder returns the order to which the heap's largest requests are aligned.
func (a *Area) alignOrder(bytes uint64) (uint, error) {
	t, err := startTrace("cma/cma_alloc_start")
	if err != nil {
		return 0, err
	}
	defer t.stop()
	buffer, err := a.heap.Alloc(bytes)
	if err == nil {
		err = buffer.Close()
	}
	if err != nil && !errors.Is(err, unix.ENOMEM) {
		return 0, err
	}
	text, err := t.read()
	if err != nil {
		return 0, err
	}
	const key = "align="
	at := strings.LastIndex(text, key)
	if at < 0 {
		return 0, errors.New("the trace has no cma_alloc_start")
	}
	digits := strings.Fields(text[at+len(key):])
	n, err := strconv.ParseUint(digits[0], 10, 8)
	return uint(n), err
}

// Do does one operation.
func (a *Area) Do(op validate.Operation) (validate.AreaOutcome, error) {
	var err error
	if a.log != nil {
		if err := a.log.skip(); err != nil {
			return validate.AreaOutcome{}, err
		}
	}
	switch op.Kind {
	case validate.HeapAlloc:
		var buffer *dmaheap.Buffer
		if buffer, err = a.heap.Alloc(op.Size); err == nil {
			a.buffers[op.ID] = buffer
		}
	case validate.DebugfsAlloc:
		if err = a.write("alloc", op.Size); err == nil {
			a.held += op.Size
		}
	case validate.DebugfsFree:
		err = a.write("free", op.Size)
	case validate.Close:
		buffer, ok := a.buffers[op.ID]
		if !ok {
			err = unix.EBADF
			break
		}
		delete(a.buffers, op.ID)
		err = buffer.Close()
	}
	out := validate.AreaOutcome{}
	if out.Errno, err = errnoOf(err); err != nil {
		return out, err
	}
	if out.AreaState, err = a.State(); err != nil {
		return out, err
	}
	if a.log != nil && out.Errno != validate.OK {
		out.FreeList, err = a.log.freeList()
	}
	return out, err
}

func (a *Area) write(file string, pages uint64) error {
	return os.WriteFile(filepath.Join(a.debugfs, file), strconv.AppendUint(nil, pages, 10), 0)
}

// State reads debugfs and sysfs.
func (a *Area) State() (s validate.AreaState, err error) {
	text, err := os.ReadFile(filepath.Join(a.debugfs, "bitmap"))
	if err != nil {
		return s, err
	}
	if s.Bitmap, err = probe.ParseCMABitmap(string(text)); err != nil {
		return s, fmt.Errorf("%s: %w", a.debugfs, err)
	}
	files := []struct {
		path string
		to   *uint64
	}{{filepath.Join(a.debugfs, "used"), &s.Used}, {filepath.Join(a.debugfs, "maxchunk"), &s.MaxChunk}}
	if a.sysfs != "" {
		files = append(files, []struct {
			path string
			to   *uint64
		}{
			{filepath.Join(a.sysfs, "alloc_pages_success"), &s.Stats.Allocated},
			{filepath.Join(a.sysfs, "alloc_pages_fail"), &s.Stats.Failed},
			{filepath.Join(a.sysfs, "release_pages_success"), &s.Stats.Released},
		}...)
	}
	for _, f := range files {
		if *f.to, err = readNumber(f.path); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Close gives everything back that was allocated and is not freed.
func (a *Area) Close() error {
	var failed error
	for id, buffer := range a.buffers {
		failed = errors.Join(failed, buffer.Close())
		delete(a.buffers, id)
	}
	if a.held > 0 {
		failed = errors.Join(failed, a.write("free", min(a.held, 1<<31-1)))
		a.held = 0
	}
	failed = errors.Join(failed, a.heap.Close())
	if a.log != nil {
		failed = errors.Join(failed, a.log.close())
	}
	return failed
}

// errnoOf returns the name of the errno in an error; an error without one is
// returned.
func errnoOf(err error) (validate.Errno, error) {
	if err == nil {
		return validate.OK, nil
	}
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return "", err
	}
	return errnoName(errno), nil
}

func errnoName(errno unix.Errno) validate.Errno {
	if errno == 0 {
		return validate.OK
	}
	if name := unix.ErrnoName(errno); name != "" {
		return validate.Errno(name)
	}
	return validate.Errno("errno " + strconv.Itoa(int(errno)))
}

// readNumber reads a file that holds one decimal number.
func readNumber(file string) (uint64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return n, nil
}
