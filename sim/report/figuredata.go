package report

import (
	"math"

	"dmasim/allocator"
	"dmasim/devices/machine"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/experiment"
	"dmasim/sim/explain"
	"dmasim/sim/metrics"
	"dmasim/sim/result"
)

// The tables that lie beside figures. Their columns name their units as those of
// results do; a share is of one. What is not known is empty.

func textColumn(name string) result.Column   { return result.Column{Name: name, Zero: ""} }
func countColumn(name string) result.Column  { return result.Column{Name: name, Zero: uint64(0)} }
func numberColumn(name string) result.Column { return result.Column{Name: name, Zero: float64(0)} }
func optionalColumn(name string) result.Column {
	return result.Column{Name: name, Zero: (*float64)(nil)}
}

// indexOfFree is the largest-free index, which of nothing is not defined.
func indexOfFree(free uint64, index float64) *float64 {
	if free == 0 {
		return nil
	}
	return &index
}

// fragmentationData has a row for each sample of the heap, and of each device that
// reaches a part of it.
func fragmentationData(views []view, names []string) result.Table {
	return result.Table{
		Columns: []result.Column{textColumn("variant"), numberColumn("time_s"), textColumn("device"), countColumn("free_bytes"), optionalColumn("index_share")},
		Rows: func(yield func([]any) bool) {
			for _, v := range views {
				for _, s := range v.samples {
					index := s.Unusable
					if !inBlocks(v.heap) {
						index = metrics.LargestFreeIndex(s.Free, s.Largest)
					}
					at := s.At.Seconds()
					if !yield([]any{v.name, at, "", s.Free, indexOfFree(s.Free, index)}) {
						return
					}
					for _, name := range names {
						place := v.reach(name)
						if place < 0 || place >= len(s.Reaches) {
							continue
						}
						r := s.Reaches[place]
						if !yield([]any{v.name, at, name, r.Free, indexOfFree(r.Free, metrics.LargestFreeIndex(r.Free, r.Largest))}) {
							return
						}
					}
				}
			}
		},
	}
}

// exhaustionData has a row for each sample, with the failures so far by cause.
func exhaustionData(views []view, causes []allocator.Cause) result.Table {
	columns := []result.Column{textColumn("variant"), numberColumn("time_s"), countColumn("reserved_bytes"), countColumn("peak_bytes"), countColumn("capacity_bytes")}
	for _, c := range causes {
		columns = append(columns, countColumn("failed_"+c.String()))
	}
	return result.Table{Columns: columns, Rows: func(yield func([]any) bool) {
		for _, v := range views {
			for _, s := range v.samples {
				row := []any{v.name, s.At.Seconds(), s.Reserved, s.Peak, uint64(v.heap.Capacity)}
				for _, c := range causes {
					row = append(row, s.Failures[c])
				}
				if !yield(row) {
					return
				}
			}
		}
	}}
}

// memoryMapData has a row for each piece of memory that one client holds most of,
// at each instant of the map: what is missing is free.
func memoryMapData(views []view) result.Table {
	return result.Table{
		Columns: []result.Column{textColumn("variant"), numberColumn("time_s"), textColumn("low"), textColumn("high"), textColumn("client"), numberColumn("used_share")},
		Rows: func(yield func([]any) bool) {
			for _, v := range views {
				m := v.memory
				at := func(row int) string {
					return mem.Addr(m.Hull.Lo + uint64(float64(row)/float64(m.Rows)*float64(m.Hull.Size()))).String()
				}
				for i, instant := range m.Times {
					cells := m.Cells[i*m.Rows : (i+1)*m.Rows]
					for from := 0; from < len(cells); {
						to, fill := from, 0.0
						for ; to < len(cells) && cells[to].Client == cells[from].Client; to++ {
							fill += float64(cells[to].Fill) / 255
						}
						client := int(cells[from].Client)
						if client >= 0 && client < len(v.clients) &&
							!yield([]any{v.name, instant.Seconds(), at(from), at(to), v.clients[client].Name, math.Round(1000*fill/float64(to-from)) / 1000}) {
							return
						}
						from = to
					}
				}
			}
		},
	}
}

