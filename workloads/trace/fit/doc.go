// Package fit estimates, from a trace, a workloads.Churn that makes work like it:
// the distributions of the times between requests, of sizes and of lifetimes.
//
// Each family of distributions that a churn knows and that has a row in the table
// of families is fitted by maximum likelihood, and the one of least AIC is chosen
// (Akaike, "A new look at the statistical model identification", IEEE Trans.
// Automatic Control 19, 1974). Values are counted in units, the greatest divisor
// of all, so that a density, times the unit, compares with the weights of a list of
// values. Buffers that live when the trace ends are censored: their lifetimes count
// as more than was seen (Lawless, "Statistical Models and Methods for Lifetime
// Data", chapter 2), and the distance from the data is measured to the estimate of
// Kaplan and Meier. Families that are far from the data are not chosen; where
// all are, the data themselves are taken, as a histogram.
//
// Where large buffers live longer, or shorter, and more so than chance explains, the
// churn has their rank correlation, estimated from the buffers that were freed; of those
// that were not, whose lifetimes are among the longest, it knows nothing. Sizes that are
// often equal correlate a little less in the churn than in the trace.
//
// Else a churn draws every property alone. What a trace has beside that, phases and
// bursts, is lost: the distances say nothing about it, a comparison of simulations does.
// Of long traces a random sample is fitted.
package fit
