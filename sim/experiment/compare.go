package experiment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"dmasim/sim/experiment/stats"
	"dmasim/sim/scenario"
)

// Level is that of every interval, and 1 - Level what p is held against.
const Level = 0.95

// Plan says what is compared, and how often it is run.
type Plan struct {
	Variants []scenario.Variant // on the same work; at least one
	Baseline int                // the variant that the others are compared with
	Seed     uint64             // of the first replication; the next has the next

	Replications int // of every variant; at least 1
	// Precision, if not 0, is the half-width of the interval of Metric's mean,
	// relative to the mean, that every variant is to reach: there are as many
	// replications as that takes, from minReplications to Replications.
	Precision float64
	Metric    string

	// Independent gives every variant seeds of its own.
	Independent bool
	// WarmUp is how much of the beginning is left out of rates and means.
	WarmUp time.Duration
	// FindWarmUp has MSER-5 choose WarmUp, in a pilot of up to pilotRuns runs of
	// every variant.
	FindWarmUp bool

	Options
}

const (
	minReplications = 10 // before Precision is looked at
	pilotRuns       = 10
	mserBatch       = 5
)

// ErrMetric is in the error for a metric that the runs do not have.
var ErrMetric = errors.New("unknown metric")

// Comparison is what runs of several variants show.
type Comparison struct {
	Scenario    string
	Variants    []string
	Baseline    int
	Metrics     []Metric
	Independent bool
	WarmUp      time.Duration   // left out of rates and means
	Settled     []time.Duration // by variant: from when on its occupancy is typical of the rest by MSER-5; negative if it never is
	Precise     bool            // the precision that was asked for was reached
	Horizon     time.Duration   // to which failure-free times are counted

	Runs     [][]Run    // by variant and replication
	Cells    [][]Cell   // by variant and metric
	Survival []Survival // by variant
	Tests    int        // that the p are corrected for
}

// Run is one run's figures.
type Run struct {
	Seed     uint64
	Values   []float64 // by metric
	Lifetime stats.Lifetime
}

// Cell is one metric of one variant.
type Cell struct {
	Mean stats.Interval
	// Difference is the mean minus that of the baseline, tested; nil of the baseline.
	Difference *Difference
}

// Difference is how a variant differs from the baseline in one metric.
type Difference struct {
	stats.Test
	LogRank bool    // P is that of the log-rank test
	Holm    float64 // P corrected for all tests of the comparison
	A12     float64 // probability that a run is above one of the baseline
}

// Supported reports whether the runs support that there is a difference.
func (d *Difference) Supported() bool { return d.Holm < 1-Level }

// Survival is how long the runs of a variant went without a failure.
type Survival struct {
	Curve  stats.Curve
	Failed stats.Interval // share of the runs that had a failure, with the exact interval
}

// Compare runs the plan. It is an error if a simulation cannot be built or run,
// and [ErrMetric] if there is no such metric.
func Compare(ctx context.Context, p Plan) (*Comparison, error) {
	e := &comparing{plan: p, runs: make([][]measured, len(p.Variants))}
	if p.FindWarmUp {
		if err := e.pilot(ctx); err != nil {
			return nil, err
		}
	}
	if err := e.replicate(ctx); err != nil {
		return nil, err
	}
	return e.analyse(), nil
}

// comparing is a comparison under way.
type comparing struct {
	plan    Plan
	metrics []Metric
	runs    [][]measured // by variant and replication
	precise bool
}

// measured is what is kept of a run.
type measured struct {
	seed      uint64
	figures   []Measurement
	values    []float64 // of the metrics that all runs have
	lifetime  time.Duration
	failed    bool
	duration  time.Duration
	sampled   []time.Duration
	occupancy []float64
}

// seed is that of a replication of a variant.
func (p *Plan) seed(variant, replication int) uint64 {
	seed := p.Seed + uint64(replication)
	if p.Independent {
		seed += uint64(variant) << 32
	}
	return seed
}

// pilot finds the warm-up: the longest of the variants', which would otherwise be
// compared over different times.
func (e *comparing) pilot(ctx context.Context) error {
	first := &comparing{plan: e.plan, runs: make([][]measured, len(e.plan.Variants))}
	first.plan.WarmUp = 0
	if err := first.extend(ctx, min(e.plan.Replications, pilotRuns)); err != nil {
		return err
	}
	for v := range first.runs {
		settled := first.settled(v)
		if settled < 0 {
			return fmt.Errorf("variant %s does not settle within its duration: a longer one, or no warm-up, is needed", e.plan.Variants[v].Name)
		}
		e.plan.WarmUp = max(e.plan.WarmUp, settled)
	}
	return nil
}

