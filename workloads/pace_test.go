package workloads_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"

	"dmasim/workloads"
)

func fixed(value float64) workloads.Distribution {
	return workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": value}}
}

// steady is a churn with an arrival every time, and nothing random.
func steady(every time.Duration, count uint64) workloads.ChurnConfig {
	return workloads.ChurnConfig{
		Name: "steady", Seed: 1, Interarrival: fixed(float64(every)), Size: fixed(100), Lifetime: fixed(1), Count: count,
	}
}

func times(ops []workloads.Op) []time.Duration {
	var list []time.Duration
	for _, op := range ops {
		list = append(list, op.At)
	}
	return list
}

func TestPhases(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		phases []workloads.ChurnPhase
		repeat bool
		want   []time.Duration
	}{
		"twice as fast, then as ever": {
			[]workloads.ChurnPhase{{For: 2 * ms, Rate: 2, RateTo: 2}}, false, []time.Duration{ms / 2, ms, 3 * ms / 2, 2 * ms, 3 * ms, 4 * ms},
		},
		"nothing for a while, and what was left is left": {
			[]workloads.ChurnPhase{{For: 3 * ms / 2, Rate: 1, RateTo: 1}, {For: 10 * ms}}, false, []time.Duration{ms, 12 * ms, 13 * ms},
		},
		"again and again": {
			[]workloads.ChurnPhase{{For: ms, Rate: 2, RateTo: 2}, {For: 4 * ms}}, true,
			[]time.Duration{ms / 2, ms, 5*ms + ms/2, 6 * ms, 10*ms + ms/2},
		},
		// The integral of t/5ms reaches k·ms at √(10k) ms.
		"rising": {
			[]workloads.ChurnPhase{{For: 10 * ms, Rate: 0, RateTo: 2}}, false,
			[]time.Duration{3162277, 4472135, 5477225, 6324555, 7071067, 7745966, 8366600, 8944271, 9486832, 10 * ms, 11 * ms},
		},
		// That of 2-t/5ms at 10ms - √(100-10k) ms.
		"falling": {
			[]workloads.ChurnPhase{{For: 10 * ms, Rate: 2, RateTo: 0}}, true, []time.Duration{513167, 1055728, 1633399, 2254033},
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := steady(ms, uint64(len(test.want)))
			config.Phases, config.Repeat = test.phases, test.repeat
			got := times(churn(t, config))
			for i := range test.want {
				if d := got[i] - test.want[i]; d < -1 || d > 1 {
					t.Fatalf("arrivals at %v, want %v", got, test.want)
				}
			}
		})
	}
}

