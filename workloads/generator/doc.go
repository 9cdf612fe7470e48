// Package generator makes the work of real users of DMA buffers: cameras, video
// decoders, displays, GPUs, NPUs, sound, network cards, drives and USB.
//
// # Model
//
// A generator is several actors that know nothing of one another, such as three
// programs on a GPU. An actor alternates between sessions and pauses. A session
// allocates its pools within milliseconds, as REQBUFS and swapchains do, holds them,
// and frees them together; within it there may be rounds, such as a burst of stills,
// a change of resolution or an inference. Frames are not allocated one by one: they
// pass through buffers that stay. How long sessions and pauses last is log-normal,
// with a mean and a coefficient of variation that are parameters, since results
// depend on the variance of lifetimes (J. E. Shore, "Anomalous Behavior of the
// Fifty-Percent Rule in Dynamic Memory Allocation", CACM 20(11), 1977).
//
// Sizes and counts follow from formulas of formats, levels and drivers; each
// [Parameter] names its source, or says that it is assumed. Buffers are asked for by
// [Pool]: a scenario says which heap a pool comes from and which devices share it.
//
// # What holds
//
// A generator is a closed loop. A session that is refused a buffer gives back what it
// has and asks for nothing more until the time when it would have ended; a burst, a
// texture or an inference is given up alone. Where the workload asks again
// ([workloads.Retrying]), a session waits meanwhile and goes on late, to the same end;
// what is dropped is what a refusal is otherwise. When sessions begin, how long they last
// and what they ask for is drawn by seed, workload, purpose, instance and session,
// never by outcomes. A pool never holds more than [Pool.Most] bytes: instances times
// what a session holds at most. State is in proportion to the live buffers, not to
// the length of the run.
//
// # Limits
//
// Actors are independent: that a camera's preview needs the display is not known, nor
// that a drive's programs cannot read while it sleeps. Compressed layouts (UBWC, AFBC) are not
// computed. An NPU's operations take equal time. What is assumed is a modelling
// choice, not a measurement.
package generator
