package scenario

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"dmasim/allocator/kernel/version"
	"dmasim/devices"
	"dmasim/mem"
	"dmasim/workloads"
	"dmasim/workloads/generator"
)

var update = flag.Bool("update", false, "write schema.json")

// TestSchema holds schema.json to the types and their comments.
func TestSchema(t *testing.T) {
	text, err := json.MarshalIndent(reflectSchema(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile("schema.json", text, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != Schema() {
		t.Error("schema.json is out of date: run go test ./sim/scenario -run TestSchema -update")
	}
}

func reflectSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	r := &jsonschema.Reflector{FieldNameTag: "yaml", ExpandedStruct: true, Anonymous: true, Mapper: mapType}
	for _, dir := range []string{".", "../../devices"} {
		if err := r.AddGoComments("dmasim/sim/scenario", dir); err != nil {
			t.Fatal(err)
		}
	}
	s := r.Reflect(&File{})
	s.Title = "dmasim scenario"
	s.Definitions["Bytes"] = &jsonschema.Schema{
		Description: "Bytes: a number with a binary unit, a plain number, or hexadecimal.",
		OneOf: []*jsonschema.Schema{
			{Type: "string", Pattern: `^([0-9.]+ *([KMGTPE][Ii])?[Bb]|[0-9]+|0[xX][0-9a-fA-F]+)$`},
			{Type: "integer", Minimum: "0"},
		},
	}
	s.Definitions["Duration"] = &jsonschema.Schema{
		Description: "Time, such as 16.6ms or 1h30m.",
		Type:        "string", Pattern: `^([0-9]+(\.[0-9]*)?(ns|us|µs|μs|ms|s|m|h))+$`,
	}
	s.Definitions["Sizes"] = distributionSchema("Size", "Bytes")
	s.Definitions["Times"] = distributionSchema("Time", "Duration")

	s.Definitions["GeneratorPool"] = r.Reflect(&GeneratorPool{})
	s.Definitions["GeneratorPool"].Version = ""
	s.Definitions["Generate"] = generateSchema()
	s.Definitions["Boundary"] = r.Reflect(&devices.Boundary{})
	s.Definitions["Boundary"].Version = ""

	for _, def := range s.Definitions {
		refine(def)
	}
	refine(s)
	*property(t, s, "page") = jsonschema.Schema{
		Type: "string", Enum: []any{"4KiB", "16KiB", "64KiB"}, Default: "4KiB", Description: property(t, s, "page").Description,
	}
	property(t, s.Definitions["Heap"], "allocator").Pattern = `^[a-z0-9-]+(:[a-z0-9-]+=[0-9a-zA-Z_]+(,[a-z0-9-]+=[0-9a-zA-Z_]+)*)?$`
	device := s.Definitions["Device"]
	device.Required = nil
	device.AnyOf = []*jsonschema.Schema{{Required: []string{"use"}}, {Required: []string{"name"}}}
	for _, name := range devices.Names() {
		use := property(t, device, "use")
		use.Enum = append(use.Enum, name)
	}
	return s
}

func property(t *testing.T, s *jsonschema.Schema, name string) *jsonschema.Schema {
	t.Helper()
	p, ok := s.Properties.Get(name)
	if !ok {
		t.Fatalf("the schema has no property %s", name)
	}
	return p
}

// refine makes what has a default optional, and gives numbers and names their
// limits.
func refine(s *jsonschema.Schema) {
	if s.Properties == nil {
		return
	}
	for p := s.Properties.Oldest(); p != nil; p = p.Next() {
		if value, ok := p.Value.Extras["default"]; ok {
			if text, _ := value.(string); strings.Trim(text, "0123456789") == "" && text != "" && p.Value.Type == "integer" {
				p.Value.Extras["default"] = json.Number(text)
			}
			s.Required = slices.DeleteFunc(s.Required, func(key string) bool { return key == p.Key })
		}
		if p.Value.Type == "integer" && p.Value.ExclusiveMinimum == "" && p.Value.Minimum == "" {
			p.Value.Minimum = "0" // the others are unsigned
		}
		if p.Key == "name" {
			p.Value.Pattern = namePattern
		}
	}
}

// mapType gives the schema of types that are written as text.
func mapType(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[mem.Size](), reflect.TypeFor[mem.Addr]():
		return reference("Bytes")
	case reflect.TypeFor[time.Duration]():
		return reference("Duration")
	case reflect.TypeFor[Sizes]():
		return reference("Sizes")
	case reflect.TypeFor[Times]():
		return reference("Times")
	case reflect.TypeFor[Generate]():
		return reference("Generate")
	case reflect.TypeFor[version.Version]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "number"}, {Type: "string", Pattern: `^[0-9]+\.[0-9]+`}}}
	case reflect.TypeFor[Retries]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "integer", Minimum: "0", Maximum: "4294967295"}, {Const: unlimited}}}
	case reflect.TypeFor[Mode]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "integer", Minimum: "0"}, {Type: "string", Pattern: `^[0-7]{1,4}$`}}}
	case reflect.TypeFor[devices.Boundaries]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
			reference("Boundary"), {Type: "array", Items: reference("Boundary")},
		}}
	case reflect.TypeFor[Settings]():
		return &jsonschema.Schema{Type: "object"}
	}
	if word, ok := reflect.Zero(t).Interface().(interface{ Options() []string }); ok {
		s := &jsonschema.Schema{Type: "string"}
		for _, option := range word.Options() {
			s.Enum = append(s.Enum, option)
		}
		return s
	}
	return nil
}

