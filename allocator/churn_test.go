package allocator_test

import (
	"slices"

	"dmasim/allocator"
)

// churnPolicies are the registered strategies that serve blocks that are freed
// in any order.
func churnPolicies() []string {
	return slices.DeleteFunc(allocator.Names(), func(name string) bool {
		return slices.Contains([]string{"linear", "ring", "stack"}, name)
	})
}
