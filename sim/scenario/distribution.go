package scenario

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/strictyaml"
	"dmasim/mem"
	"dmasim/workloads"
)

// Sizes is how the sizes of buffers are distributed. It is written as one key,
// the kind, over its parameters: {log_uniform: {min: 4KiB, max: 1MiB}},
// {fixed: 3MiB}, {choice: [{value: 4KiB, weight: 3}, {value: 64KiB, weight: 1}]}.
// Every kind with named parameters takes the clamps at_least and at_most too. An
// empirical one has its histogram in a file beside the scenario, or in the scenario as
// the text of such a file: {empirical: {file: sizes.csv}}.
type Sizes workloads.Distribution

// Times is how times are distributed, written like [Sizes].
type Times workloads.Distribution

// unit is how the values of a distribution are written.
type unit struct {
	parse     func(text string) (float64, error)
	text      func(float64) string
	plainUnit string // unit of plain numbers in a histogram
}

var sizeUnit = unit{
	parse: func(text string) (float64, error) {
		n, err := mem.ParseSize(text)
		if err == nil && uint64(n) > workloads.MaxSize {
			err = errors.New("size " + n.String() + " is larger than " + mem.Size(workloads.MaxSize).String())
		}
		return float64(n), err
	},
	text:      func(v float64) string { return mem.Size(v).String() },
	plainUnit: "B",
}

var timeUnit = unit{
	parse: func(text string) (float64, error) {
		t, err := strictyaml.ParseDuration(text)
		if err == nil && t > workloads.MaxDuration {
			err = errors.New("a time must not be longer than " + workloads.MaxDuration.String())
		}
		return float64(t), err
	},
	text:      func(v float64) string { return time.Duration(v).String() },
	plainUnit: "ns",
}

var numberUnit = unit{
	parse: func(text string) (float64, error) {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			err = errors.New("want a number, not " + strictyaml.Quote(text))
		}
		return v, err
	},
	text: func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) },
}

// DecodeYAML implements strictyaml.NodeDecoder.
func (s *Sizes) DecodeYAML(d *strictyaml.Decoder, n *yaml.Node) {
	distributionDecoder{d, sizeUnit}.decode(n, (*workloads.Distribution)(s))
}

// DecodeYAML implements strictyaml.NodeDecoder.
func (t *Times) DecodeYAML(d *strictyaml.Decoder, n *yaml.Node) {
	distributionDecoder{d, timeUnit}.decode(n, (*workloads.Distribution)(t))
}

// MarshalYAML implements yaml.Marshaler.
func (s Sizes) MarshalYAML() (any, error) {
	return distributionNode(workloads.Distribution(s), sizeUnit), nil
}

// MarshalYAML implements yaml.Marshaler.
func (t Times) MarshalYAML() (any, error) {
	return distributionNode(workloads.Distribution(t), timeUnit), nil
}

// value is the parameter of a kind that takes nothing else: the kind's key
// holds it directly.
const value = "value"

func isPlainValue(k workloads.DistributionKind) bool {
	return len(k.Parameters) == 1 && k.Parameters[0].Name == value
}

// distributionDecoder decodes a distribution of values with a unit.
type distributionDecoder struct {
	*strictyaml.Decoder
	unit unit
}

func (d distributionDecoder) decode(n *yaml.Node, to *workloads.Distribution) {
	before := d.Mistakes()
	if !d.Mapping(n) {
		return
	}
	if len(n.Content) != 2 {
		d.Fail(n, "want one kind of distribution, like {exponential: {mean: …}}")
		return
	}
	key, parameters := n.Content[0], n.Content[1]
	kinds := workloads.DistributionKinds()
	i := slices.IndexFunc(kinds, func(k workloads.DistributionKind) bool { return k.Name == key.Value })
	if i < 0 {
		options := make([]string, len(kinds))
		for i, k := range kinds {
			options[i] = k.Name
		}
		d.FailNear(key, "unknown kind of distribution "+strictyaml.Quote(key.Value), key.Value, options)
		return
	}
	to.Kind = key.Value
	switch k := kinds[i]; {
	case k.Choices:
		d.choices(parameters, to)
	case k.Bins:
		d.histogram(parameters, to)
	case isPlainValue(k):
		to.Parameters = map[string]float64{value: d.positive(parameters, value)}
	default:
		d.parameters(parameters, to, k)
	}
	if d.Mistakes() > before {
		return
	}
	if err := to.Validate(); err != nil {
		place, text := key, err.Error()
		var problem *workloads.ParameterError
		if errors.As(err, &problem) {
			place, text = strictyaml.At(parameters, problem.Parameter), problem.Text(d.unit.text)
		}
		d.Fail(place, strictyaml.Clip(text))
	}
}

