package sweep

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/strictyaml"
	"dmasim/sim/scenario"
)

// File is an experiment as it is written.
type File struct {
	// Name of the experiment: letters, digits, - and _.
	Name        string `yaml:"name"`
	Description string `yaml:"description,omitempty"`
	// Scenario is a file, seen from the experiment's folder, or the name of an
	// embedded one.
	Scenario string `yaml:"scenario"`
	// Variants of the scenario that are run; all by default.
	Variants []string `yaml:"variants,omitempty"`
	// Replications of every point, each with the next seed.
	Replications int `yaml:"replications" jsonschema_extras:"default=1"`
	// Seed of the first replication; by default the scenario's.
	Seed *uint64 `yaml:"seed,omitempty"`
	// WarmUp is how much of the beginning is left out of rates and means.
	WarmUp     time.Duration   `yaml:"warmup,omitempty"`
	Parameters []ParameterFile `yaml:"parameters,omitempty"`
	// Sample says how ranges and choices are drawn.
	Sample *SampleFile `yaml:"sample,omitempty"`
	// Expect is what should come of it.
	Expect []ExpectFile `yaml:"expect,omitempty"`
}

// ParameterFile is a field of the scenario, or several that always get the same
// value. It has Values, a Range or Choices.
type ParameterFile struct {
	Name    string     `yaml:"name"`
	Path    string     `yaml:"path,omitempty"`
	Paths   []string   `yaml:"paths,omitempty"`
	Values  *ValueList `yaml:"values,omitempty"`
	Range   *RangeFile `yaml:"range,omitempty"`
	Choices *ValueList `yaml:"choices,omitempty"`
}

// ValueList are values of any shape that a field may have.
type ValueList struct{ nodes []*yaml.Node }

// DecodeYAML implements strictyaml.NodeDecoder.
func (v *ValueList) DecodeYAML(d *strictyaml.Decoder, n *yaml.Node) {
	if !d.List(n, "a list of values") {
		return
	}
	if len(n.Content) == 0 {
		d.Fail(n, "want at least one value")
	}
	v.nodes = n.Content
}

// RangeFile is where numbers, sizes or times are drawn from.
type RangeFile struct {
	Low   Quantity  `yaml:"low"`
	High  Quantity  `yaml:"high"`
	Scale Scale     `yaml:"scale" jsonschema_extras:"default=linear"`
	Step  *Quantity `yaml:"step,omitempty"` // what is drawn is a multiple of it
}

// Scale is linear or log.
type Scale string

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Scale) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(s, "scale", text, []string{"linear", "log"})
}

// SampleFile is how many points are drawn, and how.
type SampleFile struct {
	Method Method `yaml:"method" jsonschema_extras:"default=latin-hypercube"`
	Points int    `yaml:"points"`
	Seed   uint64 `yaml:"seed" jsonschema_extras:"default=1"`
}

// Method is random or latin-hypercube.
type Method string

const (
	random         = "random"
	latinHypercube = "latin-hypercube"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Method) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(m, "method", text, []string{random, latinHypercube})
}

// MaxCells is how many cells an experiment may have.
const MaxCells = 1_000_000

var (
	limits     = strictyaml.Limits{Bytes: 1 << 18, Depth: 32, Nodes: 1 << 15}
	nameSyntax = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)
)

// Load reads an experiment file. Mistakes in it are reported as a
// [*scenario.Error], as are those in its scenario.
func Load(path string) (*Experiment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load experiment: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limits.Bytes)+1))
	if err != nil {
		return nil, fmt.Errorf("load experiment: %w", err)
	}
	return Parse(path, data)
}

// Parse reads an experiment from data. file is its path: errors begin with it, and
// its scenario is looked for from its folder.
func Parse(file string, data []byte) (*Experiment, error) {
	folder := filepath.Dir(file)
	return parse(file, data, folder, func(name string) (*scenario.Scenario, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(folder, name)
		}
		return scenario.Load(name)
	})
}

