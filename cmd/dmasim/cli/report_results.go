package cli

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmasim/sim"
	"dmasim/sim/experiment"
	"dmasim/sim/explain"
	"dmasim/sim/history"
	"dmasim/sim/metrics"
	"dmasim/sim/report"
	"dmasim/sim/report/page"
	"dmasim/sim/result"
	"dmasim/sim/scenario"
)

// explainedEvents is how many events are simulated to get to the failures of a variant
// that are explained.
const explainedEvents = 20_000_000

// pictureTypes are those of figures that a browser shows, by the ends of their names.
// SVG is only taken where there is no PNG, which is smaller.
var pictureTypes = map[string]string{".png": "image/png", ".svg": "image/svg+xml"}

// gather collects what the page shows of all results.
func (o *reportOptions) gather(cmd *cobra.Command, dirs []string) (*page.Content, error) {
	all := &page.Content{}
	var parts []*page.Content
	for _, dir := range dirs {
		part, err := o.gatherOne(cmd, dir, len(dirs))
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	names := []string{resultName(dirs[0]), resultName(dirs[1])}
	if names[0] == names[1] {
		names = []string{"A: " + names[0], "B: " + names[1]}
	}
	all.Title = names[0] + " against " + names[1]
	all.Subtitle = "Two results side by side."
	for i, part := range parts {
		for _, fact := range part.Facts {
			all.Facts = append(all.Facts, page.Fact{Name: names[i] + ": " + fact.Name, Value: fact.Value})
		}
		for _, text := range part.Texts {
			all.Texts = append(all.Texts, names[i]+": "+text)
		}
		for _, table := range part.Tables {
			table.Title = names[i] + ": " + table.Title
			all.Tables = append(all.Tables, table)
		}
		for _, figure := range part.Figures {
			figure.Name = names[i] + ": " + figure.Name
			all.Figures = append(all.Figures, figure)
		}
		for _, run := range part.Runs {
			run.Name = names[i] + ": " + run.Name
			all.Runs = append(all.Runs, run)
		}
	}
	all.Runs = sideBySide(all.Runs, len(parts[0].Runs))
	return all, nil
}

// sideBySide puts the first run of the second result behind that of the first one.
func sideBySide(runs []page.Run, first int) []page.Run {
	if first < 2 || first >= len(runs) {
		return runs
	}
	return slices.Concat(runs[:1], runs[first:first+1], runs[1:first], runs[first+1:])
}

// resultName is what a result is called beside another.
func resultName(dir string) string {
	full, err := filepath.Abs(dir)
	if err != nil {
		return filepath.Base(dir)
	}
	return filepath.Base(full)
}

// gatherOne collects what the page shows of one of several results.
func (o *reportOptions) gatherOne(cmd *cobra.Command, dir string, of int) (*page.Content, error) {
	manifest, files, err := result.ReadFiles(dir, func(name string) bool {
		return path.Dir(name) == "figures" && pictureTypes[path.Ext(name)] != "" ||
			slices.Contains([]string{"scenario.yaml", "comparison.csv", "runs.csv", "points.csv"}, name)
	})
	if err != nil {
		return nil, err
	}
	c := &page.Content{Title: manifest.Scenario, Facts: facts(&manifest)}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		bare, isPNG := strings.CutSuffix(name, ".png")
		if path.Dir(name) != "figures" || !isPNG && files[strings.TrimSuffix(name, ".svg")+".png"] != nil {
			continue
		}
		c.Figures = append(c.Figures, page.Figure{Name: strings.TrimSuffix(path.Base(bare), ".svg"), Type: pictureTypes[path.Ext(name)], Data: files[name]})
	}
	switch manifest.Content {
	case "":
		err = o.addRun(cmd, c, dir, of)
	case "comparison":
		err = o.addComparison(cmd, c, dir, files, of)
	case "sweep":
		err = addSweep(c, files)
	default:
		err = fmt.Errorf("%s holds a %s; reports are of runs, comparisons and sweeps", dir, manifest.Content)
	}
	return c, err
}

func facts(m *result.Manifest) []page.Fact {
	version := strings.TrimSpace(m.Version + " " + m.Revision)
	return []page.Fact{
		{Name: "scenario", Value: m.Scenario}, {Name: "seed", Value: strconv.FormatUint(m.Seed, 10)},
		{Name: "made by dmasim", Value: fmt.Sprintf("%s, %s, %s/%s", version, m.Go, m.OS, m.Arch)},
		{Name: "report by dmasim", Value: ownVersion()},
	}
}

// ownVersion is the version of this program.
func ownVersion() string {
	m := result.NewManifest("", 0)
	return strings.TrimSpace(m.Version + " " + m.Revision)
}

