package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/explain"
	"dmasim/sim/metrics"
	"dmasim/sim/report"
	"dmasim/sim/result"
	"dmasim/sim/scenario"
)

type explainOptions struct {
	failure       int
	variant, heap string
	at            time.Duration
	devices       []string
	size, align   mem.Size
	picture       picture
	asJSON        bool
}

func newExplainCommand() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain RESULT | SCENARIO --at TIME --size SIZE",
		Short: "Say why a request failed, and what would have let it succeed",
		Long: `Explain a failed request of a result directory, or what would come of a request at
some time of a scenario. The scenario is run again up to that moment, and what was
free is followed from all of it down to what the request could have used: in reach
of its devices, in one run, aligned, not across a boundary, padded. Then come the
buffers in the way: whose they are, since when, and whether they had to be there;
and the smallest changes that would have let the request succeed. Each was applied
to a copy of the state, in which the request has a legal place; "served" says that
the heap, asked after the change, took one.

Of a result, the first failure of the first variant that has one is explained;
--variant and --failure choose another (the first thousand are in failures.csv).
If the run arrives at another failure, because the program changed since, say, it
says so, and the exit status is 1, as it is if nothing failed.

With --at, nobody asked: the scenario runs up to that time, all that happens then
included, and the heap is asked for a buffer of that size for the devices, those of
the scenario or of the catalogue.

"dmasim explain dmesg" does it for a real machine, from its kernel log.`,
		Example: `  dmasim explain dmasim-out/cedar-256mib
  dmasim explain dmasim-out/cedar-256mib --variant others-high --picture why.png
  dmasim explain cedar-256mib --at 30s --device cedar --size 3MiB`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("explain what? give a result directory, or a scenario with --at and --size; or \"dmesg\" and a kernel log")
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.IntVar(&o.failure, "failure", 1, "which failure of a result, from 1")
	flags.StringVar(&o.variant, "variant", "", "variant of the result or scenario (default the first, of a result the first with failures)")
	flags.DurationVar(&o.at, "at", 0, "time at which to ask, such as 30s")
	flags.StringArrayVar(&o.devices, "device", nil, "device that is to use the buffer; repeat it for several")
	flags.TextVar(&o.size, "size", mem.Size(0), "bytes to ask for, such as 3MiB")
	flags.TextVar(&o.align, "align", mem.Size(0), "alignment to ask for")
	flags.StringVar(&o.heap, "heap", "", "heap to ask (default the only one, or that of the devices' clients)")
	o.picture.addFlags(flags, "the window")
	flags.BoolVar(&o.asJSON, "json", false, "print the explanation as JSON")
	cmd.AddCommand(newExplainDmesgCommand())
	return cmd
}

func (o *explainOptions) run(cmd *cobra.Command, name string) error {
	flags := cmd.Flags()
	whatIf := flags.Changed("at") || flags.Changed("size") || flags.Changed("device") || flags.Changed("heap") || flags.Changed("align")
	if err := o.picture.check(); err != nil {
		return err
	}
	var e *explain.Explanation
	var err error
	switch info, statErr := os.Stat(name); {
	case statErr == nil && info.IsDir() && whatIf:
		return errors.New("--at, --size, --device, --heap and --align ask a scenario; a result has failures of its own (--failure)")
	case statErr == nil && info.IsDir():
		e, err = o.explainResult(cmd.Context(), name)
	case flags.Changed("failure"):
		return errors.New("--failure is for results; ask a scenario with --at and --size")
	default:
		e, err = o.explainScenario(cmd.Context(), name, flags.Changed("at"))
	}
	if err != nil {
		return err
	}
	drawn, err := o.draw(e)
	if err != nil {
		return err
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), e)
	}
	printExplanation(cmd.OutOrStdout(), e)
	if drawn {
		fmt.Fprintf(cmd.OutOrStdout(), "\npicture: %s\n", o.picture.files())
	} else if o.picture.wanted() {
		fmt.Fprintln(cmd.ErrOrStderr(), "dmasim: there is no window to draw: the heap takes single pages, or memory was not asked for")
	}
	return nil
}