// Keys of the clamps, which every kind with named parameters takes.
const (
	atLeast = "at_least"
	atMost  = "at_most"
)

func (d distributionDecoder) parameters(n *yaml.Node, to *workloads.Distribution, k workloads.DistributionKind) {
	if !d.Mapping(n) {
		return
	}
	to.Parameters = map[string]float64{}
	parameters := map[string]workloads.Parameter{}
	var wanted []string
	for _, p := range k.Parameters {
		parameters[p.Name] = p
		wanted = append(wanted, p.Name)
	}
	known := append([]string{atLeast, atMost}, wanted...)
	for _, name := range strictyaml.Missing(n, wanted, known) {
		d.Fail(n, "missing key "+strictyaml.Quote(name)+": "+parameters[name].Meaning)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := n.Content[i], n.Content[i+1]
		switch p, ok := parameters[key.Value]; {
		case ok && p.Scaled:
			to.Parameters[p.Name] = d.value(v, d.unit)
		case ok:
			to.Parameters[p.Name] = d.value(v, numberUnit)
		case key.Value == atLeast:
			to.AtLeast = d.value(v, d.unit)
		case key.Value == atMost:
			to.AtMost = d.positive(v, atMost)
		default:
			d.UnknownKey(key, known)
		}
	}
}

// Keys of a histogram.
const (
	histogramFile  = "file"
	histogramTable = "table"
)

// histogram decodes bins from a file or from the text of one.
func (d distributionDecoder) histogram(n *yaml.Node, to *workloads.Distribution) {
	if !d.Mapping(n) {
		return
	}
	known := []string{histogramFile, histogramTable, atLeast, atMost}
	sources := 0
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch key, v := n.Content[i], n.Content[i+1]; key.Value {
		case histogramFile:
			sources++
			if d.Scalar(v, "the path of a file") {
				d.histogramFile(v, to)
			}
		case histogramTable:
			sources++
			if d.Scalar(v, "the text of a histogram") {
				d.bins(v, to, strings.NewReader(v.Value), "line ")
			}
		case atLeast:
			to.AtLeast = d.value(v, d.unit)
		case atMost:
			to.AtMost = d.positive(v, atMost)
		default:
			d.UnknownKey(key, known)
			return
		}
	}
	if sources != 1 {
		d.Fail(n, "want either file or table")
	}
}

// from returns a path that is written in a file of the folder.
func from(folder, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

// histograms calls visit for the source of each histogram in a tree.
func histograms(n *yaml.Node, visit func(*yaml.Node)) {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "empirical" {
			visit(child)
		}
		histograms(child, visit)
	}
}

// histogramFiles returns the files of the histograms in a tree.
func histogramFiles(n *yaml.Node, folder string) []string {
	var files []string
	histograms(n, func(source *yaml.Node) {
		if file := strictyaml.Child(source, histogramFile); file != nil && file.Kind == yaml.ScalarNode {
			files = append(files, from(folder, file.Value))
		}
	})
	return files
}

func (d distributionDecoder) histogramFile(n *yaml.Node, to *workloads.Distribution) {
	path := from(filepath.Dir(d.File), n.Value)
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a file", path)
	}
	if err != nil { // never read from a device or a pipe
		d.Fail(n, strictyaml.Clip(err.Error()))
		return
	}
	f, err := os.Open(path)
	if err != nil {
		d.Fail(n, strictyaml.Clip(err.Error()))
		return
	}
	defer f.Close()
	d.bins(n, to, f, path+":")
}

