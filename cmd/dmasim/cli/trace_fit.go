package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmasim/mem"
	"dmasim/sim/experiment"
	"dmasim/sim/metrics"
	"dmasim/sim/scenario"
	"dmasim/workloads"
	"dmasim/workloads/trace"
	"dmasim/workloads/trace/fit"
)

type fitOptions struct {
	trace  traceOptions
	seed   uint64
	asJSON bool
}

func newTraceFitCommand() *cobra.Command {
	var o fitOptions
	cmd := &cobra.Command{
		Use:   "fit TRACE SCENARIO.yaml",
		Short: "Write a scenario whose random work is like a trace",
		Long: `Estimate random work that is like a trace, and write it as a scenario for dmasim
run, with a memory as for run TRACE: the times between requests, the sizes and the
lifetimes each get the family of distributions of least AIC among those near the
data, with its most likely parameters. Where none is near, a histogram of the data is
taken. Buffers that are never freed count as having lived longer than was seen. If
large buffers live longer or shorter than small ones, beyond what chance explains,
the work has their rank correlation. SCENARIO.yaml may be -, standard output; the
report then goes to standard error.

How well it fits is said three times: by the tables of AIC and of the distance from
the data (KS, the greatest difference of probabilities), and by a simulation of both,
the trace and the work, on the same memory. The latter shows what the distributions
do not have, such as phases and bursts.`,
		Example: `  dmasim trace fit cma.txt.gz like.yaml --heap reserved
  dmasim run like.yaml`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.trace.hasGranule = cmd.Flags().Changed("granule")
			return o.run(cmd, args[0], args[1])
		},
	}
	cmd.Flags().Uint64Var(&o.seed, "seed", 1, "seed of the random work, and of the sample of a long trace")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print the report as an object")
	o.trace.addFlags(cmd.Flags())
	return cmd
}

func (o *fitOptions) run(cmd *cobra.Command, from, to string) error {
	if len(o.trace.allocators) != 1 {
		return fmt.Errorf("%d times --allocator: a fit is compared on one", len(o.trace.allocators))
	}
	recorded, _, err := o.trace.load(cmd, from)
	if err != nil {
		return err
	}
	r, err := o.trace.input.open(nil, from, trace.Order(o.trace.order), 0)
	if err != nil {
		return err
	}
	defer r.Close()
	work, err := fit.Read(r, o.seed)
	if err != nil {
		return inFile(from, err)
	}
	spec := o.fitted(recorded.Variants[0].Spec, from, work)
	fitted, err := scenario.Vary(to, spec, "heaps.memory.allocator", o.trace.allocators)
	if err != nil {
		return err
	}
	text, err := fitted.Resolved(filepath.Dir(to))
	if err != nil {
		return err
	}
	report := newFitReport(from, work)
	if report.Trace, err = o.simulate(cmd.Context(), &recorded.Variants[0]); err != nil {
		return err
	}
	if report.Fitted, err = o.simulate(cmd.Context(), &fitted.Variants[0]); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if to == "-" {
		if _, err := out.Write(text); err != nil {
			return failedRun{err}
		}
		out = cmd.ErrOrStderr()
	} else if err := writeWhole(to, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return failedRun{err}
	}
	if o.asJSON {
		return printJSON(out, report)
	}
	return printFit(out, &report)
}

// fitted is the scenario around a trace with the work in its place.
func (o *fitOptions) fitted(spec scenario.Spec, from string, work *fit.Work) scenario.Spec {
	spec.Name = scenario.NameFor("like-"+strings.TrimSuffix(filepath.Base(trace.Stem(from)), filepath.Ext(trace.Stem(from))), "trace")
	spec.Description = fmt.Sprintf("Random work that is like %s: %d requests in %v.", filepath.Base(from), work.Requests, work.Length)
	spec.Seed = o.seed
	spec.Duration = work.Length
	spec.Workloads = slices.Clone(spec.Workloads)
	w := &spec.Workloads[0]
	every := scenario.Times(work.Between.Chosen.Distribution)
	size, lifetime := scenario.Sizes(work.Size.Chosen.Distribution), scenario.Times(work.Lifetime.Chosen.Distribution)
	w.Name, w.Trace = "like", nil
	w.Churn = &scenario.Churn{Every: &every, Size: &size, Lifetime: &lifetime}
	if work.Correlated {
		w.Churn.Correlation = math.Round(work.Correlation*1000) / 1000
	}
	return spec
}

