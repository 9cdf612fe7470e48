package lesson

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/janpfeifer/gonb/gonbui"

	"dmasim/sim"
	"dmasim/sim/experiment"
	"dmasim/sim/explain"
	"dmasim/sim/metrics"
	"dmasim/sim/report"
	"dmasim/sim/result"
	"dmasim/sim/scenario"
)

// Must returns v, or ends the cell where there is an error.
func Must[T any](v T, err error) T {
	if err != nil {
		fail(err.Error())
	}
	return v
}

// Check ends the cell if a claim of the lesson does not hold.
func Check(claim string, holds bool) {
	if !holds {
		fail("this does not hold: " + claim)
	}
	fmt.Println("holds:", claim)
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "lesson:", why)
	os.Exit(1)
}

// Set is a field of a scenario and a value for it, as in the variants of a scenario
// file: Set{"heaps.main.allocator", "best-fit"}.
type Set struct{ Path, Value string }

// Open returns a variant of an embedded scenario with some of its fields changed.
func Open(name, variant string, sets ...Set) scenario.Variant {
	v := Must(scenario.Open(name)).Variant(variant)
	if v == nil {
		fail(fmt.Sprintf("%s has no variant %q", name, variant))
	}
	changed := *v
	for _, s := range sets {
		changed = Must(changed.With(s.Path, s.Value))
	}
	return changed
}

// Vary returns variants that are v with another value of one field each, and are
// named after it.
func Vary(v scenario.Variant, path string, values ...string) []scenario.Variant {
	return Must(scenario.Vary(v.Name, v.Spec, path, values)).Variants
}

// Run runs variants, which show up beside each other in its figures.
func Run(variants ...scenario.Variant) *result.Result {
	results := Must(experiment.Variants(context.Background(), variants, experiment.Options{Jobs: runtime.GOMAXPROCS(0)}))
	return &result.Result{Variants: results}
}

// RunOne runs one variant and returns what was measured.
func RunOne(v scenario.Variant) metrics.Run {
	return Must(experiment.Simulate(context.Background(), &v, v.Spec.Seed, experiment.Options{}))
}

// WhatIf asks what would become of a request that nobody made.
func WhatIf(v scenario.Variant, q explain.Question) *explain.Explanation {
	build := func() (sim.Config, error) { return v.Build(v.Spec.Seed) }
	return Must(explain.WhatIf(context.Background(), build, q))
}

// Table prints what became of the variants, and why the first request failed.
func Table(r *result.Result) {
	if err := report.Table(os.Stdout, r); err != nil {
		fail(err.Error())
	}
	fmt.Println()
	var incidents strings.Builder
	if err := report.IncidentTable(&incidents, r); err != nil {
		fail(err.Error())
	}
	if incidents.Len() > 0 {
		fmt.Println(incidents.String())
	}
	for _, text := range []string{report.FirstFailure(r), report.MemoryStory(r), report.FirstIncident(r)} {
		if text != "" {
			fmt.Println(wrap(text, 88))
		}
	}
}

// wrap breaks text into lines of at most width bytes, where it has words.
func wrap(text string, width int) string {
	var lines strings.Builder
	length := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case length > 0 && length+1+len(word) > width:
			lines.WriteByte('\n')
			length = 0
		case length > 0:
			lines.WriteByte(' ')
			length++
		}
		lines.WriteString(word)
		length += len(word)
	}
	return lines.String()
}

// Show draws one of the figures of a result: memory-map, fragmentation, exhaustion,
// comparison, and where there are any memory and incidents.
func Show(r *result.Result, name string) {
	var names []string
	for _, f := range Must(report.Figures(r)) {
		if f.Name == name {
			ShowFigure(f)
			return
		}
		names = append(names, f.Name)
	}
	fail(fmt.Sprintf("there is no figure %q: want one of %s", name, strings.Join(names, ", ")))
}

// ShowFigure draws a figure below the cell.
func ShowFigure(f report.Figure) { show(f.WritePNG) }

func show(write func(io.Writer) error) {
	var png bytes.Buffer
	if err := write(&png); err != nil {
		fail(err.Error())
	}
	gonbui.DisplayPng(png.Bytes())
}
