package live

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/workloads"
	"dmasim/workloads/program"
)

// Heap is a heap of the kernel.
type Heap interface {
	// Alloc makes a buffer, or says which cause a refusal has; the error is of the
	// world outside.
	Alloc(bytes uint64) (Buffer, allocator.Cause, error)
}

// Buffer is a buffer of the kernel.
type Buffer interface {
	Size() uint64 // bytes: whole pages
	Close() error
}

// Config is what is played.
type Config struct {
	sim.Config
	Heap   []Heap   // for each of the configuration's heaps; the same one may be there twice
	Budget mem.Size // that live buffers may hold together
	Page   mem.Size
	// Spawn makes a process without files, which may have so many descriptors.
	Spawn func(descriptors int) (Process, error)
	// Clock tells the time of a request; nil: it is not measured.
	Clock func() time.Duration
}

// Summary is what became of the work.
type Summary struct {
	Requests   uint64    `json:"requests"`
	Served     uint64    `json:"served"`
	OverBudget uint64    `json:"over_budget"` // refused here, the kernel was not asked
	Refused    []Refusal `json:"refused"`     // by the kernel
	Peak       mem.Size  `json:"peak_bytes"`
	PeakCount  int       `json:"peak_buffers"`
	Released   uint64    `json:"released"` // buffers closed, at their time or at the end
	Latency    *Latency  `json:"latency"`  // of served requests; null: not measured
	First      *Failure  `json:"first_failure"`
	Programs   *Programs `json:"programs"` // null: no process has one
}

// Refusal counts the requests that the kernel refused for one cause.
type Refusal struct {
	Cause    string `json:"cause"`
	Requests uint64 `json:"requests"`
}

// Failure is the first request that got nothing.
type Failure struct {
	At     time.Duration `json:"at"` // of the workload's clock
	Client string        `json:"client"`
	Size   mem.Size      `json:"bytes"`
	Cause  string        `json:"cause"`
}

// Latency are times that requests took.
type Latency struct {
	Median time.Duration `json:"median_ns"`
	P99    time.Duration `json:"p99_ns"`
	Most   time.Duration `json:"most_ns"`
}

// player plays one configuration.
type player struct {
	ctx     context.Context
	cfg     Config
	inputs  []*input
	due     departures
	live    map[uint64]Buffer // by number
	number  uint64
	held    uint64
	summary Summary
	times   []time.Duration
	refused [allocator.NumCauses]uint64

	told        []*told // those that run, in the order of their births
	latest      map[string]*told
	shared      int // buffers that processes hold
	sharedBytes uint64
	skipped     map[program.Verb]uint64
}

// input is a source with its next operation and its names.
type input struct {
	*sim.Input
	next  workloads.Op
	more  bool
	names map[uint64]uint64 // number of the buffer, or failed
}

const failed = 0

// Run plays the work to its end. The error is the context's, a source's, or that of
// a heap; the summary holds what was done until then.
func Run(ctx context.Context, cfg Config) (summary Summary, err error) {
	p := &player{ctx: ctx, cfg: cfg, live: map[uint64]Buffer{}}
	defer func() {
		err = errors.Join(err, p.endAll())
		for number := range p.live {
			err = errors.Join(err, p.release(number))
		}
		p.finish()
		summary = p.summary
	}()
	if err := p.begin(); err != nil {
		return p.summary, err
	}
	for i := range cfg.Inputs {
		in := &input{Input: &cfg.Inputs[i], names: map[uint64]uint64{}}
		p.inputs = append(p.inputs, in)
		if err := in.pull(nil); err != nil {
			return p.summary, err
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return p.summary, err
		}
		more, err := p.step()
		if err != nil || !more {
			return p.summary, err
		}
	}
}

// step does what comes next. At one instant buffers whose lifetime ends go first, and
// processes go before sources.
func (p *player) step() (more bool, err error) {
	in, process := p.earliest(), p.nextProcess()
	const never = time.Duration(math.MaxInt64)
	due, wake, next := never, never, never
	if len(p.due) > 0 {
		due = p.due[0].at
	}
	if process != nil {
		wake = process.wake
	}
	if in != nil {
		next = in.next.At
	}
	now := min(due, wake, next)
	switch {
	case len(p.due) == 0 && process == nil && in == nil, p.cfg.Duration > 0 && now >= p.cfg.Duration:
		return false, nil
	case due == now && len(p.due) > 0:
		return true, p.release(heap.Pop(&p.due).(departure).number)
	case wake == now && process != nil:
		return true, p.resume(process)
	}
	op := in.next
	cause := allocator.None
	if op.Kind == workloads.Alloc {
		cause, err = p.alloc(in, &op)
	} else {
		number, known := in.names[op.Buffer]
		delete(in.names, op.Buffer)
		switch {
		case !known:
			err = in.misuse(sim.ErrUnknownName)
		case number != failed:
			err = p.release(number)
		}
	}
	if err != nil {
		return false, err
	}
	return true, in.pull(&workloads.Outcome{Op: op, Cause: cause})
}

