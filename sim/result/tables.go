package result

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/metrics"
)

var (
	sampleColumns = append([]string{"variant", "heap", "time_s", "requested_bytes", "reserved_bytes", "free_bytes",
		"peak_reserved_bytes", "largest_free_bytes", "holes", "blocks", "unusable_share"}, causeColumns()...)
	reachColumns = []string{"variant", "heap", "time_s", "device", "free_bytes", "largest_free_bytes",
		"polluted_bytes", "unusable_share"}
	failureColumns = []string{"variant", "time_s", "op", "client", "heap", "size_bytes", "reserve_bytes", "cause",
		"free_bytes", "free_in_reach_bytes", "largest_run_in_reach_bytes", "polluted_bytes", "waiting_bytes"}
	mapColumns    = []string{"variant", "heap", "time_s", "cells"}
	memoryColumns = []string{"variant", "time_s", "kernel_bytes", "dmabuf_bytes", "anonymous_bytes", "page_cache_bytes",
		"cached_bytes", "free_bytes", "free_cma_bytes", "swapped_bytes", "unusable_share"}
	spaceColumns = []string{"variant", "time_s", "space", "used_bytes", "peak_used_bytes", "waiting_bytes", "cached_bytes",
		"free_bytes", "largest_free_bytes", "mappings"}
	onFailureColumns = []string{"variant", "workload", "client", "wanted", "attempts", "retries", "served_at_once", "served_by_retry",
		"served_by_fallback", "dropped_out_of_retries", "dropped_at_deadline", "dropped_freed", "waiting",
		"mean_wait_s", "median_wait_s", "p90_wait_s", "p99_wait_s", "most_wait_s"}
	incidentColumns = []string{"variant", "time_s", "kind", "actor", "buffer", "victim", "lo", "hi", "detail"}
)

// causeColumns are the counts of failures so far, by cause.
func causeColumns() []string {
	var names []string
	for _, cause := range allocator.Causes() {
		names = append(names, "failed_"+cause.String())
	}
	return names
}

// writeTable writes a CSV file: the columns, then what rows emits.
func writeTable(w io.Writer, columns []string, rows func(emit func(fields ...string))) error {
	table := csv.NewWriter(w)
	if err := table.Write(columns); err != nil {
		return err
	}
	var failed error
	rows(func(fields ...string) {
		if failed == nil {
			failed = table.Write(fields)
		}
	})
	if failed != nil {
		return failed
	}
	table.Flush()
	return table.Error()
}

func writeSamples(w io.Writer, variants []Variant) error {
	return writeTable(w, sampleColumns, func(emit func(...string)) {
		for _, v := range variants {
			for _, s := range v.Run.Samples {
				fields := []string{v.Name, v.Run.Summary.Heaps[s.Heap].Name, seconds(s.At),
					number(s.Requested), number(s.Reserved), number(s.Free), number(s.Peak), number(s.Largest),
					strconv.Itoa(s.Holes), strconv.Itoa(s.Blocks), share(s.Unusable)}
				for _, cause := range allocator.Causes() {
					fields = append(fields, number(s.Failures[cause]))
				}
				emit(fields...)
			}
		}
	})
}

func writeReaches(w io.Writer, variants []Variant) error {
	return writeTable(w, reachColumns, func(emit func(...string)) {
		for _, v := range variants {
			for _, s := range v.Run.Samples {
				heap := &v.Run.Summary.Heaps[s.Heap]
				for i, r := range s.Reaches {
					emit(v.Name, heap.Name, seconds(s.At), heap.Reaches[i].Device,
						number(r.Free), number(r.Largest), number(r.Polluted), share(r.Unusable))
				}
			}
		}
	})
}

func writeFailures(w io.Writer, variants []Variant) error {
	return writeTable(w, failureColumns, func(emit func(...string)) {
		for _, v := range variants {
			for _, f := range v.Run.Failures {
				emit(v.Name, seconds(f.At), number(f.Op), f.Client, f.Heap, number(f.Size), number(f.Reserve),
					f.Cause.String(), number(f.Free), number(f.InReach), number(f.Largest), number(f.Polluted), number(f.Waiting))
			}
		}
	})
}

