package devices

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v4"
)

// FileError is a mistake in a device file, at the place of the offending text.
type FileError struct {
	File         string
	Line, Column int // from 1
	Msg          string
}

func (e *FileError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}

// maxFile is the size in bytes beyond which a file is no list of devices.
const maxFile = 4 << 20

// Parse reads a device file: a YAML list of devices with the keys of [Device].
// file is its name for messages. Every device is valid (see [Device.Validate])
// and no two have the same name. The error is a *FileError, for the first
// mistake.
func Parse(file string, data []byte) ([]Device, error) {
	if len(data) > maxFile {
		return nil, &FileError{file, 1, 1, fmt.Sprintf("the file is larger than %d bytes", maxFile)}
	}
	root, err := parseNode(data)
	if err != nil {
		return nil, syntaxError(file, err)
	}
	if root == nil {
		return nil, nil
	}
	fail := func(n *yaml.Node, msg string) error { return &FileError{file, n.Line, n.Column, msg} }
	if root.Kind != yaml.SequenceNode {
		return nil, fail(root, "want a list of devices, each beginning with - name:")
	}
	if key, known := unknownKey(root, reflect.TypeFor[[]Device]()); key != nil {
		return nil, fail(key, fmt.Sprintf("unknown key %q%s", key.Value, suggestion(key.Value, known)))
	}
	var devices []Device
	if err := yaml.Load(data, &devices, yaml.WithKnownFields()); err != nil {
		return nil, syntaxError(file, err)
	}
	named := map[string]bool{}
	for i := range devices {
		d := &devices[i]
		entry := root.Content[i]
		var wrong *FieldError
		if errors.As(d.Validate(), &wrong) {
			return nil, fail(wrong.locate(entry), wrong.Error())
		}
		if named[d.Name] {
			return nil, fail(entry, fmt.Sprintf("a second device with the name %s", d.Name))
		}
		named[d.Name] = true
	}
	return devices, nil
}

// parseNode reads the one YAML document in data; nil if there is none.
func parseNode(data []byte) (*yaml.Node, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var doc, second yaml.Node
	if err := loader.Load(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := loader.Load(&second); err == nil {
		return nil, errors.New("want one YAML document, not several")
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return nil, nil
	}
	return doc.Content[0], nil
}

// syntaxError places what the YAML library found.
func syntaxError(file string, err error) error {
	var at *yaml.LoadError
	if !errors.As(err, &at) {
		return &FileError{file, 1, 1, oneLine(err.Error())}
	}
	return &FileError{file, max(at.Mark.Line, 1), max(at.Mark.Column, 1), oneLine(at.Message)}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// locate returns the node of the field in the mapping of a device.
func (e *FieldError) locate(entry *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(entry.Content); i += 2 {
		if entry.Content[i].Value != e.Field {
			continue
		}
		if list := entry.Content[i+1]; e.Index >= 0 && e.Index < len(list.Content) {
			return list.Content[e.Index]
		}
		return entry.Content[i]
	}
	return entry
}

// unknownKey returns the first key below n that the type has no field for, and
// the keys that it has.
func unknownKey(n *yaml.Node, t reflect.Type) (key *yaml.Node, known []string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for _, element := range n.Content {
			if key, known = unknownKey(element, t.Elem()); key != nil {
				return key, known
			}
		}
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		known = keysOf(t)
		for i := 0; i+1 < len(n.Content); i += 2 {
			field := slices.Index(known, n.Content[i].Value)
			if field < 0 {
				return n.Content[i], known
			}
			if key, known := unknownKey(n.Content[i+1], t.Field(field).Type); key != nil {
				return key, known
			}
		}
	}
	return nil, nil
}

// suggestion returns the option that word was probably meant to be, as the end
// of a message, or all of them.
func suggestion(word string, options []string) string {
	best, distance := "", len(word)/2+1
	for _, option := range options {
		if d := levenshtein.ComputeDistance(word, option); d < distance {
			best, distance = option, d
		}
	}
	if best == "" {
		return ", want one of " + strings.Join(options, ", ")
	}
	return fmt.Sprintf(", did you mean %q?", best)
}
