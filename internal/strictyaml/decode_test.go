package strictyaml_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"dmasim/internal/strictyaml"
)

// colour is a word.
type colour string

func (c *colour) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(c, "colour", text, []string{"red", "green", "blue"})
}

// pair has a shape of its own.
type pair struct{ a, b string }

func (p *pair) DecodeYAML(d *strictyaml.Decoder, n *yaml.Node) {
	if !d.List(n, "a pair") {
		return
	}
	if len(n.Content) != 2 {
		d.Fail(n, "want two")
		return
	}
	d.Decode(n.Content[0], &p.a)
	d.Decode(n.Content[1], &p.b)
}

type part struct {
	Name  string `yaml:"name"`
	Width uint8  `yaml:"width,omitempty" jsonschema:"exclusiveMinimum=0"`
}

type machine struct {
	Common `yaml:",inline"`
	Parts  []part        `yaml:"parts,omitempty"`
	Spare  *part         `yaml:"spare,omitempty"`
	Colour colour        `yaml:"colour" jsonschema_extras:"default=red"`
	Count  int           `yaml:"count" jsonschema_extras:"default=7"`
	On     bool          `yaml:"on" jsonschema_extras:"default=true"`
	Every  time.Duration `yaml:"every,omitempty" jsonschema:"description=period,exclusiveMinimum=0"`
	Ratio  float64       `yaml:"ratio,omitempty"`
	Pair   *pair         `yaml:"pair,omitempty"`
	Odd    chan int      `yaml:"odd,omitempty"`
	Hidden string        `yaml:"-"`
}

type Common struct {
	Title string `yaml:"title"`
}