func reference(definition string) *jsonschema.Schema {
	return &jsonschema.Schema{Ref: "#/$defs/" + definition}
}

// distributionSchema is that of a distribution of values of one definition.
func distributionSchema(what, definition string) *jsonschema.Schema {
	s := &jsonschema.Schema{Description: what + " by kind of distribution."}
	for _, k := range workloads.DistributionKinds() {
		var parameters *jsonschema.Schema
		switch {
		case k.Choices:
			choice := object()
			choice.Properties.Set("value", reference(definition))
			choice.Properties.Set("weight", &jsonschema.Schema{Type: "number", Minimum: "0"})
			choice.Required = []string{"value"}
			parameters = &jsonschema.Schema{Type: "array", Items: choice}
		case k.Bins:
			parameters = object()
			for _, source := range []struct{ key, meaning string }{
				{histogramFile, "path of a CSV file from the folder of the scenario: a line lo,hi,count or value,count, and a line for each bin"},
				{histogramTable, "the text of such a file"},
			} {
				parameters.Properties.Set(source.key, &jsonschema.Schema{Type: "string", Description: source.meaning})
				parameters.OneOf = append(parameters.OneOf, &jsonschema.Schema{Required: []string{source.key}})
			}
			addClampsTo(parameters, definition)
		case isPlainValue(k):
			parameters = reference(definition)
		default:
			parameters = object()
			for _, p := range k.Parameters {
				v := reference(definition)
				if !p.Scaled {
					v = &jsonschema.Schema{
						Type: "number", Minimum: json.Number(strconv.FormatFloat(p.Min, 'g', -1, 64)), Maximum: json.Number(strconv.FormatFloat(p.Max, 'g', -1, 64)),
					}
				}
				if p.Whole {
					v.Type = "integer"
				}
				v.Description = p.Meaning
				parameters.Properties.Set(p.Name, v)
				parameters.Required = append(parameters.Required, p.Name)
			}
			addClampsTo(parameters, definition)
		}
		parameters.Description = k.Meaning
		kind := object()
		kind.Properties.Set(k.Name, parameters)
		kind.Required = []string{k.Name}
		s.OneOf = append(s.OneOf, kind)
	}
	return s
}

func addClampsTo(parameters *jsonschema.Schema, definition string) {
	for _, clamp := range []struct{ key, meaning string }{
		{atLeast, "smaller values become this"}, {atMost, "larger values become this"},
	} {
		v := reference(definition)
		v.Description = clamp.meaning
		parameters.Properties.Set(clamp.key, v)
	}
}

