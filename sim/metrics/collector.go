package metrics

import (
	"cmp"
	"math"
	"slices"
	"time"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
	"dmasim/workloads"
)

const (
	// gridSamples is the number of intervals of a run of known duration.
	gridSamples = 512
	// maxSamples is the number of samples at which a series of unknown length
	// is thinned.
	maxSamples = 2 * gridSamples
	// cheapBlocks is the number of live buffers up to which samples cost next to nothing.
	cheapBlocks = 2048
	// mostPutOff is how many instants of the grid are left out in a row where samples are
	// dear.
	mostPutOff = 3
	// maxFailures is the number of failures kept with their figures.
	maxFailures = 1000
	// unusableShare divides a heap's capacity to give the size of the unusable
	// index, where the scenario names none.
	unusableShare = 256
)

// Collector is an observer that measures one simulation.
type Collector struct {
	cfg      sim.Config
	heaps    []*heapMeter
	clients  []ClientTotals
	causes   [][]uint64 // by client, then cause
	failures []Failure
	now      func() time.Duration
	events   uint64

	ram           *physmem.Memory // nil: there are only arenas
	memory        *MemoryTotals
	memorySamples []MemorySample
	system        *SystemTotals // nil where nothing but allocations happened
	spaces        *spaceMeters  // nil where devices address memory as it lies
	incidents     []Incident
	counts        [sim.NumIncidentKinds]uint64
	onFailure     *OnFailureMeter

	grid       time.Duration // between samples, where the duration is known
	next       time.Duration
	stride     uint64 // otherwise: events between samples
	untilNext  uint64
	sampled    uint64 // events up to the last sample
	putOff     int    // instants that were left out since
	sampleTime []time.Duration
	samples    [][]Sample // by heap
}

// heapMeter integrates one heap over time.
type heapMeter struct {
	heap         *heap.Heap  // nil: it takes pages
	pages        *heap.Pages // nil: it has an arena
	memory       *physmem.Memory
	ram          mem.RangeSet // of the machine
	clientOf     func(physmem.Owner) int
	unusableSize uint64
	reaches      []reach
	demand       []int // by client: the watch of what its devices reach together, -1 without any
	failures     [allocator.NumCauses]uint64
	peak         uint64 // of reserved, since the last sample
	pixels       pixels

	// What the live buffers hold, over time, and what of it is waste.
	held                                     heldIntegral
	padding, granularity, granule, allocator integral
}

// reach is a device that a heap's clients use.
type reach struct {
	device int
	window mem.RangeSet // the device's reach in the arena
	watch  int          // its number in the ledger
}

// NewCollector makes a collector for a simulation of cfg and makes it observe
// the simulation.
func NewCollector(cfg sim.Config, s *sim.Simulation) *Collector {
	c := &Collector{cfg: cfg, now: s.Now, stride: firstStride(cfg), untilNext: 1}
	if cfg.Duration > 0 {
		c.grid = max(cfg.Duration/gridSamples, 1)
		c.next = c.grid
	}
	c.causes = make([][]uint64, len(cfg.Clients))
	for i, client := range cfg.Clients {
		names := []string{}
		for _, d := range client.Devices {
			names = append(names, cfg.Devices[d].Name)
		}
		c.clients = append(c.clients, ClientTotals{Name: client.Name, Devices: names, Heap: heapName(cfg, client)})
		c.causes[i] = make([]uint64, len(allocator.Causes())+1)
	}
	c.samples = make([][]Sample, len(cfg.Heaps))
	for i, h := range s.Heaps() {
		if h == nil {
			c.heaps = append(c.heaps, newPageMeter(cfg, i, s))
		} else {
			c.heaps = append(c.heaps, newHeapMeter(cfg, i, h))
		}
	}
	if c.grid > 0 { // the number of samples is known
		const samples = gridSamples + 2
		for i, m := range c.heaps {
			c.samples[i] = make([]Sample, 0, samples)
			m.pixels.cells = make([]Cell, 0, samples*m.pixels.rows)
		}
	}
	if c.ram = s.Memory(); c.ram != nil {
		c.memory = &MemoryTotals{Killed: []Killed{}}
	}
	c.spaces = newSpaceMeters(s)
	c.onFailure = MeasureOnFailure(cfg, 0)
	s.Observe(c)
	c.sample(0)
	return c
}

