package trace

import (
	"fmt"
	"strconv"
	"strings"
)

// Losses count what is missing in a trace or contradicts itself there, and so could
// not become an [Event] as it was.
type Losses struct {
	LostEvents     uint64 `json:"lost_events"`           // the recorder says that it dropped
	Unnumbered     uint64 `json:"unnumbered_losses"`     // times that it says so without saying how many
	Truncated      uint64 `json:"truncated"`             // 1: the recording was cut off before the work ended
	Unfinished     uint64 `json:"unfinished_requests"`   // started, and never finished
	UnmatchedFrees uint64 `json:"unmatched_frees"`       // of buffers that the trace did not see allocated
	MissedFrees    uint64 `json:"missed_frees"`          // the memory is allocated again, so it was freed
	OtherSizes     uint64 `json:"frees_of_another_size"` // than what was left of the buffer, which is freed
	InPieces       uint64 `json:"freed_in_pieces"`       // buffers, which count as a whole until the last piece goes
	NeverFreed     uint64 `json:"never_freed"`           // buffers that live when the trace ends
	UnknownSizes   uint64 `json:"unknown_sizes"`         // allocations without a size
	CounterJumps   uint64 `json:"counter_jumps"`         // a running total that changed otherwise than its event says
	TimesBack      uint64 `json:"times_back"`            // times before those of earlier events, which were used
	Unread         uint64 `json:"unread_lines"`          // lines that are no event of any kind
}

// lossKinds has the counts of Losses with their texts.
var lossKinds = []struct {
	key, one, many string
	count          func(*Losses) *uint64
}{
	{"lost", "event was lost by the recorder", "events were lost by the recorder", func(l *Losses) *uint64 { return &l.LostEvents }},
	{"unnumbered-losses", "time the recorder lost events and did not count them", "times the recorder lost events and did not count them", func(l *Losses) *uint64 { return &l.Unnumbered }},
	{"truncated", "recording was cut off at its end", "recordings were cut off at their ends", func(l *Losses) *uint64 { return &l.Truncated }},
	{"unfinished", "request started and never finished", "requests started and never finished", func(l *Losses) *uint64 { return &l.Unfinished }},
	{"unmatched-frees", "free of a buffer whose allocation is not in the trace", "frees of buffers whose allocation is not in the trace", func(l *Losses) *uint64 { return &l.UnmatchedFrees }},
	{"missed-frees", "free is missing: its memory was allocated again", "frees are missing: their memory was allocated again", func(l *Losses) *uint64 { return &l.MissedFrees }},
	{"other-sizes", "free was of another size than what was left", "frees were of another size than what was left", func(l *Losses) *uint64 { return &l.OtherSizes }},
	{"in-pieces", "buffer was freed in pieces, and counts as a whole until the last", "buffers were freed in pieces, and count as wholes until the last", func(l *Losses) *uint64 { return &l.InPieces }},
	{"never-freed", "buffer was never freed", "buffers were never freed", func(l *Losses) *uint64 { return &l.NeverFreed }},
	{"unknown-sizes", "allocation has no size", "allocations have no size", func(l *Losses) *uint64 { return &l.UnknownSizes }},
	{"counter-jumps", "running total does not follow from the one before it", "running totals do not follow from the ones before them", func(l *Losses) *uint64 { return &l.CounterJumps }},
	{"times-back", "time is before that of an earlier event", "times are before those of earlier events", func(l *Losses) *uint64 { return &l.TimesBack }},
	{"unread-lines", "line is no event", "lines are no events", func(l *Losses) *uint64 { return &l.Unread }},
}

// Texts returns a sentence for each kind of loss that there is.
func (l *Losses) Texts() []string {
	var texts []string
	for _, kind := range lossKinds {
		switch n := *kind.count(l); n {
		case 0:
		case 1:
			texts = append(texts, "1 "+kind.one)
		default:
			texts = append(texts, fmt.Sprintf("%d %s", n, kind.many))
		}
	}
	return texts
}

// Any reports whether anything is missing.
func (l *Losses) Any() bool { return *l != Losses{} }

// lossMark begins the comments in which recorders and writers tell of losses.
const lossMark = "# dmasim: "

// Comments returns the lines that keep the losses in a file. What a reader finds
// out by itself is not among them.
func (l *Losses) Comments() []string {
	var lines []string
	for _, kind := range lossKinds {
		n := *kind.count(l)
		switch {
		case n == 0, kind.key == "never-freed":
		case kind.key == "lost": // as other recorders say it
			lines = append(lines, fmt.Sprintf("%slost %d events", lossMark, n))
		default:
			lines = append(lines, fmt.Sprintf("%s%s %d", lossMark, kind.key, n))
		}
	}
	return lines
}

// addComment adds what a comment tells of losses, which may be nothing. The sums
// stay within 64 bits.
func (l *Losses) addComment(line string) {
	text, ok := strings.CutPrefix(line, lossMark)
	if !ok {
		return
	}
	if strings.HasPrefix(text, "ended at ") {
		l.Truncated++
		return
	}
	key, rest, _ := strings.Cut(text, " ")
	number, _, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return
	}
	for _, kind := range lossKinds {
		if kind.key == key {
			addCapped(kind.count(l), n)
		}
	}
}

// addCapped adds n, at most up to what fits.
func addCapped(count *uint64, n uint64) {
	if *count += n; *count < n {
		*count = ^uint64(0)
	}
}

// add adds the losses of another trace.
func (l *Losses) add(other *Losses) {
	for _, kind := range lossKinds {
		addCapped(kind.count(l), *kind.count(other))
	}
}