// data has a row for each bar and mark of the comparison.
func (b *blocks) data() result.Table {
	return result.Table{
		Columns: []result.Column{textColumn("variant"), textColumn("metric"), textColumn("of"), textColumn("unit"), numberColumn("value")},
		Rows: func(yield func([]any) bool) {
			for _, v := range b.views {
				rows := [][]any{}
				add := func(metric, of, unit string, value float64) {
					rows = append(rows, []any{v.name, metric, of, unit, value})
				}
				for _, c := range v.clients {
					if c.Heap != v.heap.Name || c.Failures == 0 {
						continue
					}
					for _, cause := range b.causes {
						if n := c.Causes[cause.String()]; n > 0 {
							add("failed:"+cause.String(), c.Name, "share", float64(n)/float64(max(c.Requests, 1)))
						}
					}
				}
				mean, worst := indexOf(v.heap)
				add("mean-index", "", "share", mean)
				add("worst-index", "", "share", worst)
				for _, name := range b.devices {
					if at := v.reach(name); at >= 0 {
						add("mean-index", name, "share", v.heap.Reaches[at].MeanLargestFreeIndex)
						add("worst-index", name, "share", v.heap.Reaches[at].WorstLargestFreeIndex)
					}
				}
				add("mean-reserved", "", "bytes", v.heap.MeanReserved)
				add("peak-reserved", "", "bytes", float64(v.heap.PeakReserved))
				add("high-water", "", "bytes", float64(v.heap.HighWater))
				add("capacity", "", "bytes", float64(v.heap.Capacity))
				for _, o := range wasteOrigins {
					add("waste", o.name, "share", ratio(o.of(v.heap.Internal), v.heap.MeanReserved))
				}
				for _, row := range rows {
					if !yield(row) {
						return
					}
				}
			}
		},
	}
}

// memoryData has a row for each sample of what RAM holds.
func memoryData(list []ram) result.Table {
	return result.Table{
		Columns: []result.Column{textColumn("variant"), numberColumn("time_s"), countColumn("kernel_bytes"), countColumn("dma_buf_bytes"), countColumn("programs_bytes"),
			countColumn("page_cache_bytes"), countColumn("cached_bytes"), countColumn("free_bytes"), countColumn("swapped_bytes"), countColumn("killed")},
		Rows: func(yield func([]any) bool) {
			for _, r := range list {
				for i := range r.samples {
					s := &r.samples[i]
					killed := uint64(0)
					for _, k := range r.totals.Killed {
						if k.At <= s.At {
							killed++
						}
					}
					if !yield([]any{r.name, s.At.Seconds(), s.Kernel, s.DMABuf, s.Anonymous, s.PageCache, s.Cached, s.Free, s.Swapped, killed}) {
						return
					}
				}
			}
		},
	}
}

// spacesData has a row for each sample of a space, with the failed maps so far.
func spacesData(list []space) result.Table {
	return result.Table{
		Columns: []result.Column{textColumn("variant"), numberColumn("time_s"), countColumn("used_bytes"), countColumn("peak_bytes"), countColumn("waiting_bytes"), countColumn("capacity_bytes"), countColumn("failed")},
		Rows: func(yield func([]any) bool) {
			for _, s := range list {
				failed := 0
				for i := range s.samples {
					for failed < len(s.failures) && s.failures[failed] <= s.samples[i].At {
						failed++
					}
					if !yield([]any{s.variant, s.samples[i].At.Seconds(), s.samples[i].Used, s.samples[i].Peak, s.samples[i].Waiting,
						uint64(s.totals.Capacity), uint64(failed)}) {
						return
					}
				}
			}
		},
	}
}

func incidentData(r *result.Result, kinds []sim.IncidentKind) result.Table {
	return result.Table{
		Columns: []result.Column{textColumn("incident"), textColumn("variant"), countColumn("number")},
		Rows: func(yield func([]any) bool) {
			for _, kind := range kinds {
				for _, v := range r.Variants {
					if !yield([]any{kind.String(), v.Name, v.Run.Summary.Incidents[kind.String()]}) {
						return
					}
				}
			}
		},
	}
}

func onFailureData(r *result.Result) result.Table {
	return result.Table{
		Columns: []result.Column{textColumn("variant"), textColumn("client"), textColumn("fate"), countColumn("buffers")},
		Rows: func(yield func([]any) bool) {
			for _, v := range r.Variants {
				for _, t := range v.Run.Summary.OnFailure {
					for _, f := range fates {
						if !yield([]any{v.Name, t.Client, f.name, f.of(&t)}) {
							return
						}
					}
				}
			}
		},
	}
}

func meansData(c *experiment.Comparison) result.Table {
	return result.Table{
		Columns: []result.Column{textColumn("variant"), textColumn("metric"), textColumn("unit"), numberColumn("mean"), optionalColumn("low"), optionalColumn("high")},
		Rows: func(yield func([]any) bool) {
			for v, cells := range c.Cells {
				for m, cell := range cells {
					if !yield([]any{c.Variants[v], c.Metrics[m].Name, c.Metrics[m].Unit, cell.Mean.Estimate, optional(cell.Mean.Lo), optional(cell.Mean.Hi)}) {
						return
					}
				}
			}
		},
	}
}