// explainResult runs the scenario of a result again up to one of its failures.
func (o *explainOptions) explainResult(ctx context.Context, dir string) (*explain.Explanation, error) {
	res, err := result.Read(dir)
	if err != nil {
		return nil, err
	}
	v, err := o.resultVariant(res)
	if err != nil {
		return nil, err
	}
	failures := v.Run.Failures
	switch {
	case len(failures) == 0:
		return nil, failedRun{fmt.Errorf("nothing failed in variant %s of %s", v.Name, dir)}
	case o.failure < 1 || o.failure > len(failures):
		return nil, fmt.Errorf("--failure %d: variant %s has the failures 1 to %d", o.failure, v.Name, len(failures))
	}
	sc, err := resultScenario(dir, res)
	if err != nil {
		return nil, err
	}
	e, err := explainFailure(ctx, res, sc, v, o.failure-1)
	if err == nil && len(res.Variants) > 1 {
		e.Variant = v.Name
	}
	return e, err
}

// resultScenario reads the scenario of a result in a directory.
func resultScenario(dir string, res *result.Result) (*scenario.Scenario, error) {
	sc, err := scenario.Parse(filepath.Join(dir, "scenario.yaml"), res.Scenario)
	if err != nil {
		return nil, err
	}
	for _, v := range res.Variants {
		if sc.Variant(v.Name) == nil {
			return nil, fmt.Errorf("%s: its scenario has no variant %s", dir, v.Name)
		}
	}
	return sc, nil
}

// explainFailure runs a variant of a result again up to its i-th failure, which must
// be the one that was recorded.
func explainFailure(ctx context.Context, res *result.Result, sc *scenario.Scenario, v *result.Variant, i int) (*explain.Explanation, error) {
	variant, recorded := sc.Variant(v.Name), &v.Run.Failures[i]
	e, err := explain.Failure(ctx, func() (sim.Config, error) { return variant.Build(variant.Spec.Seed) }, recorded.Op)
	if errors.Is(err, explain.ErrNotReached) {
		return nil, otherFailure(res, recorded, "no failure there")
	}
	if err != nil {
		return nil, err
	}
	if got := explainedText(e); got != recordedText(recorded) {
		return nil, otherFailure(res, recorded, got)
	}
	return e, nil
}

// explainedText says what a failure is, to be compared.
func explainedText(e *explain.Explanation) string {
	return failureText(e.At, e.Client, e.Heap, e.Payload, e.Cause.String(), e.Free, e.InReach, e.Largest)
}

func recordedText(f *metrics.Failure) string {
	return failureText(f.At, f.Client, f.Heap, f.Size, f.Cause.String(), f.Free, f.InReach, f.Largest)
}

func failureText(at time.Duration, client, heap string, size mem.Size, cause string, free, reach, largest mem.Size) string {
	return fmt.Sprintf("%s asks heap %s for %s at %v (%s; free %s, in reach %s, largest run %s)", client, heap, size, at, cause, free, reach, largest)
}

// otherFailure says that a run does not arrive at a recorded failure.
func otherFailure(res *result.Result, f *metrics.Failure, got string) error {
	made, mine := res.Manifest, result.NewManifest("", 0)
	return failedRun{fmt.Errorf("run again, the scenario does not arrive at event %d, %s, but at %s; the result was made by dmasim %s %s for %s, this is %s %s for %s",
		f.Op, recordedText(f), got, made.Version, made.Revision, made.Arch, mine.Version, mine.Revision, mine.Arch)}
}

func (o *explainOptions) resultVariant(res *result.Result) (*result.Variant, error) {
	var names []string
	for i := range res.Variants {
		v := &res.Variants[i]
		if v.Name == o.variant || o.variant == "" && len(v.Run.Failures) > 0 {
			return v, nil
		}
		names = append(names, v.Name)
	}
	if o.variant == "" {
		return nil, failedRun{fmt.Errorf("nothing failed in any variant (%s)", strings.Join(names, ", "))}
	}
	return nil, fmt.Errorf("unknown variant %q%s", o.variant, didYouMean(o.variant, names))
}

