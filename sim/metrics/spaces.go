package metrics

import (
	"cmp"
	"slices"
	"time"

	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/dmamap"
)

// SpaceSample is the state of a pool of bounce buffers or of the address space of an
// IOMMU group at one instant, in bytes.
type SpaceSample struct {
	At    time.Duration
	Space int    // by its place in Summary.Spaces
	Peak  uint64 // the most that was used since the previous sample
	dmamap.Usage
}

// SpaceTotals is such a space over the whole run.
type SpaceTotals struct {
	Name        string        `json:"name"`
	Kind        sim.SpaceKind `json:"kind"` // swiotlb, restricted-pool or iova
	Capacity    mem.Size      `json:"capacity_bytes"`
	PeakUsed    mem.Size      `json:"peak_used_bytes"`
	PeakWaiting mem.Size      `json:"peak_waiting_bytes"` // for a flush of the IOTLB
	PeakBusy    mem.Size      `json:"peak_busy_bytes"`    // used and waiting together
}

// spaceMeters measure all spaces of a run.
type spaceMeters struct {
	spaces  []sim.Space
	totals  []SpaceTotals
	peaks   []uint64 // of used, since the last sample
	samples [][]SpaceSample
}

// newSpaceMeters returns nil where devices address memory as it lies.
func newSpaceMeters(s *sim.Simulation) *spaceMeters {
	spaces := s.Spaces()
	if len(spaces) == 0 {
		return nil
	}
	m := &spaceMeters{spaces: spaces, peaks: make([]uint64, len(spaces)), samples: make([][]SpaceSample, len(spaces))}
	for i := range spaces {
		m.totals = append(m.totals, SpaceTotals{Name: spaces[i].Name, Kind: spaces[i].Kind, Capacity: mem.Size(spaces[i].Usage().Capacity)})
	}
	return m
}

// note keeps the extremes, after a map or an unmap.
func (m *spaceMeters) note() {
	for i := range m.spaces {
		used, waiting := m.spaces[i].Busy()
		m.peaks[i] = max(m.peaks[i], used)
		t := &m.totals[i]
		t.PeakUsed, t.PeakWaiting = max(t.PeakUsed, mem.Size(used)), max(t.PeakWaiting, mem.Size(waiting))
		t.PeakBusy = max(t.PeakBusy, mem.Size(used+waiting))
	}
}

func (m *spaceMeters) sample(at time.Duration) {
	for i := range m.spaces {
		s := SpaceSample{At: at, Space: i, Usage: m.spaces[i].Usage()}
		s.Peak = max(m.peaks[i], s.Used)
		m.peaks[i] = s.Used
		m.samples[i] = append(m.samples[i], s)
	}
}

// dropLast forgets the last samples, but for their peaks.
func (m *spaceMeters) dropLast() {
	for i, series := range m.samples {
		last := len(series) - 1
		m.peaks[i] = max(m.peaks[i], series[last].Peak)
		m.samples[i] = series[:last]
	}
}

// thin drops every second sample.
func (m *spaceMeters) thin() {
	for i, series := range m.samples {
		keep := (len(series) + 1) / 2
		for j := range keep {
			kept := series[2*j]
			if j > 0 {
				kept.Peak = max(kept.Peak, series[2*j-1].Peak)
			}
			series[j] = kept
		}
		m.samples[i] = series[:keep]
	}
}

// run returns the totals, and the samples by time, then space.
func (m *spaceMeters) run() ([]SpaceTotals, []SpaceSample) {
	if m == nil {
		return nil, nil
	}
	all := slices.Concat(m.samples...)
	slices.SortStableFunc(all, func(a, b SpaceSample) int { return cmp.Compare(a.At, b.At) })
	return m.totals, all
}
