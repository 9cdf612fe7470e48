// Package report makes what people look at from a result: figures to publish, a
// table for the terminal, and a sentence about what failed first. It reads
// results only; it measures nothing.
//
// [Figures] draws, for every heap:
//
//   - fragmentation: the largest-free index, 1 - largest/free, of the heap and
//     of what each device reaches of it, over time. The two can differ as much
//     as they can: a heap whose upper half is one free run has an index near 0
//     while the window of a device below it is full of small holes.
//   - exhaustion: what is reserved against the capacity, and when requests
//     failed and why
//   - memory-map: who holds which addresses when
//   - comparison: failures, fragmentation, memory and waste of all variants
//
// and, where page frames were simulated, memory: what RAM holds over time, and
// who was killed when it ran out; and where there were incidents, how many of
// each kind.
//
// Figures are 3.4 inches wide where they have one panel and 6.8 inches
// otherwise, the widths of a column and of a page of a journal, with type of 7
// and 8 points. They keep to colours that people with any of the usual colour
// vision deficiencies can tell apart, and repeat them as dashes or shapes. They
// are drawn with gonum.org/v1/plot, and the same result gives the same bytes.
//
// Pages for a browser are in [dmasim/sim/report/page].
//
// # Limits
//
// Up to eight variants read well; more get smaller panels. A map has colours for
// seven clients, the others share grey, and names for four windows. The
// comparison has bars for the four clients that fared worst. What does not fit
// is cut and ends in an ellipsis.
package report
