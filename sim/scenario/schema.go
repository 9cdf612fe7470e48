package scenario

import _ "embed"

//go:embed schema.json
var schema string

// Schema returns the JSON Schema (draft 2020-12) of a scenario file. It is made
// from [File], its comments and the tables of devices, distributions and
// traces; TestSchema keeps it so. What spans several values, such as the name
// of a heap that is not there, is beyond it: Parse finds that.
func Schema() string { return schema }

//go:embed starter.yaml
var starter string

// Starter returns a commented scenario to start from.
func Starter() string { return starter }
