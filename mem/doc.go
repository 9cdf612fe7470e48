// Package mem holds the plain words that every other package speaks: byte
// sizes, addresses, half-open ranges and sets of them.
//
// A [Range] is half-open, [Lo, Hi), so the last byte of the 64-bit space
// cannot be part of one; no device reaches it. A [RangeSet] is sorted,
// disjoint and merged, and every function that returns one keeps it so. Both
// are plain uint64: what an address means (CPU physical, bus, IOVA, a device's
// own space) is the business of package devices, because the same arithmetic
// serves all of them.
//
// [Size] and [Addr] are the printed forms: sizes read and print with binary
// units ("256MiB"), addresses in hexadecimal. Decimal units are refused when
// read, because "256MB" has meant both in this field and a silent factor of
// 1.049 is worse than an error.
package mem
