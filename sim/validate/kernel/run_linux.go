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
	{"cma", true, runArea, cmaDebugfs},
	{"system", true, runSystem, ""},
	{"per-cpu", true, runPerCPU, memorySections},
	{"errno", false, runCalls, ""},
	{"life", true, runLives, ""},
	{"exhaustion", true, runExhaustion, ""},
}

func release() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

func runArea(ctx context.Context, o *Options, r *Result) (err error) {
	area, err := OpenArea()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, area.Close()) }()
	cfg, err := area.Config()
	if err != nil {
		return err
	}
	list := o.List
	if list == nil {
		mix := validate.Mix{Seed: o.Seed, Operations: o.times(2000), Pages: cfg.Pages, PageSize: cfg.PageSize, System: area.HasSystemHeap()}
		list = mix.Random()
	}
	if err := fitsMemory(list); err != nil {
		return err
	}
	model, err := validate.NewModelArea(cfg)
	if err != nil {
		return err
	}
	o.begin("cma", len(list))
	c, err := validate.CompareArea(ctx, list, model, area, area.Sees())
	if err != nil {
		return err
	}
	r.Add(c.Aspects...)
	r.ModelMap, r.KernelMap = c.Model, c.Kernel
	r.Notes = append(r.Notes, fmt.Sprintf("cma: area %s of %d pages from page frame %d, requests aligned to at most 2^%d pages; the kernel refused %d",
		area.Name(), cfg.Pages, cfg.Base, cfg.AlignOrder, c.Failed))
	sees := area.Sees()
	if !sees.Stats {
		r.Gaps = append(r.Gaps, validate.Gap{Aspect: "cma statistics", Reason: "no " + cmaSysfs, Remedy: "a kernel with CONFIG_CMA_SYSFS"})
	}
	if !sees.Log {
		r.Gaps = append(r.Gaps, validate.Gap{Aspect: "cma free list", Reason: "/dev/kmsg cannot be read", Remedy: "run as root"})
	}
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

func runSystem(ctx context.Context, o *Options, r *Result) (err error) {
	heap, err := OpenSystemHeap()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, heap.Close()) }()
	if err := settleWatermarks(); err != nil {
		return err
	}
	memory, err := heap.Memory()
	if err != nil {
		return err
	}
	requests := o.times(300)
	o.begin("system", requests)
	aspects, disturbed, err := validate.CompareBlocks(ctx, validate.BlockMix{
		Seed: o.Seed, Requests: requests, PageSize: pageSize(), Memory: uint64(memory.Memory.MemFree-memory.Memory.CmaFree) / 2,
	}, heap)
	if err != nil {
		return err
	}
	r.Add(aspects...)
	r.Notes = append(r.Notes, fmt.Sprintf("system: the free lists after %d of %d requests were not compared: pages came back meanwhile, or the lists changed while they were looked at", disturbed, requests))
	return nil
}

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
