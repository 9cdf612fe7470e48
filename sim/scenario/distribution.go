package scenario

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/strictyaml"
	"dmasim/mem"
	"dmasim/workloads"
)

// Sizes is how the sizes of buffers are distributed. It is written as one key,
// the kind, over its parameters: {log_uniform: {min: 4KiB, max: 1MiB}},
// {fixed: 3MiB}, {choice: [{value: 4KiB, weight: 3}, {value: 64KiB, weight: 1}]}.
// Every kind with named parameters takes the clamps at_least and at_most too.
type Sizes workloads.Distribution

// Times is how times are distributed, written like [Sizes].
type Times workloads.Distribution

// unit is how the values of a distribution are written.
type unit struct {
	parse func(text string) (float64, error)
	text  func(float64) string
}

var sizeUnit = unit{
	parse: func(text string) (float64, error) {
		n, err := mem.ParseSize(text)
		if err == nil && uint64(n) > workloads.MaxSize {
			err = errors.New("size " + n.String() + " is larger than " + mem.Size(workloads.MaxSize).String())
		}
		return float64(n), err
	},
	text: func(v float64) string { return mem.Size(v).String() },
}

var timeUnit = unit{
	parse: func(text string) (float64, error) {
		t, err := strictyaml.ParseDuration(text)
		if err == nil && t > workloads.MaxDuration {
			err = errors.New("a time must not be longer than " + workloads.MaxDuration.String())
		}
		return float64(t), err
	},
	text: func(v float64) string { return time.Duration(v).String() },
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
		if dist.AtLeast > 0 {
			written.Content = append(written.Content, scalarNode(atLeast), scalarNode(u.text(dist.AtLeast)))
		}
		if dist.AtMost > 0 {
			written.Content = append(written.Content, scalarNode(atMost), scalarNode(u.text(dist.AtMost)))
		}
	}
	return flowNode(yaml.MappingNode, scalarNode(dist.Kind), written)
}

func flowNode(kind yaml.Kind, content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: kind, Style: yaml.FlowStyle, Content: content}
}

func scalarNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: text}
}
