package strictyaml_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/strictyaml"
)

var limits = strictyaml.Limits{Bytes: 1 << 18, Depth: 32, Nodes: 1 << 12}

func TestParseNothing(t *testing.T) {
	for _, text := range []string{"", "\n\n", "# a comment\n", "---\n", "~", "null"} {
		if root, err := strictyaml.Parse("f", []byte(text), limits); root != nil || err != nil {
			t.Errorf("%q: %v, %v", text, root, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a: 1\n---\nb: 2\n", "f:2:1: a second YAML document, want one"},
		{"a: 1\n--- {", "f:3:1: not YAML: "},
		{"a: &x 1", "f:1:4: anchors and aliases are not allowed"},
		{"a: *x", "f:1:4: not YAML: unknown anchor"},
		{"a: !!str 1", "f:1:4: tags are not allowed"},
		{"a: [b, ! c]", "f:1:8: tags are not allowed"},
		{"a: b: c", "f:1:5: not YAML: mapping values are not allowed in this context"},
		{"- \"", "f:1:4: not YAML: found unexpected end of stream"},
		{"a: b\n\xff", "f:2:1: not UTF-8 text"},
		{"é: \x01", "f:1:4: control character in the text"},
		{strings.Repeat(" ", 1<<18+1), "f:1:1: the file is larger than 256KiB"},
		{"[" + strings.Repeat("a,", 1<<12) + "]", "f:1:1: the file has more than 4096 keys and values"},
		{strings.Repeat("- ", 99), "f:1:65: not YAML: "},
	} {
		_, err := strictyaml.Parse("f", []byte(c.text), limits)
		var at *strictyaml.Error
		if !errors.As(err, &at) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%.40q: %v\nwant %s", c.text, err, c.want)
		}
	}
}

// TestParseHostile: a file that is made to cost much costs little, and its
// message is short.
func TestParseHostile(t *testing.T) {
	bomb := "a: &a [x, x]\n"
	for c := 'b'; c < 'z'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c]\n", c, c, c-1, c-1, c-1, c-1)
	}
	for name, text := range map[string]string{
		"deep flow":       strings.Repeat("[", 1<<18),
		"deep block":      strings.Repeat("- ", 1<<17),
		"deep mappings":   strings.Repeat("{a: ", 1<<16),
		"many commas":     "[" + strings.Repeat("a,", 1<<16) + "]",
		"aliases":         bomb,
		"huge":            strings.Repeat("x", 10<<20),
		"question marks":  strings.Repeat("? ", 1<<17),
		"unclosed quotes": strings.Repeat(`"`, 1<<18-1),
		"null bytes":      strings.Repeat("\x00", 1<<18),
	} {
		start := time.Now()
		if _, err := strictyaml.Parse("f", []byte(text), limits); err == nil {
			t.Errorf("%s: no error", name)
		} else if len(err.Error()) > 500 {
			t.Errorf("%s: the message has %d bytes", name, len(err.Error()))
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
}

func TestAt(t *testing.T) {
	root := mustParse(t, "a:\n  b: [c, {d: e}]\n")
	for _, c := range []struct {
		path []any
		want string
	}{
		{nil, ""},
		{[]any{"a", "b", 0}, "c"},
		{[]any{"a", "b", 1, "d"}, "e"},
		{[]any{"a", "b", 0, "no"}, "c"},
	} {
		if got := strictyaml.At(root, c.path...); got.Value != c.want {
			t.Errorf("%v: %q, want %q", c.path, got.Value, c.want)
		}
	}
	if list := strictyaml.At(root, "a", "b", 2); list.Kind != yaml.SequenceNode {
		t.Errorf("beyond the end: %v", list)
	}
	if got := strictyaml.Count(root); got != 9 {
		t.Errorf("%d nodes, want 9", got)
	}
	if strictyaml.Child(root, "b") != nil || strictyaml.KeyIndex(strictyaml.At(root, "a", "b"), "c") != -1 {
		t.Error("found a key that is not there")
	}
}

func mustParse(t testing.TB, text string) *yaml.Node {
	t.Helper()
	root, err := strictyaml.Parse("f", []byte(text), limits)
	if err != nil {
		t.Fatal(err)
	}
	return root
}