func differencesData(c *experiment.Comparison) result.Table {
	return result.Table{
		Columns: []result.Column{textColumn("variant"), textColumn("metric"), textColumn("unit"), numberColumn("difference"), optionalColumn("low"), optionalColumn("high"), textColumn("supported")},
		Rows: func(yield func([]any) bool) {
			for v, cells := range c.Cells {
				for m, cell := range cells {
					d := cell.Difference
					if d == nil {
						continue
					}
					supported := "no"
					if d.Supported() {
						supported = "yes"
					}
					if !yield([]any{c.Variants[v], c.Metrics[m].Name, c.Metrics[m].Unit, d.Difference.Estimate, optional(d.Difference.Lo), optional(d.Difference.Hi), supported}) {
						return
					}
				}
			}
		},
	}
}

// survivalData has a row for each step of the curves, from 1 at time 0.
func survivalData(c *experiment.Comparison) result.Table {
	return result.Table{
		Columns: []result.Column{textColumn("variant"), numberColumn("time_s"), numberColumn("survival_share"), numberColumn("low_share"), numberColumn("high_share")},
		Rows: func(yield func([]any) bool) {
			for v, s := range c.Survival {
				if !yield([]any{c.Variants[v], 0.0, 1.0, 1.0, 1.0}) {
					return
				}
				for _, step := range s.Curve {
					if step.Time > c.Horizon.Seconds() {
						break
					}
					if !yield([]any{c.Variants[v], step.Time, step.Survival, step.Lo, step.Hi}) {
						return
					}
				}
			}
		},
	}
}

// rangeColumns are those of tables of addresses: what lies there, from low up to
// but not including high.
func rangeColumns(first ...result.Column) []result.Column {
	return append(first, textColumn("low"), textColumn("high"), textColumn("what"), textColumn("name"))
}

// windowData has a row for each piece of a window that is something.
func windowData(p *explain.Picture) result.Table {
	return result.Table{Columns: rangeColumns(), Rows: func(yield func([]any) bool) {
		windowRows(p, func(r mem.Range, what, name string) bool {
			return yield([]any{mem.Addr(r.Lo).String(), mem.Addr(r.Hi).String(), what, name})
		})
	}}
}

func windowRows(p *explain.Picture, yield func(r mem.Range, what, name string) bool) {
	for _, part := range []struct {
		what   string
		ranges []mem.Range
	}{{"heap", p.Arena}, {"in-reach", p.Reach}, {"longest-free", []mem.Range{p.Run}}, {"place", []mem.Range{p.Spot}}} {
		for _, r := range part.ranges {
			if !r.Empty() && !yield(r, part.what, "") {
				return
			}
		}
	}
	for _, b := range p.Blocks {
		what := "held"
		if b.InTheWay {
			what = "in-the-way"
		}
		if !yield(b.Range, what, p.Owners[b.Owner]) {
			return
		}
	}
}

// areaData is that of the windows of several areas, each in a strip.
func areaData(strips []strip, pictures []*explain.Picture) result.Table {
	return result.Table{Columns: rangeColumns(textColumn("strip")), Rows: func(yield func([]any) bool) {
		for i, s := range strips {
			windowRows(pictures[i], func(r mem.Range, what, name string) bool {
				return yield([]any{s.name, mem.Addr(r.Lo).String(), mem.Addr(r.Hi).String(), what, name})
			})
		}
	}}
}

// data has a row for each piece of physical memory that the map shows.
func (m *physicalMap) data(reaches []lane) result.Table {
	return result.Table{Columns: rangeColumns(), Rows: func(yield func([]any) bool) {
		var rows [][]any
		add := func(r mem.Range, what, name string) {
			rows = append(rows, []any{mem.Addr(r.Lo).String(), mem.Addr(r.Hi).String(), what, name})
		}
		for _, r := range m.ram {
			add(r, "ram", "")
		}
		for _, z := range m.Zones {
			for _, r := range z.Ranges {
				add(r, "zone", z.Name)
			}
		}
		for _, r := range m.Regions {
			add(r.Range, regionName(r.Kind), r.Name)
		}
		for _, l := range reaches {
			for _, p := range l.parts {
				add(p.at, "in-reach", l.name)
			}
		}
		for _, row := range rows {
			if !yield(row) {
				return
			}
		}
	}}
}

func regionName(kind machine.RegionKind) string {
	for _, c := range regionColors {
		if c.kind == kind {
			return c.name
		}
	}
	return "reserved"
}
