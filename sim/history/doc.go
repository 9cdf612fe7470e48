// Package history records where every buffer of a simulation lay, and from when
// to when: what a viewer needs to show memory as it was at any instant.
//
// A [Recorder] is an observer. It costs a look into a table for every allocation
// and free, and memory for the buffers that are live and for those that it keeps.
//
// # Loss
//
// A run may have any number of buffers, a record has not. Beyond the limit in
// [Limits] the lightest buffers are left out: the weight of a buffer is the bytes
// that it reserves times the time for which it has them, which is the area that it
// covers in a picture of addresses over time. [Record.LeftOut] says how many they
// are and how heavy the heaviest of them is. Of buffers of the same weight, those that
// began first are kept.
//
// # Limits
//
// A heap that takes pages gives a buffer many pieces; pieces that continue each
// other are one. A record has no bus addresses: what devices map, behind IOMMUs or
// in bounce buffers, is not in it.
package history
