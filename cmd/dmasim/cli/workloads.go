package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmasim/mem"
	"dmasim/sim/report"
	"dmasim/workloads/generator"
)

func newWorkloadsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "workloads",
		Short: "Look up the generators of work: cameras, decoders, GPUs and others",
		Long: `Look up the generators of work. A workload of a scenario names one with "generate", as in
generate: {camera: {mode: video}}, and says which heap and devices each of its pools
is for. Whole products made of them are among the embedded scenarios: see dmasim
scenario list.`,
		Args: wantCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newWorkloadsListCommand(), newWorkloadsShowCommand(), newWorkloadsDemandCommand())
	return cmd
}

func newWorkloadsListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the generators and their parameters",
		Example: "  dmasim workloads list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			kinds := generator.Kinds()
			if asJSON {
				rows := []generatorRow{}
				for _, k := range kinds {
					rows = append(rows, newGeneratorRow(k.Name, k.Summary, k.Parameters, k.Pools))
				}
				return printJSON(cmd.OutOrStdout(), rows)
			}
			for _, k := range kinds {
				printColumn(cmd.OutOrStdout(), k.Name, 9, k.Summary)
				var names []string
				for _, p := range k.Parameters {
					names = append(names, p.Name)
				}
				printColumn(cmd.OutOrStdout(), "", 9, "parameters: "+strings.Join(names, ", "))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an array of objects")
	return cmd
}

// generatorRow is a generator as programs read it.
type generatorRow struct {
	Name       string          `json:"name"`
	Summary    string          `json:"summary"`
	Parameters []parameterRow  `json:"parameters"`
	Pools      []generatorPool `json:"pools"`
	Demand     *demandRow      `json:"demand,omitempty"`
}

type parameterRow struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Unit    string   `json:"unit,omitempty"`
	Default string   `json:"default"`
	Value   string   `json:"value,omitempty"`
	Min     string   `json:"min,omitempty"`
	Max     string   `json:"max,omitempty"`
	Options []string `json:"options,omitempty"`
	Meaning string   `json:"meaning"`
	Source  string   `json:"source,omitempty"`
}

type generatorPool struct {
	Name    string `json:"name"`
	Meaning string `json:"meaning"`
}

// demandRow is what a generator asked for in a time.
type demandRow struct {
	Seconds float64         `json:"seconds"`
	Seed    uint64          `json:"seed"`
	Most    uint64          `json:"most_bytes,omitempty"`
	Peak    uint64          `json:"peak_bytes"`
	Pools   []poolDemandRow `json:"pools"`
}

type poolDemandRow struct {
	Name        string `json:"name"`
	Most        uint64 `json:"most_bytes"`
	Peak        uint64 `json:"peak_bytes"`
	Buffers     uint64 `json:"peak_buffers"`
	Allocations uint64 `json:"allocations"`
	Smallest    uint64 `json:"smallest_buffer_bytes"`
	Largest     uint64 `json:"largest_buffer_bytes"`
}

func newGeneratorRow(name, summary string, parameters []generator.Parameter, pools []generator.Pool) generatorRow {
	row := generatorRow{Name: name, Summary: summary}
	for _, p := range parameters {
		row.Parameters = append(row.Parameters, parameterRow{
			Name: p.Name, Type: string(p.Type), Unit: p.Unit, Default: p.Default, Min: p.Min, Max: p.Max,
			Options: p.Options, Meaning: p.Meaning, Source: p.Source,
		})
	}
	for _, p := range pools {
		row.Pools = append(row.Pools, generatorPool{p.Name, p.Meaning})
	}
	return row
}

type workloadsShow struct {
	duration time.Duration
	seed     uint64
	picture  picture
	asJSON   bool
}

// pictureSlices are how many parts of the time a picture tells apart, and textSlices
// how many a line of text does.
const (
	pictureSlices = 600
	textSlices    = 60
)

func newWorkloadsShowCommand() *cobra.Command {
	var o workloadsShow
	cmd := &cobra.Command{
		Use:   "show NAME[:KEY=VALUE,...]",
		Short: "Show a generator's parameters with their sources, and what it asks for",
		Long: `Show a generator's parameters with their units, ranges, defaults and sources, its pools,
and what it asks for over time if every request is served. Each line of the picture
in text is a pool over time: the darker the character, the nearer to the most
that the pool held in that time (" .:-=+*#%@"). --picture draws it.`,
		Example: `  dmasim workloads show camera
  dmasim workloads show decode:codec=hevc,level=5.1,ladder=3840x2160
  dmasim workloads show npu:network=u-net --duration 500ms --picture npu.png`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return generator.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	cmd.Flags().DurationVar(&o.duration, "duration", 10*time.Minute, "`time` to show")
	cmd.Flags().Uint64Var(&o.seed, "seed", 1, "seed of what is drawn")
	o.picture.addFlags(cmd.Flags(), "the demand")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print one object")
	return cmd
}

func (o *workloadsShow) run(cmd *cobra.Command, text string) error {
	g, err := generator.Parse(text)
	if err != nil {
		return err
	}
	if err := o.picture.check(); err != nil {
		return err
	}
	if o.duration <= 0 || o.duration > 366*24*time.Hour {
		return errors.New("--duration: want a time from 1ns to 366 days, such as 10m")
	}
	d := g.Measure(o.seed, g.Name(), o.duration, pictureSlices)
	if o.picture.wanted() {
		figure := report.Demand(text, d)
		if err := o.picture.write(&figure); err != nil {
			return err
		}
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), o.row(g, d))
	}
	printGenerator(cmd.OutOrStdout(), g)
	fmt.Fprintln(cmd.OutOrStdout())
	printDemand(cmd.OutOrStdout(), d)
	return nil
}

