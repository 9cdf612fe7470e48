package physmem

import "math/bits"

// below returns a random number below n, which is not 0, that depends on a seed
// and what it is drawn for (the finalizer of splitmix64, Steele and others,
// OOPSLA 2014, and Lemire's reduction).
func below(seed, purpose, index, n uint64) uint64 {
	h, _ := bits.Mul64(mix(mix(mix(seed)^purpose)^index), n)
	return h
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
