package scenario

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Bounds on what a scenario file may ask of the loader.
const (
	maxBytes = 1 << 18 // of a file
	maxDepth = 32      // of nesting
	maxNodes = 1 << 15 // keys, values and lists
	maxWork  = 1 << 20 // nodes times variants, because each variant is decoded whole
)

// parse reads the one YAML document of a file. Aliases and tags are refused:
// variants do what they are for, and without them the tree is as large as it
// looks.
func parse(file string, data []byte) (*yaml.Node, error) {
	if len(data) > maxBytes {
		return nil, &Error{File: file, Line: 1, Column: 1, Msg: "the file is larger than 256KiB"}
	}
	if err := checkText(file, data); err != nil {
		return nil, err
	}
	limits := loaderlimits.New(loaderlimits.DepthValue(maxDepth))
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(limits))
	if err != nil {
		return nil, syntaxError(file, err)
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF), err == nil && len(doc.Content) == 1 && doc.Content[0].Tag == "!!null":
		return nil, &Error{File: file, Line: 1, Column: 1, Msg: "the file is empty"}
	case err != nil:
		return nil, syntaxError(file, err)
	}
	switch err := loader.Load(&second); {
	case err == nil:
		return nil, &Error{File: file, Line: second.Line, Column: second.Column, Msg: "a second YAML document; a scenario is one"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxError(file, err)
	}
	root := doc.Content[0]
	count, err := countPlain(file, root)
	if err != nil {
		return nil, err
	}
	if count > maxNodes {
		return nil, &Error{File: file, Line: 1, Column: 1, Msg: "the scenario has more than 32768 keys and values"}
	}
	if list := child(root, "variants"); list != nil && count*(1+len(list.Content)) > maxWork {
		return nil, &Error{File: file, Line: list.Line, Column: list.Column, Msg: "too many variants of too large a scenario"}
	}
	return root, nil
}

// checkText finds what is not UTF-8 text, for which the YAML reader has no
// position.
func checkText(file string, data []byte) error {
	line, column := 1, 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && n == 1:
			return &Error{File: file, Line: line, Column: column, Msg: "not UTF-8 text"}
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r >= 0x7f && r < 0xa0 && r != 0x85:
			return &Error{File: file, Line: line, Column: column, Msg: "control character in the text"}
		case r == '\n':
			line, column = line+1, 0
		}
		column++
		data = data[n:]
	}
	return nil
}

func syntaxError(file string, err error) error {
	var at *yaml.LoadError
	if !errors.As(err, &at) {
		return &Error{File: file, Line: 1, Column: 1, Msg: "not YAML: " + clip(err.Error())}
	}
	return &Error{File: file, Line: max(at.Mark.Line, 1), Column: max(at.Mark.Column, 1), Msg: "not YAML: " + clip(at.Message)}
}

// clip makes a foreign message one short line.
func clip(msg string) string {
	msg = strings.Join(strings.Fields(msg), " ")
	if runes := []rune(msg); len(runes) > 200 {
		msg = string(runes[:200]) + "…"
	}
	return msg
}

// countPlain returns the number of nodes, none of which is an alias, has an
// anchor or a tag.
func countPlain(file string, n *yaml.Node) (int, error) {
	refused := ""
	switch {
	case n.Kind == yaml.AliasNode, n.Anchor != "":
		refused = "anchors and aliases are not used in scenarios; see variants"
	case n.Style&yaml.TaggedStyle != 0:
		refused = "tags are not used in scenarios"
	}
	if refused != "" {
		return 0, &Error{File: file, Line: n.Line, Column: n.Column, Msg: refused}
	}
	count := 1
	for _, c := range n.Content {
		below, err := countPlain(file, c)
		if err != nil {
			return 0, err
		}
		count += below
	}
	return count, nil
}

// child returns what a mapping holds under key, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if i := keyIndex(n, key); i >= 0 {
		return n.Content[i+1]
	}
	return nil
}

// keyIndex returns the index of the key in the mapping's content, or -1.
func keyIndex(n *yaml.Node, key string) int {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return i
			}
		}
	}
	return -1
}

// at returns the node that the path of keys (string) and indices (int) leads
// to, or the last one on the way that exists: what is not written was left to
// its default there.
func at(n *yaml.Node, path ...any) *yaml.Node {
	for _, step := range path {
		var next *yaml.Node
		switch step := step.(type) {
		case string:
			next = child(n, step)
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

// override returns root with the node at path replaced by value; it copies what
// it changes. key is where the path was written. The last step may name a key
// that was left to its default; the others must exist.
func override(file string, root *yaml.Node, path string, key, value *yaml.Node) (*yaml.Node, error) {
	fail := func(msg, word string, options []string) (*yaml.Node, error) {
		return nil, &Error{File: file, Line: key.Line, Column: key.Column, Msg: msg, Suggestion: nearest(word, options)}
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
			if slot = keyIndex(n, step) + 1; slot == 0 {
				if !last {
					return fail(clip(parent)+" has no "+quote(step), step, names(n))
				}
				added := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: step, Line: key.Line, Column: key.Column}
				n.Content = append(n.Content, added, nil)
				slot = len(n.Content) - 1
			}
		case yaml.SequenceNode:
			if slot = elementIndex(n, step); slot < 0 {
				return fail(clip(parent)+" has no "+quote(step), step, names(n))
			}
		default:
			return fail(clip(parent)+" is a single value, it holds no "+quote(step), "", nil)
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
		if n := child(element, key); n != nil {
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
