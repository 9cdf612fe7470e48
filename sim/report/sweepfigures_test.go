package report_test

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"dmasim/sim/experiment"
	"dmasim/sim/experiment/sweep"
	"dmasim/sim/report"
)

const sweptScenario = `
name: small
seed: 7
duration: 2s
memory: [{base: 0x0, size: 1MiB}]
heaps: [{name: main, allocator: tlsf, aware: true}]
devices: [{name: low, reach: [{lo: 0x0, size: 512KiB}]}]
workloads:
  - name: work
    heap: main
    churn:
      every: {exponential: {mean: 10ms}}
      size: {uniform: {min: 1KiB, max: 64KiB}}
      lifetime: {exponential: {mean: 300ms}}
      clients: [{name: low, devices: [low]}, {name: any}]
`

func swept(t *testing.T, parameters string) *sweep.Results {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "small.yaml"), []byte(sweptScenario), 0o666); err != nil {
		t.Fatal(err)
	}
	e, err := sweep.Parse(filepath.Join(dir, "swept.yaml"), []byte("name: swept\nscenario: small.yaml\nreplications: 2\n"+parameters))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context(), filepath.Join(dir, "cells"), sweep.Whole, sweep.Options{Options: experiment.Options{Jobs: 2}}); err != nil {
		t.Fatal(err)
	}
	r, err := e.Collect(filepath.Join(dir, "cells"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const twoListed = `
parameters:
  - {name: allocator, path: heaps.main.allocator, values: [first-fit, tlsf]}
  - {name: granule, path: heaps.main.granule, values: [16KiB, 4KiB, 64KiB]}
  - {name: window, path: devices.low.reach.0.size, values: [256KiB, 512KiB]}
`

var failedAndWaste = [2]string{"failed", "waste"}

func figureNames(figures []report.Figure) string {
	var names []string
	for _, f := range figures {
		names = append(names, f.Name)
	}
	return strings.Join(names, " ")
}

func csvOf(t *testing.T, f *report.Figure) string {
	t.Helper()
	var b bytes.Buffer
	if err := f.Data.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSweepFigures draws two parameters that list sizes, and says what is drawn.
func TestSweepFigures(t *testing.T) {
	r := swept(t, twoListed)
	figures, err := report.SweepFigures(r, report.SweepChoice{Metric: "failed", Frontier: failedAndWaste})
	if err != nil || figureNames(figures) != "heatmap frontier workloads" {
		t.Fatalf("%s, %v", figureNames(figures), err)
	}
	heatmap := csvOf(t, &figures[0])
	if lines := strings.Split(strings.TrimSpace(heatmap), "\n"); len(lines) != 1+2*3*2 || lines[0] != "panel,granule,window,mean_share" {
		t.Errorf("heatmap:\n%s", heatmap)
	}
	// The heatmap has the means of the tables, from the lowest value up.
	first := r.Summarize(2) // first-fit, 4KiB, 256KiB
	if want := "first-fit,4KiB,256KiB," + strconv.FormatFloat(first[0].Mean.Estimate, 'g', -1, 64); first[0].Metric != "failed" || !strings.Contains(heatmap, want) || strings.Index(heatmap, "4KiB,256") > strings.Index(heatmap, "64KiB,256") {
		t.Errorf("heatmap has no %s:\n%s", want, heatmap)
	}
	if parts := csvOf(t, &figures[2]); !strings.Contains(parts, `"low, window 256KiB",first-fit,4KiB,`) || !strings.Contains(parts, `"any, window 512KiB",tlsf,64KiB,`) {
		t.Errorf("workloads:\n%s", parts)
	}
	for i := range figures {
		for _, format := range report.Formats() {
			var once, twice bytes.Buffer
			if err := figures[i].Write(&once, format); err != nil {
				t.Fatal(err)
			}
			if err := figures[i].Write(&twice, format); err != nil || !bytes.Equal(once.Bytes(), twice.Bytes()) {
				t.Errorf("%s.%s: other bytes the second time, %v", figures[i].Name, format, err)
			}
			if format == report.PNG {
				if _, err := png.Decode(&once); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// TestFrontier marks exactly the points that no other of their strategy beats.
func TestFrontier(t *testing.T) {
	figures, err := report.SweepFigures(swept(t, twoListed), report.SweepChoice{Metric: "failed", Frontier: failedAndWaste})
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(csvOf(t, &figures[1])), "\n")[1:]
	type point struct {
		strategy, front string
		x, y            float64
	}
	number := func(text string) float64 {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var points []point
	for _, row := range rows {
		f := strings.Split(row, ",")
		points = append(points, point{f[1], f[7], number(f[5]), number(f[6])})
	}
	beaten := func(p point, by func(point) bool) bool {
		for _, q := range points {
			if by(q) && q.x <= p.x && q.y <= p.y && (q.x < p.x || q.y < p.y) {
				return true
			}
		}
		return false
	}
	if len(points) != 12 {
		t.Fatalf("%d points", len(points))
	}
	for _, p := range points {
		own := !beaten(p, func(q point) bool { return q.strategy == p.strategy })
		all := !beaten(p, func(point) bool { return true })
		if own != (p.front != "") || all != (p.front == "best") {
			t.Errorf("%+v: on its own front %v, on that of all %v", p, own, all)
		}
	}
}

func TestSweepFiguresOfOther(t *testing.T) {
	one := swept(t, "parameters: [{name: granule, path: heaps.main.granule, values: [4KiB, 16KiB]}]\n")
	drawn := swept(t, "parameters: [{name: granule, path: heaps.main.granule, range: {low: 4KiB, high: 64KiB, step: 4KiB}}]\nsample: {points: 3}\n")
	for _, c := range []struct {
		r      *sweep.Results
		choice report.SweepChoice
		want   string // figures, or what the error says
	}{
		{one, report.SweepChoice{Metric: "failed", Frontier: failedAndWaste}, "frontier workloads"},
		{one, report.SweepChoice{Metric: "used", Frontier: failedAndWaste}, "frontier workloads"},
		{drawn, report.SweepChoice{Metric: "failed", Frontier: failedAndWaste}, "frontier"},
		{drawn, report.SweepChoice{Metric: "failed", Frontier: failedAndWaste, Axes: []string{"granule", "x"}}, "parameter granule is drawn"},
		{one, report.SweepChoice{Metric: "failed", Frontier: failedAndWaste, Axes: []string{"granule", "granul"}}, `unknown parameter "granul" (did you mean "granule"?)`},
		{one, report.SweepChoice{Metric: "failed", Frontier: failedAndWaste, Axes: []string{"granule"}}, "a heatmap is over two parameters"},
		{one, report.SweepChoice{Metric: "failed", Frontier: [2]string{"failed", "used"}}, "used has no better direction"},
		{one, report.SweepChoice{Metric: "failed", Frontier: [2]string{"failed", "wast"}}, `did you mean "waste"`},
	} {
		figures, err := report.SweepFigures(c.r, c.choice)
		if err == nil && figureNames(figures) != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %s, %v; want %s", c.choice, figureNames(figures), err, c.want)
		}
	}
}

// TestCheckTable fits 80 columns, whatever points are called.
func TestCheckTable(t *testing.T) {
	e, err := sweep.Open("reproduce/shore-1975")
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Collect(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	checks := r.Checks()
	for i := range checks {
		checks[i].Runs, checks[i].Ours.Estimate, checks[i].Ours.Lo, checks[i].Ours.Hi, checks[i].Off = 10, -0.0123456, -0.02, 0.0012345, -123.4
	}
	checks[0].Agrees = true
	var b bytes.Buffer
	if err := report.CheckTable(&b, checks); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if utf8.RuneCountInString(strings.TrimRight(line, "\n")) > 80 {
			t.Errorf("longer than 80: %s", line)
		}
	}
	for _, want := range []string{"J. E. Shore, CACM 18(8), 1975", "used of first-fit - best-fit", "  agrees\n", "  differs\n", "normal, stay uniform ", "< 0"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	figure := report.CheckFigure(checks)
	if err := figure.Write(&b, report.SVG); err != nil || !strings.Contains(csvOf(t, &figure), ",differs\n") {
		t.Error(err)
	}
}

func TestParseFormats(t *testing.T) {
	if list, err := report.ParseFormats("pdf, png,pdf"); err != nil || len(list) != 2 || list[0] != report.PDF || list[1] != report.PNG {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := report.ParseFormats("pgn"); err == nil || !strings.Contains(err.Error(), "want some of png, svg and pdf") {
		t.Error(err)
	}
}
