package workloads_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/workloads"
)

type parameters = map[string]float64

func exponential(mean time.Duration) workloads.Distribution {
	return workloads.Distribution{Kind: "exponential", Parameters: parameters{"mean": float64(mean)}}
}

// twoClients is a churn of cameras and displays; the camera has its own sizes
// and lifetimes, from samplers that reject.
func twoClients() workloads.ChurnConfig {
	size := workloads.Distribution{Kind: "gamma", Parameters: parameters{"mean": 1 << 20, "shape": 0.5}}
	lifetime := workloads.Distribution{Kind: "normal", Parameters: parameters{"mean": 1e9, "sd": 1e9}}
	return workloads.ChurnConfig{
		Name:         "frames",
		Seed:         7,
		Interarrival: exponential(10 * time.Millisecond),
		Size:         workloads.Distribution{Kind: "log_normal", Parameters: parameters{"median": 64 << 10, "sigma": 1}},
		Lifetime:     exponential(time.Second),
		Clients:      []workloads.ChurnClient{{Weight: 3}, {Weight: 1, Size: &size, Lifetime: &lifetime}},
		Count:        2000,
	}
}

func churn(tb testing.TB, config workloads.ChurnConfig) []workloads.Op {
	tb.Helper()
	source, err := workloads.NewChurn(config)
	if err != nil {
		tb.Fatal(err)
	}
	var ops []workloads.Op
	for {
		op, ok := source.Next(nil)
		if !ok {
			if err := source.Err(); err != nil {
				tb.Fatal(err)
			}
			return ops
		}
		ops = append(ops, op)
	}
}

// same fails unless the property of every operation that is kept is the same in
// a and b.
func same[T comparable](t *testing.T, what string, a, b []workloads.Op, property func(workloads.Op) T, kept func(workloads.Op) bool) {
	t.Helper()
	n := 0
	for i := range a {
		if kept(a[i]) {
			n++
			if property(a[i]) != property(b[i]) {
				t.Fatalf("%s of buffer %d: %v and %v", what, i, property(a[i]), property(b[i]))
			}
		}
	}
	if n == 0 {
		t.Fatalf("%s: nothing to compare", what)
	}
}

func TestChurnCommonRandomNumbers(t *testing.T) {
	at := func(op workloads.Op) time.Duration { return op.At }
	client := func(op workloads.Op) int { return op.Client }
	size := func(op workloads.Op) uint64 { return op.Size }
	lifetime := func(op workloads.Op) time.Duration { return op.Lifetime }
	all := func(workloads.Op) bool { return true }
	of := func(client int) func(workloads.Op) bool {
		return func(op workloads.Op) bool { return op.Client == client }
	}
	base := churn(t, twoClients())

	t.Run("size of one client", func(t *testing.T) {
		config := twoClients()
		config.Clients[1].Size = &workloads.Distribution{Kind: "normal", Parameters: parameters{"mean": 0, "sd": 1e6}}
		ops := churn(t, config)
		same(t, "arrival", base, ops, at, all)
		same(t, "client", base, ops, client, all)
		same(t, "lifetime", base, ops, lifetime, all)
		same(t, "size", base, ops, size, of(0))
	})
	t.Run("lifetime", func(t *testing.T) {
		config := twoClients()
		config.Lifetime = workloads.Distribution{Kind: "gamma", Parameters: parameters{"mean": 1e9, "shape": 0.1}}
		ops := churn(t, config)
		same(t, "arrival", base, ops, at, all)
		same(t, "client", base, ops, client, all)
		same(t, "size", base, ops, size, all)
		same(t, "lifetime", base, ops, lifetime, of(1))
	})
	t.Run("interarrival", func(t *testing.T) {
		config := twoClients()
		config.Interarrival = workloads.Distribution{Kind: "gamma", Parameters: parameters{"mean": 1e7, "shape": 3}}
		ops := churn(t, config)
		same(t, "client", base, ops, client, all)
		same(t, "size", base, ops, size, all)
		same(t, "lifetime", base, ops, lifetime, all)
	})
	t.Run("weights", func(t *testing.T) {
		config := twoClients()
		config.Clients[0].Weight = 4
		ops := churn(t, config)
		same(t, "arrival", base, ops, at, all)
		unmoved := func(op workloads.Op) bool { return ops[op.Buffer].Client == op.Client }
		same(t, "size", base, ops, size, unmoved)
		same(t, "lifetime", base, ops, lifetime, unmoved)
		for i := range ops {
			if base[i].Client == 0 && ops[i].Client == 1 {
				t.Fatalf("buffer %d left the client whose weight grew", i)
			}
		}
	})
	t.Run("seed and name", func(t *testing.T) {
		for _, change := range []func(*workloads.ChurnConfig){
			func(c *workloads.ChurnConfig) { c.Seed++ },
			func(c *workloads.ChurnConfig) { c.Name += "2" },
		} {
			config := twoClients()
			change(&config)
			equal := 0
			for i, op := range churn(t, config) {
				if op.At == base[i].At || op.Size == base[i].Size || op.Lifetime == base[i].Lifetime {
					equal++
				}
			}
			if equal > len(base)/100 {
				t.Errorf("%d of %d buffers share a property with those of another key", equal, len(base))
			}
		}
	})
}

