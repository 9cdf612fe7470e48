package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"dmasim/mem"
)

// Limits are what a file may ask of the reader.
type Limits struct {
	Bytes int // of the file
	Depth int // of nesting
	Nodes int // keys, values, lists and mappings
}

// Parse reads the one YAML document in data; nil if it holds nothing. file is
// its name for messages. The error is an [*Error].
func Parse(file string, data []byte, limits Limits) (*yaml.Node, error) {
	fail := func(line, column int, msg string) (*yaml.Node, error) {
		return nil, &Error{File: file, Line: line, Column: column, Msg: msg}
	}
	if len(data) > limits.Bytes {
		return fail(1, 1, "the file is larger than "+mem.Size(limits.Bytes).String())
	}
	if line, column, problem := checkText(data); problem != "" {
		return fail(line, column, problem)
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(limits.Depth))))
	if err != nil {
		return nil, syntaxError(file, err)
	}
	var doc, second yaml.Node
	if err := loader.Load(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, syntaxError(file, err)
	}
	if err := loader.Load(&second); err == nil {
		return fail(second.Line, second.Column, "a second YAML document, want one")
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(file, err)
	}
	root := doc.Content[0]
	if n, problem := refused(root); n != nil {
		return fail(n.Line, n.Column, problem)
	}
	if Count(root) > limits.Nodes {
		return fail(1, 1, fmt.Sprintf("the file has more than %d keys and values", limits.Nodes))
	}
	if isNull(root) {
		return nil, nil
	}
	return root, nil
}

// checkText finds what is not text in UTF-8, for which the YAML reader has no
// position; problem is "" if there is nothing of the kind.
func checkText(data []byte) (line, column int, problem string) {
	line, column = 1, 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && n == 1:
			return line, column, "not UTF-8 text"
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r >= 0x7f && r < 0xa0 && r != 0x85:
			return line, column, "control character in the text"
		case r == '\n':
			line, column = line+1, 0
		}
		column++
		data = data[n:]
	}
	return 0, 0, ""
}

func syntaxError(file string, err error) error {
	line, column, msg := 1, 1, err.Error()
	var at *yaml.LoadError
	if errors.As(err, &at) {
		line, column, msg = max(at.Mark.Line, 1), max(at.Mark.Column, 1), at.Message
	}
	return &Error{File: file, Line: line, Column: column, Msg: "not YAML: " + Clip(msg)}
}

// refused returns the first node that is not plain, with the reason; nil if all
// are.
func refused(n *yaml.Node) (*yaml.Node, string) {
	switch {
	case n.Kind == yaml.AliasNode, n.Anchor != "":
		return n, "anchors and aliases are not allowed"
	case n.Style&yaml.TaggedStyle != 0, n.Tag == "!":
		return n, "tags are not allowed"
	}
	for _, c := range n.Content {
		if found, problem := refused(c); found != nil {
			return found, problem
		}
	}
	return nil, ""
}
