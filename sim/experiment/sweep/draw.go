package sweep

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// shares are where a parameter lies in its range, from 0 to below 1, at each point
// of a sample. They depend on the sample's seed and the parameter's name alone. At
// random, more points leave the first as they are.
func (s *SampleFile) shares(parameter string) []float64 {
	key := binary.LittleEndian.AppendUint64(nil, s.Seed)
	key = append(key, parameter...)
	sum := sha256.Sum256(key)
	numbers := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:8]), binary.LittleEndian.Uint64(sum[8:16])))
	shares := make([]float64, s.Points)
	for i := range shares {
		shares[i] = numbers.Float64()
	}
	if s.Method == latinHypercube {
		// One point in each of as many equal parts of the range as there are points.
		for i, part := range numbers.Perm(s.Points) {
			shares[i] = (float64(part) + shares[i]) / float64(s.Points)
		}
	}
	return shares
}
