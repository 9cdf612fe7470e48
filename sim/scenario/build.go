package scenario

import (
	"fmt"
	"path/filepath"
	"slices"

	"dmasim/devices/machine"
	"dmasim/sim"
	"dmasim/workloads"
)

// Build returns the simulation's configuration with fresh sources, which serve
// one run. The seed is Spec.Seed, or another one for a replication. The error
// is about what lies outside the scenario: a trace that cannot be read. All but
// static problems are read while the simulation runs, which closes their files at
// the end.
func (v *Variant) Build(seed uint64) (sim.Config, error) {
	cfg := v.config
	cfg.Inputs = slices.Clone(cfg.Inputs)
	if cfg.Machine != nil {
		machine := *cfg.Machine
		machine.Seed = seed
		cfg.Machine = &machine
	}
	for i := range v.Spec.Workloads {
		w := &v.Spec.Workloads[i]
		source, err := v.source(i, seed)
		if err == nil && w.OnFailure != nil {
			source, err = w.retrying(source, seed, v.others[i])
		}
		if err != nil {
			return sim.Config{}, fmt.Errorf("workload %s: %w", w.Name, err)
		}
		cfg.Inputs[i].Source = source
	}
	return cfg, nil
}

// Clients is the number of the configuration's clients.
func (v *Variant) Clients() int { return len(v.config.Clients) }

// Random reports whether a run depends on its seed: on arrivals or a back-off that is
// drawn, or on a state of memory that is.
func (v *Variant) Random() bool {
	m := v.Spec.Machine
	return m != nil && (m.Aged != nil || m.Proc != "") ||
		slices.ContainsFunc(v.Spec.Workloads, func(w Workload) bool {
			return w.Churn != nil || w.Generate != nil || w.OnFailure != nil && w.OnFailure.Backoff != nil && w.OnFailure.Backoff.Jitter > 0
		})
}

// Persists reports whether a workload does something about refusals, so that of the
// buffers that are wanted some may be dropped.
func (v *Variant) Persists() bool {
	return slices.ContainsFunc(v.Spec.Workloads, func(w Workload) bool { return w.OnFailure != nil })
}

func (v *Variant) source(workload int, seed uint64) (workloads.Source, error) {
	w := &v.Spec.Workloads[workload]
	if w.Trace != nil && v.traces[workload] != nil {
		return v.traces[workload].Replay(w.Trace.options())
	}
	if w.Trace != nil {
		return w.Trace.source()
	}
	if w.Adversary != nil {
		client := &v.config.Clients[v.config.Inputs[workload].Clients[0]]
		return workloads.NewAdversary(w.Adversary.config(&v.config.Heaps[client.Heap]))
	}
	if w.Generate != nil {
		return w.Generate.Source(seed, w.Name), nil
	}
	return w.churnSource(seed, workload, v.sizes)
}

func (w *Workload) churnSource(seed uint64, workload int, sizes map[pictured]uint64) (workloads.Source, error) {
	if w.Churn.Saturated {
		return workloads.NewSaturated(w.churnConfig(seed, workload, sizes))
	}
	return workloads.NewChurn(w.churnConfig(seed, workload, sizes))
}

func (w *Workload) churnConfig(seed uint64, workload int, sizes map[pictured]uint64) workloads.ChurnConfig {
	config := workloads.ChurnConfig{
		Name: w.Name, Seed: seed, Count: w.Churn.Count,
	}
	if w.Churn.Every != nil {
		config.Interarrival = workloads.Distribution(*w.Churn.Every)
	}
	w.Churn.paced(&config)
	for j, c := range w.Churn.Clients {
		size := (*workloads.Distribution)(c.Size)
		if bytes, is := sizes[pictured{workload, j}]; is {
			size = &workloads.Distribution{Kind: "fixed", Parameters: map[string]float64{"value": float64(bytes)}}
		}
		config.Clients = append(config.Clients, workloads.ChurnClient{
			Weight: c.Weight, Size: size, Lifetime: (*workloads.Distribution)(c.Lifetime),
		})
	}
	return config
}

// Files are the files that the variant's runs depend on beside the scenario's own:
// traces, histograms, and what is known of a machine.
func (v *Variant) Files() []string {
	var files []string
	for i := range v.Spec.Workloads {
		if t := v.Spec.Workloads[i].Trace; t != nil {
			files = append(files, t.File)
		}
	}
	files = append(files, histogramFiles(v.root, filepath.Dir(v.file))...)
	if m := v.Spec.Machine; m != nil && m.Proc != "" {
		for _, name := range machine.Files {
			files = append(files, filepath.Join(m.Proc, name))
		}
	}
	return files
}