func TestDecode(t *testing.T) {
	d := strictyaml.Decoder{File: "f"}
	var got machine
	d.Decode(mustParse(t, `
title: a machine
parts: [{name: x, width: 3}, {name: "12"}]
spare: {name: y}
colour: blue
count: -1
on: false
every: 16.6ms
ratio: 2
pair: [l, r]
`), &got)
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	want := machine{
		Common: Common{"a machine"}, Parts: []part{{"x", 3}, {"12", 0}}, Spare: &part{Name: "y"},
		Colour: "blue", Count: -1, Every: 16600 * time.Microsecond, Ratio: 2, Pair: &pair{"l", "r"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(pair{})); diff != "" {
		t.Error(diff)
	}

	got = machine{}
	d.Decode(mustParse(t, "title: defaults"), &got)
	if d.Err() != nil || got.Colour != "red" || got.Count != 7 || !got.On {
		t.Errorf("%v: %+v", d.Err(), got)
	}

	got = machine{Common: Common{"kept"}, Count: 3}
	if ok := d.DecodeKeys(mustParse(t, "ratio: 0.5"), &got); !ok || d.Err() != nil || got.Title != "kept" || got.Count != 3 || got.Ratio != 0.5 {
		t.Errorf("%v: %+v", d.Err(), got)
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"titel: x", `f:1:1: unknown key "titel" (did you mean "title"?)`},
		{"zzz: x", `f:1:1: unknown key "zzz" (and 1 more)`},
		{"parts: []", `f:1:1: missing key "title"`},
		{"title: x\nhidden: y", `f:2:1: unknown key "hidden"`},
		{"title: x\nparts:\n- name: a\n- {nam: b}", `f:4:4: unknown key "nam" (did you mean "name"?)`},
		{"title: x\ntitle: y", `f:2:1: key "title" is there twice`},
		{"title: x\n[a]: y", `f:2:1: a key must be a word, not a list`},
		{"title:", `f:1:7: the value is missing`},
		{"title: x\nparts: ~", `f:2:8: the value is missing`},
		{"title: x\npair: ~", `f:2:7: the value is missing`},
		{"title: x\npair: 1", `f:2:7: want a pair, not a single value`},
		{"title: x\npair: [1, a]", `f:2:8: want text: put it in quotes, not "1"`},
		{"title: 12", `f:1:8: want text: put it in quotes, not "12"`},
		{"title: {}", `f:1:8: want text, not a mapping`},
		{"[]", `f:1:1: want a mapping of keys to values, not a list`},
		{"title: x\nparts: {}", `f:2:8: want a list, not a mapping`},
		{"title: x\non: yes", `f:2:5: want true or false, not "yes"`},
		{"title: x\ncount: 1.5", `f:2:8: want a whole number, not "1.5"`},
		{"title: x\nspare: {name: a, width: 256}", `f:2:25: want a whole number from 0 to 255, not "256"`},
		{"title: x\nspare: {name: a, width: 0}", `f:2:25: width must be more than 0`},
		{"title: x\nratio: .inf", `f:2:8: want a number, not ".inf"`},
		{"title: x\nratio: [1]", `f:2:8: want a number, not a list`},
		{"title: x\nevery: 10", `f:2:8: "10" is not a time; write 16.6ms, 2s or 10m`},
		{"title: x\nevery: -1s", `f:2:8: a time must not be negative`},
		{"title: x\nevery: 0s", `f:2:8: every must be more than 0`},
		{"title: x\nevery: [1s]", `f:2:8: want a time, not a list`},
		{"title: x\ncolour: bleu", `f:2:9: unknown colour "bleu", want red, green or blue (did you mean "blue"?)`},
		{"title: x\ncolour: []", `f:2:9: want one value, not a list`},
		{"title: x\nodd: 1", `f:2:6: want nothing: the program cannot read a chan int, not "1"`},
		{"ratio: x\ncount: y\ntitle: 1", `f:1:8: want a number, not "x" (and 2 more)`},
		{"title: x\n" + strings.Repeat("k", 99) + ": 1", `f:2:1: unknown key "` + strings.Repeat("k", 64) + `…"`},
	} {
		d := strictyaml.Decoder{File: "f"}
		var m machine
		d.Decode(mustParse(t, c.text), &m)
		var at *strictyaml.Error
		if err := d.Err(); !errors.As(err, &at) || err.Error() != c.want {
			t.Errorf("%.60q:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

// TestDecodeHostile: many mistakes do not cost a search for suggestions each.
func TestDecodeHostile(t *testing.T) {
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "%s%d: {}\n", strings.Repeat("x", 50), i)
	}
	start := time.Now()
	d := strictyaml.Decoder{File: "f"}
	var m machine
	d.Decode(mustParse(t, text.String()), &m)
	if d.Mistakes() != 2001 {
		t.Errorf("%d mistakes, want 2001", d.Mistakes())
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestClip(t *testing.T) {
	if got := strictyaml.Clip("two\n  lines\t\r"); got != "two lines" {
		t.Errorf("got %q", got)
	}
	if got := strictyaml.Clip(strings.Repeat("é", 300)); got != strings.Repeat("é", 200)+"…" {
		t.Errorf("got %q", got)
	}
}

// FuzzDecode: whatever the text, an error has a place in the file and one line,
// and what is read lies within what the fields say.
func FuzzDecode(f *testing.F) {
	f.Add("title: x\nparts: [{name: a, width: 1}]\nevery: 1s\npair: [a, b]")
	f.Add("title: &a x\ncolour: bleu\n---\n- ~")
	f.Fuzz(func(t *testing.T, text string) {
		check := func(err error) {
			var at *strictyaml.Error
			if !errors.As(err, &at) || at.File != "f" || at.Line < 1 || at.Column < 1 || strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 2000 {
				t.Fatalf("%T: %v", err, err)
			}
		}
		root, err := strictyaml.Parse("f", []byte(text), limits)
		if err != nil {
			check(err)
			return
		}
		if root == nil {
			return
		}
		d := strictyaml.Decoder{File: "f"}
		m := machine{Every: -1}
		d.Decode(root, &m)
		if err := d.Err(); err != nil {
			check(err)
		} else if m.Title == "" && strictyaml.Child(root, "title") == nil || m.Every == 0 || m.Hidden != "" {
			t.Fatalf("%q is read as %+v", text, m)
		}
	})
}

func ExampleDecoder() {
	root, err := strictyaml.Parse("shelf.yaml", []byte("name: top\nwidht: 3\n"), strictyaml.Limits{Bytes: 1 << 10, Depth: 8, Nodes: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	var shelf struct {
		Name  string `yaml:"name"`
		Width uint64 `yaml:"width"`
	}
	d := strictyaml.Decoder{File: "shelf.yaml"}
	d.Decode(root, &shelf)
	fmt.Println(d.Err())
	// Output:
	// shelf.yaml:2:1: unknown key "widht" (did you mean "width"?)
}
