package workloads

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"dmasim/allocator"
)

// Unlimited retries end with a deadline, or not at all.
const Unlimited = math.MaxUint64

// RetryConfig says what becomes of a workload's requests that are refused.
type RetryConfig struct {
	// Name and Seed are the key of the jitter's random numbers; those of the workload
	// will do.
	Name string
	Seed uint64
	// Fallbacks are, for each of the source's clients, those that stand for it in other
	// heaps, in the order in which these are asked, by Op.Client. A client beyond the
	// list has none.
	Fallbacks [][]int
	Retries   uint64 // after the first attempt: how often all of these heaps are asked again
	Backoff   Backoff
	Deadline  time.Duration // from the first attempt on; 0: none
}

func (c *RetryConfig) check() error {
	switch {
	case c.Retries == Unlimited && c.Backoff.Initial <= 0:
		return errors.New("retries without end need a back-off above 0")
	case c.Deadline < 0:
		return errors.New("a deadline must not be negative")
	}
	return c.Backoff.check()
}

// Retrying is the work of a source whose user does not leave it at a refusal: it asks
// other heaps, backs off, tries again, and drops the buffer in the end. Each attempt is a
// request of its own, and fails as one.
//
// A buffer is asked for in the client's own heap, then at the same instant in each
// fallback heap. If all refuse, the round is repeated after a back-off, until one serves,
// there were as many retries as allowed, or the deadline comes. A retry at the deadline
// is the last. Where another heap serves, Op.Limit, which is about the client's own, is 0.
// The lifetime of a buffer begins when it is served.
//
// A Free of a buffer that waits, or an Alloc that uses its name again, drops it; a
// Free of a dropped buffer does nothing. At one instant, frees of the source come before
// retries, retries before new requests, and of retries the oldest buffer's comes first.
//
// The source goes on as ever while buffers wait. One that reacts to outcomes has to be
// [Patient]. Retrying remembers nothing of buffers but those that wait.
//
// Jitter is drawn by seed, name, number of the buffer in the order of asking, and number
// of the retry.
type Retrying struct {
	source  Source
	patient Patient // the source, if it wants to know what becomes of its requests
	config  RetryConfig
	jitter  *stream
	endings []func(Ending)

	ahead   Op // the source's next operation, of one that is not patient
	isAhead bool

	asked   uint64        // requests
	current request       // the one that was asked for last
	at      time.Duration // when
	open    bool          // its outcome is not known
	waiting waitingRoom
}

// Patient is a source that looks at what became of its requests, and is content to hear
// of it late. Of an allocation that it is not told to wait for, Settle tells before the
// next Peek or Next. Next is called with nil.
type Patient interface {
	Source
	// Peek returns the source's next operation without taking it. Until it is taken,
	// what the source is told may change it; At and Kind alone mean something.
	Peek() (next Op, more bool)
	// Wait tells that the last operation, an Alloc, was refused and is tried again. If
	// the source frees the buffer meanwhile, it is dropped and nothing more is told.
	Wait()
	// Settle tells what became of an allocation, and with Op.At when.
	Settle(*Outcome)
}

// Fate is what became of a buffer that was asked for.
type Fate uint8

// The fates.
const (
	StillWaiting     Fate = iota
	ServedAtOnce          // by the client's own heap, at the first attempt
	ServedByRetry         // by the client's own heap
	ServedByFallback      // by another heap, at once or after retries
	OutOfRetries          // dropped
	DeadlinePassed        // dropped
	Cancelled             // dropped: it was freed before it was served
)

// fates are their names.
var fates = [...]string{"waiting", "at once", "by a retry", "by a fallback", "out of retries", "too late", "freed"}

// String names the fate in a word or two.
func (f Fate) String() string { return fates[f] }

// Served reports whether the buffer was had in the end.
func (f Fate) Served() bool { return f >= ServedAtOnce && f <= ServedByFallback }

// Dropped reports whether it was given up.
func (f Fate) Dropped() bool { return f >= OutOfRetries }

// Ending tells how the attempts to get a buffer ended.
type Ending struct {
	Buffer   uint64        // its name
	Client   int           // of the source
	Asked    time.Duration // when it was asked for first
	At       time.Duration
	Attempts uint64 // allocations asked for
	Retries  uint64 // of them, those after a back-off in the client's own heap
	Fate     Fate
}

// NewRetrying returns the work of source with what config says of requests that are
// refused.
func NewRetrying(source Source, config RetryConfig) (*Retrying, error) {
	r := &Retrying{source: source, config: config, jitter: newStream(config.Seed, config.Name, "backoff")}
	if err := config.check(); err != nil {
		return nil, err
	}
	var patient bool
	r.patient, patient = source.(Patient)
	if reactive, is := source.(Reactive); is && reactive.ClosedLoop() && !patient {
		return nil, fmt.Errorf("a %T reacts to outcomes at once, it cannot wait", source)
	}
	return r, nil
}

// Watch adds a function that is called when the attempts to get a buffer have ended.
func (r *Retrying) Watch(ended func(Ending)) { r.endings = append(r.endings, ended) }

