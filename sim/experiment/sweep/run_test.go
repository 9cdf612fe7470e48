package sweep_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dmasim/sim/experiment"
	"dmasim/sim/experiment/sweep"
)

func options(jobs int) sweep.Options {
	return sweep.Options{Options: experiment.Options{Jobs: jobs}}
}

func run(t *testing.T, e *sweep.Experiment, dir string, s sweep.Shard, jobs int) {
	t.Helper()
	if err := e.Run(t.Context(), dir, s, options(jobs)); err != nil {
		t.Fatal(err)
	}
}

func collect(t *testing.T, e *sweep.Experiment, dir string) *sweep.Results {
	t.Helper()
	r, err := e.Collect(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// whole is what an undisturbed run of an experiment gives.
func whole(t *testing.T, e *sweep.Experiment) *sweep.Results {
	t.Helper()
	dir := t.TempDir()
	run(t, e, dir, sweep.Whole, 1)
	return collect(t, e, dir)
}

func TestSameForAnyJobsAndShards(t *testing.T) {
	e := load(t)
	want := whole(t, e)
	if want.Missing() != 0 || want.Failed() == 0 || want.Failed() == e.Cells() {
		t.Fatalf("%d missing, %d failed", want.Missing(), want.Failed())
	}
	dir := t.TempDir()
	run(t, e, dir, sweep.Whole, 4)
	if !reflect.DeepEqual(collect(t, e, dir).Outcomes, want.Outcomes) {
		t.Error("four jobs give other results")
	}
	// Shards in any order, one twice, by other loads of the file.
	dir = t.TempDir()
	for _, k := range []int{2, 0, 2} {
		run(t, load(t), dir, sweep.Shard{Index: k, Of: 3}, 2)
	}
	if missing := collect(t, e, dir).MissingShards(3); !slices.Equal(missing, []int{1}) {
		t.Errorf("missing shards %v, want 1", missing)
	}
	run(t, e, dir, sweep.Shard{Index: 1, Of: 3}, 2)
	if !reflect.DeepEqual(collect(t, e, dir).Outcomes, want.Outcomes) {
		t.Error("shards give other results")
	}
}

func TestFailedCells(t *testing.T) {
	e := load(t)
	r := whole(t, e)
	for i, o := range r.Outcomes {
		c := e.Cell(i)
		impossible := c.Values[1] == "8KiB" && c.Values[2] == "16KiB"
		if (o.Error != "") != impossible || impossible && !strings.Contains(o.Error, "small.yaml:") {
			t.Errorf("cell %+v: %q", c, o.Error)
		}
		if (len(r.Summarize(c.Point)) == 0) != impossible {
			t.Errorf("point %d has a summary, or none", c.Point)
		}
	}
	// Retrying what fails for good changes nothing.
	dir := t.TempDir()
	run(t, e, dir, sweep.Whole, 2)
	ran := 0
	again := options(1)
	again.Retry = true
	again.Start = func(n int) { ran = n }
	if err := e.Run(t.Context(), dir, sweep.Whole, again); err != nil || ran != r.Failed() {
		t.Errorf("%v: %d cells again, want %d", err, ran, r.Failed())
	}
	if !reflect.DeepEqual(collect(t, e, dir).Outcomes, r.Outcomes) {
		t.Error("other results")
	}
}

const childDirectory = "SWEEP_TEST_DIRECTORY"

// longExperiment has more cells than are run while a process is being killed.
const longExperiment = `
name: long
scenario: small.yaml
variants: [random]
replications: 60
parameters: [{name: duration, path: duration, values: [60s]}]
`

func loadLong(t *testing.T) *sweep.Experiment {
	t.Helper()
	e, err := sweep.Parse("testdata/long.yaml", []byte(longExperiment))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestKilled kills a process with SIGKILL amid its cells, twice, and goes on.
func TestKilled(t *testing.T) {
	e := loadLong(t)
	if dir := os.Getenv(childDirectory); dir != "" {
		run(t, e, dir, sweep.Whole, 2)
		return
	}
	want := whole(t, e)
	dir := t.TempDir()
	for round := 1; round <= 2; round++ {
		child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		child.Env = append(os.Environ(), childDirectory+"="+dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); e.Cells()-collect(t, e, dir).Missing() < 4*round; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Error("no cells")
				break
			}
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := child.Wait(); err == nil {
			t.Error("the process ended before it was killed")
		}
	}
	if collect(t, e, dir).Missing() == 0 {
		t.Error("nothing was left to do")
	}
	run(t, e, dir, sweep.Whole, 2)
	if !reflect.DeepEqual(collect(t, e, dir).Outcomes, want.Outcomes) {
		t.Error("other results than without")
	}
}

func TestInterrupted(t *testing.T) {
	e := loadLong(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	o := options(2)
	o.Done = cancel
	if err := e.Run(ctx, dir, sweep.Whole, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r := collect(t, e, dir)
	if done := e.Cells() - r.Missing(); done < 1 || done == e.Cells() || r.Failed() > 0 {
		t.Errorf("%d cells, %d failed", done, r.Failed())
	}
}

// only returns the one file in dir with its text.
func only(t *testing.T, dir string) (path, text string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	data, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	return paths[0], string(data)
}

func TestFiles(t *testing.T) {
	e := load(t)
	dir := t.TempDir()
	run(t, e, dir, sweep.Whole, 1)
	path, text := only(t, dir)
	lines := strings.SplitAfter(text, "\n")
	for _, c := range []struct {
		name, text string
		want       string // of the error
		missing    int
	}{
		{"whole", text, "", 0},
		{"empty", "", "", e.Cells()},
		{"head torn", text[:10], "", e.Cells()},
		{"last line torn", text[:len(text)-3], "", 1},
		{"twice", text + lines[1], "", 0},
		{"line damaged", strings.Replace(text, `{"cell":1,`, `{"cell":1`, 1), "line 3: damaged", 0},
		{"no such cell", text + `{"cell":64,"error":"x"}` + "\n", "damaged: not a cell", 0},
		{"nothing of a cell", text + `{"cell":4}` + "\n", "damaged: not a cell", 0},
		{"other figures", text + `{"cell":63,"figures":[{"metric":"failed","unit":"share","value":2}]}` + "\n", "cell 63 was run twice, with different figures", 0},
		{"other experiment", strings.Replace(text, `"experiment":"load"`, `"experiment":"lead"`, 1), "of the experiment lead, this is load", 0},
		{"other cells", strings.Replace(text, `"cells_sha256":"`, `"cells_sha256":"0`, 1), "was changed since", 0},
		{"other program", strings.Replace(text, `"program":"`, `"program":"0`, 1), "another build of dmasim", 0},
		{"other format", strings.Replace(text, `"dmasim_sweep":1`, `"dmasim_sweep":2`, 1), "in format 2", 0},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		r, err := e.Collect(dir)
		if c.want == "" {
			if err != nil || r.Missing() != c.missing {
				t.Errorf("%s: %v, %d missing, want %d", c.name, err, r.Missing(), c.missing)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.HasPrefix(c.name, "other ") && c.name != "other figures" && !errors.Is(err, sweep.ErrOther) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if err := e.Run(t.Context(), dir, sweep.Whole, options(1)); err == nil {
			t.Errorf("%s: more was run", c.name)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "letter.txt"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Collect(dir); err == nil || !strings.Contains(err.Error(), "letter.txt is no file of a sweep") {
		t.Errorf("a folder of something else: %v", err)
	}
}

func TestParseShard(t *testing.T) {
	if s, err := sweep.ParseShard("3/16"); err != nil || s != (sweep.Shard{Index: 3, Of: 16}) {
		t.Error(s, err)
	}
	for _, text := range []string{"", "3", "16/16", "-1/4", "0/0", "a/4", "1/b", "1/2/3"} {
		if _, err := sweep.ParseShard(text); err == nil {
			t.Errorf("%q is a shard", text)
		}
	}
}