func (o *workloadsShow) row(g *generator.Generator, d *generator.Demand) generatorRow {
	row := newGeneratorRow(g.Name(), g.Summary(), g.Parameters(), g.AllPools())
	for i := range row.Parameters {
		row.Parameters[i].Value = g.Value(row.Parameters[i].Name)
	}
	row.Demand = newDemandRow(d, o.seed)
	row.Demand.Most = g.Most()
	return row
}

func newDemandRow(d *generator.Demand, seed uint64) *demandRow {
	row := &demandRow{Seconds: d.Duration.Seconds(), Seed: seed, Peak: d.Peak, Pools: []poolDemandRow{}}
	for _, p := range d.Pools {
		row.Pools = append(row.Pools, poolDemandRow{
			Name: p.Name, Most: p.Most, Peak: p.Peak, Buffers: p.Buffers, Allocations: p.Allocations,
			Smallest: p.Smallest, Largest: p.Largest,
		})
	}
	return row
}

func printGenerator(w io.Writer, g *generator.Generator) {
	fmt.Fprintf(w, "%s: %s\n\nParameters\n", g.Name(), g.Summary())
	var sources []string
	for _, p := range g.Parameters() {
		head := p.Name + " = " + g.Value(p.Name)
		if p.Unit != "" {
			head += " " + p.Unit
		}
		head += " (" + parameterLimits(&p) + ")"
		if p.Source != "" {
			at := slices.Index(sources, p.Source)
			if at < 0 {
				at = len(sources)
				sources = append(sources, p.Source)
			}
			head += fmt.Sprintf(" [%d]", at+1)
		}
		indent := "  "
		for _, text := range []string{head, p.Meaning} {
			for _, line := range wrap(text, lineWidth-6) {
				fmt.Fprintf(w, "%s%s\n", indent, line)
				indent = "      "
			}
		}
	}
	fmt.Fprint(w, "\nPools\n")
	for _, p := range g.AllPools() {
		printColumn(w, "  "+p.Name, 16, p.Meaning)
	}
	fmt.Fprint(w, "\nSources\n")
	for i, source := range sources {
		printColumn(w, fmt.Sprintf("  [%d]", i+1), 6, source)
	}
}

// parameterLimits says what a parameter may be, and what it is by default.
func parameterLimits(p *generator.Parameter) string {
	var parts []string
	if p.Min != "" {
		parts = append(parts, p.Min+" to "+p.Max)
	}
	if len(p.Options) > 0 {
		parts = append(parts, strings.Join(p.Options, ", "))
	}
	return strings.Join(append(parts, "default "+p.Default), "; ")
}

// shades are by how much a pool holds: nothing, to the most that it held.
const shades = " .:-=+*#%@"

func printDemand(w io.Writer, d *generator.Demand) {
	fmt.Fprintf(w, "Demand in %s, if all is served: %s at most at one time\n", d.Duration, mem.Size(d.Peak).Short())
	fmt.Fprintf(w, "  %-14s %10s %10s %8s %9s %12s\n", "pool", "can hold", "held", "buffers", "largest", "allocations")
	for _, p := range d.Pools {
		most := "-" // there is no bound
		if p.Most > 0 {
			most = mem.Size(p.Most).Short()
		}
		fmt.Fprintf(w, "  %-14s %10s %10s %8d %9s %12d\n", head(p.Name, 14), most, mem.Size(p.Peak).Short(), p.Buffers, mem.Size(p.Largest).Short(), p.Allocations)
	}
	fmt.Fprintln(w)
	each := len(d.Slices) / textSlices
	for i, p := range d.Pools {
		line := make([]byte, textSlices)
		for at := range line {
			var most uint64
			for _, s := range d.Slices[at*each : (at+1)*each] {
				most = max(most, s.Bytes[i])
			}
			shade := uint64(0)
			if most > 0 {
				shade = 1 + most*uint64(len(shades)-2)/p.Peak
			}
			line[at] = shades[shade]
		}
		fmt.Fprintf(w, "  %-14s|%s|\n", head(p.Name, 14), line)
	}
	fmt.Fprintf(w, "  %-14s 0%*s\n", "", textSlices-1, d.Duration)
}

// printColumn writes text in a column behind a name.
func printColumn(w io.Writer, name string, column int, text string) {
	for i, line := range wrap(text, lineWidth-column-2) {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(w, "%-*s  %s\n", column, name, line)
	}
}