// replicate runs as many replications as the plan asks for.
func (e *comparing) replicate(ctx context.Context) error {
	p := &e.plan
	n := p.Replications
	if p.Precision > 0 {
		n = min(n, minReplications)
	}
	// An unknown metric is found out by the first.
	if err := e.extend(ctx, 1); err != nil {
		return err
	}
	for {
		if err := e.extend(ctx, n); err != nil {
			return err
		}
		if p.Precision == 0 || n >= p.Replications {
			e.precise = p.Precision == 0 || e.needed() <= n
			return nil
		}
		need := e.needed()
		if need <= n {
			e.precise = true
			return nil
		}
		// No more than twice as many: the deviation of few runs is uncertain.
		n = min(need, 2*n, p.Replications)
	}
}

// needed is how many replications the precision takes, judged by those there are.
func (e *comparing) needed() int {
	m := slices.IndexFunc(e.metrics, func(m Metric) bool { return m.Name == e.plan.Metric })
	need := 0
	for v := range e.runs {
		values := e.column(v, m)
		mean := stats.Mean(values, Level)
		if mean.HalfWidth() == 0 {
			continue // all the same
		}
		half := e.plan.Precision * math.Abs(mean.Estimate)
		if mean.HalfWidth() <= half {
			continue
		}
		need = max(need, stats.RunsNeeded(values, half, Level), len(values)+1)
	}
	return need
}

// extend runs until every variant has n replications.
func (e *comparing) extend(ctx context.Context, n int) error {
	p := &e.plan
	from := len(e.runs[0])
	fresh := make([]measured, (n-from)*len(p.Variants))
	err := Each(ctx, p.Jobs, len(fresh), func(ctx context.Context, i int) error {
		v, replication := i%len(p.Variants), from+i/len(p.Variants)
		var err error
		fresh[i], err = e.run(ctx, &p.Variants[v], p.seed(v, replication))
		return err
	})
	if err != nil {
		return err
	}
	for i := range fresh {
		v := i % len(p.Variants)
		e.runs[v] = append(e.runs[v], fresh[i])
	}
	return e.align()
}

func (e *comparing) run(ctx context.Context, v *scenario.Variant, seed uint64) (measured, error) {
	run, figures, err := simulateMeasured(ctx, v, seed, e.plan.WarmUp, e.plan.Options)
	if err != nil {
		return measured{}, fmt.Errorf("seed %d: %w", seed, err)
	}
	m := measured{
		seed: seed, figures: figures, lifetime: lifetime(&run), failed: run.Summary.First != nil,
		duration: run.Summary.Duration, occupancy: occupancy(&run),
	}
	for i := range run.Samples {
		if run.Samples[i].Heap == 0 {
			m.sampled = append(m.sampled, run.Samples[i].At)
		}
	}
	return m, nil
}

// align keeps the metrics that every run has, in the order of the first.
func (e *comparing) align() error {
	e.metrics = nil
	for _, f := range e.runs[0][0].figures {
		inAll := true
		for _, runs := range e.runs {
			for i := range runs {
				inAll = inAll && runs[i].find(f.Name) >= 0
			}
		}
		if inAll {
			e.metrics = append(e.metrics, f.Metric)
		}
	}
	if name := e.plan.Metric; name != "" && !slices.ContainsFunc(e.metrics, func(m Metric) bool { return m.Name == name }) {
		return fmt.Errorf("%w %q: there are %s", ErrMetric, name, metricNames(e.metrics))
	}
	for _, runs := range e.runs {
		for i := range runs {
			runs[i].values = runs[i].values[:0]
			for _, m := range e.metrics {
				runs[i].values = append(runs[i].values, runs[i].figures[runs[i].find(m.Name)].Value)
			}
		}
	}
	return nil
}

func (m *measured) find(name string) int {
	return slices.IndexFunc(m.figures, func(f Measurement) bool { return f.Name == name })
}

func metricNames(list []Metric) string {
	text := ""
	for i, m := range list {
		if i > 0 {
			text += ", "
		}
		text += m.Name
	}
	return text
}

// column is one metric of all replications of a variant.
func (e *comparing) column(variant, metric int) []float64 {
	values := make([]float64, len(e.runs[variant]))
	for i := range values {
		values[i] = e.runs[variant][i].values[metric]
	}
	return values
}