func TestChurnIgnoresOutcomes(t *testing.T) {
	base := churn(t, twoClients())
	source, err := workloads.NewChurn(twoClients())
	if err != nil {
		t.Fatal(err)
	}
	var last *workloads.Outcome
	for i := range base {
		op, ok := source.Next(last)
		if !ok || op != base[i] {
			t.Fatalf("operation %d is %+v, %v after failures, %+v without", i, op, ok, base[i])
		}
		last = &workloads.Outcome{Op: op, Cause: allocator.Exhausted}
	}
}

func TestChurnProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := workloads.ChurnConfig{
			Name:         rapid.String().Draw(t, "name"),
			Seed:         rapid.Uint64().Draw(t, "seed"),
			Interarrival: anyDistribution().Draw(t, "interarrival"),
			Size:         anyDistribution().Draw(t, "size"),
			Lifetime:     anyDistribution().Draw(t, "lifetime"),
			Count:        rapid.Uint64Range(1, 50).Draw(t, "count"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "clients") {
			config.Clients = append(config.Clients, workloads.ChurnClient{Weight: rapid.Float64Range(0.1, 10).Draw(t, "weight")})
		}
		source, err := workloads.NewChurn(config)
		if err != nil {
			if config.Interarrival.Mean() >= 1 {
				t.Fatal(err)
			}
			return
		}
		var at time.Duration
		for i := uint64(0); ; i++ {
			op, ok := source.Next(nil)
			if !ok {
				if i < config.Count && at < workloads.MaxDuration/1000 && config.Interarrival.Mean() < 1e12 {
					t.Fatalf("ended after %d of %d buffers at %v", i, config.Count, at)
				}
				break
			}
			if op.At < at || op.Kind != workloads.Alloc || op.Buffer != i || i >= config.Count ||
				op.Client < 0 || op.Client >= max(1, len(config.Clients)) ||
				op.Size < 1 || op.Size > workloads.MaxSize || op.Lifetime < 1 || op.Lifetime > workloads.MaxDuration {
				t.Fatalf("operation %d after %v: %+v", i, at, op)
			}
			at = op.At
		}
		if _, ok := source.Next(nil); ok {
			t.Fatal("went on after the end")
		}
	})
}

