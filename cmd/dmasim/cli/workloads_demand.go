package cli

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"dmasim/sim/report"
	"dmasim/sim/scenario"
	"dmasim/workloads/generator"
)

type workloadsDemand struct {
	variant  string
	duration time.Duration
	seed     uint64
	picture  picture
	asJSON   bool
}

func newWorkloadsDemandCommand() *cobra.Command {
	var o workloadsDemand
	cmd := &cobra.Command{
		Use:   "demand SCENARIO [WORKLOAD]",
		Short: "Show what a scenario's workload asks for over time",
		Long: `Show what a workload of a scenario asks for over time if every request is served,
client by client; without WORKLOAD, what the first one does. SCENARIO is a file or the
name of an embedded one. Nothing is simulated: a churn's phases, bursts and ramp can be
looked at before there is an allocator. Work that asks as memory allows, saturated or
an adversary's, has no demand of its own.

Each line of the picture in text is a client over time: the darker the character, the
nearer to the most that the client held in that time (" .:-=+*#%@"). --picture
draws it.`,
		Example: `  dmasim workloads demand size-and-lifetime --variant rise-and-fall
  dmasim workloads demand set-top-box --duration 5m --picture demand.png`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	cmd.Flags().StringVar(&o.variant, "variant", "", "`variant` of the scenario; by default its first")
	cmd.Flags().DurationVar(&o.duration, "duration", 0, "`time` to show; by default the scenario's")
	cmd.Flags().Uint64Var(&o.seed, "seed", 0, "seed of what is drawn; by default the scenario's")
	o.picture.addFlags(cmd.Flags(), "the demand")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print one object")
	return cmd
}

func (o *workloadsDemand) run(cmd *cobra.Command, args []string) error {
	if err := o.picture.check(); err != nil {
		return err
	}
	s, err := findScenario(args[0])
	if err != nil {
		return err
	}
	v := &s.Variants[0]
	if o.variant != "" {
		i, err := variantNumber(s, o.variant)
		if err != nil {
			return err
		}
		v = &s.Variants[i]
	}
	which, err := workloadNumber(v, args)
	if err != nil {
		return err
	}
	if w := &v.Spec.Workloads[which]; w.OnFailure != nil { // nobody is refused, nor asks elsewhere
		served, err := v.With("workloads."+w.Name+".on_failure", "{}")
		if err != nil {
			return err
		}
		v = &served
	}
	if !cmd.Flags().Changed("seed") {
		o.seed = v.Spec.Seed
	}
	if !cmd.Flags().Changed("duration") {
		o.duration = v.Spec.Duration
	}
	if o.duration <= 0 || o.duration > 366*24*time.Hour {
		return errors.New("--duration: want a time from 1ns to 366 days, such as 10m")
	}
	config, err := v.Build(o.seed)
	if err != nil {
		return err
	}
	var pools []generator.Pool
	for _, client := range config.Inputs[which].Clients {
		pools = append(pools, generator.Pool{Name: config.Clients[client].Name})
	}
	source := config.Inputs[which].Source
	d := generator.Measure(source, pools, o.duration, pictureSlices)
	if err := source.Err(); err != nil {
		return failedRun{err}
	}
	if o.picture.wanted() {
		figure := report.Demand(v.Spec.Workloads[which].Name, d)
		if err := o.picture.write(&figure); err != nil {
			return err
		}
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), newDemandRow(d, o.seed))
	}
	printDemand(cmd.OutOrStdout(), d)
	return nil
}

// workloadNumber finds the workload that is named behind the scenario, or the first.
func workloadNumber(v *scenario.Variant, args []string) (int, error) {
	var names []string
	for _, w := range v.Spec.Workloads {
		names = append(names, w.Name)
	}
	which := 0
	switch {
	case len(names) == 0:
		return 0, fmt.Errorf("%s has no workloads", args[0])
	case len(args) > 1:
		if which = slices.Index(names, args[1]); which < 0 {
			return 0, fmt.Errorf("unknown workload %q%s", args[1], didYouMean(args[1], names))
		}
	}
	if w := &v.Spec.Workloads[which]; w.Adversary != nil || w.Churn != nil && w.Churn.Saturated {
		return 0, fmt.Errorf("workload %s asks as memory allows, so it has no demand of its own", w.Name)
	}
	return which, nil
}
