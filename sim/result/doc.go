// Package result reads and writes result directories: everything that one
// "dmasim run" found out, in files that other programs can read too.
//
//	manifest.json   the format, the program, the seed, and the SHA-256 of every other file
//	scenario.yaml   the scenario as it was run, every default filled in
//	summary.json    per variant: its name, its metrics.Summary, and what its maps show
//	samples.csv     the state of a heap at an instant: one row per variant, heap and instant
//	reaches.csv     the same as one device sees it: one row per variant, heap, instant and device
//	failures.csv    the first failures of each variant, in order
//	map.csv         who holds the memory: one row per variant, heap and instant
//	memory.csv      what RAM holds, where page frames are simulated: one row per variant and instant
//	spaces.csv      bounce buffers and address spaces of IOMMU groups: one row per variant, instant and space
//	incidents.csv   the first incidents of each variant: scribbles, stale reads, kills, leaks and the like
//	on_failure.csv  what became of wanted buffers: one row per variant and client of workloads that do something about refusals; else there is no such file
//	figures/        what the caller draws
//	host.json       facts about the machine and the time of the run
//	report.html     what "dmasim report" made of it, if it did: beside the result, and in no manifest
//
// Two runs of the same program with the same scenario and seed write the same
// bytes, but for host.json, which is neither hashed nor needed.
//
// # Columns
//
// The unit ends a column's name: _s is seconds since the start of the
// simulation, exact to the nanosecond; _bytes is bytes; _share is a share of
// one. A column without one is a name or a count. The columns are those of
// [dmasim/sim/metrics.Sample], [dmasim/sim/metrics.ReachSample],
// [dmasim/sim/metrics.Failure], [dmasim/sim/metrics.MemorySample],
// [dmasim/sim/metrics.SpaceSample], [dmasim/sim/metrics.OnFailureTotals] and
// [dmasim/sim.IncidentReport].
//
// Of a map that failed for want of bounce buffers or of I/O virtual addresses,
// failures.csv has the figures of these: reserve_bytes is the piece, or the range of
// addresses, that found no room, and waiting_bytes what was given back and waits for a
// flush. A slot of bounce buffers is 2048 bytes.
//
// In map.csv the column cells is the heap's memory from the lowest to the
// highest address, as runs of equal rows separated by spaces. A run is a number
// of rows and an asterisk, left out where the number is 1, and then "." for
// memory that nobody holds, or who holds most of it (the client's place in the
// summary, from 0), "a" or "b" in turn for neighbouring buffers, and the share
// in use from 0 to 255: "12*. 3*0a255 0b17" is twelve free rows, three rows
// full of a buffer of client 0, and one row of its neighbour that fills 17/255.
// The rows of a heap and its addresses are in summary.json under maps.
//
// # Whole or not at all
//
// [Write] fills a hidden directory beside the target and renames it into place
// when every byte is on disk. Whatever goes wrong, the target holds the old
// result or the new one, and a target that is not a dmasim result is never
// touched. Only a process killed between two renames can leave the old result
// in the hidden directory, whose name begins with a dot and the target's name.
package result
