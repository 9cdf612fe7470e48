package fit

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"dmasim/workloads"
	"dmasim/workloads/trace"
)

// Work is what was found for a trace.
type Work struct {
	Requests uint64        // those that failed too
	Length   time.Duration // from the first event to the last
	Between  Fit           // ns between two requests
	Size     Fit           // bytes, of all requests
	Lifetime Fit           // ns, of the requests that were served
	// NeverFreed: no buffer was ever freed, so that of lifetimes nothing is known but
	// that they are longer than the trace. Lifetime is that.
	NeverFreed bool
	// Correlation is Spearman's, of size and lifetime of the Pairs of which both were
	// seen. Correlated: it is more than chance makes of independent ones.
	Correlation float64
	Pairs       int
	Correlated  bool
}

// maxSample bounds the values of a quantity that are kept: a random sample of all.
const maxSample = 1 << 13

// reservoir keeps a random sample of what it is given (Vitter, "Random sampling with
// a reservoir", ACM Trans. Mathematical Software 11, 1985, algorithm R).
type reservoir[T any] struct {
	kept  []T
	seen  uint64
	draws workloads.Draws
}

func newReservoir[T any](seed uint64, name string) reservoir[T] {
	return reservoir[T]{draws: workloads.NewDraws(seed, "fit", name)}
}

func (r *reservoir[T]) add(v T) {
	r.seen++
	if len(r.kept) < maxSample {
		r.kept = append(r.kept, v)
		return
	}
	r.draws.TurnTo(r.seen)
	if i := rand.New(r.draws).Uint64N(r.seen); i < maxSample {
		r.kept[i] = v
	}
}

type lifetime struct {
	size     uint64
	length   time.Duration
	censored bool
}

// birth is of a buffer that lives.
type birth struct {
	at   time.Duration
	size uint64
}

// ErrTooFew is a trace with fewer than two requests, or whose requests all come at
// one time.
var ErrTooFew = errors.New("a fit takes two requests or more, at different times")

// Read reads a trace to its end and fits a churn to it. The seed is of the samples
// that are taken of long traces. The error is that of the reader or wraps ErrTooFew.
func Read(r *trace.Reader, seed uint64) (*Work, error) {
	between := newReservoir[float64](seed, "between")
	sizes := newReservoir[float64](seed, "size")
	lives := newReservoir[lifetime](seed, "lifetime")
	live := map[uint64]birth{}
	var w Work
	var first, last, request time.Duration
	var e trace.Event
	for n := 0; r.Next(&e); n++ {
		if n == 0 {
			first = e.At
		}
		last = e.At
		if e.Kind == workloads.Free {
			b := live[e.Buffer]
			lives.add(lifetime{b.size, e.At - b.at, false})
			delete(live, e.Buffer)
			continue
		}
		if w.Requests > 0 {
			between.add(float64(e.At - request))
		}
		request = e.At
		w.Requests++
		sizes.add(float64(e.Size))
		if !e.Failed {
			live[e.Buffer] = birth{e.At, e.Size}
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	w.Length = last - first
	if w.Requests < 2 || w.Length <= 0 {
		return nil, ErrTooFew
	}
	for _, id := range slices.Sorted(maps.Keys(live)) {
		lives.add(lifetime{live[id].size, last - live[id].at, true})
	}
	var err error
	if w.Between, err = Choose(Sample{Values: between.kept}); err != nil {
		return nil, err
	}
	if w.Between.Chosen.Distribution.Mean() < 1 {
		return nil, ErrTooFew
	}
	if w.Size, err = Choose(Sample{Values: sizes.kept}); err != nil {
		return nil, err
	}
	w.Size.limit(sizes.kept)
	var s Sample
	var paired []float64 // sizes of the lifetimes that were seen
	for _, l := range lives.kept {
		if l.censored {
			s.Censored = append(s.Censored, float64(l.length))
		} else {
			s.Values = append(s.Values, float64(l.length))
			paired = append(paired, float64(l.size))
		}
	}
	w.Pairs = len(paired)
	w.Correlation, w.Correlated = spearman(paired, s.Values)
	if w.Lifetime, err = Choose(s); errors.Is(err, ErrNothing) {
		w.NeverFreed = true
		w.Lifetime, err = Choose(Sample{Values: []float64{float64(w.Length) + 1}})
		w.Lifetime.Seen, w.Lifetime.Censored = 0, len(s.Censored)
	}
	return &w, err
}

// limit keeps what is drawn between the least and the greatest value that was seen:
// nobody asked for more.
func (f *Fit) limit(values []float64) {
	if d := &f.Chosen.Distribution; d.Kind != "choice" && d.Kind != "fixed" && d.Kind != "empirical" {
		d.AtLeast, d.AtMost = max(slices.Min(values), 1), slices.Max(values)
	}
}