// generateSchema is that of a generator by kind, with its pools.
func generateSchema() *jsonschema.Schema {
	s := &jsonschema.Schema{Description: "A generator by kind, over its parameters; beside it, pools whose heaps or devices differ from the workload's."}
	for _, k := range generator.Kinds() {
		parameters := object()
		parameters.Description = k.Summary
		for _, p := range k.Parameters {
			v := &jsonschema.Schema{Type: "string"}
			switch p.Type {
			case generator.Integer:
				v = &jsonschema.Schema{Type: "integer", Minimum: json.Number(p.Min), Maximum: json.Number(p.Max)}
			case generator.Number:
				v = &jsonschema.Schema{Type: "number", Minimum: json.Number(p.Min), Maximum: json.Number(p.Max)}
			case generator.Size:
				v = reference("Bytes")
			case generator.Duration:
				v = reference("Duration")
			case generator.Word:
				v = &jsonschema.Schema{}
				for _, option := range p.Options {
					v.Enum = append(v.Enum, option)
					if _, err := strconv.ParseFloat(option, 64); err == nil {
						v.Enum = append(v.Enum, json.Number(option)) // 4.1 needs no quotes
					}
				}
			}
			v.Description = p.Meaning + " (by default " + p.Default + ")"
			parameters.Properties.Set(p.Name, v)
		}
		kind := object()
		kind.Properties.Set(k.Name, parameters)
		kind.Properties.Set(poolsKey, &jsonschema.Schema{Type: "array", Items: reference("GeneratorPool")})
		kind.Required = []string{k.Name}
		s.OneOf = append(s.OneOf, kind)
	}
	return s
}

func object() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "object", Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema}
}

// TestSchemaAgrees holds the schema to the loader: what one takes the other
// takes, and each of the mistakes that a schema can tell is told.
func TestSchemaAgrees(t *testing.T) {
	s := compileSchema(t)
	for _, name := range Names() {
		text, err := Text(name)
		if err != nil {
			t.Fatal(err)
		}
		checkAgrees(t, s, name, string(text), true)
		if scenario, err := Open(name); err != nil {
			t.Error(err)
		} else if resolved, err := scenario.Resolved("."); err != nil {
			t.Error(err)
		} else {
			checkAgrees(t, s, name+" resolved", string(resolved), true)
		}
	}
	checkAgrees(t, s, "starter", Starter(), true)
	checkAgrees(t, s, "the least", `name: least
duration: 1s
memory: [{base: 0, size: 1MiB}]
heaps: [{name: main, allocator: first-fit}]
devices: [{use: sunxi-cedar-a20}, {name: gpu}]
workloads: [{name: w, heap: main, churn: {every: {fixed: 1s}, clients: [{name: c, size: {fixed: 1}, lifetime: {fixed: 1s}}]}}]
variants: [{name: as-is}]
`, true)

	day, err := os.ReadFile("../../docs/day.yaml")
	if err != nil {
		t.Fatal(err)
	}
	checkAgrees(t, s, "day", string(day), true)
	for _, m := range []struct {
		old, new string
		right    bool
	}{
		{"every: {exponential: {mean: 40ms}}", "ramp: {share: 0.5, to: 3MiB, over: 10s}", false},
		{"lifetime: {gamma: {mean: 4s, shape: 2}}", `lifetime: {empirical: {table: "value,count\n1s,1\n"}, at_most: 1s}`, false},
		{"lifetime: {gamma: {mean: 4s, shape: 2}}", `lifetime: {empirical: {table: "value,count\n1s,1\n", at_most: 1s}}`, true},
		{"lifetime: {gamma: {mean: 4s, shape: 2}}", "lifetime: {empirical: {at_most: 1s}}", false},
		{"lifetime: {gamma: {mean: 4s, shape: 2}}", "lifetime: {binomial: {min: 0s, step: 1s, trials: 3, p: 0.5}}", true},
		{"lifetime: {gamma: {mean: 4s, shape: 2}}", "lifetime: {binomial: {min: 0s, step: 1s, trials: 3.5, p: 0.5}}", false},
		{"lifetime: {gamma: {mean: 4s, shape: 2}}", "lifetime: {students_t: {location: 1s, scale: 1s, degrees: 0.01}}", false},
		{"correlation: 0.5", "correlation: -1.5", false},
		{"correlation: 0.5", "bursts: {on: {fixed: 1s}}", false},
		{"correlation: 0.5", "bursts: {on: {fixed: 1s}, off: {fixed: 1s}}", true},
		{"for: 30s, rate: 2", "for: 30s, rate: -2", false},
		{"for: 30s, rate: 2", "rate: 2", false},
		{"weight: 2}]", "wait: 2}]", false},
	} {
		text := strings.Replace(string(day), m.old, m.new, 1)
		if text == string(day) {
			t.Fatalf("the day does not hold %q", m.old)
		}
		checkAgrees(t, s, m.new, text, m.right)
	}

	for _, m := range []struct{ old, new string }{
		{"name: my-scenario", "name: my scenario"},
		{"name: my-scenario", "nam: my-scenario"},
		{"seed: 1", "seed: -1"},
		{"duration: 10m", "duration: 600"},
		{"duration: 10m", "duration: ten minutes"},
		{"page: 4KiB", "page: 8KiB"},
		{"size: 256MiB", "size: 256MB"},
		{"size: 256MiB", "length: 256MiB"},
		{"placement: natural", "placement: top"},
		{"allocator: first-fit", "allocator: First Fit"},
		{"aware: true", "aware: 1"},
		{"exponential: {mean: 200ms}", "exponential: {men: 200ms}"},
		{"exponential: {mean: 200ms}", "exponential: 200ms"},
		{"exponential: {mean: 200ms}", "exponentail: {mean: 200ms}"},
		{"hyper_exponential: {mean: 20s, cv: 2}", "hyper_exponential: {mean: 20s, cv: 0.5}"},
		{"devices: [camera]", "devices: camera"},
		{"align: 64KiB", "space: ram"},
		{"lifetime: {exponential: {mean: 4s}}", "lifetime: {exponential: {mean: 4s}}\n      count: 0"},
		{"weight: 9", "weight: nine"},
	} {
		text := strings.Replace(Starter(), m.old, m.new, 1)
		if text == Starter() {
			t.Fatalf("the starter does not hold %q", m.old)
		}
		checkAgrees(t, s, m.new, text, false)
	}
}