// TestOperationalTime holds arrivals under random phases and bursts to the integral of
// their rate, which is added up here piece by piece: arrival k of a steady clock comes
// when k ticks of operational time have passed.
func TestOperationalTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.IntRange(1, 5000).Draw(t, "ns")) })
		rate := rapid.SampledFrom([]float64{0, 0.25, 1, 3})
		config := steady(time.Duration(rapid.IntRange(1, 20000).Draw(t, "every")), 40)
		for range rapid.IntRange(0, 4).Draw(t, "phases") {
			config.Phases = append(config.Phases, workloads.ChurnPhase{For: length.Draw(t, "for"), Rate: rate.Draw(t, "rate"), RateTo: rate.Draw(t, "rate to")})
		}
		config.Repeat = rapid.Bool().Draw(t, "repeat")
		var on, off time.Duration
		if rapid.Bool().Draw(t, "bursts") {
			on, off = length.Draw(t, "on"), length.Draw(t, "off")
			config.Bursts = &workloads.Bursts{On: fixed(float64(on)), Off: fixed(float64(off))}
		}
		source, err := workloads.NewChurn(config)
		if err != nil {
			if config.Repeat && strings.HasSuffix(err.Error(), "the phases repeat and have no arrivals") {
				return
			}
			t.Fatal(err)
		}
		var period time.Duration
		for _, f := range config.Phases {
			period += f.For
		}
		rateAt := func(at time.Duration) (rate, slope float64, until time.Duration) {
			rate, until = 1, math.MaxInt64
			if within := at; period > 0 && (config.Repeat || at < period) {
				within %= period
				begin := at - within
				for _, f := range config.Phases {
					if at < begin+f.For {
						slope = (f.RateTo - f.Rate) / float64(f.For)
						rate, until = f.Rate+slope*float64(at-begin), begin+f.For
						break
					}
					begin += f.For
				}
			}
			if on > 0 {
				cycle := at % (on + off)
				if cycle < on {
					until = min(until, at-cycle+on)
				} else {
					rate, slope, until = 0, 0, min(until, at-cycle+on+off)
				}
			}
			return rate, slope, until
		}
		var now time.Duration
		var passed float64
		for k := 1; ; k++ {
			op, ok := source.Next(nil)
			if !ok {
				if source.Err() != nil && k == 1 && on > 0 {
					return // bursts and phases that never meet
				}
				if k != 41 {
					t.Fatalf("ended after %d: %v", k-1, source.Err())
				}
				return
			}
			if op.At > now+time.Duration(1e9) {
				return // too far to add up
			}
			for now < op.At {
				r, s, until := rateAt(now)
				span := float64(min(until, op.At) - now)
				passed += r*span + s*span*span/2
				now = min(until, op.At)
			}
			// The time of arrival is rounded down, by a ns, in which 3 may pass.
			if want := float64(k) * config.Interarrival.Parameters["value"]; passed > want*(1+1e-9)+1e-6 || passed < want*(1-1e-9)-3.1 {
				t.Fatalf("arrival %d at %v: %v ns of operational time have passed, want %v", k, op.At, passed, want)
			}
		}
	})
}

// TestPhasesWithMixes: what arrives in a phase is its own, arrivals and the draws of
// everything else stay.
func TestPhasesWithMixes(t *testing.T) {
	config := twoClients()
	base := churn(t, config)
	size, lifetime := fixed(4096), fixed(5)
	phase := func(f workloads.ChurnPhase) workloads.ChurnPhase {
		f.For, f.Rate, f.RateTo = time.Second, 1, 1
		return f
	}
	config.Phases = []workloads.ChurnPhase{
		phase(workloads.ChurnPhase{}), phase(workloads.ChurnPhase{Size: &size}), phase(workloads.ChurnPhase{Lifetime: &lifetime}),
		phase(workloads.ChurnPhase{Weights: []float64{0, 1}}),
	}
	config.Repeat = true
	for i, op := range churn(t, config) {
		want := base[i]
		switch op.At / time.Second % 4 {
		case 1:
			want.Size = 4096
		case 2:
			want.Lifetime = 5
		case 3:
			if want.Client = 1; base[i].Client == 0 {
				want.Size, want.Lifetime = op.Size, op.Lifetime
			}
		}
		if d := op.At - want.At; d < -1 || d > 1 {
			t.Fatalf("buffer %d arrives at %v, want %v", i, op.At, want.At)
		}
		if want.At = op.At; op != want {
			t.Fatalf("buffer %d is %+v, want %+v", i, op, want)
		}
	}
}

// TestSkip: a wait over very many repetitions ends where it would have ended.
func TestSkip(t *testing.T) {
	config := steady(time.Hour, 30)
	config.Phases = []workloads.ChurnPhase{{For: 3, Rate: 1, RateTo: 2}, {For: 4}, {For: 1, Rate: 1, RateTo: 1}}
	config.Repeat = true
	// 5.5 of 8 ns count.
	for i, at := range times(churn(t, config)) {
		want := float64(i+1) * float64(time.Hour) / 5.5 * 8
		if math.Abs(float64(at)-want) > 8 {
			t.Fatalf("arrival %d at %v, want %v", i, at, time.Duration(want))
		}
	}
}