// addRun adds a run of every variant, with the lives of its buffers.
func (o *reportOptions) addRun(cmd *cobra.Command, c *page.Content, dir string, of int) error {
	res, err := result.Read(dir)
	if err != nil {
		return err
	}
	c.Texts = resultTexts(res)
	rows := report.TableRows(res)
	c.Tables = append(c.Tables, page.Table{Title: "Variants", Head: rows[0], Rows: rows[1:],
		Note: "asked: requests for buffers; failed: share of the client that fared worst; first: first failure; used: mean share of memory; index: mean largest-free index (of pages, unusable index), of the heap and in reach of devices; waste: share of the memory in use that nobody asked for"})
	if rows := report.OnFailureRows(res); rows != nil {
		c.Tables = append(c.Tables, page.Table{Title: "Wanted buffers", Head: rows[0], Rows: rows[1:],
			Note: "of workloads that do something about refusals (on_failure): shares served by their own heap at once, by it later, and by another; shares dropped; mean and 99 % quantile of the time until one was served"})
	}
	sc, missing := resultScenario(dir, res)
	if missing == nil {
		c.Subtitle = sc.Description
	}
	c.Runs = make([]page.Run, len(res.Variants))
	for i := range res.Variants {
		v := &res.Variants[i]
		c.Runs[i] = page.Run{Name: v.Name, Metrics: &v.Run}
		if len(res.Variants) == 1 && v.Name == "run" {
			c.Runs[i].Name = res.Manifest.Scenario
		}
		if missing != nil {
			c.Runs[i].Note = notAgain(dir, missing)
		}
	}
	if missing != nil {
		return nil
	}
	return o.each(cmd, len(c.Runs), func(ctx context.Context, i int, watch func(sim.Config) []sim.Observer) error {
		return o.runAgain(ctx, &c.Runs[i], res, sc, &res.Variants[i], dir, o.buffers/(of*len(c.Runs)), watch)
	})
}

// notAgain says why the scenario of a result is not run again, without where the
// result is.
func notAgain(dir string, why error) string {
	return "The scenario cannot be run again (" + strings.ReplaceAll(oneLine(why), filepath.Clean(dir)+string(filepath.Separator), "") + ")."
}

// each does something for each of n runs, some at a time, with a progress bar.
func (o *reportOptions) each(cmd *cobra.Command, n int, do func(ctx context.Context, i int, watch func(sim.Config) []sim.Observer) error) error {
	bars := newProgress(cmd.ErrOrStderr(), n)
	defer bars.finish()
	return experiment.Each(cmd.Context(), runtime.GOMAXPROCS(0), n, func(ctx context.Context, i int) error { return do(ctx, i, bars.watch) })
}

// runAgain runs a variant of a result again, to record where its buffers lay and to
// explain failures.
func (o *reportOptions) runAgain(ctx context.Context, r *page.Run, res *result.Result, sc *scenario.Scenario, v *result.Variant, dir string, buffers int, watch func(sim.Config) []sim.Observer) error {
	variant := sc.Variant(v.Name)
	recorded, lives, err := recordLives(ctx, variant, variant.Spec.Seed, v.Run.Summary.Duration, buffers, watch)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Note = notAgain(dir, err)
		return nil
	case err != nil:
		return err
	case !sameSummary(&recorded.Summary, &v.Run.Summary):
		r.Note = fmt.Sprintf("Run again, the scenario gives another result: it was made by dmasim %s for %s, this is %s for %s.",
			strings.TrimSpace(res.Manifest.Version+" "+res.Manifest.Revision), res.Manifest.Arch, ownVersion(), runtime.GOARCH)
		return nil
	}
	r.History = lives
	if r.Clients, err = constraints(variant); err != nil {
		return err
	}
	r.Command = "dmasim explain " + filepath.ToSlash(resultName(dir))
	if len(res.Variants) > 1 {
		r.Command += " --variant " + v.Name
	}
	r.Explains = map[int]*explain.Explanation{}
	for _, i := range page.Representative(v.Run.Failures, o.explain, explainedEvents) {
		e, err := explainFailure(ctx, res, sc, v, i)
		if errors.As(err, new(failedRun)) {
			r.Note = fmt.Sprintf("Failure %d cannot be explained: %s.", i+1, oneLine(err))
			break
		}
		if err != nil {
			return err
		}
		r.Explains[i] = e
	}
	return nil
}