func writeMaps(w io.Writer, variants []Variant) error {
	return writeTable(w, mapColumns, func(emit func(...string)) {
		for _, v := range variants {
			for _, m := range v.Run.Maps {
				for i, at := range m.Times {
					emit(v.Name, v.Run.Summary.Heaps[m.Heap].Name, seconds(at), formatCells(m.Cells[i*m.Rows:(i+1)*m.Rows]))
				}
			}
		}
	})
}

func writeMemory(w io.Writer, variants []Variant) error {
	return writeTable(w, memoryColumns, func(emit func(...string)) {
		for _, v := range variants {
			for _, s := range v.Run.Memory {
				emit(v.Name, seconds(s.At), number(s.Kernel), number(s.DMABuf), number(s.Anonymous), number(s.PageCache),
					number(s.Cached), number(s.Free), number(s.FreeCMA), number(s.Swapped), share(s.Unusable))
			}
		}
	})
}

func writeSpaces(w io.Writer, variants []Variant) error {
	return writeTable(w, spaceColumns, func(emit func(...string)) {
		for _, v := range variants {
			for _, s := range v.Run.Spaces {
				emit(v.Name, seconds(s.At), v.Run.Summary.Spaces[s.Space].Name, number(s.Used), number(s.Peak), number(s.Waiting),
					number(s.Cached), number(s.Free), number(s.Largest), strconv.Itoa(s.Mappings))
			}
		}
	})
}

func writeIncidents(w io.Writer, variants []Variant) error {
	return writeTable(w, incidentColumns, func(emit func(...string)) {
		for _, v := range variants {
			for _, i := range v.Run.Incidents {
				emit(v.Name, seconds(i.At), i.Kind.String(), i.Actor, number(i.Buffer), i.Victim,
					mem.Addr(i.Range.Lo).String(), mem.Addr(i.Range.Hi).String(), i.Detail)
			}
		}
	})
}

// writeOnFailure writes what became of wanted buffers, which is in the summary as well.
func writeOnFailure(w io.Writer, variants []Variant) error {
	return writeTable(w, onFailureColumns, func(emit func(...string)) {
		for _, v := range variants {
			for _, t := range v.Run.Summary.OnFailure {
				fields := []string{v.Name, t.Workload, t.Client, number(t.Wanted), number(t.Attempts), number(t.Retries),
					number(t.ServedAtOnce), number(t.ServedByRetry), number(t.ServedByFallback),
					number(t.DroppedRetries), number(t.DroppedDeadline), number(t.DroppedFreed), number(t.Waiting)}
				if t.Served == 0 {
					emit(append(fields, "", "", "", "", "")...)
					continue
				}
				emit(append(fields, share(t.MeanWait/1e9), seconds(t.MedianWait), seconds(t.P90Wait), seconds(t.P99Wait), seconds(t.MostWait))...)
			}
		}
	})
}

// A tableReader finds the variants and heaps that rows name.
type tableReader struct {
	variants []Variant
	byName   map[string]int
	heaps    []map[string]int // of each variant
}

// newTableReader reads tables about variants, whose summaries are known.
func newTableReader(variants []Variant) *tableReader {
	t := &tableReader{variants: variants, byName: make(map[string]int), heaps: make([]map[string]int, len(variants))}
	for i, v := range variants {
		t.byName[v.Name] = i
		t.heaps[i] = make(map[string]int)
		for j, h := range v.Run.Summary.Heaps {
			t.heaps[i][h.Name] = j
		}
	}
	return t
}

func (t *tableReader) samples(data []byte) error {
	return t.each(data, sampleColumns, func(run *metrics.Run, heaps map[string]int, r *row) {
		s := metrics.Sample{
			Heap: r.heap(heaps), At: r.seconds(),
			Requested: r.number(), Reserved: r.number(), Free: r.number(), Peak: r.number(), Largest: r.number(),
			Holes: r.count(), Blocks: r.count(), Unusable: r.share(),
		}
		for _, cause := range allocator.Causes() {
			s.Failures[cause] = r.number()
		}
		run.Samples = append(run.Samples, s)
	})
}

