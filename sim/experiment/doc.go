// Package experiment runs simulations many times and says what the runs support.
//
// [Compare] runs every variant of a scenario with the same seeds, replication by
// replication. Random draws are keyed by seed, purpose and buffer, so the variants
// of one replication get the same work (common random numbers), and their
// differences are far less noisy than the runs: they are tested in pairs. With
// independent seeds they are tested as independent samples, and only then are
// their survival curves by the log-rank test, which common random numbers would
// mislead. The p of all tests together are corrected by Holm's method.
//
// A run begins with empty memory and ends with its work or at its duration; that
// is what its figures are about. Of long-run behaviour the beginning is not
// typical: it can be left out, as found by MSER-5 in a pilot or as given.
//
// [Record] runs a variant once and records where its buffers lay. [Smallest]
// searches for the least memory with which a workload runs. [Diverge] finds where
// two variants part ways. Sweeps over many values are in
// [dmasim/sim/experiment/sweep].
//
// Everything runs on as many goroutines as it is told to, one simulation on each,
// and gives the same results for any number. The statistics are in
// [dmasim/sim/experiment/stats].
package experiment
