// Package workloads describes work for the simulated machine: operations on
// buffers, and sources that produce them one by one.
//
// A [Source] is pulled: the simulation asks for the next operation and tells
// what became of the last one, so that a closed loop is a source like any other.
// [Retrying] is one around another: it asks other heaps, backs off, tries again and
// drops what nobody serves. Operations of one source come in the order
// of their times. Random sources draw every property from a stream of its own,
// keyed by seed, purpose and the number of the buffer, never by the order of
// calls, so that changing the allocator changes the work only where the source
// reacts to outcomes.
//
// # Random work
//
// A [Churn] is a renewal process of arrivals in an open loop, with a [Distribution] for
// every quantity: those of gonum's stat/distuv, each as its own kind, and histograms. All
// are of values that are not negative; a family that reaches below 0 is taken under the
// condition that it does not. The means, also of values cut off at a limit, are closed
// forms as far as there are any.
//
// Size and lifetime may depend on one another by a Gaussian copula of a given rank
// correlation. Phases, bursts and a ramp are functions of time whose product f is the
// rate of an operational clock, Λ(t) = ∫₀ᵗ f(s) ds: an arrival that the renewal process
// has at τ comes at Λ⁻¹(τ). Under a ramp the process is Poisson's of rate 1, so that f is
// the rate λ of arrivals, and λ solves ∫₀ᵗ λ(s) E[S; L > t-s] ds = b(t) for the bytes b(t)
// that are to live at t, where S and L are the size and lifetime of an arrival (the mean
// of the M(t)/G/∞ queue: Eick, Massey and Whitt, "The physics of the M_t/G/∞ queue",
// Operations Research 41(4), 1993).
package workloads
