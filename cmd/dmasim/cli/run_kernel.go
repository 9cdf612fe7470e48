package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dmasim/allocator/dmaheap"
	"dmasim/devices/machine/probe"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/live"
	"dmasim/sim/metrics"
	"dmasim/sim/scenario"
)

// Backends of run.
const (
	backendModel  = "model"
	backendKernel = "kernel"
)

// defaultBudget is small, since it is memory of a machine that others use.
const defaultBudget = 64 * mem.MiB

// kernelOptions are those of run --backend kernel.
type kernelOptions struct {
	backend string
	budget  mem.Size
	heap    string
	dryRun  bool
}

func (k *kernelOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&k.backend, "backend", backendModel, "what serves the requests: model, or kernel, the heaps of this machine")
	flags.TextVar(&k.budget, "budget", defaultBudget, "kernel: `SIZE` that live buffers may hold together")
	flags.StringVar(&k.heap, "kernel-heap", "system", "kernel: `NAME` of the heap for those that the kernel does not have")
	flags.BoolVar(&k.dryRun, "dry-run", false, "kernel: say what would be done, and do nothing")
}

// check finds flags that don't go together.
func (k *kernelOptions) check(flags *pflag.FlagSet) error {
	switch k.backend {
	case backendKernel:
		if k.budget == 0 {
			return errors.New("--budget 0B: want more than nothing")
		}
		for _, name := range []string{"out", "check", "report", "parquet"} {
			if flags.Changed(name) {
				return fmt.Errorf("--%s is for simulations: with --backend kernel no result directory is written", name)
			}
		}
		return nil
	case backendModel:
		for _, name := range []string{"budget", "kernel-heap", "dry-run"} {
			if flags.Changed(name) {
				return fmt.Errorf("--%s needs --backend kernel", name)
			}
		}
		return nil
	}
	return fmt.Errorf("--backend %q: want %s or %s", k.backend, backendModel, backendKernel)
}

// kernelRun is what --json prints.
type kernelRun struct {
	Scenario string   `json:"scenario"`
	Seed     uint64   `json:"seed"`
	DryRun   bool     `json:"dry_run"`
	Budget   mem.Size `json:"budget_bytes"`
	Heaps    []string `json:"heaps"` // device files, for each of the scenario's
	live.Summary
	OnFailure []metrics.OnFailureTotals `json:"on_failure"` // empty: no workload asks again
	Missing   []string                  `json:"missing"`    // of a dry run: what stands against a real one
}

// runOnKernel plays the work of a scenario's first variant on the heaps of this
// machine.
func (o *runOptions) runOnKernel(cmd *cobra.Command, sc *scenario.Scenario) (failed error) {
	if o.hasSeed {
		sc.SetSeed(o.seed)
	}
	v := &sc.Variants[0]
	for _, w := range v.Spec.Workloads {
		if w.Adversary != nil {
			return fmt.Errorf("workload %s: an adversary goes by addresses, which the kernel does not tell", w.Name)
		}
	}
	cfg, err := v.Build(v.Spec.Seed)
	if err != nil {
		return err
	}
	k := &o.kernel
	run := kernelRun{Scenario: sc.Name, Seed: v.Spec.Seed, DryRun: k.dryRun, Budget: k.budget, Heaps: []string{}, Missing: []string{}}
	player := live.Config{Config: cfg, Budget: k.budget, Page: mem.Size(os.Getpagesize())}
	if err := fitsMachine(player.Budget); err != nil {
		if !k.dryRun {
			return err
		}
		run.Missing = append(run.Missing, oneLine(err))
	}
	open := map[string]*dmaheap.Heap{}
	defer func() {
		for _, h := range open {
			h.Close() // only read from
		}
	}()
	var names []string // of the kernel's heaps
	for i := range cfg.Heaps {
		name := k.kernelHeap(&cfg.Heaps[i])
		names = append(names, name)
		run.Heaps = append(run.Heaps, dmaheap.HeapFile{Name: name}.Path())
		h := open[name]
		if h == nil && !slices.Contains(run.Heaps[:i], run.Heaps[i]) {
			h, err = dmaheap.Open(name)
			if errors.Is(err, dmaheap.ErrUnsupported) {
				err = fmt.Errorf("%w; needs a kernel with CONFIG_DMABUF_HEAPS, its heaps, and /dev: dmasim kernel vm has one", err)
			}
			switch {
			case err == nil:
				open[name] = h
			case k.dryRun:
				run.Missing = append(run.Missing, oneLine(err))
			default:
				return failedRun{err}
			}
		}
		if k.dryRun {
			player.Heap = append(player.Heap, live.Rehearsal{Page: uint64(player.Page)})
		} else {
			player.Heap = append(player.Heap, live.Kernel{Heap: h})
		}
	}
	switch {
	case k.dryRun:
		last := 0
		player.Spawn = func(int) (live.Process, error) { return live.RehearsedProcess{Next: &last}, nil }
	case slices.ContainsFunc(cfg.Processes, func(p sim.Process) bool { return p.Program != nil }):
		processes, err := live.StartProcesses(names)
		if err != nil {
			return failedRun{fmt.Errorf("start processes: %w", err)}
		}
		defer func() { failed = errors.Join(failed, processes.Close()) }()
		player.Spawn = processes.Spawn
	}
	if !k.dryRun {
		start := time.Now()
		player.Clock = func() time.Duration { return time.Since(start) }
	}
	wanted := metrics.MeasureOnFailure(cfg, 0)
	run.Summary, err = live.Run(cmd.Context(), player)
	run.OnFailure = append([]metrics.OnFailureTotals{}, wanted.Totals()...)
	switch {
	case errors.Is(err, context.Canceled):
		return failedRun{fmt.Errorf("interrupted: all %d buffers are released", run.Released)}
	case err != nil:
		return failedRun{err}
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), run)
	}
	return printKernelRun(cmd.OutOrStdout(), &run)
}

