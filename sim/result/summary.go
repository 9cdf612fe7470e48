package result

import (
	"encoding/json"
	"fmt"
	"io"

	"dmasim/mem"
	"dmasim/sim/metrics"
)

// summaryFile is summary.json.
type summaryFile struct {
	Variants []variantSummary `json:"variants"`
}

type variantSummary struct {
	Name    string          `json:"name"`
	Summary metrics.Summary `json:"summary"`
	Maps    []mapFrame      `json:"maps"`
}

// mapFrame is a map without its cells.
type mapFrame struct {
	Heap    string          `json:"heap"`
	Hull    addressRange    `json:"hull"`
	Arena   []addressRange  `json:"arena"`
	Reaches []reachedRanges `json:"reaches"`
	Rows    int             `json:"rows"`
}

type reachedRanges struct {
	Device string         `json:"device"`
	Ranges []addressRange `json:"ranges"`
}

type addressRange struct {
	Lo mem.Addr `json:"lo"`
	Hi mem.Addr `json:"hi"`
}

// maxRows bounds what is read of a map, so that a damaged one asks for no more
// memory than it can fill.
const maxRows = 1 << 20

func writeSummary(w io.Writer, variants []Variant) error {
	file := summaryFile{Variants: make([]variantSummary, len(variants))}
	for i, v := range variants {
		vs := variantSummary{Name: v.Name, Summary: v.Run.Summary, Maps: make([]mapFrame, len(v.Run.Maps))}
		for j, m := range v.Run.Maps {
			heap := &v.Run.Summary.Heaps[m.Heap]
			frame := mapFrame{Heap: heap.Name, Hull: addressRange{mem.Addr(m.Hull.Lo), mem.Addr(m.Hull.Hi)},
				Arena: addressRanges(m.Arena), Reaches: make([]reachedRanges, len(m.Reaches)), Rows: m.Rows}
			for k, reach := range m.Reaches {
				frame.Reaches[k] = reachedRanges{heap.Reaches[k].Device, addressRanges(reach)}
			}
			vs.Maps[j] = frame
		}
		file.Variants[i] = vs
	}
	return writeJSON(w, file)
}

// readSummary returns the variants without what is in the tables.
func readSummary(data []byte) ([]Variant, error) {
	var file summaryFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	variants := make([]Variant, len(file.Variants))
	for i, vs := range file.Variants {
		v := Variant{Name: vs.Name, Run: metrics.Run{Summary: vs.Summary}}
		heaps := make(map[string]int, len(vs.Summary.Heaps))
		for j, h := range vs.Summary.Heaps {
			heaps[h.Name] = j
		}
		for _, frame := range vs.Maps {
			heap, ok := heaps[frame.Heap]
			if !ok {
				return nil, fmt.Errorf("variant %q: map of an unknown heap %q", vs.Name, frame.Heap)
			}
			m := metrics.Map{Heap: heap, Hull: mem.Range{Lo: uint64(frame.Hull.Lo), Hi: uint64(frame.Hull.Hi)},
				Arena: rangeSet(frame.Arena), Rows: frame.Rows}
			for _, reach := range frame.Reaches {
				m.Reaches = append(m.Reaches, rangeSet(reach.Ranges))
			}
			v.Run.Maps = append(v.Run.Maps, m)
		}
		variants[i] = v
	}
	return variants, nil
}

// Check returns an error where the variants contradict each other or the parts
// of a run do: a sample of a heap that the summary does not have, a map with too
// few cells. What passes can be written and read back.
func (r *Result) Check() error {
	names := make(map[string]bool)
	for i := range r.Variants {
		v := &r.Variants[i]
		if names[v.Name] {
			return fmt.Errorf("two variants are named %q", v.Name)
		}
		names[v.Name] = true
		if err := checkRun(&v.Run); err != nil {
			return fmt.Errorf("variant %q: %w", v.Name, err)
		}
	}
	return nil
}

func checkRun(run *metrics.Run) error {
	heaps := run.Summary.Heaps
	names := make(map[string]bool)
	for _, h := range heaps {
		if names[h.Name] {
			return fmt.Errorf("two heaps are named %q", h.Name)
		}
		names[h.Name] = true
	}
	for i, s := range run.Samples {
		if s.Heap < 0 || s.Heap >= len(heaps) {
			return fmt.Errorf("sample %d: heap %d of %d", i, s.Heap, len(heaps))
		}
		if len(s.Reaches) != len(heaps[s.Heap].Reaches) {
			return fmt.Errorf("sample %d: %d devices, the summary of heap %q has %d", i, len(s.Reaches), heaps[s.Heap].Name, len(heaps[s.Heap].Reaches))
		}
	}
	named := make(map[string]bool)
	for _, s := range run.Summary.Spaces {
		if named[s.Name] {
			return fmt.Errorf("two spaces are named %q", s.Name)
		}
		named[s.Name] = true
	}
	for i, s := range run.Spaces {
		if s.Space < 0 || s.Space >= len(run.Summary.Spaces) {
			return fmt.Errorf("sample %d: space %d of %d", i, s.Space, len(run.Summary.Spaces))
		}
	}
	mapped := make(map[int]bool)
	for i, m := range run.Maps {
		switch {
		case m.Heap < 0 || m.Heap >= len(heaps):
			return fmt.Errorf("map %d: heap %d of %d", i, m.Heap, len(heaps))
		case mapped[m.Heap]:
			return fmt.Errorf("two maps of heap %q", heaps[m.Heap].Name)
		case m.Rows < 0 || m.Rows > maxRows:
			return fmt.Errorf("map of heap %q: %d rows", heaps[m.Heap].Name, m.Rows)
		case len(m.Cells) != len(m.Times)*m.Rows:
			return fmt.Errorf("map of heap %q: %d cells, want %d × %d", heaps[m.Heap].Name, len(m.Cells), len(m.Times), m.Rows)
		case len(m.Reaches) > len(heaps[m.Heap].Reaches):
			return fmt.Errorf("map of heap %q: %d devices, the summary has %d", heaps[m.Heap].Name, len(m.Reaches), len(heaps[m.Heap].Reaches))
		}
		mapped[m.Heap] = true
		for _, c := range m.Cells {
			if c != nobody && (c.Client < 0 || int(c.Client) >= len(run.Summary.Clients) || c.Tone > 1) {
				return fmt.Errorf("map of heap %q: client %d of %d, tone %d", heaps[m.Heap].Name, c.Client, len(run.Summary.Clients), c.Tone)
			}
		}
	}
	return nil
}

func addressRanges(set mem.RangeSet) []addressRange {
	ranges := make([]addressRange, len(set))
	for i, r := range set {
		ranges[i] = addressRange{mem.Addr(r.Lo), mem.Addr(r.Hi)}
	}
	return ranges
}

func rangeSet(ranges []addressRange) mem.RangeSet {
	plain := make([]mem.Range, len(ranges))
	for i, r := range ranges {
		plain[i] = mem.Range{Lo: uint64(r.Lo), Hi: uint64(r.Hi)}
	}
	return mem.NewRangeSet(plain...)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