// TestChurnOffered checks the closed form against the laws of the M/G/∞ queue:
// the number of live buffers is Poisson with mean λE[T], the live bytes have
// mean λE[S]E[T] and variance λE[S²]E[T], whatever the lifetimes are.
func TestChurnOffered(t *testing.T) {
	const (
		second  = float64(time.Second)
		warmup  = 120 * time.Second
		samples = 20000
		every   = 60 * time.Second // what two samples share correlates them by 0.006 at most
	)
	lifetimes := []workloads.Distribution{
		exponential(3 * time.Second),
		{Kind: "fixed", Parameters: parameters{"value": 3 * second}},
		{Kind: "hyper_exponential", Parameters: parameters{"mean": 3 * second, "cv": 2}},
	}
	for _, lifetime := range lifetimes {
		t.Run(lifetime.Kind, func(t *testing.T) {
			source, err := workloads.NewChurn(workloads.ChurnConfig{
				Name:         "m-g-infinity",
				Seed:         1,
				Interarrival: exponential(time.Second / 2),
				Size:         workloads.Distribution{Kind: "choice", Choices: []workloads.Choice{{4, .5}, {8, .3}, {16, .2}}},
				Lifetime:     lifetime,
			})
			if err != nil {
				t.Fatal(err)
			}
			buffers, bytes := source.Offered()
			if !near(buffers, 6, 1e-12) || !near(bytes, 45.6, 1e-12) {
				t.Fatalf("offered %v buffers, %v bytes, want 6 and 45.6", buffers, bytes)
			}
			var live []workloads.Op
			var counts, loads []float64
			op, _ := source.Next(nil)
			for now := warmup; len(counts) < samples; now += every {
				for ; op.At <= now; op, _ = source.Next(nil) {
					live = append(live, op)
				}
				live = slices.DeleteFunc(live, func(op workloads.Op) bool { return op.At+op.Lifetime <= now })
				var load uint64
				for _, op := range live {
					load += op.Size
				}
				counts, loads = append(counts, float64(len(live))), append(loads, float64(load))
			}
			// Four standard errors: of a mean σ/√n, of a variance σ²√((κ-1)/n), with
			// the kurtosis κ = 3 + E[S⁴]/(6 E[S²]²) = 3.39 for bytes, less for buffers.
			root := math.Sqrt(samples)
			check := func(what string, got, want, tolerance float64) {
				t.Helper()
				if math.Abs(got-want) > tolerance {
					t.Errorf("%s is %.4f, want %v ± %.4f", what, got, want, tolerance)
				}
			}
			check("mean of live buffers", stat.Mean(counts, nil), 6, 4*math.Sqrt(6)/root)
			check("variance of live buffers", stat.Variance(counts, nil), 6, 4*6*math.Sqrt(2.4)/root)
			check("mean of live bytes", stat.Mean(loads, nil), 45.6, 4*math.Sqrt(470.4)/root)
			check("variance of live bytes", stat.Variance(loads, nil), 470.4, 4*470.4*math.Sqrt(2.4)/root)
			var none float64
			for _, n := range counts {
				if n == 0 {
					none++
				}
			}
			poisson := distuv.Poisson{Lambda: 6}.Prob(0)
			check("share of samples without buffers", none/samples, poisson, 4*math.Sqrt(poisson/samples))
		})
	}
}

func TestChurnOfferedByClient(t *testing.T) {
	// Half of the arrivals of client 0, and so on: 100 per second are 60 of one
	// (1 s, 1000 bytes) and 40 of the other (10 s, 50 bytes).
	size := workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 50}}
	lifetime := exponential(10 * time.Second)
	source, err := workloads.NewChurn(workloads.ChurnConfig{
		Interarrival: exponential(10 * time.Millisecond),
		Size:         workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 1000}},
		Lifetime:     exponential(time.Second),
		Clients:      []workloads.ChurnClient{{Weight: 6}, {Weight: 4, Size: &size, Lifetime: &lifetime}},
	})
	if err != nil {
		t.Fatal(err)
	}
	buffers, bytes := source.Offered()
	if !near(buffers, 60+400, 1e-12) || !near(bytes, 60000+20000, 1e-12) {
		t.Errorf("offered %v buffers and %v bytes, want 460 and 80000", buffers, bytes)
	}
}