// reaches adds the rows of reaches.csv to the samples, which have the same
// order.
func (t *tableReader) reaches(data []byte) error {
	next := make([]int, len(t.variants)) // the sample of each variant that rows are added to
	err := t.each(data, reachColumns, func(run *metrics.Run, heaps map[string]int, r *row) {
		heap, at, device := r.heap(heaps), r.seconds(), r.text()
		reach := metrics.ReachSample{Free: r.number(), Largest: r.number(), Polluted: r.number(), Unusable: r.share()}
		if r.err != nil {
			return
		}
		i := &next[r.variant]
		for *i < len(run.Samples) && len(run.Samples[*i].Reaches) == len(run.Summary.Heaps[run.Samples[*i].Heap].Reaches) {
			*i++
		}
		if *i == len(run.Samples) {
			r.err = fmt.Errorf("more rows than samples.csv has instants")
			return
		}
		s := &run.Samples[*i]
		if s.Heap != heap || s.At != at || run.Summary.Heaps[heap].Reaches[len(s.Reaches)].Device != device {
			r.err = fmt.Errorf("heap, instant and device are not those that samples.csv has next")
			return
		}
		s.Reaches = append(s.Reaches, reach)
	})
	if err != nil {
		return err
	}
	for _, v := range t.variants {
		for _, s := range v.Run.Samples {
			if len(s.Reaches) != len(v.Run.Summary.Heaps[s.Heap].Reaches) {
				return fmt.Errorf("variant %q: no rows for the devices at %v", v.Name, s.At)
			}
		}
	}
	return nil
}

func (t *tableReader) failures(data []byte) error {
	return t.each(data, failureColumns, func(run *metrics.Run, _ map[string]int, r *row) {
		f := metrics.Failure{At: r.seconds(), Op: r.number(), Client: r.text(), Heap: r.text(),
			Size: mem.Size(r.number()), Reserve: mem.Size(r.number())}
		if err := f.Cause.UnmarshalText([]byte(r.text())); err != nil && r.err == nil {
			r.err = err
		}
		f.Free, f.InReach = mem.Size(r.number()), mem.Size(r.number())
		f.Largest, f.Polluted, f.Waiting = mem.Size(r.number()), mem.Size(r.number()), mem.Size(r.number())
		run.Failures = append(run.Failures, f)
	})
}

func (t *tableReader) maps(data []byte) error {
	return t.each(data, mapColumns, func(run *metrics.Run, heaps map[string]int, r *row) {
		heap, at, cells := r.heap(heaps), r.seconds(), r.text()
		if r.err != nil {
			return
		}
		i := slices.IndexFunc(run.Maps, func(m metrics.Map) bool { return m.Heap == heap })
		if i < 0 {
			r.err = fmt.Errorf("the summary has no map of this heap")
			return
		}
		m := &run.Maps[i]
		m.Times = append(m.Times, at)
		m.Cells, r.err = appendCells(m.Cells, cells, m.Rows, len(run.Summary.Clients))
	})
}

func (t *tableReader) memory(data []byte) error {
	return t.each(data, memoryColumns, func(run *metrics.Run, _ map[string]int, r *row) {
		s := metrics.MemorySample{
			At: r.seconds(), Kernel: r.number(), DMABuf: r.number(), Anonymous: r.number(), PageCache: r.number(),
			Cached: r.number(), Free: r.number(), FreeCMA: r.number(), Swapped: r.number(), Unusable: r.share(),
		}
		if r.err == nil {
			run.Memory = append(run.Memory, s)
		}
	})
}

func (t *tableReader) spaces(data []byte) error {
	return t.each(data, spaceColumns, func(run *metrics.Run, _ map[string]int, r *row) {
		s := metrics.SpaceSample{At: r.seconds(), Space: r.space(run)}
		s.Used, s.Peak, s.Waiting, s.Cached = r.number(), r.number(), r.number(), r.number()
		s.Free, s.Largest, s.Mappings = r.number(), r.number(), r.count()
		if r.err == nil {
			s.Capacity = uint64(run.Summary.Spaces[s.Space].Capacity)
			run.Spaces = append(run.Spaces, s)
		}
	})
}

