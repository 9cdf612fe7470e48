package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/metrics"
	"dmasim/sim/result"
)

// IncidentTable writes how many incidents of each kind there were, a row for each
// kind that occurred and a column for each variant, no wider than 80 columns. It
// writes nothing where nothing went wrong.
func IncidentTable(w io.Writer, r *result.Result) error {
	rows := [][]string{{"incidents"}}
	for _, v := range r.Variants {
		rows[0] = append(rows[0], v.Name)
	}
	for _, kind := range sim.IncidentKinds() {
		row := []string{kind.String()}
		any := false
		for _, v := range r.Variants {
			n := v.Run.Summary.Incidents[kind.String()]
			any = any || n > 0
			row = append(row, shortCount(n))
		}
		if any {
			rows = append(rows, row)
		}
	}
	if len(rows) == 1 {
		return nil
	}
	const total, gap = 80, 2
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	if over := sum(widths) + gap*(len(widths)-1) - total; over > 0 {
		most := (total - widths[0] - gap*(len(widths)-1)) / (len(widths) - 1)
		for i := range widths[1:] {
			widths[i+1] = min(widths[i+1], max(most, 6))
		}
	}
	for _, row := range rows {
		line := fmt.Sprintf("%-*s", widths[0], row[0])
		for i, cell := range row[1:] {
			line += fmt.Sprintf("  %*s", widths[i+1], cutName(cell, widths[i+1]))
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func sum(list []int) int {
	n := 0
	for _, v := range list {
		n += v
	}
	return n
}

// FirstIncident says in a sentence what went wrong first, beside failed requests,
// in the variant in which most did; "" if nothing did.
func FirstIncident(r *result.Result) string {
	var worst *result.Variant
	var most uint64
	for i := range r.Variants {
		var n uint64
		for _, count := range r.Variants[i].Run.Summary.Incidents {
			n += count
		}
		if n > most && len(r.Variants[i].Run.Incidents) > 0 {
			worst, most = &r.Variants[i], n
		}
	}
	if worst == nil {
		return ""
	}
	return worst.Name + ": first incident at " + Incident(&worst.Run.Incidents[0])
}

// Incident describes an incident in words.
func Incident(i *metrics.Incident) string {
	text := shortDuration(i.At) + ": "
	if i.Actor != "" {
		text += i.Actor + ": "
	}
	text += i.Kind.String()
	if i.Victim != "" && i.Victim != i.Actor {
		switch i.Kind {
		case sim.Scribble, sim.StrayRead:
			text += " on memory of " + i.Victim
		case sim.OutOfMemory:
			text += ", killed " + i.Victim
		default:
			text += " of a buffer of " + i.Victim
		}
	}
	if !i.Range.Empty() {
		text += fmt.Sprintf(", %s at %s", mem.Size(i.Range.Size()).Short(), mem.Addr(i.Range.Lo))
	}
	if i.Buffer != 0 {
		text += " (buffer of event " + strconv.FormatUint(i.Buffer, 10) + ")"
	}
	if i.Detail != "" {
		text += ": " + i.Detail
	}
	return text
}

// MemoryStory says in a sentence what became of the machine's memory in the
// variant in which dma-bufs took most of it; "" if there is no machine.
func MemoryStory(r *result.Result) string {
	list := rams(r)
	if len(list) == 0 {
		return ""
	}
	worst := slices.MaxFunc(list, func(a, b ram) int {
		return compareShares(float64(a.totals.PeakDMABuf), float64(a.totals.Capacity), float64(b.totals.PeakDMABuf), float64(b.totals.Capacity))
	})
	t := worst.totals
	text := fmt.Sprintf("%s: dma-bufs pinned up to %s of %s (%s)", worst.name, t.PeakDMABuf.Short(), t.Capacity.Short(),
		formatShare(ratio(float64(t.PeakDMABuf), float64(t.Capacity))))
	if t.Reclaimed > 0 {
		text += "; " + t.Reclaimed.Short() + " of page cache dropped"
	}
	if t.SwappedOut > 0 {
		text += "; " + t.SwappedOut.Short() + " swapped out"
	}
	if len(t.Killed) > 0 {
		var names []string
		for _, k := range t.Killed {
			names = append(names, k.Process+" at "+shortDuration(k.At))
		}
		text += "; killed: " + strings.Join(names, ", ")
	}
	if t.Panicked {
		text += "; then nobody was left to kill, and the machine stopped"
	}
	return text
}

func compareShares(a, of, b, in float64) int {
	switch x, y := ratio(a, of), ratio(b, in); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}
