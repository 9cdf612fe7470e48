// Package scenario reads the YAML files that describe a system and its work,
// and builds simulations from them.
//
// [File] is the form of a file. Loading is strict: a mistake is an [*Error] with
// the place of the offending text, whether it is a misspelt key, a bad unit or
// an arena that lies outside memory, and what was probably meant. Nothing is
// guessed and nothing unknown is ignored. A file is one document of at most 256
// KiB without anchors and tags, so a hostile one costs little.
//
// A [Scenario] holds one or more variants. A variant of the file sets values by
// their path ("heaps.main.allocator") on the YAML tree before it is decoded, so
// it can change whatever can be written, is checked like everything else, and
// its mistakes are reported at the variant. Every [Variant] is complete: no
// default is left open. [Variant.Build] makes the simulation's configuration,
// with fresh sources each time. [Scenario.Resolved] writes the scenario back with
// every default filled in, which a result keeps to be reproduced from.
//
// # Limits
//
// A churn and a trace take their buffers from one heap, a generator's pool from one;
// a process may use any. A machine has one node and one CPU. Recorded work and copies of files of /proc are read into
// memory when the scenario is loaded, and are not part of what Resolved writes;
// histograms are.
package scenario
