package workloads

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ChurnPhase is a span of time in which a churn is otherwise.
type ChurnPhase struct {
	For time.Duration // at least 1 ns
	// Rate and RateTo multiply the rate of arrivals at the beginning and at the end of
	// the phase; between them it changes evenly. They are at least 0.
	Rate, RateTo float64
	Size         *Distribution // of the buffers of all clients; nil: their own
	Lifetime     *Distribution // likewise
	Weights      []float64     // of the clients; nil: their own
}

// Bursts let arrivals through for a while, and hold them up for a while, in turn.
type Bursts struct {
	On, Off Distribution // ns; the first burst begins at the start
}

// Ramp is arrivals at such a rate that the work fills memory at an even pace, and then
// keeps it filled.
type Ramp struct {
	To   float64       // bytes that live on average at the end of Over and ever after, more than 0
	Over time.Duration // at least 1 ns
}

// pace is the rate of arrivals over time: the product of phases, bursts and a ramp. Its
// integral is the operational time in which the renewal process of a churn goes on
// (Cox and Lewis, "The Statistical Analysis of Series of Events", 1966, section 2.3(iv)).
type pace struct {
	phases []ChurnPhase
	repeat bool
	period float64 // operational time of all phases; of use where there is nothing else
	on     *Sampler
	off    *Sampler
	bursts *stream // keyed by the number of the burst
	rest   *stream // of the pauses
	ramp   []rampStep

	// Where each of them is, with the end of that.
	phase      int // len(phases): behind them
	phaseUntil time.Duration
	burst      uint64
	paused     bool
	burstUntil time.Duration
	step       int
	stepUntil  time.Duration
	piece      piece
}

// piece is a span of time in which the rate is linear.
type piece struct {
	from, until time.Duration
	rate, slope float64 // at from, and per ns
}

// forever is the end of what has none.
const forever = time.Duration(math.MaxInt64)

// mostPieces bounds the pieces without an arrival.
const mostPieces = 1 << 24

var errNoArrival = fmt.Errorf("no arrival in %d phases, bursts and pauses", mostPieces)

// start makes the first piece.
func (p *pace) start() {
	p.enterPhase(0, 0)
	p.enterBurst(0)
	p.stepUntil = forever
	if len(p.ramp) > 0 {
		p.stepUntil = p.ramp[0].until
	}
	p.enter(0)
}

func (p *pace) enterPhase(i int, at time.Duration) {
	if i == len(p.phases) && p.repeat {
		i = 0
	}
	p.phase, p.phaseUntil = i, forever
	if i < len(p.phases) {
		p.phaseUntil = at + p.phases[i].For
	}
}

func (p *pace) enterBurst(at time.Duration) {
	if p.on == nil {
		p.burstUntil = forever
		return
	}
	p.bursts.turnTo(p.burst)
	p.paused, p.burstUntil = false, sum(at, p.on.Duration())
}

// sum is a time that may be beyond all that is simulated.
func sum(a, b time.Duration) time.Duration {
	if a > forever-b {
		return forever
	}
	return a + b
}

// enter makes the piece that begins at a time.
func (p *pace) enter(at time.Duration) {
	p.piece = piece{from: at, until: min(p.phaseUntil, p.burstUntil, p.stepUntil), rate: 1}
	if p.phase < len(p.phases) {
		f := &p.phases[p.phase]
		p.piece.slope = (f.RateTo - f.Rate) / float64(f.For)
		p.piece.rate = max(f.RateTo-p.piece.slope*float64(p.phaseUntil-at), 0)
	}
	factor := 1.0
	if p.paused {
		factor = 0
	}
	if p.step < len(p.ramp) {
		factor *= p.ramp[p.step].rate
	}
	p.piece.rate *= factor
	p.piece.slope *= factor
}

// next goes on to the piece behind the present one, which has an end.
func (p *pace) next() {
	at := p.piece.until
	if p.phaseUntil == at {
		p.enterPhase(p.phase+1, at)
	}
	if p.burstUntil == at {
		if p.paused {
			p.burst++
			p.enterBurst(at)
		} else {
			p.rest.turnTo(p.burst)
			p.paused, p.burstUntil = true, sum(at, p.off.Duration())
		}
	}
	if p.stepUntil == at {
		p.step++
		p.stepUntil = p.ramp[p.step].until
	}
	p.enter(at)
}

// advance returns the time at which so much operational time has passed since a time in
// the present piece: in ns and a fraction. The error is errNoArrival, or errEnded.
func (p *pace) advance(at time.Duration, fraction, operational float64) (time.Duration, float64, error) {
	for range mostPieces {
		x := float64(at-p.piece.from) + fraction
		rate := p.piece.rate + p.piece.slope*x
		if p.piece.until == forever {
			if rate == 0 {
				return 0, 0, errEnded
			}
			return p.move(at, fraction, operational/rate)
		}
		left := float64(p.piece.until-p.piece.from) - x
		if holds := max(rate*left+p.piece.slope*left*left/2, 0); holds >= operational && holds > 0 {
			step := 2 * operational / (rate + math.Sqrt(max(rate*rate+2*p.piece.slope*operational, 0)))
			return p.move(at, fraction, min(step, left))
		} else {
			operational -= holds
		}
		p.next()
		at, fraction = p.piece.from, 0
		if at > MaxDuration {
			return 0, 0, errEnded
		}
		if p.phase == 0 && at > 0 && p.on == nil && len(p.ramp) == 0 && operational > p.period {
			if err := p.skip(&operational); err != nil {
				return 0, 0, err
			}
			at = p.piece.from
		}
	}
	return 0, 0, errNoArrival
}

