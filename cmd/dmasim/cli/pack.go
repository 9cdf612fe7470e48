package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmasim/allocator/pack"
	"dmasim/mem"
	"dmasim/workloads/trace"
)

type packOptions struct {
	capacity mem.Size
	time     time.Duration
	hasTime  bool
	steps    int64
	seed     uint64
	out      string
	asJSON   bool
}

func newPackCommand() *cobra.Command {
	var o packOptions
	cmd := &cobra.Command{
		Use:   "pack FILE.csv",
		Short: "Pack buffers of known lifetimes into as little memory as possible",
		Long: `Pack the buffers of a static problem in MiniMalloc's format, whose lifetimes are
all known, into as little memory as possible: what an allocator that has to
answer request by request can be compared with.

The search has a packing at once, the best of several first fits, and improves
it until one is proven to be optimal or a limit is reached. With --capacity it
ends as soon as the buffers fit or are proven not to. If they do not, some of
them are named as the reason: buffers that do not fit even without the others.
The reason is irreducible if they would fit without any one of them; it is said
whether that is proven. The search for it leaves out one buffer after the other,
and what it spends on each does not depend on --steps.

--steps bounds the search in steps: the same number and the same seed give the
same packing on every machine. --time only cuts the search, by default after
10 s, or never if --steps is given. Ctrl-C cuts it likewise: what was found
until then is printed.

Exit status: 0 if the buffers are packed, within the capacity if there is one;
1 if they are proven not to fit, or if that is unknown when the search ends; 2
for a mistake in the command line or the input.

--out writes the packing as CSV (id,lower,upper,size,offset), whole or not at
all, and only where the exit status is 0.`,
		Example: `  dmasim pack A.1048576.csv --out packed.csv
  dmasim pack A.1048576.csv --capacity 1MiB --steps 1000000 --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.hasTime = cmd.Flags().Changed("time")
			return o.run(cmd, args[0])
		},
	}
	flags := cmd.Flags()
	flags.TextVar(&o.capacity, "capacity", mem.Size(0), "`SIZE` of the memory to fit in; 0B: as little as possible")
	flags.DurationVar(&o.time, "time", 10*time.Second, "cut the search after this `DURATION`; 0s: never")
	flags.Int64Var(&o.steps, "steps", 0, "end the search after `N` steps; 0: no limit")
	flags.Uint64Var(&o.seed, "seed", 0, "of the random orders that the search tries")
	flags.StringVarP(&o.out, "out", "o", "", "write the packing to this `FILE` as CSV")
	flags.BoolVar(&o.asJSON, "json", false, "print an object")
	return cmd
}

func (o *packOptions) run(cmd *cobra.Command, path string) error {
	switch {
	case o.steps < 0:
		return fmt.Errorf("--steps %d: want 0 or more", o.steps)
	case o.time < 0:
		return fmt.Errorf("--time %v: want 0s or more", o.time)
	}
	if err := checkOutputFile(o.out); err != nil {
		return err
	}
	problem, err := readProblem(path)
	if err != nil {
		return err
	}
	report, offsets, err := o.search(cmd.Context(), path, problem)
	if err != nil {
		return err
	}
	if o.out != "" && report.fits() {
		if err := writePacking(o.out, problem, offsets); err != nil {
			return failedRun{fmt.Errorf("write %s: %w", o.out, err)}
		}
	}
	if o.asJSON {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		err = printPack(cmd.OutOrStdout(), report)
	}
	switch {
	case err != nil:
		return failedRun{err}
	case !report.fits():
		return errNo
	}
	return nil
}

// readProblem reads a static problem in MiniMalloc's format.
func readProblem(path string) (*trace.Problem, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return trace.ReadMiniMalloc(f, path)
}

// packBuffers returns the buffers of a problem, by the same indices.
func packBuffers(p *trace.Problem) []pack.Buffer {
	buffers := make([]pack.Buffer, len(p.Buffers))
	for i, b := range p.Buffers {
		buffers[i] = pack.Buffer{Start: b.Lower, End: b.Upper, Size: b.Size, Align: b.Align}
	}
	return buffers
}

// packChecked packs and has the packing judged.
func packChecked(ctx context.Context, buffers []pack.Buffer, o pack.Options) (*pack.Result, error) {
	r, err := pack.Pack(ctx, buffers, o)
	if err != nil {
		return nil, err
	}
	if err := pack.Check(buffers, r.Offsets); err != nil {
		return nil, failedRun{fmt.Errorf("internal fault: the packing is wrong: %w", err)}
	}
	if height := pack.Height(buffers, r.Offsets); height != r.Height {
		return nil, failedRun{fmt.Errorf("internal fault: the packing is %d bytes high, not %d", height, r.Height)}
	}
	return r, nil
}

// What is known when a search has ended.
const (
	verdictOptimal = "optimal"      // no packing is lower
	verdictPacked  = "packed"       // a lower one is not ruled out
	verdictFits    = "fits"         // in the capacity
	verdictNoFit   = "does-not-fit" // in the capacity, which is proven
	verdictUnknown = "unknown"      // whether it fits in the capacity
)

// Why a search ended.
const (
	endedByAnswer    = "answer"
	endedBySteps     = "steps"
	endedByTime      = "time"
	endedByInterrupt = "interrupt"
)

// packReport is the outcome of a search as programs read it.
type packReport struct {
	File       string      `json:"file"`
	Buffers    int         `json:"buffers"`
	Load       mem.Size    `json:"load_bytes"`
	LowerBound mem.Size    `json:"lower_bound_bytes"` // proven, after the search
	Height     mem.Size    `json:"height_bytes"`
	Ratio      float64     `json:"height_to_lower_bound"`
	Capacity   mem.Size    `json:"capacity_bytes,omitempty"`
	Verdict    string      `json:"verdict"`
	Optimal    bool        `json:"optimal"`
	Ended      string      `json:"ended_by"`
	Seed       uint64      `json:"seed"`
	Steps      int64       `json:"steps"`
	Elapsed    float64     `json:"elapsed_seconds"`
	Curve      []packPoint `json:"curve"`
	Core       *packCore   `json:"core,omitempty"` // if it does not fit and one was found
}

// packPoint is an improvement of the packing.
type packPoint struct {
	Elapsed float64  `json:"elapsed_seconds"`
	Steps   int64    `json:"steps"`
	Height  mem.Size `json:"height_bytes"`
}

// packCore is a subset of the buffers that does not fit.
type packCore struct {
	Irreducible bool         `json:"irreducible"` // proven; if false, it is open
	Bytes       mem.Size     `json:"bytes"`
	Buffers     []packBuffer `json:"buffers"`
}

type packBuffer struct {
	ID    string   `json:"id"`
	Lower int64    `json:"lower"`
	Upper int64    `json:"upper"`
	Size  mem.Size `json:"size_bytes"`
	Align uint64   `json:"alignment"`
}

func (r *packReport) fits() bool {
	return r.Verdict != verdictNoFit && r.Verdict != verdictUnknown
}

// search packs the problem within the limits and returns what came of it, with
// the offsets by buffer.
func (o *packOptions) search(ctx context.Context, path string, problem *trace.Problem) (*packReport, []uint64, error) {
	start := time.Now()
	limited, stop := o.limit(ctx)
	defer stop()
	buffers := packBuffers(problem)
	load, err := pack.Load(buffers)
	if err != nil {
		return nil, nil, inFile(path, err)
	}
	report := &packReport{
		File: path, Buffers: len(buffers), Load: mem.Size(load), Capacity: o.capacity, Seed: o.seed, Ended: endedByAnswer,
	}
	result, err := packChecked(limited, buffers, pack.Options{
		Capacity: uint64(o.capacity), Steps: o.steps, Seed: o.seed,
		Improved: func(p pack.Point) {
			report.Curve = append(report.Curve, packPoint{time.Since(start).Seconds(), p.Steps, mem.Size(p.Height)})
		},
	})
	if err != nil {
		return nil, nil, inFile(path, err)
	}
	report.Elapsed = time.Since(start).Seconds()
	report.Height, report.LowerBound = mem.Size(result.Height), mem.Size(result.LowerBound)
	report.Ratio = float64(result.Height) / float64(result.LowerBound)
	report.Steps, report.Optimal = result.Steps, result.Optimal()
	report.Verdict = o.verdict(result)
	switch report.Verdict {
	case verdictNoFit:
		report.Core, err = o.core(limited, problem, buffers, result.Steps)
	case verdictPacked, verdictUnknown:
		report.Ended = endedBySteps
		if ctx.Err() != nil {
			report.Ended = endedByInterrupt
		} else if limited.Err() != nil {
			report.Ended = endedByTime
		}
	}
	return report, result.Offsets, err
}

// limit returns a context that ends with the time that the search has.
func (o *packOptions) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.time == 0 || (o.steps > 0 && !o.hasTime) {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, o.time)
}

func (o *packOptions) verdict(r *pack.Result) string {
	capacity := uint64(o.capacity)
	switch {
	case capacity == 0 && r.Optimal():
		return verdictOptimal
	case capacity == 0:
		return verdictPacked
	case r.Height <= capacity:
		return verdictFits
	case r.LowerBound > capacity:
		return verdictNoFit
	}
	return verdictUnknown
}

// core looks for the buffers because of which all do not fit, or returns nil
// where it finds none. steps are those that the proof took.
func (o *packOptions) core(ctx context.Context, problem *trace.Problem, buffers []pack.Buffer, steps int64) (*packCore, error) {
	const atLeast = 100_000
	found, err := pack.Irreducible(ctx, buffers, uint64(o.capacity), max(2*steps, atLeast))
	if found == nil || err != nil {
		return nil, err
	}
	core := &packCore{Irreducible: found.Irreducible}
	for _, i := range found.Buffers {
		b := &problem.Buffers[i]
		core.Bytes += mem.Size(b.Size)
		core.Buffers = append(core.Buffers, packBuffer{b.ID, b.Lower, b.Upper, mem.Size(b.Size), b.Align})
	}
	return core, nil
}

// maxPackLines bounds the lines that printPack spends on the curve, and on the
// core.
const maxPackLines = 12

// printPack prints a report in at most 80 columns.
func printPack(w io.Writer, r *packReport) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %d buffers\n\n", tail(filepath.Base(r.File), lineWidth-24), r.Buffers)
	row := func(name string, size mem.Size, note string) {
		fmt.Fprintf(&text, "%-11s  %12d  %8s  %s\n", name, uint64(size), size.Short(), note)
	}
	row("load", r.Load, "the most bytes that live at once")
	row("lower bound", r.LowerBound, "proven")
	row("packed in", r.Height, fmt.Sprintf("%.4f of the lower bound", r.Ratio))
	if r.Capacity > 0 {
		row("capacity", r.Capacity, fmt.Sprintf("packed in %.4f of it", float64(r.Height)/float64(r.Capacity)))
	}
	fmt.Fprintln(&text)
	for _, line := range wrap(r.conclusion(), lineWidth) {
		fmt.Fprintln(&text, line)
	}
	if r.Core != nil {
		r.Core.print(&text)
	}
	fmt.Fprintf(&text, "\n%10s  %12s  %12s  %s\n", "elapsed", "steps", "height", "of bound")
	skipped := 0
	if len(r.Curve) > maxPackLines {
		skipped = len(r.Curve) - maxPackLines + 1
	}
	for i, p := range r.Curve {
		if i == 1 && skipped > 0 {
			fmt.Fprintf(&text, "%10s  %12s\n", "…", fmt.Sprintf("%d more", skipped))
		}
		if i == 0 || i > skipped {
			fmt.Fprintf(&text, "%9.3fs  %12d  %12d  %8.4f\n", p.Elapsed, p.Steps, uint64(p.Height), float64(p.Height)/float64(r.LowerBound))
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// conclusion says in a sentence what is proven.
func (r *packReport) conclusion() string {
	between := fmt.Sprintf("the optimum is between %d and %d bytes", uint64(r.LowerBound), uint64(r.Height))
	if r.Optimal {
		between = "the packing is optimal"
	}
	work := fmt.Sprintf("%d steps, %.3fs", r.Steps, r.Elapsed)
	if r.Ended != endedByAnswer {
		work += fmt.Sprintf(", ended by %s", r.Ended)
	}
	switch r.Verdict {
	case verdictOptimal:
		return fmt.Sprintf("optimal: no packing is lower (%s)", work)
	case verdictFits:
		return fmt.Sprintf("fits in %s; %s (%s)", r.Capacity, between, work)
	case verdictNoFit:
		conclusion := fmt.Sprintf("does not fit in %s: proven (%s)", r.Capacity, work)
		if r.Core == nil {
			conclusion += "; the reason was not found"
		}
		return conclusion
	case verdictUnknown:
		return fmt.Sprintf("unknown whether it fits in %s: %s (%s)", r.Capacity, between, work)
	}
	return fmt.Sprintf("packed; %s (%s)", between, work)
}

// print prints the buffers, of which the largest number is bounded.
func (c *packCore) print(text *strings.Builder) {
	proof := "proven irreducible: they fit without any one of them"
	if !c.Irreducible {
		proof = "whether all of them are needed is open"
	}
	reason := fmt.Sprintf("reason: these %d, of %d bytes in all; %s", len(c.Buffers), uint64(c.Bytes), proof)
	for _, line := range wrap(reason, lineWidth) {
		fmt.Fprintln(text, line)
	}
	fmt.Fprintf(text, "\n  %-22s  %12s  %8s  %s\n", "buffer", "bytes", "aligned", "lives in")
	for i, b := range c.Buffers {
		if i == maxPackLines {
			fmt.Fprintf(text, "  %-22s  %d more; --json has all\n", "…", len(c.Buffers)-i)
			break
		}
		fmt.Fprintln(text, head(fmt.Sprintf("  %-22s  %12d  %8d  [%d,%d)", head(b.ID, 22), uint64(b.Size), b.Align, b.Lower, b.Upper), lineWidth))
	}
}

// checkOutputFile returns what is in the way of writing a file, before there is
// anything to write.
func checkOutputFile(path string) error {
	if path == "" {
		return nil
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("--out %s: not a regular file", path)
	}
	info, err := os.Stat(filepath.Dir(path))
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("--out %s: %w", path, err)
	}
	return nil
}

// writePacking writes the packing.
func writePacking(path string, problem *trace.Problem, offsets []uint64) error {
	return writeWhole(path, func(w io.Writer) error {
		fmt.Fprintln(w, "id,lower,upper,size,offset")
		for i, b := range problem.Buffers {
			fmt.Fprintf(w, "%s,%d,%d,%d,%d\n", b.ID, b.Lower, b.Upper, b.Size, offsets[i])
		}
		return nil
	})
}
