package workloads

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// stream holds the random numbers of one purpose of one workload, such as the
// sizes of its buffers. Every buffer has a generator of its own, seeded from
// the key of the stream and the number of the buffer. So a draw may consume as
// many numbers as it likes (rejection samplers do) without moving any other
// draw, and the draws may be made in any order.
type stream struct {
	hi, lo uint64
	pcg    rand.PCG
}

// newStream returns the stream of a purpose. Its key is the first half of a
// SHA-256, so streams that differ in any argument share nothing.
func newStream(seed uint64, workload, purpose string) *stream {
	text := binary.LittleEndian.AppendUint64(nil, seed)
	text = binary.LittleEndian.AppendUint64(text, uint64(len(workload)))
	text = append(text, workload...)
	text = append(text, purpose...)
	sum := sha256.Sum256(text)
	return &stream{
		hi: binary.LittleEndian.Uint64(sum[:8]),
		lo: binary.LittleEndian.Uint64(sum[8:16]),
	}
}

// Uint64 implements rand.Source for the buffer last given to turnTo.
func (s *stream) Uint64() uint64 { return s.pcg.Uint64() }

// turnTo makes the numbers of buffer i the next to come.
func (s *stream) turnTo(i uint64) {
	s.pcg.Seed(mix(s.hi+i*weyl), mix(s.lo+i*weyl))
}

// weyl is the increment of SplitMix64: 2^64 divided by the golden ratio, odd.
const weyl = 0x9e3779b97f4a7c15

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", OOPSLA 2014, section 3; David Stafford's
// variant 13 of the MurmurHash3 finalizer). mix(key + i*weyl) is number i of the
// SplitMix64 generator that starts at key.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