// fitRun is what a simulation made of the trace or of the work.
type fitRun struct {
	Requests  uint64   `json:"requests"`
	Failures  uint64   `json:"failures"`
	Peak      mem.Size `json:"peak_bytes"`
	MeanBytes float64  `json:"mean_live_bytes"`
}

func (o *fitOptions) simulate(ctx context.Context, v *scenario.Variant) (fitRun, error) {
	run, err := experiment.Simulate(ctx, v, v.Spec.Seed, experiment.Options{})
	if err != nil {
		return fitRun{}, err
	}
	return newFitRun(&run.Summary), nil
}

func newFitRun(s *metrics.Summary) fitRun {
	return fitRun{s.Clients[0].Requests, s.Clients[0].Failures, s.Heaps[0].PeakRequested, s.Heaps[0].MeanRequested}
}

type fitReport struct {
	File       string        `json:"trace"`
	Requests   uint64        `json:"requests"`
	Length     time.Duration `json:"length_ns"`
	Quantities []fitQuantity `json:"quantities"`
	Together   fitTogether   `json:"size_and_lifetime"`
	Trace      fitRun        `json:"run_of_trace"`
	Fitted     fitRun        `json:"run_of_fit"`
	neverFreed bool
}

// fitTogether is how sizes and lifetimes go together.
type fitTogether struct {
	Correlation float64 `json:"rank_correlation"`
	Buffers     int     `json:"buffers"`
	Used        bool    `json:"used"`
}

type fitQuantity struct {
	Name       string         `json:"name"`
	Seen       int            `json:"seen"`
	Censored   int            `json:"censored"`
	Chosen     fitCandidate   `json:"chosen"`
	Candidates []fitCandidate `json:"candidates"` // by AIC
	text       func(float64) string
}

type fitCandidate struct {
	Kind       string             `json:"kind"`
	Parameters map[string]float64 `json:"parameters,omitempty"`
	Choices    int                `json:"choices,omitempty"`
	Bins       int                `json:"bins,omitempty"`
	Empirical  bool               `json:"empirical,omitempty"`
	Free       int                `json:"free_parameters"`
	AIC        *float64           `json:"aic,omitempty"`
	KS         float64            `json:"ks"`
}

func newFitReport(from string, w *fit.Work) fitReport {
	duration := func(v float64) string { return shortDuration(time.Duration(v)) }
	size := func(v float64) string { return mem.Size(v).Short() }
	report := fitReport{
		File: from, Requests: w.Requests, Length: w.Length, neverFreed: w.NeverFreed,
		Together: fitTogether{w.Correlation, w.Pairs, w.Correlated},
	}
	for _, q := range []struct {
		name string
		fit  *fit.Fit
		text func(float64) string
	}{{"time between requests", &w.Between, duration}, {"size", &w.Size, size}, {"lifetime", &w.Lifetime, duration}} {
		made := fitQuantity{Name: q.name, Seen: q.fit.Seen, Censored: q.fit.Censored, Chosen: newFitCandidate(&q.fit.Chosen), Candidates: []fitCandidate{}, text: q.text}
		for i := range q.fit.Candidates {
			made.Candidates = append(made.Candidates, newFitCandidate(&q.fit.Candidates[i]))
		}
		report.Quantities = append(report.Quantities, made)
	}
	return report
}

func newFitCandidate(c *fit.Candidate) fitCandidate {
	made := fitCandidate{
		Kind: c.Distribution.Kind, Parameters: c.Distribution.Parameters, Choices: len(c.Distribution.Choices), Bins: len(c.Distribution.Bins),
		Empirical: c.Empirical, Free: c.Free, KS: c.KS,
	}
	if !c.Empirical {
		made.AIC = &c.AIC
	}
	return made
}