func (p *player) earliest() *input {
	var first *input
	for _, in := range p.inputs {
		if in.more && (first == nil || in.next.At < first.next.At ||
			in.next.At == first.next.At && in.next.Kind == workloads.Free && first.next.Kind != workloads.Free) {
			first = in
		}
	}
	return first
}

func (p *player) alloc(in *input, op *workloads.Op) (allocator.Cause, error) {
	named := op.Lifetime <= 0
	if op.Size == 0 {
		return allocator.None, in.misuse(sim.ErrSize)
	}
	if named && in.names[op.Buffer] != failed {
		return allocator.None, in.misuse(sim.ErrNameInUse)
	}
	client := &p.cfg.Clients[in.Clients[op.Client]]
	buffer, cause, err := p.ask(client, op.Size)
	if err != nil {
		return cause, in.misuse(err)
	}
	number := uint64(failed)
	if cause == allocator.None {
		p.number++
		number = p.number
		p.live[number] = buffer
		p.serve(buffer.Size())
	} else {
		p.fail(op.At, client.Name, op.Size, cause)
	}
	switch {
	case named:
		in.names[op.Buffer] = number
	case number != failed:
		heap.Push(&p.due, departure{op.At + op.Lifetime, number})
	}
	return cause, nil
}

// ask asks the kernel for a buffer.
func (p *player) ask(client *sim.Client, size uint64) (buffer Buffer, cause allocator.Cause, err error) {
	cause, err = p.request(size, func() (cause allocator.Cause, err error) {
		buffer, cause, err = p.cfg.Heap[client.Heap].Alloc(size)
		return cause, err
	})
	return buffer, cause, err
}

// request counts and times a request, which is only made if the budget allows for
// it.
func (p *player) request(size uint64, ask func() (allocator.Cause, error)) (allocator.Cause, error) {
	p.summary.Requests++
	budget := uint64(p.cfg.Budget)
	if size > budget || p.whole(size) > budget-min(p.held, budget) {
		p.summary.OverBudget++
		return allocator.Limit, nil
	}
	var begun time.Duration
	if p.cfg.Clock != nil {
		begun = p.cfg.Clock()
	}
	cause, err := ask()
	switch {
	case err != nil:
	case cause != allocator.None:
		p.refused[cause]++
	case p.cfg.Clock != nil:
		p.times = append(p.times, p.cfg.Clock()-begun)
	}
	return cause, err
}

// whole rounds bytes within the budget up to whole pages.
func (p *player) whole(bytes uint64) uint64 {
	page := uint64(p.cfg.Page)
	return (bytes + page - 1) / page * page
}

// serve counts a buffer that was made.
func (p *player) serve(bytes uint64) {
	p.held += bytes
	p.summary.Served++
	p.summary.Peak = max(p.summary.Peak, mem.Size(p.held))
	p.summary.PeakCount = max(p.summary.PeakCount, len(p.live)+p.shared)
}

func (p *player) fail(at time.Duration, who string, size uint64, cause allocator.Cause) {
	if p.summary.First == nil {
		p.summary.First = &Failure{at, who, mem.Size(size), cause.String()}
	}
}

func (p *player) release(number uint64) error {
	buffer := p.live[number]
	delete(p.live, number)
	p.held -= buffer.Size()
	p.summary.Released++
	return buffer.Close()
}

func (p *player) finish() {
	p.summary.Refused = []Refusal{}
	for cause, n := range p.refused {
		if n > 0 {
			p.summary.Refused = append(p.summary.Refused, Refusal{allocator.Cause(cause).String(), n})
		}
	}
	if n := len(p.times); n > 0 {
		slices.SortFunc(p.times, func(a, b time.Duration) int { return cmp.Compare(a, b) })
		p.summary.Latency = &Latency{p.times[n/2], p.times[n*99/100], p.times[n-1]}
	}
}

func (in *input) pull(last *workloads.Outcome) error {
	before := in.next.At
	in.next, in.more = in.Source.Next(last)
	switch {
	case !in.more:
		if err := in.Source.Err(); err != nil {
			return fmt.Errorf("workload %s: %w", in.Name, err)
		}
	case in.next.At < before || in.next.At < 0:
		return in.misuse(sim.ErrOrder)
	}
	return nil
}

func (in *input) misuse(err error) error {
	return fmt.Errorf("workload %s: buffer %d at %v: %w", in.Name, in.next.Buffer, in.next.At, err)
}

// departure is when a buffer's lifetime ends.
type departure struct {
	at     time.Duration
	number uint64
}

// departures is a heap of departures, the earliest first.
type departures []departure

func (d departures) Len() int { return len(d) }
func (d departures) Less(i, j int) bool {
	return d[i].at < d[j].at || d[i].at == d[j].at && d[i].number < d[j].number
}
func (d departures) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *departures) Push(x any)   { *d = append(*d, x.(departure)) }
func (d *departures) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}
