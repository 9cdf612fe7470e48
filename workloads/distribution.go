package workloads

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Distribution describes how a quantity that is never negative is distributed.
// It is plain data for scenarios; the values carry whatever unit the quantity
// has (bytes for sizes, nanoseconds for times).
type Distribution struct {
	Kind       string             // a name from DistributionKinds
	Parameters map[string]float64 // every parameter of the kind, and no other
	Choices    []Choice           // for the kind "choice" only
	Bins       []Bin              // for the kind "empirical" only
	// AtLeast and AtMost clamp: a value outside becomes the nearer end, so the
	// ends gather what lies beyond them. AtMost 0 means no upper end.
	AtLeast, AtMost float64
}

// Choice is one value of a discrete distribution. Its probability is its weight
// divided by the sum of all weights.
type Choice struct{ Value, Weight float64 }

// ParameterError says what is wrong with a [Distribution].
type ParameterError struct {
	Kind      string // of the distribution
	Parameter string // its name; "kind", "choices", "bins", "at_least" or "at_most" for the other fields

	format string
	args   []any // for format; a quantity has the unit of what is distributed
}

// quantity is a value with the unit of what is distributed.
type quantity float64

// Error implements error. It writes values as plain numbers.
func (e *ParameterError) Error() string {
	return e.Text(func(value float64) string { return fmt.Sprint(value) })
}

// Text is Error with write to write the values that have the unit of what is
// distributed.
func (e *ParameterError) Text(write func(value float64) string) string {
	args := slices.Clone(e.args)
	for i, arg := range args {
		if q, ok := arg.(quantity); ok {
			args[i] = write(float64(q))
		}
	}
	return e.Kind + " distribution: " + e.Parameter + ": " + fmt.Sprintf(e.format, args...)
}

// Validate returns a [*ParameterError] where the distribution cannot be sampled.
func (d Distribution) Validate() error {
	_, err := d.law(nil)
	return err
}

// Mean returns the expected value with the clamps applied: in closed form, but for a
// noncentral t distribution, and for clamped F, inverse gamma and Student's t
// distributions whose mean without clamps is infinite, which are integrated (to eight
// digits or so). It is +Inf where the distribution has no finite mean (a Pareto
// distribution of shape 1 or less without AtMost) and NaN where nobody knows it (an
// alpha-stable one) or the distribution is not valid.
//
// The rounding of samples to whole bytes or nanoseconds is not part of it.
func (d Distribution) Mean() float64 {
	s, err := d.sampler(nil)
	if err != nil {
		return math.NaN()
	}
	return s.mean()
}

func (s *Sampler) mean() float64 {
	if !math.IsInf(s.atMost, 1) {
		return s.limited(s.atMost)
	}
	mean := s.law.Mean()
	if s.atLeast > 0 {
		mean += s.atLeast - s.law.limited(s.atLeast)
	}
	return max(mean, s.atLeast) // round-off may have left the range
}

// limited returns E[min(X, d)] of the values drawn, for d at least 0.
func (s *Sampler) limited(d float64) float64 {
	d = min(d, s.atMost)
	if d <= s.atLeast {
		return d
	}
	mean := s.law.limited(d)
	if s.atLeast > 0 {
		mean += s.atLeast - s.law.limited(s.atLeast)
	}
	return min(max(mean, s.atLeast), d)
}

// Sampler returns a sampler of the distribution that draws from src.
func (d Distribution) Sampler(src rand.Source) (*Sampler, error) {
	if src == nil {
		return nil, fmt.Errorf("%s distribution: no source of random numbers", d.Kind)
	}
	return d.sampler(src)
}

func (d Distribution) sampler(src rand.Source) (*Sampler, error) {
	law, err := d.law(src)
	if err != nil {
		return nil, err
	}
	atMost := d.AtMost
	if atMost == 0 {
		atMost = math.Inf(1)
	}
	return &Sampler{kind: d.Kind, law: law, atLeast: d.AtLeast, atMost: atMost}, nil
}