func TestChurnPropertiesAreUncorrelated(t *testing.T) {
	const n = 200000
	source, err := workloads.NewChurn(workloads.ChurnConfig{
		Name:         "uncorrelated",
		Interarrival: exponential(time.Second),
		Size:         workloads.Distribution{Kind: "uniform", Parameters: parameters{"min": 0, "max": 1e12}},
		Lifetime:     exponential(time.Second),
		Clients:      []workloads.ChurnClient{{Weight: 1}, {Weight: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	series := map[string][]float64{}
	var at time.Duration
	for range n {
		op, _ := source.Next(nil)
		series["gap"] = append(series["gap"], float64(op.At-at))
		series["client"] = append(series["client"], float64(op.Client))
		series["size"] = append(series["size"], float64(op.Size))
		series["lifetime"] = append(series["lifetime"], float64(op.Lifetime))
		at = op.At
	}
	for a, x := range series {
		for b, y := range series {
			for lag := range 3 {
				if a == b && lag == 0 {
					continue
				}
				if r := stat.Correlation(x[:n-lag], y[lag:], nil); math.Abs(r) > 4.5/math.Sqrt(n) {
					t.Errorf("%s and %s %d buffers later correlate by %.4f", a, b, lag, r)
				}
			}
		}
	}
}

func TestChurnArrivalsKeepFractions(t *testing.T) {
	source, err := workloads.NewChurn(workloads.ChurnConfig{
		Interarrival: workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 1.25}},
		Size:         workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 1}},
		Lifetime:     exponential(time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		op, ok := source.Next(nil)
		if want := time.Duration(1.25 * float64(i+1)); !ok || op.At != want {
			t.Fatalf("buffer %d arrives at %d ns, want %d ns", i, op.At, want)
		}
	}
}

func TestNewChurnErrors(t *testing.T) {
	fixed := func(value float64) workloads.Distribution {
		return workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": value}}
	}
	bad := fixed(-1)
	good := workloads.ChurnConfig{Name: "x", Interarrival: fixed(1), Size: fixed(1), Lifetime: fixed(1)}
	for _, test := range []struct {
		change    func(*workloads.ChurnConfig)
		want      string
		parameter bool
	}{
		{func(c *workloads.ChurnConfig) { c.Interarrival = fixed(0) }, `churn "x": interarrival: the mean is 0 ns, want at least 1 ns`, false},
		{func(c *workloads.ChurnConfig) { c.Interarrival = bad }, `churn "x": interarrival: fixed distribution: value: is -1, want a number at least 0`, true},
		{func(c *workloads.ChurnConfig) { c.Size = bad }, `churn "x": client 0: size: fixed distribution: value: is -1, want a number at least 0`, true},
		{func(c *workloads.ChurnConfig) {
			c.Clients = []workloads.ChurnClient{{Weight: 1}, {Weight: 1, Lifetime: &bad}}
		}, `churn "x": client 1: lifetime: fixed distribution: value: is -1, want a number at least 0`, true},
		{func(c *workloads.ChurnConfig) { c.Clients = []workloads.ChurnClient{{}} }, `churn "x": the weights of the clients sum to 0, want a number above 0`, false},
		{func(c *workloads.ChurnConfig) { c.Clients = []workloads.ChurnClient{{Weight: math.NaN()}} }, `churn "x": client 0: the weight is NaN, want a number at least 0`, false},
	} {
		config := good
		test.change(&config)
		_, err := workloads.NewChurn(config)
		if err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
			continue
		}
		var parameter *workloads.ParameterError
		if errors.As(err, &parameter) != test.parameter {
			t.Errorf("%v: a ParameterError: %v, want %v", err, !test.parameter, test.parameter)
		}
	}
}

func ExampleNewChurn() {
	frame := workloads.Distribution{Kind: "fixed", Parameters: map[string]float64{"value": 1920 * 1088 * 1.5}}
	source, err := workloads.NewChurn(workloads.ChurnConfig{
		Name:         "player",
		Seed:         1,
		Interarrival: workloads.Distribution{Kind: "exponential", Parameters: map[string]float64{"mean": 20e6}}, // 20 ms
		Size:         workloads.Distribution{Kind: "log_uniform", Parameters: map[string]float64{"min": 4 << 10, "max": 256 << 10}},
		Lifetime:     workloads.Distribution{Kind: "exponential", Parameters: map[string]float64{"mean": 1e9}}, // 1 s
		Clients:      []workloads.ChurnClient{{Weight: 9}, {Weight: 1, Size: &frame}},
		Count:        3,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	buffers, bytes := source.Offered()
	fmt.Printf("%.0f buffers and %.1f MiB are live on average\n", buffers, bytes/(1<<20))
	for op, ok := source.Next(nil); ok; op, ok = source.Next(nil) {
		fmt.Printf("at %v client %d wants %d bytes for %v\n", op.At.Round(time.Microsecond), op.Client, op.Size, op.Lifetime.Round(time.Millisecond))
	}
	// Output:
	// 50 buffers and 17.6 MiB are live on average
	// at 6.833ms client 0 wants 51581 bytes for 8ms
	// at 27.376ms client 0 wants 6566 bytes for 496ms
	// at 41.879ms client 1 wants 3133440 bytes for 2ms
}

func BenchmarkChurn(b *testing.B) {
	fixedSize := workloads.Distribution{Kind: "fixed", Parameters: parameters{"value": 4096}}
	for _, bench := range []struct {
		name   string
		config workloads.ChurnConfig
	}{
		{"exponential", workloads.ChurnConfig{Interarrival: exponential(time.Millisecond), Size: fixedSize, Lifetime: exponential(time.Second)}},
		{"two-clients", twoClients()},
	} {
		b.Run(bench.name, func(b *testing.B) {
			config := bench.config
			config.Count = 0
			source, err := workloads.NewChurn(config)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				source.Next(nil)
			}
		})
	}
}
