package validate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dmasim/sim/validate"
)

func TestReadOperations(t *testing.T) {
	const text = "# a comment\n" +
		"h a 4096\t# and one behind\r\n" +
		"\n" +
		"  s b2 1\n" +
		"d 18446744073709551615\n" +
		"F 0\n" +
		"f a\n" +
		"h a 5"
	got, err := validate.ReadOperations("ops", strings.NewReader(text))
	want := []validate.Operation{
		{Kind: validate.HeapAlloc, ID: "a", Size: 4096, Line: 2},
		{Kind: validate.SystemAlloc, ID: "b2", Size: 1, Line: 4},
		{Kind: validate.DebugfsAlloc, Size: 1<<64 - 1, Line: 5},
		{Kind: validate.DebugfsFree, Line: 6},
		{Kind: validate.Close, ID: "a", Line: 7},
		{Kind: validate.HeapAlloc, ID: "a", Size: 5, Line: 8},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestReadOperationsRefuses(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "ops:1:1: no operation"},
		{"# nothing\n", "ops:2:1: no operation"},
		{"x 1\n", `ops:1:1: unknown operation "x"`},
		{"d 1\n hh a 1\n", `ops:2:2: unknown operation "hh"`},
		{"h\n", "ops:1:2: h wants an ID"},
		{"h a # 4096\n", "ops:1:4: h wants a number of bytes"},
		{"h a 4k\n", `ops:1:5: "4k" is not a number of bytes`},
		{"h a -1\n", `ops:1:5: "-1"`},
		{"h a +1\n", `ops:1:5: "+1"`},
		{"h a 0x10\n", `ops:1:5: "0x10"`},
		{"d 18446744073709551616\n", "ops:1:3:"},
		{"F\n", "ops:1:2: F wants a number of pages"},
		{"d 1 2\n", `ops:1:5: unexpected "2" after d 1`},
		{"f a\n", "ops:1:3: buffer a is not open here"},
		{"h a 1\nf a\nf a\n", "ops:3:3: buffer a is not open here"},
		{"h a 1\ns a 1\n", "ops:2:3: buffer a is open since line 1"},
		{"h ä 1\n", "ops:1:3: ID"},
		{"h " + strings.Repeat("a", 65) + " 1\n", "ops:1:3: ID"},
		{"d 1\nd " + strings.Repeat("0", 5000), "ops:2:4096: the line is longer"},
	} {
		_, err := validate.ReadOperations("ops", strings.NewReader(test.text))
		if !errors.As(err, new(*validate.SyntaxError)) || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q: %v, want %s", test.text, err, test.want)
		}
	}
}

// FuzzReadOperations holds what is read to its own text.
func FuzzReadOperations(f *testing.F) {
	f.Add("h a 4096\nd 1\nF 1\ns b 0\nf a\n# x\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := validate.ReadOperations("ops", strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "ops:") {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		var again strings.Builder
		for _, op := range list {
			again.WriteString(op.String() + "\n")
		}
		same, err := validate.ReadOperations("ops", strings.NewReader(again.String()))
		if err != nil || len(same) != len(list) {
			t.Fatalf("%q is read as %q: %v", text, again.String(), err)
		}
	})
}

// TestRandomIsValid reads random operations back, and looks for a good mix.
func TestRandomIsValid(t *testing.T) {
	mix := validate.Mix{Seed: 3, Operations: 5000, Pages: 4096, PageSize: 4096}
	list := mix.Random()
	var text strings.Builder
	count := map[validate.Kind]int{}
	for _, op := range list {
		text.WriteString(op.String() + "\n")
		count[op.Kind]++
	}
	if _, err := validate.ReadOperations("random", strings.NewReader(text.String())); err != nil {
		t.Error(err)
	}
	for _, kind := range []validate.Kind{validate.HeapAlloc, validate.DebugfsAlloc, validate.DebugfsFree, validate.Close} {
		if count[kind] < 100 {
			t.Errorf("%d of %d operations are %c", count[kind], len(list), kind)
		}
	}
	if diff := cmp.Diff(list, mix.Random()); diff != "" {
		t.Error("the same seed, other operations")
	}
}

func TestMostSystem(t *testing.T) {
	for _, test := range []struct {
		text string
		most uint64
		line int
	}{
		{"h a 100\nd 5", 0, 0},
		{"s a 100\ns b 50\nf a\ns c 60\nf b\nf c\ns d 150", 150, 2},
		{"s a 18446744073709551615\ns b 7", 7, 2},
		{"s a 9223372036854775808\ns b 9223372036854775808", 1<<64 - 1, 2},
	} {
		list, err := validate.ReadOperations("ops", strings.NewReader(test.text))
		if err != nil {
			t.Fatal(err)
		}
		if most, at := validate.MostSystem(list); most != test.most || at.Line != test.line {
			t.Errorf("%q: %d in line %d, want %d in %d", test.text, most, at.Line, test.most, test.line)
		}
	}
}
