package metrics

import (
	"dmasim/mem"
	"dmasim/workloads"
)

// adversaries returns what those among the sources have reached.
func (c *Collector) adversaries() []AdversaryTotals {
	var list []AdversaryTotals
	for _, in := range c.cfg.Inputs {
		a, ok := in.Source.(*workloads.Adversary)
		if !ok {
			continue
		}
		client := in.Clients[0]
		list = append(list, AdversaryTotals{
			Workload: in.Name, Kind: string(a.Kind()), Heap: c.cfg.Heaps[c.cfg.Clients[client].Heap].Name,
			Bound: mem.Size(a.Bound()), Reached: mem.Size(a.Reached()), Ratio: float64(a.Reached()) / float64(a.Bound()),
			Failed: c.clients[client].Failures > 0,
		})
	}
	return list
}