// firstStride returns how many events may lie between the first samples. Halving the
// rate only when there are too many samples, a long run takes hundreds for each time
// that it doubles, of which few are kept; from its operations a run may know better.
// It has at least half as many events: of the operations only frees of buffers that
// were refused are none.
func firstStride(cfg sim.Config) uint64 {
	if cfg.Duration > 0 || len(cfg.Processes) > 0 {
		return 1
	}
	operations := uint64(0)
	for _, in := range cfg.Inputs {
		counted, ok := in.Source.(workloads.Counted)
		if !ok || counted.Operations() == 0 {
			return 1
		}
		operations += counted.Operations()
	}
	stride := uint64(1)
	for operations/2 > (maxSamples-1)*stride {
		stride *= 2
	}
	return stride
}

// Advance implements sim.Observer: what held until now is sampled where grid
// points lie before now.
func (c *Collector) Advance(now time.Duration) {
	for c.grid > 0 && c.next <= now && c.next <= c.cfg.Duration {
		if c.putOff < mostPutOff && c.next <= c.cfg.Duration-c.grid && c.dear(c.events-c.sampled) {
			c.putOff++
		} else {
			c.sample(c.next)
			c.putOff = 0
		}
		c.next += c.grid
	}
}

// dear reports whether a sample after so many events costs more than they did: it looks
// at all live buffers, however little has happened.
func (c *Collector) dear(events uint64) bool {
	live := 0
	for _, m := range c.heaps {
		live += m.held.held.Blocks
	}
	return live > cheapBlocks && events < uint64(live)
}

// Due implements sim.Sampler.
func (c *Collector) Due() time.Duration {
	if c.grid > 0 && c.next <= c.cfg.Duration {
		return c.next
	}
	return math.MaxInt64
}

// Event implements sim.Observer. Whether a buffer came or went is as good as random,
// so that a branch on it would be guessed wrong.
func (c *Collector) Event(e *sim.Event) {
	if e.Kind > sim.Free {
		c.happened(e)
		return
	}
	c.events++
	m, client := c.heaps[e.Heap], &c.clients[e.Client]
	if len(c.cfg.Processes) > 0 && e.Kind == sim.Alloc && c.cfg.Clients[e.Client].Heap < 0 {
		c.noteHeap(client, e.Heap)
	}
	alloc := uint64(sim.Free - e.Kind) // 1, or 0 of a free
	client.Requests += alloc
	client.RequestedBytes += mem.Size(e.Size * alloc)
	if e.Diagnosis.Cause != allocator.None {
		client.FailedBytes += mem.Size(e.Size)
		c.countFailure(m, e)
	}
	usage := m.usage()
	m.held.set(usage, e.At)
	m.peak = max(m.peak, usage.Reserved)
	if e.Buffer.Block.Size > e.Buffer.Payload {
		m.countWaste(e, &c.cfg.Clients[e.Client])
	}
	if c.ram != nil {
		c.noteMemory(c.ram.Counters())
	}
	if c.grid == 0 {
		c.countDown(e.At)
	}
}

// Room implements sim.BulkObserver: a sample is taken after an event.
func (c *Collector) Room() uint64 {
	if c.grid > 0 {
		return math.MaxUint64
	}
	return c.untilNext - 1
}

// Changes implements sim.BulkObserver: it does what Event does for each.
func (c *Collector) Changes(number int, list []sim.Change) {
	config := &c.cfg.Clients[number]
	m, client := c.heaps[config.Heap], &c.clients[number]
	c.events += uint64(len(list))
	if c.grid == 0 {
		c.untilNext -= uint64(len(list))
	}
	before := m.held.held
	sum := m.held.follow(list)
	// So many came or went, and so many more came than went.
	client.Requests += (uint64(len(list)) + uint64(m.held.held.Blocks-before.Blocks)) / 2
	client.RequestedBytes += mem.Size(sum.asked)
	m.peak = max(m.peak, sum.peak)
	if !sum.waste {
		return
	}
	for i := range list {
		if e := &list[i]; e.Reserved > e.Payload {
			b := heap.Buffer{Block: allocator.Block{Size: e.Reserved}, Payload: e.Payload}
			m.countWaste(&sim.Event{At: e.At, Kind: e.Kind, Buffer: &b}, config)
		}
	}
}