func TestBursts(t *testing.T) {
	config := steady(time.Millisecond, 30000)
	config.Interarrival = exponential(time.Millisecond)
	config.Bursts = &workloads.Bursts{On: fixed(3e6), Off: fixed(7e6)}
	list := times(churn(t, config))
	for _, at := range list {
		if at%(10*time.Millisecond) > 3*time.Millisecond {
			t.Fatalf("an arrival at %v, in a pause", at)
		}
	}
	// Of a Poisson process in operational time, whose count has a deviation of √n.
	n := float64(len(list))
	if want := float64(list[len(list)-1]) * 0.3 / float64(time.Millisecond); math.Abs(n-want) > 4*math.Sqrt(n) {
		t.Errorf("%v arrivals, want %v", n, want)
	}
	config.Bursts = &workloads.Bursts{On: exponential(time.Second), Off: fixed(0)}
	config.Count = 100
	if _, err := workloads.NewChurn(config); err != nil {
		t.Error(err)
	}
}

// offeredTo plays a churn and returns the mean of the live bytes and buffers, over time.
func offeredTo(t *testing.T, config workloads.ChurnConfig, until time.Duration) (buffers, bytes float64) {
	t.Helper()
	source, err := workloads.NewChurn(config)
	if err != nil {
		t.Fatal(err)
	}
	for {
		op, ok := source.Next(nil)
		if !ok || op.At >= until {
			if err := source.Err(); err != nil {
				t.Fatal(err)
			}
			return buffers / float64(until), bytes / float64(until)
		}
		life := float64(min(op.Lifetime, until-op.At))
		buffers += life
		bytes += life * float64(op.Size)
	}
}

func TestOfferedOverTime(t *testing.T) {
	base := workloads.ChurnConfig{
		Name: "offered", Seed: 5, Interarrival: exponential(time.Millisecond),
		Size:     workloads.Distribution{Kind: "log_normal", Parameters: parameters{"median": 1000, "sigma": 1}},
		Lifetime: exponential(100 * time.Millisecond),
	}
	small, long := fixed(10), fixed(3e8)
	for name, change := range map[string]func(*workloads.ChurnConfig){
		"correlated": func(c *workloads.ChurnConfig) { c.Correlation = 0.7 },
		"phases": func(c *workloads.ChurnConfig) {
			c.Phases = []workloads.ChurnPhase{{For: time.Second, Rate: 3, RateTo: 1, Size: &small}, {For: 2 * time.Second, Rate: 0.5, RateTo: 0.5, Lifetime: &long}, {For: time.Second}}
			c.Repeat = true
		},
		"bursts": func(c *workloads.ChurnConfig) {
			c.Bursts = &workloads.Bursts{On: exponential(50 * time.Millisecond), Off: workloads.Distribution{Kind: "gamma", Parameters: parameters{"mean": 1e8, "shape": 3}}}
		},
		"ramp": func(c *workloads.ChurnConfig) { c.Ramp = &workloads.Ramp{To: 1e6, Over: time.Second} },
		"all": func(c *workloads.ChurnConfig) {
			c.Ramp = &workloads.Ramp{To: 1e6, Over: time.Second}
			c.Bursts = &workloads.Bursts{On: exponential(50 * time.Millisecond), Off: exponential(20 * time.Millisecond)}
			c.Correlation = -0.5
			c.Phases = []workloads.ChurnPhase{{For: time.Second, Rate: 3, RateTo: 0}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := base
			change(&config)
			source, err := workloads.NewChurn(config)
			if err != nil {
				t.Fatal(err)
			}
			wantBuffers, wantBytes := source.Offered()
			buffers, bytes := offeredTo(t, config, 600*time.Second)
			if !near(buffers, wantBuffers, 0.03) || !near(bytes, wantBytes, 0.05) {
				t.Errorf("%v buffers and %v bytes live on average, offered are %v and %v", buffers, bytes, wantBuffers, wantBytes)
			}
		})
	}
	config := base
	config.Phases = []workloads.ChurnPhase{{For: time.Second, Rate: 1, RateTo: 1}}
	config.Repeat = true
	config.Bursts = &workloads.Bursts{On: fixed(1e9), Off: fixed(1e9)}
	source, err := workloads.NewChurn(config)
	if err != nil {
		t.Fatal(err)
	}
	if buffers, bytes := source.Offered(); !math.IsNaN(buffers) || !math.IsNaN(bytes) {
		t.Errorf("bursts in repeated phases offer %v buffers and %v bytes, want NaN", buffers, bytes)
	}
}

