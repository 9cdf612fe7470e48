package sweep

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/strictyaml"
	"dmasim/sim/scenario"
)

// Experiment is an experiment that was read and found right.
type Experiment struct {
	Name         string
	Description  string
	Replications int // of every point
	Seed         uint64
	WarmUp       time.Duration
	Scenario     *scenario.Scenario
	Parameters   []Parameter
	Text         []byte // of the file

	variants []scenario.Variant
	sampled  int // points of the sample; 1 without one
	points   int
	digest   digest
	expected []expectation
}

// Parameter is what a parameter of an experiment may be.
type Parameter struct {
	Name  string
	Paths []string
	drawn bool
	// values are those listed, or if drawn those of the points of the sample.
	values []value
	unit   unit // of all values
}

// value is a value of a parameter, as it is written.
type value struct {
	node *yaml.Node // of the file, unless it was drawn from a range
	text string     // in one line
}

// Cell is one simulation of an experiment.
type Cell struct {
	Index       int
	Point       int // all replications of the same values are a point
	Variant     string
	Values      []string // by parameter
	Replication int      // from 1
	Seed        uint64
}

// Variants are the names of the scenario's variants that are run.
func (e *Experiment) Variants() []string {
	var names []string
	for _, v := range e.variants {
		names = append(names, v.Name)
	}
	return names
}

// Points is the number of combinations of variants and values.
func (e *Experiment) Points() int { return e.points }

// Cells is the number of simulations.
func (e *Experiment) Cells() int { return e.points * e.Replications }

// Cell returns the cell of a number, from 0.
func (e *Experiment) Cell(index int) Cell {
	point, replication := index/e.Replications, index%e.Replications
	variant, levels := e.levels(point)
	c := Cell{
		Index: index, Point: point, Variant: e.variants[variant].Name,
		Replication: replication + 1, Seed: e.Seed + uint64(replication),
	}
	for i := range e.Parameters {
		c.Values = append(c.Values, e.Parameters[i].values[levels[i]].text)
	}
	return c
}

// levels returns the variant of a point, and which of its values each parameter has
// there. The last parameter changes first, the points of the sample before all.
func (e *Experiment) levels(point int) (variant int, levels []int) {
	levels = make([]int, len(e.Parameters))
	sampled := point % e.sampled
	point /= e.sampled
	for i := len(e.Parameters) - 1; i >= 0; i-- {
		if p := &e.Parameters[i]; p.drawn {
			levels[i] = sampled
		} else {
			levels[i] = point % len(p.values)
			point /= len(p.values)
		}
	}
	return point, levels
}

// build returns the variant of a point with its values set. settingOf says of a
// setting, if that is wrong, whose it is.
func (e *Experiment) build(point int) (v scenario.Variant, settingOf []int, err error) {
	variant, levels := e.levels(point)
	var settings []scenario.Setting
	for i := range e.Parameters {
		p := &e.Parameters[i]
		for _, path := range p.Paths {
			settings = append(settings, scenario.Setting{Path: path, Value: p.values[levels[i]].node})
			settingOf = append(settingOf, i)
		}
	}
	v, err = e.variants[variant].WithAll(settings)
	return v, settingOf, err
}

// layOut makes the parameters with all their values.
func (e *Experiment) layOut(d *strictyaml.Decoder, root *yaml.Node, f *File) error {
	e.sampled = 1
	if f.Sample != nil {
		e.sampled = f.Sample.Points
	}
	cells := int64(len(e.variants)) * int64(e.sampled)
	drawn := int64(0)
	for i := range f.Parameters {
		if p := &f.Parameters[i]; p.Values == nil {
			drawn += int64(e.sampled)
		} else if cells <= MaxCells {
			cells *= int64(len(p.Values.nodes))
		}
	}
	if cells > MaxCells || cells*int64(e.Replications) > MaxCells {
		d.Fail(root, fmt.Sprintf("the experiment has more than %d cells", MaxCells))
	}
	if drawn > MaxCells {
		d.Fail(strictyaml.At(root, "sample"), fmt.Sprintf("the sample has more than %d values", MaxCells))
	}
	if err := d.Err(); err != nil {
		return err
	}
	e.points = int(cells)
	for i := range f.Parameters {
		made := f.Parameters[i].parameter(f.Sample)
		made.unit = made.commonUnit()
		place := strictyaml.At(root, "parameters", i, "name")
		if slices.ContainsFunc(e.Parameters, func(p Parameter) bool { return p.Name == made.Name || p.Column() == made.Column() }) {
			d.Fail(place, "name "+strictyaml.Quote(made.Name)+" is taken")
		} else if slices.Contains(Columns, made.Column()) {
			d.Fail(place, "name "+strictyaml.Quote(made.Name)+" is that of a column of the tables")
		}
		e.Parameters = append(e.Parameters, made)
	}
	return d.Err()
}

func (p *ParameterFile) parameter(sample *SampleFile) Parameter {
	made := Parameter{Name: p.Name, Paths: p.Paths, drawn: p.Values == nil}
	if p.Path != "" {
		made.Paths = []string{p.Path}
	}
	if p.Values != nil {
		for _, n := range p.Values.nodes {
			made.values = append(made.values, value{n, oneLine(n)})
		}
		return made
	}
	for _, share := range sample.shares(p.Name) {
		if p.Choices != nil {
			n := p.Choices.nodes[int(share*float64(len(p.Choices.nodes)))]
			made.values = append(made.values, value{n, oneLine(n)})
			continue
		}
		text := p.Range.at(share)
		tag := "!!str"
		switch p.Range.unit() {
		case whole:
			tag = "!!int"
		case number:
			tag = "!!float"
		}
		made.values = append(made.values, value{&yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}, text})
	}
	return made
}

