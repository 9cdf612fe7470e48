package strictyaml

import "go.yaml.in/yaml/v4"

// Count returns the number of nodes in the tree.
func Count(n *yaml.Node) int {
	count := 1
	for _, c := range n.Content {
		count += Count(c)
	}
	return count
}

// Child returns what a mapping holds under key, or nil.
func Child(n *yaml.Node, key string) *yaml.Node {
	if i := KeyIndex(n, key); i >= 0 {
		return n.Content[i+1]
	}
	return nil
}

// KeyIndex returns the index of the key in the mapping's content, or -1.
func KeyIndex(n *yaml.Node, key string) int {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return i
			}
		}
	}
	return -1
}

// At returns the node that the path of keys (string) and indices (int) leads
// to, or the last one on the way that exists: what is not written was left to
// its default there.
func At(n *yaml.Node, path ...any) *yaml.Node {
	for _, step := range path {
		var next *yaml.Node
		switch step := step.(type) {
		case string:
			next = Child(n, step)
		case int:
			if n.Kind == yaml.SequenceNode && step >= 0 && step < len(n.Content) {
				next = n.Content[step]
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// kindName names what a node is, for messages.
func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}
