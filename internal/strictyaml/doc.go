// Package strictyaml reads YAML files that people write, and says of every
// mistake where it is and what was probably meant.
//
// [Parse] reads one document within [Limits]. [Decoder] turns its nodes into Go
// values: a key must be a field, once; a field must be there unless it may be
// left out; a value must have the type of its field and must not be null.
// Nothing unknown is ignored. Anchors, aliases and tags are refused, so a tree
// is as large as it looks, and a hostile file costs little.
//
// # Fields
//
// A struct says what its mapping may hold by tags that others read as well.
// yaml gives the key; with omitempty it may be left out, and inline lifts the
// fields of a struct. A default in jsonschema_extras ("default=4KiB") stands
// for an absent key. exclusiveMinimum=0 in jsonschema refuses zero where the
// key is present.
package strictyaml
