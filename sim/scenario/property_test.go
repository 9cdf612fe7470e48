package scenario_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dmasim/sim/scenario"
)

// TestResolvedRoundTrip writes scenarios at random, most of them right, and
// holds those that load to the promise of Resolved.
func TestResolvedRoundTrip(t *testing.T) {
	right, all := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text := randomScenario(t)
		all++
		s, err := scenario.Parse("random.yaml", []byte(text))
		if err != nil {
			return
		}
		right++
		roundTrip(t, s)
	})
	if right < all/3 {
		t.Errorf("only %d of %d random scenarios were right", right, all)
	}
}

func TestNameFor(t *testing.T) {
	for text, want := range map[string]string{
		"A.1048576": "A-1048576", "12": "trace-12", "12a": "trace-12a", "-x": "trace-x", "_x": "trace-_x", "--": "trace", "": "trace",
		"é": "trace", "a b/c:d=1": "a-b-c-d-1", strings.Repeat("x", 99): strings.Repeat("x", 63), strings.Repeat("1", 99): "trace-" + strings.Repeat("1", 57),
	} {
		if got := scenario.NameFor(text, "trace"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		name := scenario.NameFor(rapid.OneOf(rapid.String(), rapid.StringMatching(`[-_.a-z0-9]*`)).Draw(t, "text"), "trace")
		if _, err := scenario.Parse("s.yaml", []byte(strings.Replace(small, "name: small", fmt.Sprintf("name: %q", name), 1))); err != nil {
			t.Fatal(err)
		}
	})
}

// optional returns the text, or nothing.
func optional(t *rapid.T, format string, args ...any) string {
	if rapid.Bool().Draw(t, "present") {
		return fmt.Sprintf(format, args...)
	}
	return ""
}

func oneOf(t *rapid.T, options ...string) string { return rapid.SampledFrom(options).Draw(t, "option") }