// shortDuration prints a time with about three digits.
func shortDuration(d time.Duration) string {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

func printFit(w io.Writer, r *fitReport) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d requests in %v\n", r.File, r.Requests, r.Length)
	for i := range r.Quantities {
		q := &r.Quantities[i]
		fmt.Fprintf(&b, "\n%s, %d seen", q.Name, q.Seen)
		if q.Censored > 0 {
			fmt.Fprintf(&b, ", %d longer than was seen", q.Censored)
		}
		b.WriteString("\n")
		rows := [][]string{{"", "ΔAIC", "KS", "parameters"}}
		if q.Chosen.Empirical {
			rows = append(rows, []string{"* data", "-", fmt.Sprintf("%.3f", q.Chosen.KS), fmt.Sprintf("%d bins", q.Chosen.Bins)})
		}
		for j := range q.Candidates {
			c := &q.Candidates[j]
			name := "  " + c.Kind
			if c.Kind == q.Chosen.Kind && !q.Chosen.Empirical {
				name = "* " + c.Kind
			}
			rows = append(rows, []string{name, fmt.Sprintf("%.1f", *c.AIC-*q.Candidates[0].AIC), fmt.Sprintf("%.3f", c.KS), c.text(q.text)})
		}
		writeLeftColumns(&b, rows)
	}
	switch t := &r.Together; {
	case t.Used:
		fmt.Fprintf(&b, "\nsize and lifetime: rank correlation %.3f of %d buffers, which the work has\n", t.Correlation, t.Buffers)
	case t.Correlation != 0:
		fmt.Fprintf(&b, "\nsize and lifetime: rank correlation %.3f of %d buffers, no more than chance\n", t.Correlation, t.Buffers)
	}
	if r.neverFreed {
		printWrapped(&b, "", "no buffer was ever freed: they live until the end")
	}
	b.WriteString("\n")
	writeColumns(&b, [][]string{
		{"simulated", "requests", "failures", "peak", "mean live"},
		r.Trace.row("trace"), r.Fitted.row("fit"), {
			"difference", relativeTo(float64(r.Trace.Requests), float64(r.Fitted.Requests)), relativeTo(float64(r.Trace.Failures), float64(r.Fitted.Failures)),
			relativeTo(float64(r.Trace.Peak), float64(r.Fitted.Peak)), relativeTo(r.Trace.MeanBytes, r.Fitted.MeanBytes),
		},
	})
	_, err := io.WriteString(w, b.String())
	return err
}

func (f *fitRun) row(name string) []string {
	return []string{name, fmt.Sprint(f.Requests), fmt.Sprint(f.Failures), f.Peak.Short(), mem.Size(f.MeanBytes).Short()}
}

// relativeTo is how much larger b is than a.
func relativeTo(a, b float64) string {
	switch {
	case a == b:
		return "0%"
	case a == 0:
		return "-"
	}
	return fmt.Sprintf("%+.0f%%", (b/a-1)*100)
}

// text prints the parameters in the order of the kind.
func (c *fitCandidate) text(quantity func(float64) string) string {
	if c.Choices > 0 {
		return fmt.Sprintf("%d values", c.Choices)
	}
	var parts []string
	for _, k := range workloads.DistributionKinds() {
		for _, p := range k.Parameters {
			if v, ok := c.Parameters[p.Name]; ok && k.Name == c.Kind && p.Scaled {
				parts = append(parts, p.Name+" "+quantity(v))
			} else if ok && k.Name == c.Kind {
				parts = append(parts, fmt.Sprintf("%s %.3g", p.Name, v))
			}
		}
	}
	return strings.Join(parts, ", ")
}

// writeLeftColumns writes a table whose last column is text.
func writeLeftColumns(b *strings.Builder, rows [][]string) {
	for _, row := range rows {
		for i, line := range wrap(row[3], lineWidth-38) {
			if i > 0 {
				row = []string{"", "", "", ""}
			}
			fmt.Fprintf(b, "%-19s %9s %6s  %s\n", row[0], row[1], row[2], line)
		}
	}
}
