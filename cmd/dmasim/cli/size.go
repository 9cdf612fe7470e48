package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/experiment"
	"dmasim/sim/scenario"
	"dmasim/workloads/bufferlist"
)

type sizeOptions struct {
	heap       string
	buffers    string
	restarts   int
	field      string
	allocators []string
	step, most mem.Size
	runs       int
	seed       uint64
	rate       rate
	jobs       int
	asJSON     bool
}

// rate is a share from 0, such as 0.1%.
type rate float64

// String implements pflag.Value.
func (r *rate) String() string { return strconv.FormatFloat(100*float64(*r), 'g', -1, 64) + "%" }

// Type implements pflag.Value.
func (*rate) Type() string { return "PERCENT" }

// Set implements pflag.Value.
func (r *rate) Set(text string) error {
	percent, isPercent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(percent, 64)
	if err != nil || !isPercent || !(v >= 0) || v >= 100 {
		return errors.New("want a percentage from 0, like 0.1%")
	}
	*r = rate(v / 100)
	return nil
}

func newSizeCommand() *cobra.Command {
	var o sizeOptions
	cmd := &cobra.Command{
		Use:   "size [SCENARIO --field PATH]",
		Short: "How much memory is enough: the least with which no request fails",
		Long: `Search for the least memory with which a workload runs without a failed request,
for each strategy, and show what nobody could do with less.

With --buffers the workload is a list such as

  4x 1920x1080 NV12, 3x 3840x2160 P010, 16x 64KiB

All are allocated in that order. Then, --restarts times, about half of the elements,
drawn at random, are freed and allocated again in random order, as when streams end
and others begin. --heap cma is a CMA area as Linux's heap uses it: buffers aligned to
their size up to 1MiB, the area a multiple of 2MiB. That pages lent to others
cannot be moved at times is not part of it. --heap carveout is an arena with the
strategies of --allocator. Formats are NV12, P010, NV16, YUYV, RGB565, RGB888,
XRGB8888, ARGB8888, RAW8 and RAW10; NV12/64x16 rounds strides to 64 bytes and rows
to 16, NV12/venus and P010/venus are the layouts of Qualcomm's decoder.

With a scenario and --field, the size at that path (memory.0.size,
machine.cma.0.size, heaps.main.limit) is searched for in its first variant.

A size is enough if it serves --runs runs, whose seeds follow --seed, or, with
--rate, if no more than that share of the requests fails. More memory is not always
better: another size places everything elsewhere. So beyond a bisection, sizes
above the answer are tried, and the search goes on above one that is too small;
and sizes below are. The table says how many were tried. The floor is proven: the
most bytes that live at once, rounded to the heap's unit, more where alignments
that the strategy insists on waste memory. packed is what the buffers, if they are
few, fit into for someone who knows all lifetimes.

Exit status 1: no size up to --most is enough for some strategy.`,
		Example: `  dmasim size --buffers '4x 1920x1080 NV12, 3x 3840x2160 P010, 16x 64KiB'
  dmasim size --heap carveout --buffers '8x 1280x720 NV12/venus, 40x 256KiB' \
    --allocator first-fit --allocator best-fit --allocator buddy
  dmasim size window-mix --field devices.low.reach.0.size --rate 1% --runs 2`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.buffers, "buffers", "", "the workload as a list of buffers")
	flags.StringVar(&o.heap, "heap", "cma", "with --buffers: cma or carveout")
	flags.IntVar(&o.restarts, "restarts", 200, "with --buffers: how often elements are freed and allocated again")
	flags.StringVar(&o.field, "field", "", "with a scenario: path of the size that is searched for")
	flags.StringArrayVar(&o.allocators, "allocator", nil, "strategy; repeat it to try several (default that of the heap: cma, or first-fit)")
	flags.TextVar(&o.step, "step", mem.Size(0), "sizes are multiples of this (default 2MiB for CMA, else a page, or 1/256 of a scenario's floor)")
	flags.TextVar(&o.most, "most", mem.Size(0), "largest size to try (default 16 times the floor)")
	flags.IntVar(&o.runs, "runs", 20, "runs with every size")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the first run")
	flags.Var(&o.rate, "rate", "share of failed requests that is allowed")
	flags.IntVarP(&o.jobs, "jobs", "j", runtime.GOMAXPROCS(0), "simulations at a time")
	flags.BoolVar(&o.asJSON, "json", false, "print the sizes as JSON")
	return cmd
}