// law checks the description and returns what it describes.
func (d Distribution) law(src rand.Source) (law, error) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.Name == d.Kind })
	if i < 0 {
		return nil, d.problem("kind", "there is no such kind of distribution")
	}
	k := &kinds[i]
	for _, p := range k.Parameters {
		value, ok := d.Parameters[p.Name]
		if !ok {
			return nil, d.problem(p.Name, "is missing: %s", p.Meaning)
		}
		if !p.allows(value) {
			if p.Scaled {
				return nil, d.problem(p.Name, "is %v, want a number %s", quantity(value), p.limit(value))
			}
			return nil, d.problem(p.Name, "is %v, want a number %s", value, p.limit(value))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Parameters)) {
		if !slices.ContainsFunc(k.Parameters, func(p Parameter) bool { return p.Name == name }) {
			return nil, d.problem(name, "is not a parameter of this kind")
		}
	}
	if len(d.Choices) > 0 && !k.Choices {
		return nil, d.problem("choices", "are not for this kind")
	}
	if len(d.Bins) > 0 && !k.Bins {
		return nil, d.problem("bins", "are not for this kind")
	}
	if !finite(d.AtLeast) || d.AtLeast < 0 {
		return nil, d.problem("at_least", "is %v, want a number at least 0", quantity(d.AtLeast))
	}
	if !finite(d.AtMost) || d.AtMost < 0 {
		return nil, d.problem("at_most", "is %v, want a number at least 0", quantity(d.AtMost))
	}
	if d.AtMost > 0 && d.AtMost < d.AtLeast {
		return nil, d.problem("at_most", "is %v, below at_least, which is %v", quantity(d.AtMost), quantity(d.AtLeast))
	}
	return k.law(d, src)
}

func (d Distribution) problem(parameter, format string, args ...any) *ParameterError {
	return &ParameterError{Kind: d.Kind, Parameter: parameter, format: format, args: args}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Sampler draws values of one [Distribution].
type Sampler struct {
	kind            string
	law             law
	atLeast, atMost float64
}

// Float64 returns the next value. It is +Inf where the distribution reaches
// beyond float64.
func (s *Sampler) Float64() float64 {
	return min(max(s.law.Rand(), s.atLeast), s.atMost)
}

// quantile returns the least value that is reached with probability p, above 0 and
// below 1, if the distribution can tell.
func (s *Sampler) quantile(p float64) (float64, bool) {
	law, is := s.law.(quantiler)
	if !is {
		return 0, false
	}
	return min(max(law.Quantile(p), s.atLeast), s.atMost), true
}

// The largest values drawn: a distribution with a heavy tail must not wrap
// around. Both leave room to add one to another.
const (
	MaxSize     = uint64(1) << 52        // bytes, 4 PiB: as far as 52 physical address bits reach
	MaxDuration = time.Duration(1) << 61 // 73 years
)

// Size returns the next value as a size: rounded up to whole bytes, at least 1
// and at most [MaxSize].
func (s *Sampler) Size() uint64 { return wholeSize(s.Float64()) }

func wholeSize(x float64) uint64 { return whole(math.Ceil(x), MaxSize) }

// Duration returns the next value as a duration: rounded to whole nanoseconds,
// at least 1 ns and at most [MaxDuration].
func (s *Sampler) Duration() time.Duration { return wholeDuration(s.Float64()) }

func wholeDuration(x float64) time.Duration {
	return time.Duration(whole(math.Round(x), uint64(MaxDuration)))
}

// whole converts x, or the nearer of 1 and most where x is outside. The
// conversion of what does not fit in 64 bits would depend on the processor.
func whole(x float64, most uint64) uint64 {
	switch {
	case x >= float64(most):
		return most
	case x >= 1:
		return uint64(x)
	}
	return 1
}