// countDown samples every so many events, where the duration is not known.
func (c *Collector) countDown(at time.Duration) {
	if c.untilNext--; c.untilNext > 0 {
		return
	}
	c.sample(at)
	for n := len(c.sampleTime); n >= maxSamples || n >= gridSamples && c.dear(c.stride); n = len(c.sampleTime) {
		c.thin()
	}
	c.untilNext = c.sampled + c.stride - c.events
}

// countWaste adds the waste of a buffer that is live from then on, and takes it off
// again when it is freed.
func (m *heapMeter) countWaste(e *sim.Event, client *sim.Client) {
	var w heap.Waste
	if m.pages != nil {
		w = m.pages.Waste(e.Buffer)
	} else {
		w = m.heap.Waste(e.Buffer, client.Plan)
	}
	sign := 1 - 2*uint64(e.Kind) // modulo 2^64
	m.padding.set(m.padding.value+sign*w.Padding, e.At)
	m.granularity.set(m.granularity.value+sign*w.Granularity, e.At)
	m.granule.set(m.granule.value+sign*w.Granule, e.At)
	m.allocator.set(m.allocator.value+sign*w.Allocator, e.At)
}

// noteHeap notes which heap a process uses, as long as it is one.
func (c *Collector) noteHeap(client *ClientTotals, number int) {
	switch name := c.cfg.Heaps[number].Name; {
	case client.Requests == 0:
		client.Heap = name
	case client.Heap != name:
		client.Heap = ""
	}
}

func (c *Collector) countFailure(m *heapMeter, e *sim.Event) {
	c.clients[e.Client].Failures++
	c.causes[e.Client][e.Diagnosis.Cause]++
	m.failures[e.Diagnosis.Cause]++
	if len(c.failures) < maxFailures {
		c.failures = append(c.failures, c.failure(e))
	}
}

func (c *Collector) failure(e *sim.Event) Failure {
	d := e.Diagnosis
	m := c.heaps[e.Heap]
	var polluted uint64
	if w := m.demand[e.Client]; w >= 0 && m.heap != nil {
		polluted = m.heap.Ledger.Polluted(w)
	}
	return Failure{
		At: e.At, Op: e.Number,
		Client: c.clients[e.Client].Name, Heap: c.cfg.Heaps[e.Heap].Name,
		Size: mem.Size(e.Size), Reserve: mem.Size(d.Size), Cause: d.Cause,
		Free: mem.Size(d.Free), InReach: mem.Size(d.FreeInReach), Largest: mem.Size(d.Largest),
		Polluted: mem.Size(polluted), Waiting: mem.Size(d.Waiting),
	}
}

// thin drops every second sample and samples half as often from here on.
func (c *Collector) thin() {
	keep := (len(c.sampleTime) + 1) / 2
	if len(c.sampleTime)%2 == 0 { // the last is dropped, too
		c.sampled -= c.stride
	}
	for i := range keep {
		c.sampleTime[i] = c.sampleTime[2*i]
	}
	c.sampleTime = c.sampleTime[:keep]
	if c.ram != nil {
		for i := range keep {
			c.memorySamples[i] = c.memorySamples[2*i]
		}
		c.memorySamples = c.memorySamples[:keep]
	}
	if c.spaces != nil {
		c.spaces.thin()
	}
	for h, series := range c.samples {
		for i := range keep {
			kept := series[2*i]
			if i > 0 {
				kept.Peak = max(kept.Peak, series[2*i-1].Peak)
			}
			series[i] = kept
		}
		if last := len(series) - 1; last%2 == 1 { // dropped, and nothing kept behind it
			c.heaps[h].peak = max(c.heaps[h].peak, series[last].Peak)
		}
		c.samples[h] = series[:keep]
		c.heaps[h].pixels.thin()
	}
	c.stride *= 2
}