// explainScenario asks a scenario at some time.
func (o *explainOptions) explainScenario(ctx context.Context, name string, timed bool) (*explain.Explanation, error) {
	sc, err := scenario.Find(name)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w; embedded are %s", err, strings.Join(scenario.Names(), ", "))
	}
	if err != nil {
		return nil, err
	}
	switch {
	case !timed || o.size == 0:
		return nil, errors.New("a scenario is asked with --at TIME and --size SIZE; failures of a run are explained from its result directory")
	case o.at < 0:
		return nil, fmt.Errorf("--at %v: want a time from the start on", o.at)
	}
	variant := &sc.Variants[0]
	if o.variant != "" {
		if variant = sc.Variant(o.variant); variant == nil {
			var names []string
			for _, v := range sc.Variants {
				names = append(names, v.Name)
			}
			return nil, fmt.Errorf("unknown variant %q%s", o.variant, didYouMean(o.variant, names))
		}
	}
	build := func() (sim.Config, error) { return variant.Build(variant.Spec.Seed) }
	cfg, err := build()
	if err != nil {
		return nil, err
	}
	q, err := o.question(&cfg)
	if err != nil {
		return nil, err
	}
	e, err := explain.WhatIf(ctx, build, q)
	if errors.Is(err, explain.ErrNotReached) {
		return nil, fmt.Errorf("--at %v: variant %s: %w", o.at, variant.Name, err)
	}
	if err == nil && len(sc.Variants) > 1 {
		e.Variant = variant.Name
	}
	return e, err
}

// question makes a request of the flags.
func (o *explainOptions) question(cfg *sim.Config) (explain.Question, error) {
	q := explain.Question{At: o.at, Payload: uint64(o.size), Align: uint64(o.align)}
	var numbers []int
	for _, name := range o.devices {
		i := slices.IndexFunc(cfg.Devices, func(d devices.Device) bool { return d.Name == name })
		if i >= 0 {
			q.Devices = append(q.Devices, cfg.Devices[i])
			numbers = append(numbers, i)
			continue
		}
		d, ok := devices.Lookup(name)
		if !ok {
			var own []string
			for _, d := range cfg.Devices {
				own = append(own, d.Name)
			}
			near := didYouMean(name, own)
			if near == "" {
				near = didYouMean(name, devices.Names())
			}
			return q, fmt.Errorf("unknown device %q%s", name, near)
		}
		q.Devices = append(q.Devices, d)
	}
	var err error
	q.Heap, err = o.chooseHeap(cfg, numbers)
	return q, err
}

// chooseHeap returns the heap that is named, or the only one that is likely.
func (o *explainOptions) chooseHeap(cfg *sim.Config, used []int) (int, error) {
	var names []string
	var likely []int
	for i := range cfg.Heaps {
		names = append(names, cfg.Heaps[i].Name)
		if cfg.Heaps[i].Name == o.heap {
			return i, nil
		}
		for c := range cfg.Clients {
			if cfg.Clients[c].Heap == i && slices.ContainsFunc(used, func(d int) bool { return slices.Contains(cfg.Clients[c].Devices, d) }) {
				likely = append(likely, i)
			}
		}
	}
	likely = slices.Compact(likely)
	switch {
	case o.heap != "":
		return 0, fmt.Errorf("unknown heap %q%s; there are %s", o.heap, didYouMean(o.heap, names), strings.Join(names, ", "))
	case len(names) == 1:
		return 0, nil
	case len(likely) == 1:
		return likely[0], nil
	}
	return 0, fmt.Errorf("which heap? --heap with one of %s", strings.Join(names, ", "))
}

// draw writes the picture, if one is wanted and there is one.
func (o *explainOptions) draw(e *explain.Explanation) (bool, error) {
	if !o.picture.wanted() {
		return false, nil
	}
	figure, ok := report.Window(e)
	if !ok {
		return false, nil
	}
	return true, o.picture.write(&figure)
}

// printExplanation writes an explanation for people.
func printExplanation(w io.Writer, e *explain.Explanation) {
	printParagraphs(w, "", "", []string{e.Headline()})
	verdict := "cause: " + e.Cause.String() + ": " + e.Reason()
	if e.Op == 0 && e.Place != nil && e.Verdict == "" {
		verdict = fmt.Sprintf("it would be served, at %s", e.Place)
	}
	printParagraphs(w, "", "", []string{verdict})
	if e.Verdict != "" {
		printParagraphs(w, "", "", []string{fmt.Sprintf("it was placed at %s: %s", e.Place, e.Verdict)})
	}
	printFunnel(w, e)
	printHolders(w, e)
	if len(e.InTheWay) > 0 {
		fmt.Fprintln(w, "\nin the way, the fewest without which there is a place:")
		for i := range e.InTheWay[:min(len(e.InTheWay), maxInTheWay)] {
			b := &e.InTheWay[i]
			need := ""
			if !b.Needed && b.What == "buffer" {
				need = "; it could have lain elsewhere"
			}
			printParagraphs(w, "  - ", "    ", []string{b.String() + need})
		}
		if n := len(e.InTheWay) - maxInTheWay; n > 0 {
			fmt.Fprintf(w, "  and %d more\n", n)
		}
	}
	printChanges(w, e)
	if len(e.Notes) > 0 {
		fmt.Fprintln(w)
		for _, note := range e.Notes {
			printParagraphs(w, "", "", []string{"note: " + note})
		}
	}
}