func recordLives(ctx context.Context, v *scenario.Variant, seed uint64, duration time.Duration, buffers int, watch func(sim.Config) []sim.Observer) (metrics.Run, *history.Record, error) {
	limits := history.Limits{Pieces: buffers, Duration: duration}
	run, lives, err := experiment.Record(ctx, v, seed, limits, experiment.Options{Observe: watch})
	return run, &lives, err
}

// sameSummary reports whether two runs have the same figures.
func sameSummary(a, b *metrics.Summary) bool {
	x, err := json.Marshal(a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(b)
	return err == nil && bytes.Equal(x, y)
}

// constraints says what the devices of each client demand.
func constraints(v *scenario.Variant) ([]page.Client, error) {
	cfg, err := v.Build(v.Spec.Seed)
	if err != nil {
		return nil, err
	}
	clients := make([]page.Client, len(cfg.Clients))
	for i := range cfg.Clients {
		clients[i].Constraints = cfg.Clients[i].Plan.Parts()
	}
	return clients, nil
}

// addComparison adds the tables of a comparison, and the first replication of every
// variant.
func (o *reportOptions) addComparison(cmd *cobra.Command, c *page.Content, dir string, files map[string][]byte, of int) error {
	first, all, err := report.StoredComparison(files["comparison.csv"])
	if err != nil {
		return fmt.Errorf("result %s: comparison.csv: %w", dir, err)
	}
	c.Tables = append(c.Tables,
		page.Table{Title: "Comparison", Note: "means over all runs; p after Holm's correction; A12: the chance that a run is above one of the baseline", Head: first[0], Rows: first[1:]},
		page.Table{Title: "All metrics", Head: all[0], Rows: all[1:], Folded: true})
	sc, err := scenario.Parse(filepath.Join(dir, "scenario.yaml"), files["scenario.yaml"])
	if err != nil {
		c.Texts = append(c.Texts, "There is no map. "+notAgain(dir, err))
		return nil
	}
	c.Subtitle = sc.Description
	seeds, err := firstSeeds(files["runs.csv"])
	if err != nil {
		return fmt.Errorf("result %s: runs.csv: %w", dir, err)
	}
	c.Runs = make([]page.Run, len(sc.Variants))
	return o.each(cmd, len(c.Runs), func(ctx context.Context, i int, watch func(sim.Config) []sim.Observer) error {
		return o.replicate(ctx, &c.Runs[i], &sc.Variants[i], seeds[sc.Variants[i].Name], o.buffers/(of*len(c.Runs)), watch)
	})
}

// replicate runs a variant of a comparison once.
func (o *reportOptions) replicate(ctx context.Context, r *page.Run, v *scenario.Variant, seed uint64, buffers int, watch func(sim.Config) []sim.Observer) error {
	run, lives, err := recordLives(ctx, v, seed, v.Spec.Duration, buffers, watch)
	if err != nil {
		return err
	}
	*r = page.Run{Name: v.Name, Metrics: &run, History: lives, Note: fmt.Sprintf("Replication 1 of the comparison, with the seed %d.", seed), Explains: map[int]*explain.Explanation{}}
	if r.Clients, err = constraints(v); err != nil {
		return err
	}
	build := func() (sim.Config, error) { return v.Build(seed) }
	for _, i := range page.Representative(run.Failures, o.explain, explainedEvents) {
		if r.Explains[i], err = explain.Failure(ctx, build, run.Failures[i].Op); err != nil {
			return err
		}
	}
	return nil
}

// firstSeeds returns the seed of the first replication of each variant.
func firstSeeds(data []byte) (map[string]uint64, error) {
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errors.New("empty")
	}
	variant, seed := slices.Index(rows[0], "variant"), slices.Index(rows[0], "seed")
	if variant < 0 || seed < 0 {
		return nil, errors.New("no columns variant and seed")
	}
	seeds := map[string]uint64{}
	for _, row := range rows[1:] {
		if _, known := seeds[row[variant]]; known {
			continue
		}
		if seeds[row[variant]], err = strconv.ParseUint(row[seed], 10, 64); err != nil {
			return nil, err
		}
	}
	return seeds, nil
}

// addSweep adds the tables of a sweep.
func addSweep(c *page.Content, files map[string][]byte) error {
	points, all, err := report.StoredSweep(files["points.csv"])
	if err != nil {
		return fmt.Errorf("points.csv: %w", err)
	}
	c.Texts = append(c.Texts, "A sweep: many values of the scenario's fields, and the means over replications. Maps are of single runs: there is none here.")
	c.Tables = append(c.Tables,
		page.Table{Title: "Points", Note: "means over replications", Head: points[0], Rows: points[1:]},
		page.Table{Title: "All metrics", Head: all[0], Rows: all[1:], Folded: true})
	return nil
}
