package workloads

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ChurnConfig describes random work in an open loop: buffers arrive, live and
// go whatever becomes of them.
type ChurnConfig struct {
	// Name and Seed are the key of all random numbers. Two workloads of one
	// simulation need different names, or they draw the same numbers.
	Name string
	Seed uint64

	// Interarrival is the time in ns from one arrival to the next, and from the start
	// to the first. A [Saturated] has no use for it.
	Interarrival Distribution
	Size         Distribution // bytes, of clients that have none of their own
	Lifetime     Distribution // ns, of clients that have none of their own

	Clients []ChurnClient // who asks, by Op.Client; none: one client
	Count   uint64        // how many buffers arrive; 0: no end

	// Correlation is Spearman's rank correlation of the size and the lifetime of a
	// client's buffers, from -1 to 1; 0: they are independent.
	Correlation float64

	// Phases come one after the other, from the start; behind the last the churn is as
	// without them, or, with Repeat, begins with the first again.
	Phases []ChurnPhase
	Repeat bool
	Bursts *Bursts
	// Ramp is in place of Interarrival: arrivals are a Poisson process of its rate.
	Ramp *Ramp
}

// ChurnClient is one of several clients that share the arrivals of a churn.
type ChurnClient struct {
	Weight   float64       // its share of the buffers, relative to the others
	Size     *Distribution // nil: that of the churn
	Lifetime *Distribution // nil: that of the churn
}

// Churn is an open loop as a [Source]: a renewal process of arrivals, each with
// a client, a size and a lifetime. Every operation is an Alloc with a lifetime;
// buffers are named 0, 1, 2 and so on in the order of their arrival.
//
// Each property of buffer i is drawn from a generator of its own, keyed by
// seed, name, property and i. So the work is the same whatever the outcomes
// are, and a change of one distribution changes that property of the buffers it
// applies to and nothing else (common random numbers). A change of the weights
// moves some buffers to other clients; their arrivals stay. A correlation moves
// lifetimes only: a size is then the quantile of a uniform number, and the lifetime
// that of one which depends on it by a Gaussian copula, so both have the
// distributions that they would have alone.
//
// Phases, bursts and a ramp are rates that are multiplied with one another; the
// renewal process goes on in operational time, the integral of their product. Where
// it is 0, nothing arrives, and what was left of the time to the next arrival is left
// when it is no longer.
type Churn struct {
	arrivals     *Sampler
	populations  []population // the churn's own, and those of phases with others
	populationOf []int        // by phase
	pace         *pace        // nil: always the same
	count        uint64
	next         uint64 // the number of the next buffer
	at           time.Duration
	fraction     float64 // of a nanosecond, between at and the exact time of arrival
	ended        bool    // the next arrival is past MaxDuration
	err          error

	arrival, client, size, lifetime *stream

	copula *copula // nil: size and lifetime are independent
	config ChurnConfig
}

// population is whose buffers arrive, and what they are like.
type population struct {
	pick    picker
	clients []churnClient
}

type churnClient struct{ size, lifetime *Sampler }

// NewChurn returns the work that config describes. The error wraps a
// [*ParameterError] where a distribution is not valid.
func NewChurn(config ChurnConfig) (*Churn, error) {
	c := newChurn(config)
	if err := c.build(); err != nil {
		return nil, fmt.Errorf("churn %q: %w", config.Name, err)
	}
	return c, nil
}

func newChurn(config ChurnConfig) *Churn {
	return &Churn{
		config:   config,
		count:    config.Count,
		arrival:  newStream(config.Seed, config.Name, "arrival"),
		client:   newStream(config.Seed, config.Name, "client"),
		size:     newStream(config.Seed, config.Name, "size"),
		lifetime: newStream(config.Seed, config.Name, "lifetime"),
	}
}

func (c *Churn) build() error {
	config := &c.config
	if err := c.buildPopulations(); err != nil {
		return err
	}
	interarrival := config.Interarrival
	if config.Ramp != nil {
		// In operational time, whose unit is then an arrival.
		interarrival = Distribution{Kind: "exponential", Parameters: map[string]float64{"mean": 1}}
	}
	var err error
	if c.arrivals, err = interarrival.Sampler(c.arrival); err != nil {
		return fmt.Errorf("interarrival: %w", err)
	}
	switch mean := c.arrivals.mean(); {
	case math.IsNaN(mean):
		return fmt.Errorf("interarrival: nobody knows the mean of %s", c.arrivals.kind)
	case mean < 1:
		return fmt.Errorf("interarrival: the mean is %v ns, want at least 1 ns", mean)
	}
	return c.buildPace()
}

