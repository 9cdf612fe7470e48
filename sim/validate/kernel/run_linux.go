package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"dmasim/allocator/kernel/version"
	"dmasim/sim/validate"
)

var groups = []group{
	{"cma", runArea},
	{"system", runSystem},
	{"errno", runCalls},
	{"life", runLives},
	{"exhaustion", runExhaustion},
}

func release() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// wantModelled is an error for kernels whose behaviour is not what is modelled.
func wantModelled() error {
	v, err := version.Parse(release())
	if err != nil || v.Major != version.Modelled.Major || v.Minor != version.Modelled.Minor {
		return &errUnobservable{
			fmt.Sprintf("the kernel is %s, the model is of %s", release(), version.Modelled), "dmasim kernel vm -- validate",
		}
	}
	return nil
}

func runArea(ctx context.Context, o *Options, r *Result) (err error) {
	if err := wantModelled(); err != nil {
		return err
	}
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

// pageSize is that of this machine, in bytes.
func pageSize() uint64 { return uint64(os.Getpagesize()) }

func runLives(ctx context.Context, o *Options, r *Result) (err error) {
	if err := wantModelled(); err != nil {
		return err
	}
	lives, err := StartLives("system")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lives.Close()) }()
	program := func(number int) validate.Program { return validate.RandomProgram(o.Seed, number, pageSize()) }
	programs := o.times(1000)
	o.begin("life", programs)
	aspects, err := validate.CompareLives(ctx, programs, program, validate.NewModelLives(pageSize()), lives)
	if err != nil {
		return err
	}
	r.Add(aspects...)
	return nil
}

func runSystem(ctx context.Context, o *Options, r *Result) (err error) {
	if err := wantModelled(); err != nil {
		return err
	}
	heap, err := OpenSystemHeap()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, heap.Close()) }()
	if err := settleWatermarks(); err != nil {
		return err
	}
	state, _, err := heap.State()
	if err != nil {
		return err
	}
	requests := o.times(300)
	o.begin("system", requests)
	aspects, disturbed, err := validate.CompareBlocks(ctx, validate.BlockMix{
		Seed: o.Seed, Requests: requests, PageSize: pageSize(), Memory: uint64(state.Memory.MemFree) / 2,
	}, heap)
	if err != nil {
		return err
	}
	r.Add(aspects...)
	r.Notes = append(r.Notes, fmt.Sprintf("system: the free lists after %d of %d requests were not compared: pages came back meanwhile", disturbed, requests))
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

func runCalls(ctx context.Context, o *Options, r *Result) (err error) {
	if err := wantModelled(); err != nil {
		return err
	}
	calls, err := OpenCalls()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, calls.Close()) }()
	list := validate.OddCalls()
	o.begin("errno", len(list))
	aspect, err := validate.CompareCalls(ctx, list, validate.ModelCall, calls.Do)
	if err != nil {
		return err
	}
	r.Add(aspect)
	return nil
}

func runExhaustion(ctx context.Context, o *Options, r *Result) error {
	if err := wantModelled(); err != nil {
		return err
	}
	if !InsideVM(os.DirFS("/")) {
		return ErrNotVM
	}
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