func randomScenario(t *rapid.T) string {
	var b strings.Builder
	b.WriteString("name: random\nduration: 1m\nmemory: [{base: 0, size: 64MiB}, {base: 0x10000000, size: 64MiB}]\n")
	b.WriteString(optional(t, "seed: %d\n", rapid.Uint64().Draw(t, "seed")))
	b.WriteString(optional(t, "page: %s\n", oneOf(t, "4KiB", "16KiB", "64KiB")))
	b.WriteString(optional(t, "description: %q\n", rapid.StringMatching(`[ -~é\n]*`).Draw(t, "description")))
	b.WriteString("heaps:\n")
	b.WriteString("  - {name: low, allocator: first-fit, arena: [{base: 0, size: 64MiB}]")
	b.WriteString(optional(t, ", granule: %s", oneOf(t, "256", "4KiB", "1MiB", "12345")) + optional(t, ", aware: true") +
		optional(t, ", placement: %s", oneOf(t, "natural", "low", "high")) + "}\n")
	b.WriteString("  - {name: high, allocator: best-fit, arena: [{base: 256MiB, size: 64MiB}]}\n")
	b.WriteString("devices:\n  - {use: sunxi-cedar-a20" + optional(t, ", name: vpu") + optional(t, ", align: 64KiB") + "}\n")
	b.WriteString("  - {name: dma, reach: [{lo: 0, size: 16MiB}]" + optional(t, ", boundary: {size: 64KiB}") +
		optional(t, ", translate: [{cpu: 0x0, bus: 0x80000000, size: 1GiB}]") + "}\n")
	b.WriteString("workloads:\n")
	for i := range rapid.IntRange(1, 3).Draw(t, "workloads") {
		fmt.Fprintf(&b, "  - name: w%d\n    heap: %s\n", i, oneOf(t, "low", "high"))
		b.WriteString(optional(t, "    devices: %s\n", oneOf(t, "[]", "[dma]")) + optional(t, "    placement: %s\n", oneOf(t, "natural", "low", "high")))
		b.WriteString(optional(t, "    on_failure: %s\n", oneOf(t, "{}", "{fallback: [low]}", "{retries: 3}",
			"{retries: unlimited, deadline: 1s, backoff: {initial: 1.5ms, factor: 1.25, most: 20ms, jitter: 0.3}}")))
		fmt.Fprintf(&b, "    churn:\n      %s\n", oneOf(t, "every: "+randomTimes(t), "ramp: {to: 3.5MiB, over: 1s}", "ramp: {share: 0.3, over: 1s}"))
		fmt.Fprintf(&b, "      size: %s\n      lifetime: %s\n", randomSizes(t), randomTimes(t))
		b.WriteString(optional(t, "      count: 5\n") + optional(t, "      correlation: %v\n", rapid.Float64Range(-1, 1).Draw(t, "correlation")))
		b.WriteString(optional(t, "      bursts: {on: %s, off: %s}\n", randomTimes(t), randomTimes(t)))
		b.WriteString(optional(t, "      phases:\n        - {for: 2s%s%s}\n        - {for: 1m, rate: 2%s}\n      repeat: %v\n",
			optional(t, ", rate_to: 0"), optional(t, ", size: %s", randomSizes(t)), optional(t, ", lifetime: %s", randomTimes(t)), rapid.Bool().Draw(t, "repeat")))
		for j := range rapid.IntRange(0, 2).Draw(t, "clients") {
			if j == 0 {
				b.WriteString("      clients:\n")
			}
			fmt.Fprintf(&b, "        - {name: c%d-%d", i, j)
			b.WriteString(optional(t, ", weight: %v", rapid.Float64Range(0.001, 10).Draw(t, "weight")) + optional(t, ", size: %s", randomSizes(t)) +
				optional(t, ", lifetime: %s", randomTimes(t)) + optional(t, ", devices: %s", oneOf(t, "[]", "[dma]")) +
				optional(t, ", placement: %s", oneOf(t, "natural", "low", "high")) + "}\n")
		}
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "variants") {
		if i == 0 {
			b.WriteString("variants:\n")
		}
		fmt.Fprintf(&b, "  - name: v%d\n    set:\n      seed: 7\n", i)
		settings := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
			"page: 16KiB", "duration: 2h", `description: ""`, "memory.1.size: 128MiB", "heaps.low.granule: 8KiB",
			"heaps.high.arena: [{base: 0x10000000, size: 1MiB}, {base: 0x10200000, size: 1MiB}]", "devices.dma.align: 128",
			"devices.dma.reach: [{lo: 0, size: 1MiB}, {lo: 4MiB, hi: 8MiB}]", "workloads.w0.placement: high", "workloads.w0.churn.size: {fixed: 3}",
			"workloads.w0.churn.clients: [{name: only, size: {fixed: 9}, lifetime: {fixed: 1s}}]", "workloads.w0.name: first", "devices: []",
			"workloads.w0.on_failure: {}", "workloads.w0.on_failure: {fallback: [high], retries: unlimited, backoff: {initial: 1ns}}",
		}), 0, 3, rapid.ID[string]).Draw(t, "settings")
		for _, set := range settings {
			fmt.Fprintf(&b, "      %s\n", set)
		}
	}
	return b.String()
}

func randomSizes(t *rapid.T) string {
	return oneOf(t, "{fixed: 3060KiB}", "{uniform: {min: 1, max: 4KiB}}", "{log_uniform: {min: 4KiB, max: 1.5MiB, at_most: 1MiB}}",
		"{choice: [{value: 4KiB}, {value: 1MiB, weight: 0.25}]}", "{pareto: {min: 512, shape: 1.1, at_least: 1KiB}}",
		`{empirical: {table: "lo,hi,count\n0,4KiB,1.5\n4KiB,4KiB,2\n1MiB,2MiB,0\n2MiB,3MiB,1\n", at_most: 2.5MiB}}`,
		"{binomial: {min: 4KiB, step: 64KiB, trials: 12, p: 0.3}}", "{beta: {min: 1, max: 1MiB, alpha: 0.5, beta: 2}}")
}

func randomTimes(t *rapid.T) string {
	return oneOf(t, "{fixed: 16.6ms}", "{exponential: {mean: 1h2m3.5s}}", "{weibull: {scale: 3s, shape: 0.7}}", "{gamma: {mean: 1us, shape: 2}}",
		`{empirical: {table: "value,count\n1000,1\n1.5ms,2\n"}}`, "{students_t: {location: 1ms, scale: 10us, degrees: 3}}")
}

func FuzzParse(f *testing.F) {
	f.Add(small)
	f.Add(scenario.Starter())
	for _, name := range scenario.Names() {
		text, err := scenario.Text(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := scenario.Parse("fuzz.yaml", []byte(text))
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || !strings.HasPrefix(err.Error(), "fuzz.yaml:") {
				t.Fatalf("message %q", err)
			}
			return
		}
		roundTrip(t, s)
		for _, v := range s.Variants {
			if _, err := v.Build(1); err != nil {
				t.Fatal(err)
			}
		}
	})
}
