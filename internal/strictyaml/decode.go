package strictyaml

import (
	"cmp"
	"encoding"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/suggest"
)

// Decoder turns nodes into Go values and gathers the mistakes. It goes on after
// one, so that all are counted. The zero value with File set is ready for use.
type Decoder struct {
	File string // for messages

	mistakes []mistake
}

// mistake is an error with what a suggestion is made of: only one is ever shown.
type mistake struct {
	Error
	word    string
	options []string
}

// NodeDecoder is a value with a shape of its own.
type NodeDecoder interface {
	DecodeYAML(*Decoder, *yaml.Node)
}

// Fail notes a mistake at n.
func (d *Decoder) Fail(n *yaml.Node, msg string) { d.FailNear(n, msg, "", nil) }

// FailNear is Fail with the option that word was probably meant to be.
func (d *Decoder) FailNear(n *yaml.Node, msg, word string, options []string) {
	d.mistakes = append(d.mistakes, mistake{Error{File: d.File, Line: n.Line, Column: n.Column, Msg: msg}, word, options})
}

// Mistakes returns how many were noted.
func (d *Decoder) Mistakes() int { return len(d.mistakes) }

// Err returns the first mistake by position as an [*Error], which counts the
// others; nil if there are none.
func (d *Decoder) Err() error {
	if len(d.mistakes) == 0 {
		return nil
	}
	first := slices.MinFunc(d.mistakes, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	first.Suggestion = suggest.Nearest(first.word, first.options)
	first.More = len(d.mistakes) - 1
	return &first.Error
}

// Decode sets what v points to from n.
func (d *Decoder) Decode(n *yaml.Node, v any) { d.decode(n, reflect.ValueOf(v).Elem()) }

const missingValue = "the value is missing"

func (d *Decoder) decode(n *yaml.Node, v reflect.Value) {
	if isNull(n) {
		d.Fail(n, missingValue)
		return
	}
	switch target := v.Addr().Interface().(type) {
	case NodeDecoder:
		target.DecodeYAML(d, n)
		return
	case encoding.TextUnmarshaler:
		if d.Scalar(n, "one value") {
			d.decodeText(n, target)
		}
		return
	case *time.Duration:
		if d.Scalar(n, "a time") {
			d.decodeDuration(n, target)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.decodeStruct(n, v)
	case reflect.Slice:
		d.decodeList(n, v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem())
	default:
		d.decodeScalar(n, v)
	}
}

// Scalar reports whether n is a single value; want says what is wanted.
func (d *Decoder) Scalar(n *yaml.Node, want string) bool {
	return d.isKind(n, yaml.ScalarNode, want)
}

// List reports whether n is a list; want says what is wanted.
func (d *Decoder) List(n *yaml.Node, want string) bool {
	return d.isKind(n, yaml.SequenceNode, want)
}

func (d *Decoder) isKind(n *yaml.Node, kind yaml.Kind, want string) bool {
	switch {
	case isNull(n):
		d.Fail(n, missingValue)
		return false
	case n.Kind != kind:
		d.Fail(n, "want "+want+", not "+kindName(n))
		return false
	}
	return true
}

func (d *Decoder) decodeText(n *yaml.Node, target encoding.TextUnmarshaler) {
	err := target.UnmarshalText([]byte(n.Value))
	var unknown *WordError
	if errors.As(err, &unknown) {
		d.FailNear(n, Clip(err.Error()), unknown.Word, unknown.Options)
	} else if err != nil {
		d.Fail(n, Clip(err.Error()))
	}
}

func (d *Decoder) decodeDuration(n *yaml.Node, to *time.Duration) {
	t, err := ParseDuration(n.Value)
	if err != nil {
		d.Fail(n, err.Error())
		return
	}
	*to = t
}

// ParseDuration reads a time that is not negative, such as 16.6ms or 1h30m.
func ParseDuration(text string) (time.Duration, error) {
	t, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, errors.New(Quote(text) + " is not a time; write 16.6ms, 2s or 10m")
	case t < 0:
		return 0, errors.New("a time must not be negative")
	}
	return t, nil
}

func (d *Decoder) decodeScalar(n *yaml.Node, v reflect.Value) {
	var want string
	ok := false
	switch v.Kind() {
	case reflect.String:
		want = "text"
		if ok = n.Tag == "!!str"; ok {
			v.SetString(n.Value)
		} else if n.Kind == yaml.ScalarNode {
			want = "text: put it in quotes"
		}
	case reflect.Bool:
		want = "true or false"
		if ok = n.Tag == "!!bool" && (n.Value == "true" || n.Value == "false"); ok {
			v.SetBool(n.Value == "true")
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		want = "a whole number"
		if i, err := strconv.ParseInt(n.Value, 10, v.Type().Bits()); n.Tag == "!!int" && err == nil {
			v.SetInt(i)
			ok = true
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		want = "a whole number from 0 to " + strconv.FormatUint(math.MaxUint64>>(64-v.Type().Bits()), 10)
		if i, err := strconv.ParseUint(n.Value, 10, v.Type().Bits()); n.Tag == "!!int" && err == nil {
			v.SetUint(i)
			ok = true
		}
	case reflect.Float32, reflect.Float64:
		want = "a number"
		f, err := strconv.ParseFloat(n.Value, v.Type().Bits())
		if (n.Tag == "!!int" || n.Tag == "!!float") && err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			v.SetFloat(f)
			ok = true
		}
	default:
		want = "nothing: the program cannot read a " + v.Type().String()
	}
	if ok {
		return
	}
	if n.Kind == yaml.ScalarNode {
		d.Fail(n, "want "+want+", not "+Quote(n.Value))
	} else {
		d.Fail(n, "want "+want+", not "+kindName(n))
	}
}

func (d *Decoder) decodeList(n *yaml.Node, v reflect.Value) {
	if !d.List(n, "a list") {
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, element := range n.Content {
		d.decode(element, list.Index(i))
	}
	v.Set(list)
}