// sample records the state of every heap at an instant. What held for no time,
// between two events of the same instant, is not kept.
func (c *Collector) sample(at time.Duration) {
	if last := len(c.sampleTime) - 1; last >= 0 && c.sampleTime[last] == at {
		c.sampleTime = c.sampleTime[:last]
		if c.ram != nil {
			c.memorySamples = c.memorySamples[:last]
		}
		if c.spaces != nil {
			c.spaces.dropLast()
		}
		for i, m := range c.heaps {
			m.peak = max(m.peak, c.samples[i][last].Peak)
			c.samples[i] = c.samples[i][:last]
			m.pixels.dropLast()
		}
	}
	c.sampleTime, c.sampled = append(c.sampleTime, at), c.events
	if c.ram != nil {
		c.memorySamples = append(c.memorySamples, c.sampleMemory(at))
	}
	if c.spaces != nil {
		c.spaces.sample(at)
	}
	for i, m := range c.heaps {
		if m.pages != nil {
			c.samples[i] = append(c.samples[i], m.samplePages(at, i))
			m.paint()
			continue
		}
		c.samples[i] = append(c.samples[i], m.sample(at, i))
		m.pixels.add(m.heap.Ledger.Live())
	}
}

func (m *heapMeter) sample(at time.Duration, number int) Sample {
	l := m.heap.Ledger
	s := Sample{
		At: at, Heap: number,
		Requested: l.Requested(), Reserved: l.Reserved(), Peak: max(m.peak, l.Reserved()),
		Blocks: l.Blocks(), Failures: m.failures,
	}
	m.peak = l.Reserved()
	holes := l.Holes()
	free := FreeSpace{Size: m.unusableSize}
	free.Add(holes...)
	parts := make([]FreeSpace, len(m.reaches))
	for i, r := range m.reaches {
		parts[i].Size = m.unusableSize
		for _, hole := range holes {
			for _, window := range r.window {
				parts[i].Add(hole.Intersect(window))
			}
		}
	}
	s.Free, s.Largest, s.Holes, s.Unusable = free.Free, free.Largest, free.Holes, free.UnusableIndex()
	for i, r := range m.reaches {
		s.Reaches = append(s.Reaches, ReachSample{
			Free: parts[i].Free, Largest: parts[i].Largest,
			Polluted: l.Polluted(r.watch), Unusable: parts[i].UnusableIndex(),
		})
	}
	return s
}

// Run returns everything measured. Call it when the simulation has ended; the
// collector must not be used afterwards.
func (c *Collector) Run() Run {
	end := c.now()
	if c.grid == 0 && c.sampleTime[len(c.sampleTime)-1] < end {
		c.sample(end)
	}
	run := Run{
		Summary:   Summary{Duration: end, Events: c.events, Clients: c.clients, System: c.system, Memory: c.memoryTotals()},
		Failures:  c.failures,
		Incidents: c.incidents,
		Memory:    c.memorySamples,
	}
	run.Summary.Spaces, run.Spaces = c.spaces.run()
	run.Summary.Adversaries = c.adversaries()
	run.Summary.OnFailure = c.onFailure.Totals()
	for _, kind := range sim.IncidentKinds() {
		if n := c.counts[kind]; n > 0 {
			if run.Summary.Incidents == nil {
				run.Summary.Incidents = map[string]uint64{}
			}
			run.Summary.Incidents[kind.String()] = n
		}
	}
	if len(c.failures) > 0 {
		run.Summary.First = &c.failures[0]
	}
	for i := range c.clients {
		c.clients[i].Causes = map[string]uint64{}
		for _, cause := range allocator.Causes() {
			if n := c.causes[i][cause]; n > 0 {
				c.clients[i].Causes[cause.String()] = n
			}
		}
	}
	for i, m := range c.heaps {
		run.Summary.Heaps = append(run.Summary.Heaps, c.heapTotals(i, m, end))
		run.Samples = append(run.Samples, c.samples[i]...)
		windows := make([]mem.RangeSet, len(m.reaches))
		for j, r := range m.reaches {
			windows[j] = r.window
		}
		run.Maps = append(run.Maps, Map{
			Heap: i, Hull: m.pixels.hull, Arena: m.arena(), Reaches: windows, Rows: m.pixels.rows,
			Times: c.sampleTime, Cells: m.pixels.cells,
		})
	}
	slices.SortStableFunc(run.Samples, func(a, b Sample) int { return cmp.Compare(a.At, b.At) })
	return run
}