// settled is the time from which on the occupancy of a variant, averaged over its
// replications, is typical of the rest by MSER-5; negative if that is not before
// half of the time. Runs whose length is not fixed are not sampled evenly in time,
// and have none.
func (e *comparing) settled(variant int) time.Duration {
	runs := e.runs[variant]
	if e.plan.Variants[variant].Spec.Duration == 0 {
		return 0
	}
	mean := slices.Clone(runs[0].occupancy)
	for _, r := range runs[1:] {
		mean = mean[:min(len(mean), len(r.occupancy))]
		for i := range mean {
			mean[i] += r.occupancy[i]
		}
	}
	w := stats.MSER(mean, mserBatch)
	switch {
	case w.TooShort:
		return -1
	case w.Drop == 0:
		return 0
	}
	return runs[0].sampled[w.Drop]
}

func (e *comparing) analyse() *Comparison {
	p := &e.plan
	c := &Comparison{
		Scenario: p.Variants[0].Spec.Name, Baseline: p.Baseline, Metrics: e.metrics, Independent: p.Independent,
		WarmUp: p.WarmUp, Precise: e.precise, Horizon: e.horizon(),
	}
	free := slices.IndexFunc(e.metrics, func(m Metric) bool { return m.Name == FailureFree })
	for v := range p.Variants {
		c.Variants = append(c.Variants, p.Variants[v].Name)
		c.Settled = append(c.Settled, e.settled(v))
		var runs []Run
		failed := 0
		for _, m := range e.runs[v] {
			m.values[free] = min(m.values[free], c.Horizon.Seconds())
			runs = append(runs, Run{m.seed, m.values, stats.Lifetime{Time: m.lifetime.Seconds(), Censored: !m.failed}})
			if m.failed {
				failed++
			}
		}
		c.Runs = append(c.Runs, runs)
		c.Survival = append(c.Survival, Survival{stats.KaplanMeier(lifetimes(runs), Level), stats.ClopperPearson(failed, len(runs), Level)})
	}
	for v := range p.Variants {
		var cells []Cell
		for m := range e.metrics {
			x := e.column(v, m)
			cell := Cell{Mean: stats.Mean(x, Level)}
			if v != p.Baseline {
				cell.Difference = c.difference(v, x, e.column(p.Baseline, m), m == free)
			}
			cells = append(cells, cell)
		}
		c.Cells = append(c.Cells, cells)
	}
	c.correct()
	return c
}

// horizon is the time that all runs could have lasted.
func (e *comparing) horizon() time.Duration {
	horizon := time.Duration(math.MaxInt64)
	for v, runs := range e.runs {
		if d := e.plan.Variants[v].Spec.Duration; d > 0 {
			horizon = min(horizon, d)
			continue
		}
		for i := range runs {
			horizon = min(horizon, runs[i].duration)
		}
	}
	return horizon
}

func lifetimes(runs []Run) []stats.Lifetime {
	list := make([]stats.Lifetime, len(runs))
	for i := range runs {
		list[i] = runs[i].Lifetime
	}
	return list
}

// difference tests a variant's values against the baseline's.
func (c *Comparison) difference(variant int, x, y []float64, isLifetime bool) *Difference {
	d := &Difference{A12: stats.A12(x, y)}
	if !c.Independent {
		d.Test = stats.Paired(x, y, Level)
		return d
	}
	d.Test = stats.Welch(x, y, Level)
	if isLifetime && len(x) > 1 {
		d.LogRank = true
		d.P = stats.LogRank(lifetimes(c.Runs[variant]), lifetimes(c.Runs[c.Baseline])).P
		if math.IsNaN(d.P) {
			d.P = 1 // nothing failed in either
		}
	}
	return d
}

// correct fills in the corrected p.
func (c *Comparison) correct() {
	var tested []*Difference
	var p []float64
	for _, cells := range c.Cells {
		for _, cell := range cells {
			if cell.Difference != nil {
				tested = append(tested, cell.Difference)
				p = append(p, cell.Difference.P)
			}
		}
	}
	for i, adjusted := range stats.Holm(p) {
		tested[i].Holm = adjusted
		if !math.IsNaN(adjusted) {
			c.Tests++
		}
	}
}

// Metric returns the place of a metric, or -1.
func (c *Comparison) Metric(name string) int {
	return slices.IndexFunc(c.Metrics, func(m Metric) bool { return m.Name == name })
}