// sizeCase is one strategy whose memory is searched for.
type sizeCase struct {
	name  string
	build func(mem.Size, uint64) (sim.Config, error)
	// work makes the system for its work alone, whose floor is that of a heap; with
	// -1 there is none.
	work  func() (sim.Config, error)
	heap  int
	align func(uint64) uint64
}

// sizeRow is a row of the table.
type sizeRow struct {
	Strategy string            `json:"strategy"`
	Floor    *experiment.Floor `json:"floor"` // null: not known
	Step     mem.Size          `json:"step_bytes"`
	Most     mem.Size          `json:"most_bytes"`
	experiment.Sized
	ShareHigh float64 `json:"failing_runs_at_most"` // upper end of the 95 % interval of the share of runs that fail
}

func (o *sizeOptions) run(cmd *cobra.Command, args []string) error {
	cases, unit, err := o.cases(cmd.Flags(), args)
	if err != nil {
		return err
	}
	if o.runs < 1 || o.runs > maxReplications || o.jobs < 1 {
		return fmt.Errorf("--runs must be from 1 to %d, and --jobs at least 1", maxReplications)
	}
	var rows []sizeRow
	for _, c := range cases {
		row, err := o.search(cmd.Context(), c, unit)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	if o.asJSON {
		err = printJSON(cmd.OutOrStdout(), rows)
	} else {
		err = o.print(cmd.OutOrStdout(), rows)
	}
	for _, r := range rows {
		if err == nil && r.Enough == 0 {
			err = errNo
		}
	}
	return err
}

// search finds the floor, and from it the size.
func (o *sizeOptions) search(ctx context.Context, c sizeCase, unit mem.Size) (sizeRow, error) {
	row := sizeRow{Strategy: c.name, Step: o.step}
	z := experiment.Sizing{Build: c.build, Seed: o.seed, Runs: o.runs, Rate: float64(o.rate), Jobs: o.jobs}
	about := mem.Size(0) // where the search is about
	if c.heap >= 0 {
		cfg, err := c.work()
		if err != nil {
			return row, err
		}
		floor, known, err := experiment.FindFloor(ctx, cfg, c.heap, c.align)
		if err != nil {
			return row, err
		}
		if known {
			row.Floor, about = &floor, floor.Bound
			if o.rate == 0 {
				z.Floor = floor.Bound
			}
		}
	}
	if row.Step == 0 {
		row.Step = max(unit, about/256/unit*unit)
		if o.buffers != "" {
			row.Step = unit
		}
	}
	if row.Most = o.most; row.Most == 0 {
		row.Most = max(16*about, 64*row.Step)
		if about == 0 {
			row.Most = 4 * mem.GiB
		}
	}
	z.Step, z.Most = row.Step, row.Most
	sized, err := experiment.Smallest(ctx, z)
	if err != nil {
		return row, err
	}
	row.Sized, row.ShareHigh = *sized, sized.Share.Hi
	return row, nil
}

// cases returns what is searched for, and the unit of sizes.
func (o *sizeOptions) cases(flags *pflag.FlagSet, args []string) ([]sizeCase, mem.Size, error) {
	switch {
	case o.buffers != "" && len(args) > 0:
		return nil, 0, errors.New("--buffers takes the place of a scenario: give one of them")
	case o.buffers != "" && o.field != "":
		return nil, 0, errors.New("--field is for a scenario")
	case o.buffers != "":
		return o.bufferCases()
	case len(args) == 0:
		return nil, 0, errors.New("give --buffers '4x 1920x1080 NV12, 16x 64KiB', or a scenario and --field")
	case o.field == "":
		return nil, 0, errors.New("give --field, the path of the size that is searched for, like memory.0.size")
	}
	for _, name := range []string{"heap", "restarts"} {
		if flags.Changed(name) {
			return nil, 0, fmt.Errorf("--%s is for --buffers; a scenario says it itself", name)
		}
	}
	return o.scenarioCases(flags, args[0])
}

const (
	sizedPage      = 4 * mem.KiB
	sizedPageblock = 2 * mem.MiB // CMA areas are multiples of it with pages of 4 KiB
	cmaAlignment   = 8           // CONFIG_CMA_ALIGNMENT, an order
)

func (o *sizeOptions) bufferCases() ([]sizeCase, mem.Size, error) {
	groups, err := bufferlist.Parse(o.buffers)
	if err != nil {
		return nil, 0, err
	}
	if o.restarts < 0 {
		return nil, 0, errors.New("--restarts must be at least 0")
	}
	strategies, unit := o.allocators, sizedPage
	switch {
	case o.heap == "cma":
		unit = sizedPageblock
		if strategies == nil {
			strategies = []string{"cma"}
		}
	case o.heap != "carveout":
		return nil, 0, fmt.Errorf("--heap %q: want cma or carveout", o.heap)
	case strategies == nil:
		strategies = []string{"first-fit"}
	}
	plan, err := devices.Merge()
	if err != nil {
		return nil, 0, err
	}
	var cases []sizeCase
	for _, strategy := range strategies {
		if _, _, err := allocator.Parse(strategy); err != nil {
			return nil, 0, fmt.Errorf("--allocator: %w", err)
		}
		c := sizeCase{name: strategy, build: func(size mem.Size, seed uint64) (sim.Config, error) {
			return bufferSystem(groups, strategy, size, bufferlist.NewSource(groups, o.restarts, seed), plan), nil
		}}
		// A packing of all serves the restarts as well: every buffer returns to its place.
		c.work = func() (sim.Config, error) {
			return bufferSystem(groups, strategy, 0, bufferlist.NewSource(groups, 0, o.seed), plan), nil
		}
		if strategy == "cma" {
			c.align = alignedLikeCMA
		}
		cases = append(cases, c)
	}
	return cases, unit, nil
}

// alignedLikeCMA is the alignment of a buffer from Linux's CMA heap: that of its
// order, up to CONFIG_CMA_ALIGNMENT.
func alignedLikeCMA(size uint64) uint64 {
	pages := size / uint64(sizedPage)
	return uint64(sizedPage) << min(bits.Len64(max(pages, 1)-1), cmaAlignment)
}

// bufferSystem is an arena of a size and the work of a list of buffers. It begins
// where every alignment does.
func bufferSystem(groups []bufferlist.Group, strategy string, size mem.Size, source *bufferlist.Source, plan *devices.Plan) sim.Config {
	cfg := sim.Config{Heaps: []sim.Heap{{
		Name: "heap", Arena: mem.NewRangeSet(mem.Range{Hi: uint64(size)}), Granule: uint64(sizedPage), Allocator: strategy, Aware: true,
	}}}
	in := sim.Input{Name: "buffers", Source: source}
	for i, g := range groups {
		cfg.Clients = append(cfg.Clients, sim.Client{Name: g.Label, Plan: plan})
		in.Clients = append(in.Clients, i)
	}
	cfg.Inputs = []sim.Input{in}
	return cfg
}

func (o *sizeOptions) scenarioCases(flags *pflag.FlagSet, name string) ([]sizeCase, mem.Size, error) {
	sc, err := findScenario(name)
	if err != nil {
		return nil, 0, err
	}
	if len(o.allocators) > 0 {
		if sc, err = sc.WithAllocators(o.allocators); err != nil {
			return nil, 0, err
		}
	} else {
		sc.Variants = sc.Variants[:1]
	}
	if !flags.Changed("seed") {
		o.seed = sc.Variants[0].Spec.Seed
	}
	unit := sc.Variants[0].Spec.Page
	if strings.HasPrefix(o.field, "machine.cma.") {
		unit = max(unit, sizedPageblock*unit/sizedPage*unit/sizedPage)
	}
	var cases []sizeCase
	for i := range sc.Variants {
		v := &sc.Variants[i]
		cases = append(cases, sizeCase{
			name: v.Name, heap: sizedHeap(v, o.field), work: func() (sim.Config, error) { return v.Build(o.seed) },
			build: func(size mem.Size, seed uint64) (sim.Config, error) {
				sized, err := v.With(o.field, size.String())
				if err != nil {
					return sim.Config{}, err
				}
				return sized.Build(seed)
			},
		})
	}
	return cases, unit, nil
}

func (o *sizeOptions) print(w io.Writer, rows []sizeRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "strategy\tload\tfloor\tpacked\tenough\tof floor\ttoo small\ttried\t")
	for _, r := range rows {
		load, floor, packed, over := "-", "-", "-", "-"
		if r.Floor != nil {
			load, floor = r.Floor.Load.Short(), r.Floor.Bound.Short()
			if r.Floor.Packed > 0 {
				packed = r.Floor.Packed.Short()
			}
			if r.Enough > 0 && r.Floor.Bound > 0 {
				over = fmt.Sprintf("%.3f", float64(r.Enough)/float64(r.Floor.Bound))
			}
		}
		enough, small := "none", "-"
		if r.Enough > 0 {
			enough = r.Enough.String()
		}
		if r.TooSmall > 0 {
			small = r.TooSmall.String()
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", r.Strategy, load, floor, packed, enough, over, small, r.Tried)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, r := range rows {
		for _, text := range o.notes(&r) {
			for _, line := range wrap(r.Strategy+": "+text, lineWidth) {
				fmt.Fprintln(w, line)
			}
		}
	}
	return nil
}

// notes say what the search knows and what it does not.
func (o *sizeOptions) notes(r *sizeRow) []string {
	if r.Enough == 0 && r.Tried == 0 {
		return []string{fmt.Sprintf("no size up to %s can be enough: the floor is above it", r.Most)}
	}
	if r.Enough == 0 {
		return []string{fmt.Sprintf("no size up to %s is enough; with %s: %s", r.Most, r.TooSmall, r.Cause)}
	}
	var texts []string
	if o.rate == 0 {
		text := fmt.Sprintf("%s served %d of %d runs", r.Enough, r.Runs, r.Runs)
		if r.Runs > 1 {
			text += fmt.Sprintf("; of runs with other seeds fewer than %.2g%% fail (95 %%)", 100*r.ShareHigh)
		}
		texts = append(texts, text)
	} else {
		texts = append(texts, fmt.Sprintf("with %s at most %s of the requests failed in %d runs", r.Enough, &o.rate, r.Runs))
	}
	if r.Least < r.Enough {
		texts = append(texts, fmt.Sprintf("%s is enough too, but %s above it is not (%s): more memory is not always better", r.Least, r.TooSmall, r.Cause))
	}
	switch {
	case r.TooSmall == 0 && r.Floor != nil && o.rate == 0:
		texts = append(texts, "no multiple of "+r.Step.String()+" that is less can be enough: it is below the floor")
	case r.All:
		texts = append(texts, "every multiple of "+r.Step.String()+" between the floor and it was tried")
	default:
		texts = append(texts, fmt.Sprintf("of the multiples of %s between the floor and it a sample was tried: one that is enough may be missed", r.Step))
	}
	return texts
}

// sizedHeap is the heap whose memory a field sizes, or -1.
func sizedHeap(v *scenario.Variant, field string) int {
	heaps := v.Spec.Heaps
	if rest, isHeap := strings.CutPrefix(field, "heaps."); isHeap {
		step, _, _ := strings.Cut(rest, ".")
		for i, h := range heaps {
			if h.Name == step || strconv.Itoa(i) == step {
				return i
			}
		}
	}
	if len(heaps) == 1 {
		return 0
	}
	return -1
}