func (c *Collector) heapTotals(number int, m *heapMeter, end time.Duration) HeapTotals {
	m.held.to(end)
	t := HeapTotals{
		Name: c.cfg.Heaps[number].Name, Kind: c.cfg.Heaps[number].Kind.String(),
		MeanRequested: m.held.requested.over(end), MeanReserved: m.held.reserved.over(end), MeanBlocks: m.held.blocks.over(end),
		Internal: Internal{
			Padding: m.padding.mean(end), Granularity: m.granularity.mean(end),
			Granule: m.granule.mean(end), Allocator: m.allocator.mean(end),
		},
		UnusableSize: mem.Size(m.unusableSize), Causes: map[string]uint64{},
		Limit: mem.Size(c.cfg.Heaps[number].Limit), LimitPerClient: mem.Size(c.cfg.Heaps[number].LimitPerClient),
	}
	for _, cause := range allocator.Causes() {
		if n := m.failures[cause]; n > 0 {
			t.Causes[cause.String()] = n
		}
	}
	if m.pages != nil {
		m.pageTotals(&t)
	} else {
		l := m.heap.Ledger
		t.Allocator, t.Aware, t.Capacity = m.heap.Allocator, m.heap.Aware, mem.Size(l.Capacity())
		t.PeakReserved, t.PeakRequested = mem.Size(l.PeakReserved()), mem.Size(l.PeakRequested())
		if l.HighWater() > 0 {
			t.HighWater = mem.Size(l.HighWater() - m.heap.Arena.Hull().Lo)
		}
	}
	for _, r := range m.reaches {
		t.Reaches = append(t.Reaches, ReachTotals{
			Device: c.cfg.Devices[r.device].Name, Capacity: mem.Size(r.window.Size()),
		})
	}
	var weight float64
	for i, s := range c.samples[number] {
		w := 1.0 // if no time passes, every sample counts the same
		if end > 0 {
			w = float64(c.until(i, end) - c.sampleTime[i])
		}
		weight += w
		index := LargestFreeIndex(s.Free, s.Largest)
		t.MeanHoles += w * float64(s.Holes)
		t.MeanLargestFreeIndex += w * index
		t.WorstLargestFreeIndex = max(t.WorstLargestFreeIndex, index)
		t.MeanUnusable += w * s.Unusable
		t.WorstUnusable = max(t.WorstUnusable, s.Unusable)
		for j, r := range s.Reaches {
			index := LargestFreeIndex(r.Free, r.Largest)
			t.Reaches[j].MeanFree += w * float64(r.Free)
			t.Reaches[j].MeanPolluted += w * float64(r.Polluted)
			t.Reaches[j].MeanLargestFreeIndex += w * index
			t.Reaches[j].WorstLargestFreeIndex = max(t.Reaches[j].WorstLargestFreeIndex, index)
			t.Reaches[j].MeanUnusable += w * r.Unusable
		}
	}
	if weight > 0 {
		for _, mean := range []*float64{&t.MeanHoles, &t.MeanLargestFreeIndex, &t.MeanUnusable} {
			*mean /= weight
		}
		for j := range t.Reaches {
			r := &t.Reaches[j]
			for _, mean := range []*float64{&r.MeanFree, &r.MeanPolluted, &r.MeanLargestFreeIndex, &r.MeanUnusable} {
				*mean /= weight
			}
		}
	}
	return t
}

// until returns the time up to which sample i stands for the state.
func (c *Collector) until(i int, end time.Duration) time.Duration {
	if i+1 < len(c.sampleTime) {
		return c.sampleTime[i+1]
	}
	return end
}
