package scenario

import (
	"encoding"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// decoder turns nodes into Go values strictly: every key must be a field, once,
// every field without omitempty must be there, and a value must have the type
// of its field. It goes on after a mistake, so that all are counted.
//
// Fields are described by the tags that others read as well: yaml gives the
// key, omitempty makes it optional, inline lifts the fields of a struct; the
// default in jsonschema_extras ("default=4KiB") stands for an absent key.
type decoder struct {
	file string
	errs []*Error
}

func (d *decoder) fail(n *yaml.Node, msg string) { d.failNear(n, msg, "", nil) }

// failNear is fail with the option that word was probably meant to be.
func (d *decoder) failNear(n *yaml.Node, msg, word string, options []string) {
	d.errs = append(d.errs, &Error{File: d.file, Line: n.Line, Column: n.Column, Msg: msg, Suggestion: nearest(word, options)})
}

// nodeDecoder is a value with a shape of its own.
type nodeDecoder interface {
	decodeNode(*decoder, *yaml.Node)
}

var durationType = reflect.TypeFor[time.Duration]()

func (d *decoder) decode(n *yaml.Node, v reflect.Value) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		d.fail(n, "the value is missing")
		return
	}
	switch target := v.Addr().Interface().(type) {
	case nodeDecoder:
		target.decodeNode(d, n)
		return
	case encoding.TextUnmarshaler:
		if d.isScalar(n, "one value") {
			d.unmarshal(n, target)
		}
		return
	}
	if v.Type() == durationType {
		if d.isScalar(n, "a time") {
			d.decodeDuration(n, v)
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

func (d *decoder) unmarshal(n *yaml.Node, target encoding.TextUnmarshaler) {
	err := target.UnmarshalText([]byte(n.Value))
	var unknown *wordError
	if errors.As(err, &unknown) {
		d.failNear(n, clip(err.Error()), unknown.word, unknown.options)
	} else if err != nil {
		d.fail(n, clip(err.Error()))
	}
}

func (d *decoder) isScalar(n *yaml.Node, want string) bool {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "want "+want+", not "+kindName(n))
	}
	return n.Kind == yaml.ScalarNode
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

func (d *decoder) decodeDuration(n *yaml.Node, v reflect.Value) {
	t, err := time.ParseDuration(n.Value)
	switch {
	case err != nil:
		d.fail(n, quote(n.Value)+" is not a time; write 16.6ms, 2s or 10m")
	case t < 0:
		d.fail(n, "a time must not be negative")
	default:
		v.SetInt(int64(t))
	}
}

func (d *decoder) decodeScalar(n *yaml.Node, v reflect.Value) {
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
		d.fail(n, "want "+want+", not "+quote(n.Value))
	} else {
		d.fail(n, "want "+want+", not "+kindName(n))
	}
}

func (d *decoder) decodeList(n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "want a list, not "+kindName(n))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, element := range n.Content {
		d.decode(element, list.Index(i))
	}
	v.Set(list)
}

func (d *decoder) decodeStruct(n *yaml.Node, v reflect.Value) {
	if !d.decodeKeys(n, v) {
		return
	}
	fields := fieldsOf(v.Type(), nil)
	for _, f := range fields {
		if child(n, f.name) != nil {
			continue
		}
		if f.required && !misspelt(n, f.name, fieldNames(fields)) {
			d.fail(n, "missing key "+quote(f.name))
		}
		if f.byDefault != "" {
			d.decode(defaultNode(n, f.byDefault), v.FieldByIndex(f.index))
		}
	}
}

// misspelt reports whether an unknown key of n was probably meant to be name, so
// that the mistake is not told twice.
func misspelt(n *yaml.Node, name string, options []string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i].Value; !slices.Contains(options, key) && nearest(key, options) == name {
			return true
		}
	}
	return false
}

// decodeKeys decodes the keys that are there and leaves the other fields as they
// are. It reports whether n is a mapping.
func (d *decoder) decodeKeys(n *yaml.Node, v reflect.Value) bool {
	if !d.isMapping(n) {
		return false
	}
	fields := fieldsOf(v.Type(), nil)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if f := findField(fields, key.Value); f != nil {
			d.decode(n.Content[i+1], v.FieldByIndex(f.index))
		} else {
			d.failNear(key, "unknown key "+quote(key.Value), key.Value, fieldNames(fields))
		}
	}
	return true
}

// isMapping reports whether n is a mapping of scalar keys, each once.
func (d *decoder) isMapping(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "want a mapping of keys to values, not "+kindName(n))
		return false
	}
	seen := make(map[string]bool, len(n.Content)/2)
	ok := true
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch key := n.Content[i]; {
		case key.Kind != yaml.ScalarNode:
			d.fail(key, "a key must be a word, not "+kindName(key))
			ok = false
		case seen[key.Value]:
			d.fail(key, "key "+quote(key.Value)+" is there twice")
			ok = false
		default:
			seen[key.Value] = true
		}
	}
	return ok
}

// defaultNode is a default at the place of n: text, a whole number, true or
// false.
func defaultNode(n *yaml.Node, text string) *yaml.Node {
	tag := "!!str"
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		tag = "!!int"
	} else if text == "true" || text == "false" {
		tag = "!!bool"
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text, Line: n.Line, Column: n.Column}
}

// field is a field of a struct as the file sees it.
type field struct {
	name      string
	index     []int
	required  bool
	byDefault string
}

func fieldsOf(t reflect.Type, prefix []int) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		index := append(slices.Clone(prefix), i)
		switch {
		case !f.IsExported(), name == "-":
		case strings.Contains(options, "inline"):
			fields = append(fields, fieldsOf(f.Type, index)...)
		default:
			byDefault, _ := strings.CutPrefix(f.Tag.Get("jsonschema_extras"), "default=")
			required := byDefault == "" && !strings.Contains(options, "omitempty")
			fields = append(fields, field{name, index, required, byDefault})
		}
	}
	return fields
}

func findField(fields []field, name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

func fieldNames(fields []field) []string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.name
	}
	return list
}
