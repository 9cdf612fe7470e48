package scenario

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"dmasim/mem"
	"dmasim/workloads"

	"go.yaml.in/yaml/v4"
)

// Sizes is how the sizes of buffers are distributed. It is written as one key,
// the kind, over its parameters: {log-uniform: {min: 4KiB, max: 1MiB}},
// {fixed: 3MiB}, {choice: [{value: 4KiB, weight: 3}, {value: 64KiB, weight: 1}]}.
// Every kind with named parameters takes the clamps at-least and at-most too.
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
		t, err := time.ParseDuration(text)
		switch {
		case err != nil:
			err = errors.New(quote(text) + " is not a time; write 16.6ms, 2s or 10m")
		case t < 0:
			err = errors.New("a time must not be negative")
		case t > workloads.MaxDuration:
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
			err = errors.New("want a number, not " + quote(text))
		}
		return v, err
	},
	text: func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) },
}

func (s *Sizes) decodeNode(d *decoder, n *yaml.Node) {
	d.decodeDistribution(n, (*workloads.Distribution)(s), sizeUnit)
}

func (t *Times) decodeNode(d *decoder, n *yaml.Node) {
	d.decodeDistribution(n, (*workloads.Distribution)(t), timeUnit)
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

func (d *decoder) decodeDistribution(n *yaml.Node, to *workloads.Distribution, u unit) {
	mistakes := len(d.errs)
	if !d.isMapping(n) {
		return
	}
	if len(n.Content) != 2 {
		d.fail(n, "want one kind of distribution, like {exponential: {mean: …}}")
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
		d.failNear(key, "unknown kind of distribution "+quote(key.Value), key.Value, options)
		return
	}
	to.Kind = key.Value
	switch k := kinds[i]; {
	case k.Choices:
		d.decodeChoices(parameters, to, u)
	case isPlainValue(k):
		to.Parameters = map[string]float64{value: d.decodeValue(parameters, u)}
	default:
		d.decodeParameters(parameters, to, k, u)
	}
	if len(d.errs) > mistakes {
		return
	}
	if err := to.Validate(); err != nil {
		place := key
		var problem *workloads.ParameterError
		if errors.As(err, &problem) {
			place = at(parameters, problem.Parameter)
		}
		d.fail(place, clip(err.Error()))
	}
}

func (d *decoder) decodeParameters(n *yaml.Node, to *workloads.Distribution, k workloads.DistributionKind, u unit) {
	if !d.isMapping(n) {
		return
	}
	to.Parameters = map[string]float64{}
	options := []string{"at-least", "at-most"}
	for _, p := range k.Parameters {
		options = append(options, p.Name)
	}
	for _, p := range k.Parameters {
		if child(n, p.Name) == nil && !misspelt(n, p.Name, options) {
			d.fail(n, "missing key "+quote(p.Name)+": "+p.Meaning)
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := n.Content[i], n.Content[i+1]
		p := slices.IndexFunc(k.Parameters, func(p workloads.Parameter) bool { return p.Name == key.Value })
		switch {
		case p >= 0 && k.Parameters[p].Scaled:
			to.Parameters[key.Value] = d.decodeValue(v, u)
		case p >= 0:
			to.Parameters[key.Value] = d.decodeValue(v, numberUnit)
		case key.Value == "at-least":
			to.AtLeast = d.decodeValue(v, u)
		case key.Value == "at-most":
			to.AtMost = d.decodeValue(v, u)
		default:
			d.failNear(key, "unknown key "+quote(key.Value), key.Value, options)
		}
	}
}

func (d *decoder) decodeChoices(n *yaml.Node, to *workloads.Distribution, u unit) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "want a list of {value: …, weight: …}, not "+kindName(n))
		return
	}
	for _, element := range n.Content {
		if !d.isMapping(element) {
			continue
		}
		choice := workloads.Choice{Weight: 1}
		if child(element, value) == nil {
			d.fail(element, "missing key "+quote(value))
		}
		for i := 0; i+1 < len(element.Content); i += 2 {
			switch key, v := element.Content[i], element.Content[i+1]; key.Value {
			case value:
				choice.Value = d.decodeValue(v, u)
			case "weight":
				choice.Weight = d.decodeValue(v, numberUnit)
			default:
				d.failNear(key, "unknown key "+quote(key.Value), key.Value, []string{value, "weight"})
			}
		}
		to.Choices = append(to.Choices, choice)
	}
}

func (d *decoder) decodeValue(n *yaml.Node, u unit) float64 {
	if n.Tag == "!!null" {
		d.fail(n, "the value is missing")
		return 0
	}
	if !d.isScalar(n, "one value") {
		return 0
	}
	v, err := u.parse(n.Value)
	if err != nil {
		d.fail(n, clip(err.Error()))
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
			written.Content = append(written.Content, scalarNode("at-least"), scalarNode(u.text(dist.AtLeast)))
		}
		if dist.AtMost > 0 {
			written.Content = append(written.Content, scalarNode("at-most"), scalarNode(u.text(dist.AtMost)))
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