// TestSchemaOnFailure does the same for what workloads do about refusals.
func TestSchemaOnFailure(t *testing.T) {
	s := compileSchema(t)
	for onFailure, want := range map[string]bool{
		"{}":           true,
		"{retries: 3}": true,
		"{fallback: [spare], retries: unlimited, deadline: 1s, backoff: {initial: 1ms, factor: 2, most: 1s, jitter: 1}}": true,
		"{retries: -1}":                                     false,
		`{retries: "3"}`:                                    false,
		"{retries: [3]}":                                    false,
		"{retries: 2.5}":                                    false,
		"{retries: ever}":                                   false,
		"{retries: 3, then: drop}":                          false,
		"{retries: 3, backoff: 1ms}":                        false,
		"{retries: 3, backoff: {factor: 2}}":                false,
		"{fallback: spare}":                                 false,
		"{retries: 3, deadline: 10}":                        false,
		"{retries: 3, backoff: {initial: 1s, factor: 0.5}}": false,
		"{retries: 3, backoff: {initial: 1s, jitter: 1.5}}": false,
	} {
		checkAgrees(t, s, onFailure, `name: least
duration: 1s
memory: [{base: 0, size: 1MiB}]
heaps: [{name: main, allocator: first-fit, arena: [{base: 0, size: 64KiB}]}, {name: spare, allocator: first-fit, arena: [{base: 64KiB, size: 64KiB}]}]
workloads: [{name: w, heap: main, on_failure: `+onFailure+`, churn: {every: {fixed: 1s}, size: {fixed: 1}, lifetime: {fixed: 1s}}}]
`, want)
	}
}

func compileSchema(t *testing.T) *validator.Schema {
	t.Helper()
	doc, err := validator.UnmarshalJSON(strings.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	c.DefaultDraft(validator.Draft2020)
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func checkAgrees(t *testing.T, s *validator.Schema, name, text string, want bool) {
	t.Helper()
	var v any
	if err := yaml.Load([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := s.Validate(v); (err == nil) != want {
		t.Errorf("%s: the schema says %v", name, err)
	}
	if _, err := Parse("s.yaml", []byte(text)); (err == nil) != want {
		t.Errorf("%s: the loader says %v", name, err)
	}
}