var errEnded = errors.New("the next arrival is beyond all times")

// skip leaves out whole repetitions, from the beginning of one on.
func (p *pace) skip(operational *float64) error {
	var length time.Duration
	for _, f := range p.phases {
		length += f.For
	}
	times := math.Ceil(*operational/p.period) - 1
	if times*float64(length) > float64(MaxDuration-p.piece.from) {
		return errEnded
	}
	*operational = max(*operational-times*p.period, 0)
	at := p.piece.from + time.Duration(times)*length
	p.enterPhase(0, at)
	p.enter(at)
	return nil
}

// move adds ns to a time within the present piece.
func (p *pace) move(at time.Duration, fraction, ns float64) (time.Duration, float64, error) {
	whole, fraction := math.Modf(fraction + ns)
	if !(whole <= float64(MaxDuration-at)) {
		return 0, 0, errEnded
	}
	return at + time.Duration(whole), fraction, nil
}

// check finds what is wrong with phases of so many clients.
func checkPhases(phases []ChurnPhase, repeat bool, clients int) error {
	var length time.Duration
	var arrivals float64
	for i, f := range phases {
		switch {
		case f.For < 1 || f.For > MaxDuration-length:
			return fmt.Errorf("phase %d: it lasts %v, want a time above 0 that with the others is at most %v", i, f.For, MaxDuration)
		case !(f.Rate >= 0) || !(f.RateTo >= 0) || f.Rate > mostRate || f.RateTo > mostRate:
			return fmt.Errorf("phase %d: the rate goes from %v to %v, want numbers from 0 to %v", i, f.Rate, f.RateTo, mostRate)
		case f.Weights != nil && len(f.Weights) != clients:
			return fmt.Errorf("phase %d: %d weights of %d clients", i, len(f.Weights), clients)
		}
		length += f.For
		arrivals += f.arrivals()
	}
	if repeat && !(arrivals > 0) {
		return errors.New("the phases repeat and have no arrivals")
	}
	return nil
}

// mostRate bounds what multiplies a rate.
const mostRate = 1e9

// arrivals is the operational time of a phase.
func (f *ChurnPhase) arrivals() float64 { return (f.Rate + f.RateTo) / 2 * float64(f.For) }

var errNoRate = errors.New("there is no rate of arrivals for it: what one holds on average is not known, 0 or infinite")

// rampStep is a span with one rate of arrivals.
type rampStep struct {
	until time.Duration
	rate  float64 // arrivals per ns
}

// rampSteps returns the rates of a ramp. What lives at t is the integral of rate(s) times
// what an arrival at s still holds at t: a Volterra equation of the first kind for the
// rate, solved for a rate that is constant between points in time, at which what lives
// is exact (Linz, "Analytical and Numerical Methods for Volterra Equations", 1985,
// chapter 9: product integration). Held tells the byte-nanoseconds that an arrival holds
// in its first ns. Where the work would have to give memory back, the rate is 0 and too
// much lives for a while.
func rampSteps(ramp Ramp, held func(ns float64) float64) ([]rampStep, error) {
	const (
		even   = 64   // points until the target is reached
		growth = 1.15 // of the steps behind it
		most   = 250  // points
		enough = 0.9999
	)
	all := held(math.Inf(1))
	if first := held(1); !finite(first) {
		return nil, errNoRate
	}
	var steps []rampStep
	var until float64
	step := float64(ramp.Over) / even
	for len(steps) < most {
		from := until
		if len(steps) < even {
			until = math.Round(float64(ramp.Over) / even * float64(len(steps)+1))
		} else {
			step *= growth
			until = math.Round(from + max(step, 1))
		}
		if until <= from {
			until = from + 1
		}
		if until >= float64(MaxDuration) {
			break
		}
		lives, begin := 0.0, 0.0
		for _, s := range steps {
			lives += s.rate * (held(until-begin) - held(until-float64(s.until)))
			begin = float64(s.until)
		}
		want := ramp.To * min(until/float64(ramp.Over), 1)
		rate := max((want-lives)/held(until-from), 0)
		if !finite(rate) {
			return nil, errNoRate
		}
		if rate > 1 {
			return nil, fmt.Errorf("it takes %.3g arrivals per ns, want at most 1: let it take longer, or go less far", rate)
		}
		steps = append(steps, rampStep{time.Duration(until), rate})
		if until > float64(ramp.Over) && held(until-float64(ramp.Over)) >= enough*all {
			break
		}
	}
	last := rampStep{forever, steps[len(steps)-1].rate}
	if !math.IsInf(all, 1) {
		last.rate = ramp.To / all
	}
	return append(steps, last), nil
}