// TestRamp holds what lives on average to an even rise to the target, and to the target
// from then on, for lifetimes of which no two ask for the same rates.
func TestRamp(t *testing.T) {
	const (
		over = 2 * time.Second
		to   = 5000.
		runs = 120
	)
	for name, config := range map[string]workloads.ChurnConfig{
		"exponential": {Lifetime: exponential(time.Second), Size: fixed(100)},
		"far longer":  {Lifetime: exponential(time.Minute), Size: fixed(100)},
		"far shorter": {Lifetime: exponential(10 * time.Millisecond), Size: fixed(100)},
		"fixed":       {Lifetime: fixed(7e8), Size: exponential(100)},
		"varied":      {Lifetime: workloads.Distribution{Kind: "hyper_exponential", Parameters: parameters{"mean": 1e9, "cv": 4}}, Size: fixed(100)},
		"endless":     {Lifetime: workloads.Distribution{Kind: "pareto", Parameters: parameters{"min": 1e8, "shape": 0.8}}, Size: fixed(100)},
		"correlated": {
			Lifetime: workloads.Distribution{Kind: "weibull", Parameters: parameters{"scale": 1e9, "shape": 0.7}}, Size: exponential(100), Correlation: 0.8,
		},
		"two": {Size: fixed(100), Clients: []workloads.ChurnClient{
			{Weight: 1, Lifetime: new_(exponential(100 * time.Millisecond)), Size: new_(fixed(400))}, {Weight: 2, Lifetime: new_(fixed(1.5e9))},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			at := []time.Duration{over / 4, over / 2, over, 3 * over / 2, 4 * over}
			live := make([][]float64, len(at))
			config.Name, config.Ramp = "ramp", &workloads.Ramp{To: to, Over: over}
			for seed := range uint64(runs) {
				config.Seed = seed
				source, err := workloads.NewChurn(config)
				if err != nil {
					t.Fatal(err)
				}
				now := make([]float64, len(at))
				for op, ok := source.Next(nil); ok && op.At < at[len(at)-1]; op, ok = source.Next(nil) {
					for i, t := range at {
						if op.At <= t && op.At+op.Lifetime > t {
							now[i] += float64(op.Size)
						}
					}
				}
				for i := range at {
					live[i] = append(live[i], now[i])
				}
			}
			for i, bytes := range live {
				mean, sd := stat.MeanStdDev(bytes, nil)
				want := to * min(float64(at[i])/float64(over), 1)
				if math.Abs(mean-want) > 4*sd/math.Sqrt(runs)+0.005*to {
					t.Errorf("after %v %v bytes live, want %v", at[i], mean, want)
				}
			}
		})
	}
}

func new_(d workloads.Distribution) *workloads.Distribution { return &d }

