package devices

import (
	"fmt"
	"slices"
	"strings"

	"dmasim/allocator"
)

// Conflict reports that no buffer suits all devices, because a rule of one and
// a rule of another exclude each other.
type Conflict struct {
	Devices [2]string
	Rules   [2]string // in words, with figures
	Given   []string  // devices without which the two would agree
}

func (c *Conflict) Error() string {
	text := fmt.Sprintf("devices %s and %s cannot share a buffer: the first one's %s and the second one's %s exclude each other",
		c.Devices[0], c.Devices[1], c.Rules[0], c.Rules[1])
	if len(c.Given) > 0 {
		text += ", given " + strings.Join(c.Given, ", ")
	}
	return text
}

// culprits returns two of the devices that do not agree, given as few others as
// a search in order finds. The devices do not agree all together; each does
// with itself.
func culprits(devices []planned, agree func([]planned) bool) (a, b planned, given []planned) {
	last := 1
	for agree(devices[:last+1]) {
		last++
	}
	b = devices[last]
	for _, a := range devices[:last] {
		if !agree([]planned{a, b}) {
			return a, b, nil
		}
	}
	first := 1
	for agree(append(slices.Clone(devices[:first+1]), b)) {
		first++
	}
	return devices[first], b, devices[:first]
}

func newConflict(a, b planned, ruleA, ruleB string, given []planned) *Conflict {
	c := &Conflict{Devices: [2]string{a.Name, b.Name}, Rules: [2]string{ruleA, ruleB}}
	for i := range given {
		c.Given = append(c.Given, given[i].Name)
	}
	return c
}

// granularityConflict names two devices whose sizes have no common multiple.
func granularityConflict(devices []planned) *Conflict {
	a, b, given := culprits(devices, func(list []planned) bool {
		_, ok := granularity(list)
		return ok
	})
	return newConflict(a, b, a.granularityText(), b.granularityText(), given)
}

// placeConflict names two devices that leave no place to a buffer, and the
// rules by which they exclude each other.
func placeConflict(devices []planned) *Conflict {
	a, b, given := culprits(devices, func(list []planned) bool { return placeable(mergeWindows(list, 0)) })
	others := mergeWindows(given, 0)
	// How many kinds of rules it takes, from the reach alone to all of them.
	for kinds := range 2 * lastKind {
		for kindA := range lastKind + 1 {
			kindB := kinds - kindA
			if kindB < 0 || kindB > lastKind {
				continue
			}
			windows := intersect(only(a.windows(0), kindA), only(b.windows(0), kindB))
			if !placeable(intersect(others, windows)) {
				return newConflict(a, b, a.kindText(kindA), b.kindText(kindB), given)
			}
		}
	}
	return newConflict(a, b, a.kindText(lastKind), b.kindText(lastKind), given)
}

// Kinds of rules about a place: each includes those before it.
const (
	reachKind = iota
	alignKind
	boundaryKind
	lastKind = boundaryKind
)

// only returns the windows with no rules beyond that kind.
func only(windows []allocator.Window, kind int) []allocator.Window {
	kept := slices.Clone(windows)
	for i := range kept {
		if kind < boundaryKind {
			kept[i].Bounds = nil
		}
		if kind < alignKind {
			kept[i].Align, kept[i].Phase = 0, 0
		}
	}
	return kept
}

func (c *compiled) kindText(kind int) string {
	switch kind {
	case alignKind:
		return c.alignText()
	case boundaryKind:
		return c.boundaryText()
	}
	return c.reachText()
}
