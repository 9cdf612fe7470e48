package scenario

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/strictyaml"
)

var limits = strictyaml.Limits{Bytes: 1 << 18, Depth: 32, Nodes: 1 << 15}

// maxWork bounds the nodes of a file times its variants, because each variant is
// decoded whole.
const maxWork = 1 << 20

// parse reads the tree of a scenario file.
func parse(file string, data []byte) (*yaml.Node, error) {
	root, err := strictyaml.Parse(file, data, limits)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, &Error{File: file, Line: 1, Column: 1, Msg: "the file is empty"}
	}
	if list := strictyaml.Child(root, "variants"); list != nil && strictyaml.Count(root)*(1+len(list.Content)) > maxWork {
		return nil, &Error{File: file, Line: list.Line, Column: list.Column, Msg: "too many variants of too large a scenario"}
	}
	return root, nil
}

// override returns root with the node at path replaced by value; it copies what
// it changes. key is where the path was written. The last step may name a key
// that was left to its default; the others must exist.
func override(file string, root *yaml.Node, path string, key, value *yaml.Node) (*yaml.Node, error) {
	fail := func(msg, word string, options []string) (*yaml.Node, error) {
		d := strictyaml.Decoder{File: file}
		d.FailNear(key, msg, word, options)
		return nil, d.Err()
	}
	steps := strings.Split(path, ".")
	copied := *root
	copied.Content = slices.Clone(root.Content)
	for n, depth := &copied, 0; ; depth++ {
		step, last := steps[depth], depth == len(steps)-1
		parent := "the scenario"
		if depth > 0 {
			parent = strings.Join(steps[:depth], ".")
		}
		slot := -1
		switch n.Kind {
		case yaml.MappingNode:
			if slot = strictyaml.KeyIndex(n, step) + 1; slot == 0 {
				if !last {
					return fail(strictyaml.Clip(parent)+" has no "+strictyaml.Quote(step), step, names(n))
				}
				added := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: step, Line: key.Line, Column: key.Column}
				n.Content = append(n.Content, added, nil)
				slot = len(n.Content) - 1
			}
		case yaml.SequenceNode:
			if slot = elementIndex(n, step); slot < 0 {
				return fail(strictyaml.Clip(parent)+" has no "+strictyaml.Quote(step), step, names(n))
			}
		default:
			return fail(strictyaml.Clip(parent)+" is a single value, it holds no "+strictyaml.Quote(step), "", nil)
		}
		if last {
			n.Content[slot] = value
			return &copied, nil
		}
		below := *n.Content[slot]
		below.Content = slices.Clone(below.Content)
		n.Content[slot] = &below
		n = &below
	}
}

// elementIndex finds an element of a list by its name, else by its index from
// 0; -1 if there is none.
func elementIndex(list *yaml.Node, step string) int {
	for i, element := range list.Content {
		if elementName(element) == step {
			return i
		}
	}
	if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(list.Content) {
		return i
	}
	return -1
}

// elementName returns the name by which a path calls a list's element: its
// name, or the catalogue entry that it uses; "" if it has none.
func elementName(element *yaml.Node) string {
	for _, key := range []string{"name", "use"} {
		if n := strictyaml.Child(element, key); n != nil {
			return n.Value
		}
	}
	return ""
}

// names returns what a path may call the parts of n.
func names(n *yaml.Node) []string {
	var list []string
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			list = append(list, n.Content[i].Value)
		}
		return list
	}
	for _, element := range n.Content {
		list = append(list, elementName(element))
	}
	return list
}
