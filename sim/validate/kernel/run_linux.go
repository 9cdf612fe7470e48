package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"dmasim/devices/machine"
	"dmasim/mem"
	"dmasim/sim/validate"
)

var groups = []group{
	{"cma", true, runArea, need{cmaDebugfs, "a kernel with CMA and its debugfs: dmasim kernel vm --lane cma"}},
	{"system", true, runSystem, need{}},
	{"per-cpu", true, runPerCPU, need{memorySections, "a kernel with CONFIG_MEMORY_HOTREMOVE: dmasim kernel vm --lane stock"}},
	{"errno", false, runCalls, need{}},
	{"life", true, runLives, need{}},
	{"exhaustion", true, runExhaustion, need{}},
}

func release() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

func runArea(ctx context.Context, o *Options, r *Result) error {
	return withMachine(func(m *watched) error {
		if m.area == nil {
			return m.noArea
		}
		mix := validate.Mix{Seed: o.Seed, Operations: o.times(2000), Pages: m.config.Pages, PageSize: m.config.PageSize}
		return m.compare(ctx, "cma", mix.Random(), o, r)
	})
}

// runList does the operations of a file.
func runList(ctx context.Context, o *Options, r *Result) error {
	if err := fitsMemory(o.List); err != nil {
		return err
	}
	return withMachine(func(m *watched) error { return m.compare(ctx, "sequence", o.List, o, r) })
}

func runSystem(ctx context.Context, o *Options, r *Result) error {
	return withMachine(func(m *watched) error {
		if m.system == nil {
			return m.noSystem
		}
		m.area = nil
		memory, err := m.system.Memory()
		if err != nil {
			return err
		}
		marks, err := validate.CompareWatermarks(memory)
		if err != nil {
			return err
		}
		r.Add(marks)
		mix := validate.SystemMix{Seed: o.Seed, Requests: o.times(300), PageSize: pageSize(), Memory: uint64(memory.Memory.MemFree-memory.Memory.CmaFree) / 2}
		return m.compare(ctx, "system", mix.Random(), o, r)
	})
}

// watched is what sequences of operations are about: a CMA area and the system heap,
// or why one of them can't be watched.
type watched struct {
	area     *Area // nil: noArea says why
	noArea   error
	config   validate.AreaConfig
	system   *SystemHeap // nil: noSystem says why
	noSystem error
}

// withMachine opens what there is, and gives everything back at the end.
func withMachine(do func(*watched) error) (err error) {
	if err := settleWatermarks(); err != nil {
		return err
	}
	var m watched
	if m.area, m.noArea = OpenArea(); m.noArea == nil {
		defer func(a *Area) { err = errors.Join(err, a.Close()) }(m.area)
		if m.config, err = m.area.Config(); err != nil {
			return err
		}
	}
	if m.system, m.noSystem = OpenSystemHeap(); m.noSystem == nil {
		defer func() { err = errors.Join(err, m.system.Stop()) }()
	}
	return do(&m)
}

// compare does operations on all that can be watched. What can't be is a gap, and so
// are the operations that are about it.
func (m *watched) compare(ctx context.Context, name string, list []validate.Operation, o *Options, r *Result) error {
	var sides validate.Sides
	if m.area != nil {
		model, err := validate.NewModelArea(m.config)
		if err != nil {
			return err
		}
		sides.Model, sides.Kernel, sides.Sees = model, m.area, m.area.Sees()
	}
	if m.system != nil {
		sides.System = m.system
	}
	o.begin(name, len(list))
	c, err := validate.CompareSequence(ctx, list, sides)
	if err != nil {
		return err
	}
	r.Add(c.Aspects...)
	if c.SkippedArea > 0 {
		if err := r.skipped("cma", c.SkippedArea, len(list), m.noArea); err != nil {
			return err
		}
	}
	if c.SkippedSystem > 0 {
		if err := r.skipped("system", c.SkippedSystem, len(list), m.noSystem); err != nil {
			return err
		}
	}
	if c.Disturbed > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s: the free lists after %d requests of the system heap were not compared: pages came back meanwhile, or the lists changed while they were looked at", name, c.Disturbed))
	}
	if m.area == nil {
		return nil
	}
	r.ModelMap, r.KernelMap = c.Model, c.Kernel
	r.Notes = append(r.Notes, fmt.Sprintf("cma: area %s of %d pages from page frame %d, requests aligned to at most 2^%d pages; the kernel refused %d",
		m.area.Name(), m.config.Pages, m.config.Base, m.config.AlignOrder, c.Failed))
	if !sides.Sees.Stats {
		r.Gaps = append(r.Gaps, validate.Gap{Aspect: "cma statistics", Reason: "no " + cmaSysfs, Remedy: "a kernel with CONFIG_CMA_SYSFS"})
	}
	if !sides.Sees.Log {
		r.Gaps = append(r.Gaps, validate.Gap{Aspect: "cma free list", Reason: "/dev/kmsg cannot be read", Remedy: "run as root"})
	}
	return nil
}

// skipped adds a gap for operations that were not done because of a reason. An error
// that is no gap is returned.
func (r *Result) skipped(aspect string, operations, of int, reason error) error {
	gap, ok := gapOf(aspect, reason)
	if !ok {
		return reason
	}
	gap.Reason = fmt.Sprintf("%d of %d operations were not done: %s", operations, of, gap.Reason)
	r.Gaps = append(r.Gaps, gap)
	r.Complete = false
	return nil
}

func fitsMemory(list []validate.Operation) error {
	most, at := validate.MostSystem(list)
	state, err := machine.ReadProc(os.DirFS("/proc"))
	if err != nil {
		return err
	}
	available := state.Memory.MemAvailable - min(state.Memory.MemAvailable, state.Memory.CmaFree)
	if most > uint64(available)/2 {
		return &TooMuchError{at, mem.Size(most), available}
	}
	return nil
}

// pageSize is that of this machine, in bytes.
func pageSize() uint64 { return uint64(os.Getpagesize()) }

// settleWatermarks makes the kernel compute the watermarks anew, which it did
// before it freed what booting took.
func settleWatermarks() error {
	const file = "/proc/sys/vm/min_free_kbytes"
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0)
}

func runExhaustion(ctx context.Context, o *Options, r *Result) error {
	if err := settleWatermarks(); err != nil {
		return err
	}
	o.begin("exhaustion", 1)
	run, err := Exhaust(ctx)
	if err != nil {
		return err
	}
	aspects, notes, err := validate.CompareExhaustion(run)
	if err != nil {
		return err
	}
	r.Add(aspects...)
	r.Notes = append(r.Notes, notes...)
	return nil
}
