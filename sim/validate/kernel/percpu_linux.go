package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"dmasim/allocator/dmaheap"
	"dmasim/allocator/kernel/buddy"
	"dmasim/devices/machine"
	"dmasim/sim/validate"
)

// vmstatEvent tells when the worker of the statistics runs, which trims the lists of
// the CPU.
const vmstatEvent = "workqueue/workqueue_execute_start"

// markRead follows markAfter in the trace when the lists have been counted.
const markRead = "dmasim read"

// perCPUWatch watches the lists of the CPU in front of the highest zone.
type perCPUWatch struct {
	memory validate.Memory
	zone   *machine.ZoneState
	trace  *trace
	marker *os.File
	info   *os.File // zoneinfo; read again, it takes no pages
	text   []byte
}

func watchPerCPU() (*perCPUWatch, error) {
	w := &perCPUWatch{text: make([]byte, mostText)}
	var err error
	if w.memory, err = readMemory(); err != nil {
		return nil, err
	}
	w.zone = &w.memory.Zones[len(w.memory.Zones)-1]
	if w.trace, err = startTrace(append(pageEvents[:len(pageEvents):len(pageEvents)], vmstatEvent)...); err != nil {
		return nil, err
	}
	if w.marker, err = os.OpenFile(filepath.Join(w.trace.folder, "trace_marker"), os.O_WRONLY, 0); err == nil {
		w.info, err = os.Open("/proc/zoneinfo")
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *perCPUWatch) close() error {
	for _, f := range []*os.File{w.marker, w.info} {
		if f != nil {
			f.Close() // nothing is lost that was written
		}
	}
	return w.trace.stop()
}

func (w *perCPUWatch) pageset() (pageset, error) {
	n, err := w.info.ReadAt(w.text, 0)
	if err != nil && err != io.EOF {
		return pageset{}, err
	}
	return readPageset(string(w.text[:n]), w.zone.Name)
}

// trim makes the kernel trim the lists once, as it does when pages are freed to lists
// that are full. It then sees that the zone has enough free pages, which it does not
// look at otherwise (free_unref_page_commit): once a request found no block that is
// large enough, the zone counts as below its high watermark (ZONE_BELOW_HIGH) and its
// lists do not grow. No file tells of that.
func (w *perCPUWatch) trim(heap *dmaheap.Heap) error {
	lists, err := w.pageset()
	if err != nil {
		return err
	}
	// Buffers this small are made of single pages. Lists that may not grow are full
	// before all of these are freed.
	const single = 15 // pages
	limits := w.sizing().Limits()
	var list []*dmaheap.Buffer
	for pages := max(lists.high, limits.HighMin) + limits.Batch; pages > 0; pages -= single {
		b, allocErr := heap.Alloc(single * pageSize())
		if allocErr != nil {
			err = allocErr
			break
		}
		list = append(list, b)
	}
	for _, b := range list {
		err = errors.Join(err, b.Close())
	}
	return err
}

func (w *perCPUWatch) sizing() buddy.Sizing {
	return buddy.Sizing{PageSize: pageSize(), Managed: w.zone.Managed, LowWatermark: w.zone.Low - w.zone.Boost}
}

// begin empties the lists, and marks the moment in the trace. Something may happen
// in between; it is tried again then.
func (w *perCPUWatch) begin() (start pageset, err error) {
	const mostTries = 50
	for range mostTries {
		if err := drain(w.zone); err != nil {
			return start, err
		}
		if _, err := w.marker.WriteString(markBefore); err != nil {
			return start, err
		}
		if start, err = w.pageset(); err != nil || start.count == 0 {
			return start, err
		}
	}
	return start, fmt.Errorf("the lists of the CPU have %d pages after they were emptied", start.count)
}

// end returns what happened since.
func (w *perCPUWatch) end(start pageset) (window validate.PerCPUWindow, err error) {
	if _, err := w.marker.WriteString(markAfter); err != nil {
		return window, err
	}
	end, err := w.pageset()
	if err != nil {
		return window, err
	}
	if _, err := w.marker.WriteString(markRead); err != nil {
		return window, err
	}
	text, err := w.trace.read()
	if err != nil {
		return window, err
	}
	at := strings.LastIndex(text, markBefore)
	if at < 0 {
		return window, errLostMarks
	}
	text, rest, ended := strings.Cut(text[at:], markAfter)
	between, _, read := strings.Cut(rest, markRead)
	if !ended || !read {
		return window, errLostMarks
	}
	window = validate.PerCPUWindow{
		Sizing: w.sizing(),
		Batch:  start.batch, High: start.high, Pages: end.count, EndHigh: end.high,
	}
	whole, err := readPageEvents(&window, text, w.memory.State, w.zone.Name)
	if !whole || strings.Contains(between, "mm_page") {
		window.Pages = -1 // what was read is not what was when the window ended
	}
	return window, err
}

// perCPUWindow makes and closes small buffers after the lists of the CPU were
// emptied, and returns what happened to them. It begins with allocations alone.
func perCPUWindow(heap *dmaheap.Heap, random *rand.Rand, requests int) (window validate.PerCPUWindow, err error) {
	w, err := watchPerCPU()
	if err != nil {
		return window, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.trim(heap); err != nil {
		return window, err
	}
	start, err := w.begin()
	if err != nil {
		return window, err
	}
	var held []*dmaheap.Buffer
	defer func() {
		for _, b := range held {
			err = errors.Join(err, b.Close())
		}
	}()
	for i := range requests {
		if i > 12 && random.IntN(5) < 2 && len(held) > 0 {
			at := random.IntN(len(held))
			buffer := held[at]
			held = append(held[:at], held[at+1:]...)
			if err := buffer.Close(); err != nil {
				return window, err
			}
			continue
		}
		b, err := heap.Alloc(pageSize() * (1 + random.Uint64N(15)))
		if err != nil {
			return window, err
		}
		held = append(held, b)
	}
	return w.end(start)
}

const memorySections = "/sys/devices/system/memory"

// drain makes the kernel drain the lists of a zone, as it does before it takes a
// section of memory offline, and before it finds that it cannot (offline_pages): of
// each section the caller holds a part.
func drain(zone *machine.ZoneState) error {
	text, err := os.ReadFile(filepath.Join(memorySections, "block_size_bytes"))
	if err != nil {
		return &errUnobservable{"the lists of the CPUs can't be emptied", "a kernel with CONFIG_MEMORY_HOTREMOVE"}
	}
	size, err := strconv.ParseUint(strings.TrimSpace(string(text)), 16, 64)
	if err != nil {
		return fmt.Errorf("%s/block_size_bytes: %w", memorySections, err)
	}
	last := (uint64(zone.Start)+zone.Spanned)*pageSize()/size - 1
	file := filepath.Join(memorySections, fmt.Sprintf("memory%d", last), "state")
	if os.WriteFile(file, []byte("offline"), 0) == nil {
		return errors.Join(errors.New("a section of memory that is held in part went offline"), os.WriteFile(file, []byte("online"), 0))
	}
	return nil
}

// holdEverywhere takes most of free memory and gives back most of that, so that what
// is left lies in every section.
func holdEverywhere(heap *dmaheap.Heap, free uint64) (held []*dmaheap.Buffer, err error) {
	const size, every = 1 << 20, 24
	var list []*dmaheap.Buffer
	for range free / size * 7 / 8 {
		b, err := heap.Alloc(size)
		if err != nil {
			break
		}
		list = append(list, b)
	}
	for i, b := range list {
		if i%every == 0 {
			held = append(held, b)
		} else {
			err = errors.Join(err, b.Close())
		}
	}
	return held, err
}

// pageset is what /proc/zoneinfo tells of the lists of a CPU.
type pageset struct{ count, high, batch int }

var pagesetLines = regexp.MustCompile(`cpu: 0\s+count:\s+(\d+)\s+high:\s+(\d+)\s+batch:\s+(\d+)`)

func readPageset(text, zone string) (s pageset, err error) {
	_, rest, found := strings.Cut(text, "zone "+strings.Repeat(" ", max(0, 8-len(zone)))+zone+"\n")
	m := pagesetLines.FindStringSubmatch(rest)
	if !found || m == nil {
		return s, fmt.Errorf("/proc/zoneinfo has no lists of a CPU for zone %s", zone)
	}
	for i, to := range []*int{&s.count, &s.high, &s.batch} {
		*to = int(sum(m[i+1], number))
	}
	return s, nil
}

// readPageEvents adds the events of a zone. It is not whole if it ends at one that
// can't be followed.
func readPageEvents(w *validate.PerCPUWindow, text string, state *machine.State, zone string) (whole bool, err error) {
	var events []*event
	batched := map[string]int{} // how many frees of a page frame are told twice
	for _, line := range strings.Split(text, "\n") {
		if e := parseEvent(line); e != nil {
			events = append(events, e)
			if e.name == "mm_page_free_batched" {
				batched[e.fields["pfn"]]++
			}
		}
	}
	live := map[uint64]uint{} // order
	moved, last := 0, ""
	for _, e := range events {
		if e.name == "workqueue_execute_start" {
			if strings.HasSuffix(e.text, "function vmstat_update") {
				w.Events = append(w.Events, validate.PageEvent{Kind: validate.Decayed})
			}
			continue
		}
		if !strings.HasPrefix(e.name, "mm_page") {
			continue
		}
		pfn, err := e.number("pfn")
		if err != nil {
			return false, err
		}
		if validate.ZoneOf(state, pfn) != zone {
			continue
		}
		order, _ := e.number("order") // free_batched has none
		cached := order <= 3 || order == 9
		switch e.name {
		case "mm_page_alloc_zone_locked":
			if e.fields["percpu_refill"] == "1" {
				moved += 1 << order
				last = e.fields["pfn"]
			}
		case "mm_page_alloc_extfrag":
			if takes, _ := e.number("alloc_order"); takes <= 3 && e.fields["pfn"] != last {
				moved += 1 << takes
			}
		case "mm_page_alloc":
			if !cached {
				continue
			}
			kind, err := e.number("migratetype")
			if err != nil {
				return false, err
			}
			live[pfn] = uint(order)
			w.Events = append(w.Events, validate.PageEvent{Kind: validate.Taken, PFN: pfn, Order: uint(order), Type: buddy.Type(kind), Moved: moved})
			moved = 0
		case "mm_page_free", "mm_page_free_batched":
			if e.name == "mm_page_free" && batched[e.fields["pfn"]] > 0 {
				batched[e.fields["pfn"]]--
				continue // it happens with the second
			}
			if !cached {
				continue
			}
			order, known := live[pfn]
			if !known {
				return false, nil
			}
			delete(live, pfn)
			w.Events = append(w.Events, validate.PageEvent{Kind: validate.Freed, PFN: pfn, Order: order})
		case "mm_page_pcpu_drain":
			if len(w.Events) == 0 {
				return false, nil
			}
			w.Events[len(w.Events)-1].Moved += 1 << order
		}
	}
	return true, nil
}

func runPerCPU(ctx context.Context, o *Options, r *Result) error {
	if err := settleWatermarks(); err != nil {
		return err
	}
	heap, err := dmaheap.Open("system")
	if err != nil {
		return err
	}
	defer heap.Close()
	memory, err := readMemory()
	if err != nil {
		return err
	}
	held, err := holdEverywhere(heap, uint64(memory.Memory.MemFree-memory.Memory.CmaFree))
	defer func() {
		for _, b := range held {
			b.Close() // dma-bufs can always be closed
		}
	}()
	if err != nil {
		return err
	}
	const rounds = 12
	random := rand.New(rand.NewPCG(o.Seed, 0x706370))
	o.begin("per-cpu", rounds)
	var windows []validate.PerCPUWindow
	events := 0
	for range rounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		w, err := perCPUWindow(heap, random, 150)
		if err != nil {
			return err
		}
		windows = append(windows, w)
		events += len(w.Events)
	}
	limits, lists, err := validate.ComparePerCPU(windows)
	if err != nil {
		return err
	}
	r.Add(limits, lists)
	r.Notes = append(r.Notes, fmt.Sprintf("per-cpu: %d windows with %d events", rounds, events))
	return nil
}