// buildPace makes what the rate of arrivals depends on, if anything.
func (c *Churn) buildPace() error {
	config := &c.config
	if len(config.Phases) == 0 && config.Bursts == nil && config.Ramp == nil {
		return nil
	}
	p := &pace{phases: config.Phases, repeat: config.Repeat}
	for i := range config.Phases {
		p.period += config.Phases[i].arrivals()
	}
	if b := config.Bursts; b != nil {
		p.bursts, p.rest = newStream(config.Seed, config.Name, "burst"), newStream(config.Seed, config.Name, "pause")
		var err error
		if p.on, err = b.On.Sampler(p.bursts); err != nil {
			return fmt.Errorf("bursts: on: %w", err)
		}
		if p.off, err = b.Off.Sampler(p.rest); err != nil {
			return fmt.Errorf("bursts: off: %w", err)
		}
	}
	if r := config.Ramp; r != nil {
		if !(r.To > 0) || !finite(r.To) || r.Over < 1 || r.Over > MaxDuration {
			return fmt.Errorf("ramp: to %v bytes over %v, want both above 0", r.To, r.Over)
		}
		for i, m := range c.populationOf {
			if m != 0 {
				return fmt.Errorf("ramp: phase %d changes who arrives and with what, which a ramp does not reckon with: a rate is all it may have", i)
			}
		}
		var err error
		if p.ramp, err = rampSteps(*r, c.held()); err != nil {
			return fmt.Errorf("ramp: %w", err)
		}
	}
	p.start()
	c.pace = p
	return nil
}

// buildPopulations makes what buffers are like, always and in phases.
func (c *Churn) buildPopulations() error {
	config := &c.config
	if len(config.Clients) == 0 {
		config.Clients = []ChurnClient{{Weight: 1}}
	}
	if config.Correlation != 0 {
		if !(config.Correlation >= -1 && config.Correlation <= 1) {
			return fmt.Errorf("the correlation is %v, want a number from -1 to 1", config.Correlation)
		}
		made := newCopula(config.Correlation)
		c.copula = &made
	}
	if err := checkPhases(config.Phases, config.Repeat, len(config.Clients)); err != nil {
		return err
	}
	own, err := c.newPopulation(ChurnPhase{})
	if err != nil {
		return err
	}
	c.populations = []population{own}
	for i, f := range config.Phases {
		if f.Size == nil && f.Lifetime == nil && f.Weights == nil {
			c.populationOf = append(c.populationOf, 0)
			continue
		}
		made, err := c.newPopulation(f)
		if err != nil {
			return fmt.Errorf("phase %d: %w", i, err)
		}
		c.populationOf = append(c.populationOf, len(c.populations))
		c.populations = append(c.populations, made)
	}
	return nil
}

// newPopulation makes what buffers are like in a phase.
func (c *Churn) newPopulation(phase ChurnPhase) (population, error) {
	clients := c.config.Clients
	weights := make([]float64, len(clients))
	for i, client := range clients {
		weights[i] = client.Weight
		if phase.Weights != nil {
			weights[i] = phase.Weights[i]
		}
		if !finite(weights[i]) || weights[i] < 0 {
			return population{}, fmt.Errorf("client %d: the weight is %v, want a number at least 0", i, weights[i])
		}
	}
	made := population{newPicker(weights, c.client), make([]churnClient, len(clients))}
	if sum := made.pick.sum(); !(sum > 0) || !finite(sum) {
		return population{}, fmt.Errorf("the weights of the clients sum to %v, want a number above 0", sum)
	}
	for i, client := range clients {
		size, lifetime := c.config.Size, c.config.Lifetime
		for _, own := range []*Distribution{client.Size, phase.Size} {
			if own != nil {
				size = *own
			}
		}
		for _, own := range []*Distribution{client.Lifetime, phase.Lifetime} {
			if own != nil {
				lifetime = *own
			}
		}
		var err error
		if made.clients[i].size, err = size.Sampler(c.size); err != nil {
			return population{}, fmt.Errorf("client %d: size: %w", i, err)
		}
		if made.clients[i].lifetime, err = lifetime.Sampler(c.lifetime); err != nil {
			return population{}, fmt.Errorf("client %d: lifetime: %w", i, err)
		}
		if c.copula != nil {
			if err := made.clients[i].correlate(); err != nil {
				return population{}, fmt.Errorf("client %d: %w", i, err)
			}
		}
	}
	return made, nil
}

// held tells the byte-nanoseconds that one of the churn's own buffers holds on average
// in its first ns.
func (c *Churn) held() func(ns float64) float64 {
	own := &c.populations[0]
	var of []func(float64) float64
	for i := range own.clients {
		share, client := own.pick.probability(i), own.clients[i]
		switch {
		case share == 0:
		case c.copula != nil:
			lives := c.copula.lives(client.size, client.lifetime, reach)
			of = append(of, func(ns float64) float64 { return share * lives.held(ns) })
		default:
			mean := share * client.size.mean()
			of = append(of, func(ns float64) float64 {
				if math.IsInf(ns, 1) {
					return mean * client.lifetime.mean()
				}
				return mean * client.lifetime.limited(ns)
			})
		}
	}
	return func(ns float64) float64 {
		var sum float64
		for _, held := range of {
			sum += held(ns)
		}
		return sum
	}
}

