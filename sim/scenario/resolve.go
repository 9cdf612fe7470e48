package scenario

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/strictyaml"
)

// Resolved returns the scenario as a file in the folder dir, with every default
// filled in. Parse reads it back to the same variants, whatever defaults a later
// version has. Traces are named by their path from dir where they have one.
func (s *Scenario) Resolved(dir string) ([]byte, error) {
	root, err := s.base.Spec.node(dir)
	if err != nil {
		return nil, fmt.Errorf("write scenario %s: %w", s.Name, err)
	}
	if s.explicit {
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, v := range s.Variants {
			other, err := v.Spec.node(dir)
			if err != nil {
				return nil, fmt.Errorf("write scenario %s: %w", s.Name, err)
			}
			set := &yaml.Node{Kind: yaml.MappingNode}
			settings(set, "", root, other)
			element, err := toNode(Override{Name: v.Name, Description: v.Description, Set: Settings{set}})
			if err != nil {
				return nil, fmt.Errorf("write scenario %s: %w", s.Name, err)
			}
			list.Content = append(list.Content, element)
		}
		root.Content = append(root.Content, scalarNode("variants"), list)
	}
	text, err := yaml.Dump(root)
	if err == nil {
		_, err = parse(s.Name, text) // with its defaults it may have become too large
	}
	if err != nil {
		return nil, fmt.Errorf("write scenario %s: %w", s.Name, err)
	}
	return text, nil
}

// node returns the Spec as a tree.
func (s Spec) node(dir string) (*yaml.Node, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s.Workloads = append([]Workload(nil), s.Workloads...)
	for i := range s.Workloads {
		if t := s.Workloads[i].Trace; t != nil {
			moved := *t
			if moved.File, err = relativeTo(absolute, t.File); err != nil {
				return nil, err
			}
			s.Workloads[i].Trace = &moved
		}
	}
	if s.Machine != nil && s.Machine.Proc != "" {
		moved := *s.Machine
		if moved.Proc, err = relativeTo(absolute, moved.Proc); err != nil {
			return nil, err
		}
		s.Machine = &moved
	}
	root, err := toNode(s)
	if err != nil {
		return nil, err
	}
	// Keys that a variant may have emptied, which no path could remove.
	for _, f := range []struct {
		key  string
		none *yaml.Node
	}{
		{"description", &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle}},
		{"devices", flowNode(yaml.SequenceNode)},
		{"iommu_groups", flowNode(yaml.SequenceNode)},
		{"workloads", flowNode(yaml.SequenceNode)},
		{"processes", flowNode(yaml.SequenceNode)},
	} {
		if strictyaml.Child(root, f.key) == nil {
			root.Content = append(root.Content, scalarNode(f.key), f.none)
		}
	}
	return root, nil
}

// relativeTo returns the path of a file from a folder, which is absolute, or the
// absolute one where there is no other.
func relativeTo(folder, file string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if relative, err := filepath.Rel(folder, path); err == nil {
		return relative, nil
	}
	return path, nil
}

func toNode(v any) (*yaml.Node, error) {
	text, err := yaml.Dump(v)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Load(text, &doc); err != nil {
		return nil, err
	}
	plainAddresses(doc.Content[0])
	return doc.Content[0], nil
}

// plainAddresses takes the quotes off addresses, which read as well without.
func plainAddresses(n *yaml.Node) {
	for i, c := range n.Content {
		plainAddresses(c)
		if c.Kind == yaml.ScalarNode && n.Kind == yaml.MappingNode && i%2 == 1 && slices.Contains([]string{"base", "lo", "hi", "cpu", "bus"}, n.Content[i-1].Value) {
			c.Style, c.Tag = 0, "!!int"
		}
	}
}

// settings adds to set the paths and values that turn the tree from into to. A
// path can neither remove a key nor change the length of a list: what holds
// them is set whole.
func settings(set *yaml.Node, path string, from, to *yaml.Node) {
	switch {
	case equal(from, to):
	case to.Kind == yaml.MappingNode && hasKeysOf(to, from):
		for i := 0; i+1 < len(to.Content); i += 2 {
			key, value := to.Content[i].Value, to.Content[i+1]
			if before := strictyaml.Child(from, key); before != nil {
				settings(set, join(path, key), before, value)
			} else {
				set.Content = append(set.Content, scalarNode(join(path, key)), value)
			}
		}
	case to.Kind == yaml.SequenceNode && from.Kind == yaml.SequenceNode && len(to.Content) == len(from.Content):
		for i, value := range to.Content {
			settings(set, join(path, elementStep(from, to, i)), from.Content[i], value)
		}
	default:
		set.Content = append(set.Content, scalarNode(path), to)
	}
}

func join(path, step string) string {
	if path == "" {
		return step
	}
	return path + "." + step
}

// elementStep returns how a path calls element i: by its name if it keeps it.
func elementStep(from, to *yaml.Node, i int) string {
	name := elementName(from.Content[i])
	if name != "" && name == elementName(to.Content[i]) {
		return name
	}
	return strconv.Itoa(i)
}

func equal(a, b *yaml.Node) bool {
	return a.Kind == b.Kind && a.Value == b.Value && slices.EqualFunc(a.Content, b.Content, equal)
}

// hasKeysOf reports whether every key of the mapping b is one of n.
func hasKeysOf(n, b *yaml.Node) bool {
	for i := 0; i+1 < len(b.Content); i += 2 {
		if strictyaml.Child(n, b.Content[i].Value) == nil {
			return false
		}
	}
	return b.Kind == yaml.MappingNode
}
