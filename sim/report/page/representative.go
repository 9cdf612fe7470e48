package page

import (
	"dmasim/allocator"
	"dmasim/sim/metrics"
)

// Representative returns up to n of the failures of a run, by their places, rising:
// the first of each client and cause, and others that lie equally far apart between.
// Together they are at most that many events away from the beginning, which is what
// it takes to run up to each of them.
func Representative(failures []metrics.Failure, n int, events uint64) []int {
	chosen := make([]bool, len(failures))
	count := 0
	choose := func(i int) {
		if count < n && !chosen[i] && failures[i].Op <= events {
			chosen[i] = true
			events -= failures[i].Op
			count++
		}
	}
	type kind struct {
		client string
		cause  allocator.Cause
	}
	seen := map[kind]bool{}
	for i := range failures {
		k := kind{failures[i].Client, failures[i].Cause}
		if !seen[k] {
			seen[k] = true
			choose(i)
		}
	}
	left := min(n-count, len(failures))
	for k := range left {
		choose(k * len(failures) / left)
	}
	list := make([]int, 0, count)
	for i, yes := range chosen {
		if yes {
			list = append(list, i)
		}
	}
	return list
}