// Columns are those of the tables of a sweep beside the parameters'.
var Columns = []string{"cell", "point", "variant", "replication", "seed", "error", "metric", "unit", "value", "runs", "mean", "low", "high"}

func (p *Parameter) commonUnit() unit {
	common := parseQuantity(p.values[0].text).unit
	for _, v := range p.values {
		if v.node.Kind != yaml.ScalarNode {
			return noUnit
		}
		common = commonUnit(common, parseQuantity(v.text).unit)
	}
	return common
}

// Column is the name of the parameter's column in tables: its own, and the unit.
func (p *Parameter) Column() string {
	switch p.unit {
	case size:
		return p.Name + "_bytes"
	case period:
		return p.Name + "_s"
	}
	return p.Name
}

// Value is what a value of a cell is in tables: an int64 of a whole number or a size
// in bytes, a float64 of another number or a time in seconds, else a string. All
// values of a parameter are of one type.
func (p *Parameter) Value(text string) any {
	q := parseQuantity(text)
	switch p.unit {
	case whole, size:
		return int64(q.value)
	case period:
		return q.value / float64(time.Second)
	case number:
		return q.value
	}
	return text
}

// Describe says in one line which values the parameter has.
func (p *Parameter) Describe() string {
	const most = 8
	var texts []string
	for _, v := range p.values[:min(len(p.values), most)] {
		texts = append(texts, strictyaml.Clip(v.text))
	}
	text := strings.Join(texts, ", ")
	if more := len(p.values) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if p.drawn {
		return "drawn: " + text
	}
	return text
}

// oneLine writes a value in YAML's flow style.
func oneLine(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		var parts []string
		for _, c := range n.Content {
			parts = append(parts, oneLine(c))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case yaml.MappingNode:
		var parts []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			parts = append(parts, oneLine(n.Content[i])+": "+oneLine(n.Content[i+1]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return strings.Join(strings.Fields(n.Value), " ")
}

// attempts is with how many combinations a value is tried before it is called
// wrong.
const attempts = 100

// check finds variants and values with which no cell can run: one that can be built
// is enough, since a combination that cannot is a cell that fails. It returns the
// files that were named on the way.
func (e *Experiment) check(d *strictyaml.Decoder, root *yaml.Node) (files []string, err error) {
	try := func(place *yaml.Node, stride, levels, level int) {
		v, err := e.tryLevel(d, root, place, stride, levels, level)
		if err != nil {
			return
		}
		for _, file := range v.Files() {
			if !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	stride := e.points / len(e.variants)
	for v := range e.variants {
		try(strictyaml.At(root, "variants", v), stride, len(e.variants), v)
	}
	for i := range e.Parameters {
		p := &e.Parameters[i]
		if d.Mistakes() > 0 {
			break
		}
		if p.drawn {
			tried := map[*yaml.Node]bool{}
			for j, v := range p.values {
				if isWritten := v.node.Line > 0; isWritten && !tried[v.node] {
					try(v.node, 1, e.sampled, j)
				}
				tried[v.node] = true
			}
			continue
		}
		stride /= len(p.values)
		for j, v := range p.values {
			try(v.node, stride, len(p.values), j)
		}
	}
	return files, d.Err()
}

// tryLevel looks among the points with one of so many levels of something, which
// changes every stride points, for one that can be built. If there is none, it notes
// what is wrong with the first, at place unless that is known better.
func (e *Experiment) tryLevel(d *strictyaml.Decoder, root, place *yaml.Node, stride, levels, level int) (scenario.Variant, error) {
	var first error
	var settingOf, values []int
	for i := range min(e.points/levels, attempts) {
		point := (i/stride*levels+level)*stride + i%stride
		v, owners, err := e.build(point)
		if err == nil {
			return v, nil
		}
		if first == nil {
			first, settingOf = err, owners
			_, values = e.levels(point)
		}
	}
	var wrong *scenario.SettingError
	if !errors.As(first, &wrong) {
		d.Fail(place, "nothing can be run with this: "+strictyaml.Clip(first.Error()))
		return scenario.Variant{}, first
	}
	i := settingOf[wrong.Index]
	place = strictyaml.At(root, "parameters", i)
	switch {
	case wrong.InPath && len(e.Parameters[i].Paths) > 1:
		place = strictyaml.At(place, "paths", wrong.Index-slices.Index(settingOf, i))
	case wrong.InPath && strictyaml.Child(place, "paths") != nil:
		place = strictyaml.At(place, "paths", 0)
	case wrong.InPath:
		place = strictyaml.At(place, "path")
	default:
		if place = e.Parameters[i].values[values[i]].node; place.Line == 0 {
			place = strictyaml.At(root, "parameters", i, "range", "low")
		}
	}
	d.FailNear(place, wrong.Err.Msg, wrong.Err.Suggestion, []string{wrong.Err.Suggestion})
	return scenario.Variant{}, first
}

// Numeric reports whether all values are numbers, sizes or times.
func (p *Parameter) Numeric() bool { return p.unit != noUnit }

// Listed reports whether the values are those of a list, and not drawn.
func (p *Parameter) Listed() bool { return !p.drawn }

// Texts are the different values as they are written, those of a numeric parameter
// from the lowest up.
func (p *Parameter) Texts() []string {
	var texts []string
	for _, v := range p.values {
		if !slices.Contains(texts, v.text) {
			texts = append(texts, v.text)
		}
	}
	if p.Numeric() {
		slices.SortStableFunc(texts, func(a, b string) int {
			return cmp.Compare(parseQuantity(a).value, parseQuantity(b).value)
		})
	}
	return texts
}