func (t *tableReader) incidents(data []byte) error {
	return t.each(data, incidentColumns, func(run *metrics.Run, _ map[string]int, r *row) {
		i := metrics.Incident{
			At: r.seconds(), Kind: r.incident(), Actor: r.text(), Buffer: r.number(), Victim: r.text(),
			Range: mem.Range{Lo: r.address(), Hi: r.address()}, Detail: r.text(),
		}
		if r.err == nil {
			run.Incidents = append(run.Incidents, i)
		}
	})
}

// each calls read for every row of a table, with the run and the heaps of its
// variant. The errors name the line.
func (t *tableReader) each(data []byte, columns []string, read func(run *metrics.Run, heaps map[string]int, r *row)) error {
	table := csv.NewReader(bytes.NewReader(data))
	table.FieldsPerRecord = len(columns)
	table.ReuseRecord = true
	head, err := table.Read()
	if err != nil {
		return err
	}
	if !slices.Equal(head, columns) {
		return fmt.Errorf("line 1: columns are %s, want %s", strings.Join(head, ","), strings.Join(columns, ","))
	}
	for {
		fields, err := table.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		r := row{fields: fields, columns: columns}
		name := r.text()
		var ok bool
		if r.variant, ok = t.byName[name]; !ok {
			r.err = fmt.Errorf("unknown variant %q", name)
		} else {
			read(&t.variants[r.variant].Run, t.heaps[r.variant], &r)
		}
		if r.err != nil {
			line, _ := table.FieldPos(0)
			return fmt.Errorf("line %d: %w", line, r.err)
		}
	}
}

// A row is read field by field; its first error stays.
type row struct {
	fields, columns []string
	next            int
	variant         int
	err             error
}

func (r *row) text() string {
	r.next++
	return r.fields[r.next-1]
}

// parse reads the next field with read.
func parse[T any](r *row, read func(string) (T, error)) T {
	text := r.text()
	v, err := read(text)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s is %q", r.columns[r.next-1], text)
	}
	return v
}

func (r *row) number() uint64 {
	return parse(r, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) })
}
func (r *row) count() int { return parse(r, strconv.Atoi) }
func (r *row) share() float64 {
	return parse(r, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
}
func (r *row) seconds() time.Duration { return parse(r, parseSeconds) }
func (r *row) address() uint64 {
	return parse(r, func(s string) (a uint64, err error) {
		var addr mem.Addr
		err = addr.UnmarshalText([]byte(s))
		return uint64(addr), err
	})
}
func (r *row) incident() sim.IncidentKind {
	return parse(r, func(s string) (k sim.IncidentKind, err error) {
		err = k.UnmarshalText([]byte(s))
		return k, err
	})
}

func (r *row) heap(heaps map[string]int) int {
	return parse(r, func(s string) (int, error) {
		i, ok := heaps[s]
		if !ok {
			return 0, fmt.Errorf("unknown heap")
		}
		return i, nil
	})
}

func (r *row) space(run *metrics.Run) int {
	return parse(r, func(s string) (int, error) {
		i := slices.IndexFunc(run.Summary.Spaces, func(t metrics.SpaceTotals) bool { return t.Name == s })
		if i < 0 {
			return 0, fmt.Errorf("unknown space")
		}
		return i, nil
	})
}

func number[T ~uint64](v T) string { return strconv.FormatUint(uint64(v), 10) }
func share(v float64) string       { return strconv.FormatFloat(v, 'g', -1, 64) }

// seconds prints d in seconds, exactly.
func seconds(d time.Duration) string {
	sign := ""
	ns := uint64(d)
	if d < 0 {
		sign, ns = "-", -ns
	}
	text := sign + strconv.FormatUint(ns/1e9, 10)
	if fraction := ns % 1e9; fraction != 0 {
		text += "." + strings.TrimRight(fmt.Sprintf("%09d", fraction), "0")
	}
	return text
}

// parseSeconds reads what seconds prints.
func parseSeconds(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text + "s")
	if err == nil && seconds(d) != text {
		err = fmt.Errorf("seconds %q: want %s", text, seconds(d))
	}
	return d, err
}
