// Package sweep runs experiments: a scenario with some of its fields set to many
// values, each combination a cell that is simulated by itself.
//
// An experiment is a file ([Load]). Its parameters are paths of the scenario, as in
// a scenario's variants. Every value of those that list values is combined with
// every other, and with every point of a sample of those that give a range or
// choices; a sample is random or a Latin hypercube (McKay, Beckman and Conover, "A
// comparison of three methods for selecting values of input variables in the
// analysis of output from a computer code", Technometrics 21, 1979). Every
// combination is run with the same seeds, so that all get the same work as far as
// the parameters leave it the same.
//
// # Cells and shards
//
// Cells are numbered; a cell's number alone says what it is. Shard k of n is the
// cells whose number has the remainder k. [Experiment.Run] writes a line for each
// cell that ends to a file of its own, so any number of processes, on any number of
// machines that share a directory, run shards of the same experiment, even the same
// shard twice. A process that is killed loses the cells that were running. The next
// one skips what any file has. [Experiment.Collect] reads all files: it does not
// matter in which order, by whom or how often cells were run, since a simulation
// gives the same figures every time, which is checked where a cell is there twice.
//
// A file begins with what it belongs to: a digest of all cells, the scenario, the
// files that it reads, and the program. Files of anything else are refused.
//
// A cell that fails is an outcome too: the others go on. The mistake of a path or
// value with which no cell can run is found before any does.
package sweep