// Waiting calls ended for each buffer that still waits, in no particular order.
func (r *Retrying) Waiting(ended func(Ending)) {
	for _, slot := range r.waiting.order {
		ended(r.waiting.slots[slot].ending(r.at, StillWaiting))
	}
	if r.open && r.current.attempts > 0 { // its next attempt never came
		ended(r.current.ending(r.at, StillWaiting))
	}
}

// ClosedLoop implements [Reactive].
func (r *Retrying) ClosedLoop() bool { return true }

// Err implements [Source].
func (r *Retrying) Err() error { return r.source.Err() }

// Next implements [Source].
func (r *Retrying) Next(last *Outcome) (Op, bool) {
	if r.open && r.learn(last) {
		return r.ask(r.at), true
	}
	for {
		next, more := r.peek()
		if !more && r.source.Err() != nil {
			return Op{}, false
		}
		if q := r.waiting.first(); q != nil && (!more || q.due < next.At || q.due == next.At && next.Kind != Free) {
			r.current = r.waiting.takeFirst()
			r.at = r.current.due
			if r.current.expires {
				r.end(r.current.ending(r.at, DeadlinePassed))
				r.tell(&Outcome{Cause: r.current.cause})
				continue
			}
			r.current.retries++
			return r.ask(r.at), true
		}
		if !more {
			return Op{}, false
		}
		op := r.take()
		if op.Kind == Free || op.Lifetime <= 0 {
			if q, waited := r.waiting.takeNamed(op.Buffer); waited {
				r.end(q.ending(op.At, Cancelled))
			}
		}
		if op.Kind == Free {
			return op, true
		}
		r.current = request{op: op, number: r.asked}
		r.asked++
		return r.ask(op.At), true
	}
}

// peek returns the source's next operation.
func (r *Retrying) peek() (next Op, more bool) {
	if r.patient != nil {
		return r.patient.Peek()
	}
	if !r.isAhead {
		r.ahead, r.isAhead = r.source.Next(nil)
	}
	return r.ahead, r.isAhead
}

// take takes the source's next operation, which peek has seen.
func (r *Retrying) take() Op {
	if r.patient != nil {
		op, _ := r.patient.Next(nil)
		return op
	}
	r.isAhead = false
	return r.ahead
}

// ask is the current request's next attempt.
func (r *Retrying) ask(at time.Duration) Op {
	r.at, r.open = at, true
	op := r.current.op
	op.At = at
	if r.current.heap > 0 {
		op.Client, op.Limit = r.fallbacks()[r.current.heap-1], 0
	}
	return op
}

// fallbacks are the clients that stand for that of the current request in other heaps.
func (r *Retrying) fallbacks() []int {
	if c := r.current.op.Client; c < len(r.config.Fallbacks) {
		return r.config.Fallbacks[c]
	}
	return nil
}

// learn takes note of what became of the current attempt. It reports whether another
// heap is to be asked at once.
func (r *Retrying) learn(last *Outcome) (askAgain bool) {
	r.open = false
	q := &r.current
	q.attempts++
	if last == nil || last.Cause == allocator.None {
		r.end(q.ending(r.at, q.served()))
		r.tell(last)
		return false
	}
	q.cause = last.Cause
	if q.heap < len(r.fallbacks()) {
		q.heap++
		return true
	}
	if q.retries == r.config.Retries {
		r.end(q.ending(r.at, OutOfRetries))
		r.tell(last)
		return false
	}
	if r.patient != nil && q.retries == 0 {
		r.patient.Wait()
	}
	q.heap = 0
	q.due = later(r.at, r.config.Backoff.wait(q.retries+1, r.random()))
	if r.config.Deadline > 0 {
		if deadline := later(q.op.At, r.config.Deadline); q.due > deadline {
			q.due, q.expires = deadline, true
		}
	}
	r.waiting.add(*q)
	return false
}

// random returns the current request's number in [0, 1) for its next back-off.
func (r *Retrying) random() float64 {
	if r.config.Backoff.Jitter == 0 {
		return 0
	}
	r.jitter.turnTo(mix(r.current.number) + r.current.retries)
	return rand.New(r.jitter).Float64()
}

// tell tells a patient source what became of the current request.
func (r *Retrying) tell(last *Outcome) {
	if r.patient == nil {
		return
	}
	var told Outcome
	if last != nil {
		told = *last
	}
	told.Op = r.current.op
	told.Op.At = r.at
	r.patient.Settle(&told)
}

func (r *Retrying) end(e Ending) {
	for _, ended := range r.endings {
		ended(e)
	}
}

// served is the fate of a request whose last attempt was served.
func (q *request) served() Fate {
	switch {
	case q.heap > 0:
		return ServedByFallback
	case q.retries > 0:
		return ServedByRetry
	}
	return ServedAtOnce
}

func (q *request) ending(at time.Duration, fate Fate) Ending {
	return Ending{Buffer: q.op.Buffer, Client: q.op.Client, Asked: q.op.At, At: at, Attempts: q.attempts, Retries: q.retries, Fate: fate}
}