// bins reads bins that are written at n; place leads to a line of theirs.
func (d distributionDecoder) bins(n *yaml.Node, to *workloads.Distribution, r io.Reader, place string) {
	bins, err := workloads.ReadHistogram(r, d.plainOr)
	if err != nil {
		d.Fail(n, strictyaml.Clip(place+err.Error()))
	}
	to.Bins = bins
}

// plainOr parses a value of a histogram, where the unit of a plain number is known.
func (d distributionDecoder) plainOr(text string) (float64, error) {
	if text != "" && strings.Trim(text, "0123456789.") == "" {
		text += d.unit.plainUnit
	}
	return d.unit.parse(text)
}

func (d distributionDecoder) choices(n *yaml.Node, to *workloads.Distribution) {
	if !d.List(n, "a list of {value: …, weight: …}") {
		return
	}
	for _, element := range n.Content {
		if !d.Mapping(element) {
			continue
		}
		choice := workloads.Choice{Weight: 1}
		known := []string{value, "weight"}
		for _, name := range strictyaml.Missing(element, []string{value}, known) {
			d.Fail(element, "missing key "+strictyaml.Quote(name))
		}
		for i := 0; i+1 < len(element.Content); i += 2 {
			switch key, v := element.Content[i], element.Content[i+1]; key.Value {
			case value:
				choice.Value = d.positive(v, value)
			case "weight":
				choice.Weight = d.value(v, numberUnit)
			default:
				d.UnknownKey(key, known)
			}
		}
		to.Choices = append(to.Choices, choice)
	}
}

// positive decodes the value with the distribution's unit that name has; zero is
// a mistake.
func (d distributionDecoder) positive(n *yaml.Node, name string) float64 {
	before := d.Mistakes()
	v := d.value(n, d.unit)
	if v == 0 && d.Mistakes() == before {
		d.Fail(n, name+" must be more than 0")
	}
	return v
}

func (d distributionDecoder) value(n *yaml.Node, u unit) float64 {
	if !d.Scalar(n, "one value") {
		return 0
	}
	v, err := u.parse(n.Value)
	if err != nil {
		d.Fail(n, strictyaml.Clip(err.Error()))
	}
	return v
}

// distributionNode writes a valid distribution.
func distributionNode(dist workloads.Distribution, u unit) *yaml.Node {
	var kind workloads.DistributionKind
	for _, k := range workloads.DistributionKinds() {
		if k.Name == dist.Kind {
			kind = k
		}
	}
	written := flowNode(yaml.MappingNode)
	switch {
	case kind.Choices:
		written = flowNode(yaml.SequenceNode)
		for _, c := range dist.Choices {
			written.Content = append(written.Content, flowNode(yaml.MappingNode,
				scalarNode(value), scalarNode(u.text(c.Value)), scalarNode("weight"), scalarNode(numberUnit.text(c.Weight))))
		}
	case kind.Bins:
		var table strings.Builder
		workloads.WriteHistogram(&table, dist.Bins, u.text) // a Builder takes all
		written = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
			scalarNode(histogramTable), {Kind: yaml.ScalarNode, Style: yaml.LiteralStyle, Value: table.String()},
		}}
		addClamps(written, &dist, u)
		return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalarNode(dist.Kind), written}}
	case isPlainValue(kind):
		written = scalarNode(u.text(dist.Parameters[value]))
	default:
		for _, p := range kind.Parameters {
			text := numberUnit.text
			if p.Scaled {
				text = u.text
			}
			written.Content = append(written.Content, scalarNode(p.Name), scalarNode(text(dist.Parameters[p.Name])))
		}
		addClamps(written, &dist, u)
	}
	return flowNode(yaml.MappingNode, scalarNode(dist.Kind), written)
}

func addClamps(written *yaml.Node, dist *workloads.Distribution, u unit) {
	if dist.AtLeast > 0 {
		written.Content = append(written.Content, scalarNode(atLeast), scalarNode(u.text(dist.AtLeast)))
	}
	if dist.AtMost > 0 {
		written.Content = append(written.Content, scalarNode(atMost), scalarNode(u.text(dist.AtMost)))
	}
}

func flowNode(kind yaml.Kind, content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: kind, Style: yaml.FlowStyle, Content: content}
}

func scalarNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: text}
}
