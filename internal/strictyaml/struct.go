package strictyaml

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/suggest"
)

// DecodeStruct is Decode for the struct that v points to, even if it is a
// [NodeDecoder], which may end in calling it.
func (d *Decoder) DecodeStruct(n *yaml.Node, v any) { d.decodeStruct(n, reflect.ValueOf(v).Elem()) }

// DecodeKeys decodes the keys that are there and leaves the other fields of the
// struct that v points to as they are. It reports whether n is a mapping.
func (d *Decoder) DecodeKeys(n *yaml.Node, v any) bool {
	return d.decodeKeys(n, reflect.ValueOf(v).Elem())
}

func (d *Decoder) decodeStruct(n *yaml.Node, v reflect.Value) {
	if !d.decodeKeys(n, v) {
		return
	}
	fields := fieldsOf(v.Type(), nil)
	var missing []string
	for _, f := range fields {
		switch {
		case Child(n, f.name) != nil:
		case f.byDefault != "":
			d.decode(defaultNode(n, f.byDefault), v.FieldByIndex(f.index))
		case f.required:
			missing = append(missing, f.name)
		}
	}
	for _, name := range Missing(n, missing, fieldNames(fields)) {
		d.Fail(n, "missing key "+Quote(name))
	}
}

// Missing returns which of the wanted keys the mapping n lacks. One that an
// unknown key was probably meant to be is not missing: the mistake is told once.
func Missing(n *yaml.Node, wanted, known []string) []string {
	missing := slices.DeleteFunc(slices.Clone(wanted), func(key string) bool { return KeyIndex(n, key) >= 0 })
	for i := 0; i+1 < len(n.Content) && len(missing) > 0; i += 2 {
		if key := n.Content[i].Value; !slices.Contains(known, key) {
			meant := suggest.Nearest(key, known)
			missing = slices.DeleteFunc(missing, func(key string) bool { return key == meant })
		}
	}
	return missing
}

func (d *Decoder) decodeKeys(n *yaml.Node, v reflect.Value) bool {
	if !d.Mapping(n) {
		return false
	}
	fields := fieldsOf(v.Type(), nil)
	names := fieldNames(fields)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := slices.Index(names, key.Value)
		if at < 0 {
			d.UnknownKey(key, names)
			continue
		}
		f, target, before := fields[at], v.FieldByIndex(fields[at].index), len(d.mistakes)
		d.decode(value, target)
		if f.positive && len(d.mistakes) == before && !isPositive(target) {
			d.Fail(value, f.name+" must be more than 0")
		}
	}
	return true
}

// UnknownKey notes that key is none of the known ones.
func (d *Decoder) UnknownKey(key *yaml.Node, known []string) {
	d.FailNear(key, "unknown key "+Quote(key.Value), key.Value, known)
}

// Mapping reports whether n is a mapping of single values to anything, each key
// once.
func (d *Decoder) Mapping(n *yaml.Node) bool {
	if !d.isKind(n, yaml.MappingNode, "a mapping of keys to values") {
		return false
	}
	seen := make(map[string]bool, len(n.Content)/2)
	before := len(d.mistakes)
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch key := n.Content[i]; {
		case key.Kind != yaml.ScalarNode:
			d.Fail(key, "a key must be a word, not "+kindName(key))
		case seen[key.Value]:
			d.Fail(key, "key "+Quote(key.Value)+" is there twice")
		default:
			seen[key.Value] = true
		}
	}
	return len(d.mistakes) == before
}

// field is a field of a struct as the file sees it.
type field struct {
	name      string
	index     []int
	required  bool
	positive  bool   // not zero if it is there
	byDefault string // what stands for an absent key, or ""
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
			fields = append(fields, field{
				name: name, index: index, byDefault: byDefault,
				required: byDefault == "" && !strings.Contains(options, "omitempty"),
				positive: slices.Contains(strings.Split(f.Tag.Get("jsonschema"), ","), "exclusiveMinimum=0"),
			})
		}
	}
	return fields
}

func fieldNames(fields []field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

func isPositive(v reflect.Value) bool {
	return v.CanInt() && v.Int() > 0 || v.CanUint() && v.Uint() > 0 || v.CanFloat() && v.Float() > 0
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