// parse reads an experiment whose folder has files. load reads a scenario there; its
// error is fs.ErrNotExist if there is none of that name.
func parse(file string, data []byte, folder string, load func(string) (*scenario.Scenario, error)) (*Experiment, error) {
	written, root, err := decode(file, data)
	if err != nil {
		return nil, err
	}
	d := &strictyaml.Decoder{File: file}
	sc, err := findScenario(d, root, written.Scenario, load)
	if err != nil {
		return nil, err
	}
	e := &Experiment{
		Name: written.Name, Description: written.Description, Replications: written.Replications, Seed: sc.Variants[0].Spec.Seed, WarmUp: written.WarmUp,
		Scenario: sc, Text: data,
	}
	if written.Seed != nil {
		e.Seed = *written.Seed
	}
	e.variants = chooseVariants(d, root, sc, written.Variants)
	for _, v := range e.variants {
		if v.Spec.Duration > 0 && e.WarmUp >= v.Spec.Duration {
			d.Fail(strictyaml.At(root, "warmup"), fmt.Sprintf("a warm-up of %s leaves nothing of %s", e.WarmUp, v.Spec.Duration))
			break
		}
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := e.layOut(d, root, written); err != nil {
		return nil, err
	}
	files, err := e.check(d, root)
	if err != nil {
		return nil, err
	}
	if e.expect(d, root, written.Expect); d.Mistakes() > 0 {
		return nil, d.Err()
	}
	e.digest, err = e.newDigest(folder, files)
	return e, err
}

// decode reads what is written and checks what the file alone shows.
func decode(file string, data []byte) (*File, *yaml.Node, error) {
	root, err := strictyaml.Parse(file, data, limits)
	if err != nil {
		return nil, nil, err
	}
	if root == nil {
		return nil, nil, &scenario.Error{File: file, Line: 1, Column: 1, Msg: "the file is empty"}
	}
	d := &strictyaml.Decoder{File: file}
	f := new(File)
	d.Decode(root, f)
	if err := d.Err(); err != nil {
		return nil, nil, err
	}
	if !nameSyntax.MatchString(f.Name) {
		d.Fail(strictyaml.At(root, "name"), strictyaml.Quote(f.Name)+" is not a name: want a word of letters, digits, - and _")
	}
	if f.Replications < 1 || f.Replications > MaxCells {
		d.Fail(strictyaml.At(root, "replications"), fmt.Sprintf("want from 1 to %d replications", MaxCells))
	}
	draws := false
	for i := range f.Parameters {
		p := &f.Parameters[i]
		p.check(d, strictyaml.At(root, "parameters", i))
		draws = draws || p.Values == nil
	}
	switch sample := strictyaml.At(root, "sample"); {
	case f.Sample == nil && draws:
		d.Fail(strictyaml.At(root, "parameters"), `ranges and choices are drawn: missing key "sample", like sample: {points: 20}`)
	case f.Sample != nil && !draws:
		d.Fail(sample, "no parameter has a range or choices to draw from")
	case f.Sample != nil && (f.Sample.Points < 1 || f.Sample.Points > MaxCells):
		d.Fail(strictyaml.At(sample, "points"), fmt.Sprintf("want from 1 to %d points", MaxCells))
	}
	return f, root, d.Err()
}

func (p *ParameterFile) check(d *strictyaml.Decoder, n *yaml.Node) {
	if !nameSyntax.MatchString(p.Name) {
		d.Fail(strictyaml.At(n, "name"), strictyaml.Quote(p.Name)+" is not a name: want a word of letters, digits, - and _")
	}
	if (p.Path != "") == (len(p.Paths) > 0) {
		d.Fail(n, "want either path or paths")
	}
	kinds := 0
	for _, there := range []bool{p.Values != nil, p.Range != nil, p.Choices != nil} {
		if there {
			kinds++
		}
	}
	if kinds != 1 {
		d.Fail(n, "want one of values, range and choices")
	}
	if p.Range != nil {
		p.Range.check(d, strictyaml.At(n, "range"))
	}
}

func (r *RangeFile) check(d *strictyaml.Decoder, n *yaml.Node) {
	unit := commonUnit(r.Low.unit, r.High.unit)
	if r.Step != nil {
		unit = commonUnit(unit, r.Step.unit)
	}
	switch {
	case unit == noUnit:
		d.Fail(n, "low, high and step have to be all numbers, all sizes or all times")
	case r.Low.value < 0:
		d.Fail(strictyaml.At(n, "low"), "low must not be negative")
	case !(r.Low.value < r.High.value):
		d.Fail(strictyaml.At(n, "high"), "high must be more than low")
	case r.Scale == "log" && r.Low.value <= 0:
		d.Fail(strictyaml.At(n, "low"), "low must be more than 0 on a logarithmic scale")
	case r.Step != nil && (r.Step.value <= 0 || r.Step.value > r.High.value-r.Low.value):
		d.Fail(strictyaml.At(n, "step"), "step must be more than 0, and not more than from low to high")
	case r.High.value > maxExact && unit != number:
		d.Fail(strictyaml.At(n, "high"), "high is too large to draw exact values up to it")
	}
}

// findScenario reads what the key scenario names.
func findScenario(d *strictyaml.Decoder, root *yaml.Node, name string, load func(string) (*scenario.Scenario, error)) (*scenario.Scenario, error) {
	if sc, err := load(name); !errors.Is(err, fs.ErrNotExist) {
		return sc, err
	}
	if !slices.Contains(scenario.Names(), name) {
		d.FailNear(strictyaml.At(root, "scenario"), "no scenario file or embedded scenario "+strictyaml.Quote(name), name, scenario.Names())
		return nil, d.Err()
	}
	return scenario.Open(name)
}

func chooseVariants(d *strictyaml.Decoder, root *yaml.Node, sc *scenario.Scenario, names []string) []scenario.Variant {
	if names == nil {
		return sc.Variants
	}
	var known []string
	for _, v := range sc.Variants {
		known = append(known, v.Name)
	}
	var chosen []scenario.Variant
	for i, name := range names {
		place := strictyaml.At(root, "variants", i)
		switch v := sc.Variant(name); {
		case v == nil:
			d.FailNear(place, "unknown variant "+strictyaml.Quote(name), name, known)
		case slices.Contains(names[:i], name):
			d.Fail(place, "variant "+strictyaml.Quote(name)+" is named twice")
		default:
			chosen = append(chosen, *v)
		}
	}
	if len(names) == 0 {
		d.Fail(strictyaml.At(root, "variants"), "want at least one variant")
	}
	return chosen
}
