package report

import (
	"fmt"
	"strings"

	"dmasim/sim/result"
)

// AdversaryStory says in a sentence how much memory adversaries cost each variant,
// against what is known in theory; "" if there were none.
func AdversaryStory(r *result.Result) string {
	var parts []string
	bound := ""
	for _, v := range r.Variants {
		for _, a := range v.Run.Summary.Adversaries {
			bound = fmt.Sprintf("%s: bound %s", a.Kind, a.Bound.Short())
			end := "served"
			if a.Failed {
				end = "refused"
			}
			parts = append(parts, fmt.Sprintf("%s %s (%.2f, %s)", v.Name, a.Reached.Short(), a.Ratio, end))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return bound + ", reached: " + strings.Join(parts, ", ")
}
