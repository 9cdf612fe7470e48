package scenario

import (
	"errors"
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// Vary makes a scenario from spec with one variant for each of values, which
// are set at path, such as heaps.main.allocator; the variants are named after
// them (see [NameFor]). file is the path that relative paths in spec start from,
// and that errors name.
func Vary(file string, spec Spec, path string, values []string) (*Scenario, error) {
	root, err := toNode(spec)
	if err != nil {
		return nil, fmt.Errorf("make scenario %s: %w", spec.Name, err)
	}
	variants := &yaml.Node{Kind: yaml.SequenceNode}
	for _, value := range values {
		set := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalarNode(path), scalarNode(value)}}
		element, err := toNode(Override{Name: NameFor(value, "variant"), Set: Settings{set}})
		if err != nil {
			return nil, fmt.Errorf("make scenario %s: %w", spec.Name, err)
		}
		variants.Content = append(variants.Content, element)
	}
	root.Content = append(root.Content, scalarNode("variants"), variants)
	text, err := yaml.Dump(root)
	if err != nil {
		return nil, fmt.Errorf("make scenario %s: %w", spec.Name, err)
	}
	varied, err := Parse(file, text)
	var mistake *Error
	if errors.As(err, &mistake) {
		mistake.Line, mistake.Column = 0, 0 // nobody has seen the text
	}
	return varied, err
}

// SetSeed replaces the seed of every variant.
func (s *Scenario) SetSeed(seed uint64) {
	s.base.Spec.Seed = seed
	for i := range s.Variants {
		s.Variants[i].Spec.Seed = seed
	}
}

// WithAllocators makes a scenario of the first variant of s, with a variant for
// each of the strategies, which all its carveout heaps then use.
func (s *Scenario) WithAllocators(strategies []string) (*Scenario, error) {
	made := *s
	made.base, made.explicit, made.Variants = s.Variants[0], true, nil
	for _, strategy := range strategies {
		v := made.base
		carveouts := 0
		for _, h := range made.base.Spec.Heaps {
			if h.Kind != Carveout {
				continue
			}
			var err error
			if v, err = v.With("heaps."+h.Name+".allocator", strconv.Quote(strategy)); err != nil {
				return nil, err
			}
			carveouts++
		}
		if carveouts == 0 {
			return nil, fmt.Errorf("scenario %s has no heap of the kind %s, whose allocator could be chosen", s.Name, Carveout)
		}
		v.Name, v.Description = NameFor(strategy, "variant"), ""
		if made.Variant(v.Name) != nil {
			return nil, fmt.Errorf("%s is named twice", strategy)
		}
		made.Variants = append(made.Variants, v)
	}
	return &made, nil
}