// maxInTheWay is how many buffers are told one by one.
const maxInTheWay = 10

func printFunnel(w io.Writer, e *explain.Explanation) {
	if len(e.Funnel) == 0 {
		return
	}
	fmt.Fprintln(w)
	died := e.Died()
	widest, figures := 0, 0
	for _, s := range e.Funnel {
		widest, figures = max(widest, len(s.Name)), max(figures, len(s.Bytes.Short()))
	}
	indent := 2 + widest + 2 + figures + 2
	for i, s := range e.Funnel {
		text := s.Note
		if s.Where != nil && s.Bytes > 0 {
			text = strings.TrimSpace("at " + s.Where.String() + "; " + text)
			text = strings.TrimSuffix(text, ";")
		}
		if i == died {
			text = strings.TrimPrefix(text+"; ", "; ") + "LESS THAN THE " + s.Needed.Short() + " NEEDED"
		}
		lines := wrap(text, lineWidth-indent)
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %-*s  %*s  %s", widest, s.Name, figures, s.Bytes.Short(), lines[0]), " "))
		for _, line := range lines[1:] {
			fmt.Fprintf(w, "%*s%s\n", indent, "", line)
		}
	}
	asked := e.Payload.Short()
	if e.Reserve > e.Payload {
		reserve := e.Reserve.Short()
		if reserve == asked {
			reserve = e.Reserve.String()
		}
		asked += ", " + reserve + " with padding and rounding"
	}
	fmt.Fprintf(w, "  %-*s  %s\n", widest, "asked for", asked)
}

// maxHolders is how many of those who hold memory are told.
const maxHolders = 8

func printHolders(w io.Writer, e *explain.Explanation) {
	if len(e.Holders) == 0 {
		return
	}
	rows := [][]string{{"held by", "", "bytes", "in reach", "had to lie there"}}
	for _, h := range e.Holders[:min(len(e.Holders), maxHolders)] {
		what := h.What
		if h.Blocks > 0 {
			what = fmt.Sprintf("%d %s", h.Blocks, h.What)
		}
		need := "no"
		switch {
		case h.InReach == 0:
			need = "-"
		case h.Needed:
			need = "yes"
		}
		rows = append(rows, []string{h.Name, what, h.Bytes.Short(), h.InReach.Short(), need})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	widths[0] = min(widths[0], 20)
	widths[1] = min(widths[1], lineWidth-widths[0]-widths[2]-widths[3]-widths[4]-10)
	fmt.Fprintln(w)
	for _, row := range rows {
		line := fmt.Sprintf("  %-*s  %-*s  %*s  %*s  %s", widths[0], head(row[0], widths[0]), widths[1], head(row[1], widths[1]), widths[2], row[2], widths[3], row[3], row[4])
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	if n := len(e.Holders) - maxHolders; n > 0 {
		fmt.Fprintf(w, "  and %d more\n", n)
	}
}

func printChanges(w io.Writer, e *explain.Explanation) {
	if len(e.Changes) == 0 {
		return
	}
	fmt.Fprintln(w, "\nthe smallest changes, each of which alone would have done:")
	for _, c := range e.Changes {
		text := c.Text
		if c.Kind == explain.FreeStrangers {
			text += ": " + c.Buffers[0].String()
			if more := len(c.Buffers) - 1; more > 0 {
				text += fmt.Sprintf(", and %d more", more)
			}
		}
		if c.Place != nil && c.Kind != explain.TellHeap && c.Kind != explain.OtherStrategy {
			text += "; a place is at " + c.Place.Lo.String() + " then"
		}
		switch {
		case c.Served == nil:
		case *c.Served:
			text += "; served"
		default:
			text += "; but the strategy does not look there"
		}
		if !c.Verified {
			text += " (not tried)"
		}
		printParagraphs(w, "  - ", "    ", []string{text})
	}
}
