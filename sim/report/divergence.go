package report

import (
	"fmt"
	"io"
	"strings"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim/experiment"
)

// Divergence writes where two variants part ways, with their memory there, at
// most 80 columns wide.
func Divergence(w io.Writer, d *experiment.Divergence) error {
	var text strings.Builder
	a, b := d.Variants[0], d.Variants[1]
	fmt.Fprintf(&text, "%s and %s, seed %d: %d events compared\n", a, b, d.Seed, d.Events)
	switch {
	case d.Place == nil && d.Outcome == nil:
		fmt.Fprintf(&text, "\nno buffer lies elsewhere, no outcome differs\n")
	case d.Place != nil && d.Outcome != nil && d.Place.Event == d.Outcome.Event:
		writeParting(&text, "places and outcomes differ first at", d, d.Outcome)
	default:
		if d.Place != nil {
			writeParting(&text, "places differ first at", d, d.Place)
		}
		if d.Outcome != nil {
			writeParting(&text, "outcomes differ first at", d, d.Outcome)
		} else {
			fmt.Fprintf(&text, "\nno outcome differs\n")
		}
	}
	if d.Unlike > 0 {
		fmt.Fprintf(&text, "\nfrom event %d on the work itself differs, and nothing is compared\n", d.Unlike)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func writeParting(text *strings.Builder, what string, d *experiment.Divergence, p *experiment.Parting) {
	fmt.Fprintf(text, "\n%s event %d, %s: %s asks heap %s for %s\n", what, p.Event, shortDuration(p.At), p.Client, p.Heap, p.Size.Short())
	for i, side := range p.Sides {
		outcome := "served"
		switch {
		case side.Cause != allocator.None:
			outcome = "fails (cause: " + side.Cause.String() + ")"
		case side.Address != nil:
			outcome = "at " + side.Address.String()
		}
		fmt.Fprintf(text, "  %s: %s", d.Variants[i], outcome)
		if side.Map == "" {
			text.WriteByte('\n')
			continue
		}
		fmt.Fprintf(text, "; %s free, largest hole %s\n  |%s|\n", side.Free.Short(), side.Largest.Short(), side.Map)
	}
	if arena := p.Sides[0].Arena; p.Sides[0].Map != "" {
		fmt.Fprintf(text, "  from %s to %s; letters are clients in the scenario's order, . is free\n", mem.Addr(arena.Lo), mem.Addr(arena.Hi))
	}
}