// Offered returns how many buffers and how many bytes would be live on average in the
// long run if every request were served: by Little's law the rate of arrivals times the
// mean lifetime, and that times the mean size, or the mean of their product where they
// are correlated. Repeated phases count with their share of the arrivals (those of a
// steady clock that beats with them may fall otherwise), bursts with that of their time;
// phases that end do not count. A ramp offers what it leads to.
//
// Both may be +Inf. NaN is what nobody knows: where a mean is not known, where far ends
// of correlated distributions decide, or where bursts might beat with repeated phases.
func (c *Churn) Offered() (buffers, bytes float64) {
	config := &c.config
	rate, through := 1/c.arrivals.mean(), 1.0
	if b := config.Bursts; b != nil {
		on, off := b.On.Mean(), b.Off.Mean()
		through = on / (on + off)
		if config.Repeat && len(config.Phases) > 0 {
			through = math.NaN()
		}
	}
	if r := config.Ramp; r != nil {
		_, one := c.offered(&c.populations[0])
		if !finite(one) { // what lives is reached by fewer and fewer arrivals
			return math.NaN(), through * r.To
		}
		rate = r.To / one
	}
	if !config.Repeat || len(config.Phases) == 0 {
		buffers, bytes = c.offered(&c.populations[0])
		return through * rate * buffers, through * rate * bytes
	}
	buffers, bytes = 0, 0
	var period float64
	for i := range config.Phases {
		f := &config.Phases[i]
		period += float64(f.For)
		if arrivals := f.arrivals(); arrivals > 0 {
			n, held := c.offered(&c.populations[c.populationOf[i]])
			buffers, bytes = buffers+arrivals*n, bytes+arrivals*held
		}
	}
	return through * rate * buffers / period, through * rate * bytes / period
}

// offered returns the mean lifetime of a mix's buffers and the mean of that times the
// size.
func (c *Churn) offered(m *population) (lifetime, byteTime float64) {
	for i, client := range m.clients {
		share := m.pick.probability(i)
		if share == 0 {
			continue
		}
		mean := client.lifetime.mean()
		lifetime += share * mean
		if c.copula != nil {
			byteTime += share * c.copula.byteTimeOf(client.size, client.lifetime)
		} else {
			byteTime += share * mean * client.size.mean()
		}
	}
	return lifetime, byteTime
}

// Next implements [Source]. The outcome is not looked at. The work ends after
// Count buffers, or 73 years ([MaxDuration]).
func (c *Churn) Next(*Outcome) (Op, bool) {
	i := c.next
	if c.ended || (c.count > 0 && i >= c.count) {
		return Op{}, false
	}
	c.arrival.turnTo(i)
	if !c.advance(c.arrivals.Float64()) {
		c.ended = true
		return Op{}, false
	}
	return c.draw(), true
}

// draw makes the next buffer, at the time that has been reached.
func (c *Churn) draw() Op {
	i := c.next
	m := &c.populations[0]
	if c.pace != nil && c.pace.phase < len(c.populationOf) {
		m = &c.populations[c.populationOf[c.pace.phase]]
	}
	client := 0
	if len(m.clients) > 1 {
		c.client.turnTo(i)
		client = m.pick.next()
	}
	c.size.turnTo(i)
	c.lifetime.turnTo(i)
	c.next++
	op := Op{At: c.at, Kind: Alloc, Buffer: i, Client: client}
	if of := &m.clients[client]; c.copula == nil {
		op.Size, op.Lifetime = of.size.Size(), of.lifetime.Duration()
	} else {
		first := uniformOf(c.size)
		size, _ := of.size.quantile(first)
		lifetime, _ := of.lifetime.quantile(c.copula.second(normalOf(first), normalOf(uniformOf(c.lifetime))))
		op.Size, op.Lifetime = wholeSize(size), wholeDuration(lifetime)
	}
	return op
}

// advance moves the time of arrival by gap nanoseconds, or units of operational time.
// Fractions are carried, so that rounding does not change the rate. It returns false,
// and leaves the time as it is, past MaxDuration.
func (c *Churn) advance(gap float64) bool {
	if c.pace != nil {
		at, fraction, err := c.pace.advance(c.at, c.fraction, gap)
		if err != nil {
			if !errors.Is(err, errEnded) {
				c.err = fmt.Errorf("churn %q: buffer %d at %v: %w", c.config.Name, c.next, c.at, err)
			}
			return false
		}
		c.at, c.fraction = at, fraction
		return true
	}
	whole, fraction := math.Modf(c.fraction + gap)
	if !(whole <= float64(MaxDuration-c.at)) {
		return false
	}
	c.at += time.Duration(whole)
	c.fraction = fraction
	return true
}

// Err implements [Source]. A churn fails where 16 million phases and bursts bring no
// arrival.
func (c *Churn) Err() error { return c.err }
