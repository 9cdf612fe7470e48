package workloads

import (
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
}

// ChurnClient is one of several clients that share the arrivals of a churn.
type ChurnClient struct {
	Weight   float64       // its share of the buffers, relative to the others
	Size     *Distribution // nil: that of the churn
	Lifetime *Distribution // nil: that of the churn
}

// Churn is an open loop as a [Source]: a renewal process of arrivals, each with
// a client, a size and a lifetime that are independent of one another but for
// the client's choice of distributions. Every operation is an Alloc with a
// lifetime; buffers are named 0, 1, 2 and so on in the order of their arrival.
//
// Each property of buffer i is drawn from a generator of its own, keyed by
// seed, name, property and i. So the work is the same whatever the outcomes
// are, and a change of one distribution changes that property of the buffers it
// applies to and nothing else (common random numbers). A change of the weights
// moves some buffers to other clients; their arrivals stay.
//
// Real work has phases, and sizes that go with lifetimes; this has neither, and
// results on it say nothing about them.
type Churn struct {
	arrivals *Sampler
	mix      picker
	clients  []churnClient
	count    uint64
	next     uint64 // the number of the next buffer
	at       time.Duration
	fraction float64 // of a nanosecond, between at and the exact time of arrival
	ended    bool    // the next arrival is past MaxDuration

	arrival, client, size, lifetime *stream

	buffers, bytes float64
}

type churnClient struct{ size, lifetime *Sampler }

// NewChurn returns the work that config describes. The error wraps a
// [*ParameterError] where a distribution is not valid.
func NewChurn(config ChurnConfig) (*Churn, error) {
	c := newChurn(config)
	if err := c.build(config); err != nil {
		return nil, fmt.Errorf("churn %q: %w", config.Name, err)
	}
	return c, nil
}

func newChurn(config ChurnConfig) *Churn {
	return &Churn{
		count:    config.Count,
		arrival:  newStream(config.Seed, config.Name, "arrival"),
		client:   newStream(config.Seed, config.Name, "client"),
		size:     newStream(config.Seed, config.Name, "size"),
		lifetime: newStream(config.Seed, config.Name, "lifetime"),
	}
}

func (c *Churn) build(config ChurnConfig) error {
	var err error
	if c.arrivals, err = config.Interarrival.Sampler(c.arrival); err != nil {
		return fmt.Errorf("interarrival: %w", err)
	}
	interarrival := config.Interarrival.Mean()
	if !(interarrival >= 1) {
		return fmt.Errorf("interarrival: the mean is %v ns, want at least 1 ns", interarrival)
	}
	return c.buildClients(config, interarrival)
}

// buildClients makes the clients, of which one arrives every interarrival ns on
// average.
func (c *Churn) buildClients(config ChurnConfig, interarrival float64) error {
	var err error
	clients := config.Clients
	if len(clients) == 0 {
		clients = []ChurnClient{{Weight: 1}}
	}
	weights := make([]float64, len(clients))
	for i, client := range clients {
		if !finite(client.Weight) || client.Weight < 0 {
			return fmt.Errorf("client %d: the weight is %v, want a number at least 0", i, client.Weight)
		}
		weights[i] = client.Weight
	}
	c.mix = newPicker(weights, c.client)
	if sum := c.mix.sum(); !(sum > 0) || !finite(sum) {
		return fmt.Errorf("the weights of the clients sum to %v, want a number above 0", sum)
	}
	c.clients = make([]churnClient, len(clients))
	for i, client := range clients {
		size, lifetime := config.Size, config.Lifetime
		if client.Size != nil {
			size = *client.Size
		}
		if client.Lifetime != nil {
			lifetime = *client.Lifetime
		}
		if c.clients[i].size, err = size.Sampler(c.size); err != nil {
			return fmt.Errorf("client %d: size: %w", i, err)
		}
		if c.clients[i].lifetime, err = lifetime.Sampler(c.lifetime); err != nil {
			return fmt.Errorf("client %d: lifetime: %w", i, err)
		}
		if share := c.mix.probability(i); share > 0 {
			buffers := share / interarrival * lifetime.Mean()
			c.buffers += buffers
			c.bytes += buffers * size.Mean()
		}
	}
	return nil
}

// Offered returns how many buffers and how many bytes would be live on average,
// once the work is under way, if every request were served: by Little's law the
// rate of arrivals times the mean lifetime, and that times the mean size. Both
// may be +Inf.
func (c *Churn) Offered() (buffers, bytes float64) { return c.buffers, c.bytes }

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
	client := 0
	if len(c.clients) > 1 {
		c.client.turnTo(i)
		client = c.mix.next()
	}
	c.size.turnTo(i)
	c.lifetime.turnTo(i)
	c.next++
	return Op{
		At:       c.at,
		Kind:     Alloc,
		Buffer:   i,
		Client:   client,
		Size:     c.clients[client].size.Size(),
		Lifetime: c.clients[client].lifetime.Duration(),
	}
}

// advance moves the time of arrival by gap nanoseconds. Fractions are carried,
// so that rounding does not change the rate. It returns false, and leaves the
// time as it is, past MaxDuration.
func (c *Churn) advance(gap float64) bool {
	whole, fraction := math.Modf(c.fraction + gap)
	if !(whole <= float64(MaxDuration-c.at)) {
		return false
	}
	c.at += time.Duration(whole)
	c.fraction = fraction
	return true
}

// Err implements [Source]; a churn does not fail.
func (c *Churn) Err() error { return nil }
