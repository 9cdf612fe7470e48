package scenario

import (
	"errors"
	"fmt"

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