// kernelHeap returns the name of the kernel's heap for one of a scenario: of the
// same name where the kernel has such a kind.
func (k *kernelOptions) kernelHeap(h *sim.Heap) string {
	switch h.Kind {
	case sim.SystemHeap:
		return "system"
	case sim.CMAHeap:
		return h.Name
	}
	return k.heap
}

// fitsMachine refuses a budget that could bring the machine to its limits.
func fitsMachine(budget mem.Size) error {
	memory := probe.Read(os.DirFS("/")).Memory
	if memory == nil {
		return nil // nothing is known; the budget is what the user says
	}
	if budget > memory.Available/2 {
		return fmt.Errorf("--budget %s: more than half of the %s that are available on this machine", budget, memory.Available.Short())
	}
	return nil
}

func printKernelRun(w io.Writer, r *kernelRun) error {
	var b strings.Builder
	verb := "took"
	if r.DryRun {
		b.WriteString("dry run: nothing was allocated\n")
		verb = "would take"
	}
	printField(&b, "heaps", strings.Join(unique(r.Heaps), ", "))
	printField(&b, "requests", fmt.Sprintf("%d, of which %d served and %d beyond the budget of %s", r.Requests, r.Served, r.OverBudget, r.Budget))
	for _, refused := range r.Refused {
		printField(&b, "refused", fmt.Sprintf("%d by the kernel: %s", refused.Requests, refused.Cause))
	}
	printField(&b, "peak", fmt.Sprintf("%s %s in %d buffers at once", verb, r.Peak.Short(), r.PeakCount))
	if f := r.First; f != nil {
		printField(&b, "first", fmt.Sprintf("failure at %v: %s asked for %s: %s", f.At, f.Client, f.Size, f.Cause))
	}
	for _, t := range r.OnFailure {
		printField(&b, "wanted", fmt.Sprintf("by %s: %d, at once %d, by a retry %d, by another heap %d; dropped %d",
			t.Client, t.Wanted, t.ServedAtOnce, t.ServedByRetry, t.ServedByFallback, t.Dropped))
	}
	if p := r.Programs; p != nil {
		printPrograms(&b, p)
	}
	if l := r.Latency; l != nil {
		printField(&b, "latency", fmt.Sprintf("of a served request: median %v, 99th percentile %v, most %v", l.Median, l.P99, l.Most))
	}
	if !r.DryRun {
		printField(&b, "released", fmt.Sprintf("%d buffers: all", r.Released))
	}
	for _, text := range r.Missing {
		printField(&b, "missing", text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printPrograms(b *strings.Builder, p *live.Programs) {
	printField(b, "processes", fmt.Sprintf("%d, at most %d at once; %d left at the end", p.Processes, p.MostAtOnce, p.Running))
	if p.Waiting > 0 {
		printField(b, "waiting", fmt.Sprintf("%d of these for a message", p.Waiting))
	}
	printField(b, "steps", fmt.Sprintf("%d played, of which %d failed", p.Steps, p.Failed))
	if m := p.FirstMisuse; m != nil {
		printField(b, "misuse", fmt.Sprintf("first at %v: %s: %s: %s", m.At, m.Process, m.Step, m.Errno))
	}
	var skipped []string
	for _, s := range p.NotPlayed {
		skipped = append(skipped, fmt.Sprintf("%d %s", s.Steps, s.Step))
	}
	if skipped != nil {
		printField(b, "skipped", strings.Join(skipped, ", ")+": not played, they are of devices or of other memory")
	}
	printField(b, "held", fmt.Sprintf("%s in %d buffers by processes at the end", p.HeldBytes.Short(), p.Held))
}

// unique returns the words without repetitions, in their order.
func unique(words []string) []string {
	var list []string
	seen := map[string]bool{}
	for _, w := range words {
		if !seen[w] {
			seen[w] = true
			list = append(list, w)
		}
	}
	return list
}
