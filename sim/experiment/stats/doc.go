// Package stats holds the statistics that comparisons of simulations rest on:
// intervals of means and of probabilities, paired and independent differences,
// corrections for many tests, effect sizes, warm-up, and survival.
//
// Distributions, means and quantiles are gonum's. What no kept library has is
// here, each function with its source, and is tested against published values.
//
// # Assumptions
//
// [Mean], [Paired] and [Welch] assume that means over replications are close to
// normal, which they are for averages over many events and are not for rare
// counts: a share of runs takes [Wilson] or [ClopperPearson]. [LogRank] assumes
// that both groups are independent. Runs that share their random numbers are
// not; [Paired] compares their restricted times instead.
package stats