func TestPaceErrors(t *testing.T) {
	one := []workloads.ChurnPhase{{For: 1, Rate: 1, RateTo: 1}}
	stable := workloads.Distribution{Kind: "alpha_stable", Parameters: parameters{"location": 9, "scale": 1, "alpha": 1.5, "beta": 0}}
	endless := workloads.Distribution{Kind: "pareto", Parameters: parameters{"min": 1, "shape": 1}}
	for _, size := range []workloads.Distribution{endless, fixed(0)} {
		config := steady(time.Millisecond, 0)
		config.Ramp, config.Size = &workloads.Ramp{To: 1e5, Over: time.Second}, size
		if _, err := workloads.NewChurn(config); err == nil || !strings.HasSuffix(err.Error(), "ramp: there is no rate of arrivals for it: what one holds on average is not known, 0 or infinite") {
			t.Errorf("%+v: %v", size, err)
		}
	}
	for want, change := range map[string]func(*workloads.ChurnConfig){
		"phase 0: it lasts 0s, want a time above 0 that with the others is at most 640511h56m49.213693952s": func(c *workloads.ChurnConfig) { c.Phases = []workloads.ChurnPhase{{}} },
		"phase 1: the rate goes from -1 to 1, want numbers from 0 to 1e+09": func(c *workloads.ChurnConfig) {
			c.Phases = append(one, workloads.ChurnPhase{For: 1, Rate: -1, RateTo: 1})
		},
		"phase 0: 2 weights of 1 clients": func(c *workloads.ChurnConfig) {
			c.Phases = []workloads.ChurnPhase{{For: 1, Weights: []float64{1, 2}}}
		},
		"phase 0: the weights of the clients sum to 0, want a number above 0": func(c *workloads.ChurnConfig) {
			c.Phases = []workloads.ChurnPhase{{For: 1, Weights: []float64{0}}}
		},
		"the phases repeat and have no arrivals": func(c *workloads.ChurnConfig) {
			c.Phases, c.Repeat = []workloads.ChurnPhase{{For: 1}}, true
		},
		"bursts: on: fixed distribution: value: is missing: the value": func(c *workloads.ChurnConfig) {
			c.Bursts = &workloads.Bursts{On: workloads.Distribution{Kind: "fixed"}, Off: fixed(1)}
		},
		"ramp: to 0 bytes over 1s, want both above 0": func(c *workloads.ChurnConfig) { c.Ramp = &workloads.Ramp{Over: time.Second} },
		"ramp: it takes 15.6 arrivals per ns, want at most 1: let it take longer, or go less far": func(c *workloads.ChurnConfig) {
			c.Ramp = &workloads.Ramp{To: 1e5, Over: 64}
			c.Lifetime = fixed(1e6)
		},
		"ramp: phase 0 changes who arrives and with what, which a ramp does not reckon with: a rate is all it may have": func(c *workloads.ChurnConfig) {
			c.Ramp = &workloads.Ramp{To: 1e5, Over: time.Second}
			c.Phases = []workloads.ChurnPhase{{For: 1, Size: new_(fixed(1))}}
		},
		"ramp: there is no rate of arrivals for it: what one holds on average is not known, 0 or infinite": func(c *workloads.ChurnConfig) {
			c.Ramp = &workloads.Ramp{To: 1e5, Over: time.Second}
			c.Lifetime = stable
		},
		"interarrival: nobody knows the mean of alpha_stable": func(c *workloads.ChurnConfig) { c.Interarrival = stable },
	} {
		config := steady(time.Millisecond, 0)
		change(&config)
		if _, err := workloads.NewChurn(config); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	config := steady(time.Millisecond, 0)
	config.Phases = one
	if _, err := workloads.NewSaturated(config); err == nil || !strings.HasSuffix(err.Error(), "phases, bursts and a ramp are of arrivals, which saturated work has not") {
		t.Errorf("%v", err)
	}
}

// TestNoArrival: work whose bursts never let anything through ends with an error.
func TestNoArrival(t *testing.T) {
	config := steady(time.Hour, 0)
	config.Bursts = &workloads.Bursts{On: fixed(1), Off: fixed(1)}
	source, err := workloads.NewChurn(config)
	if err != nil {
		t.Fatal(err)
	}
	if op, ok := source.Next(nil); ok || source.Err() == nil || !strings.HasSuffix(source.Err().Error(), "no arrival in 16777216 phases, bursts and pauses") {
		t.Errorf("%+v, %v", op, source.Err())
	}
	// A last phase without end and arrivals is an end.
	config = steady(time.Hour, 0)
	config.Phases = []workloads.ChurnPhase{{For: workloads.MaxDuration}}
	source, err = workloads.NewChurn(config)
	if err != nil {
		t.Fatal(err)
	}
	if op, ok := source.Next(nil); ok || source.Err() != nil {
		t.Errorf("%+v, %v", op, source.Err())
	}
}

func TestPaceIsDeterministic(t *testing.T) {
	config := twoClients()
	config.Bursts = &workloads.Bursts{On: exponential(time.Second), Off: exponential(time.Second)}
	config.Phases = []workloads.ChurnPhase{{For: time.Second, Rate: 0, RateTo: 2}, {For: time.Second, Rate: 5, RateTo: 5}}
	config.Repeat, config.Correlation = true, 0.5
	if a := churn(t, config); !slices.Equal(a, churn(t, config)) {
		t.Error("the same seed gave other work")
	}
}
