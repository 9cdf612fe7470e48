package validate

import (
	"fmt"

	"dmasim/allocator/kernel/buddy"
)

// PageEvent is something that happened to the lists of the one CPU of a machine.
type PageEvent struct {
	Kind  PageEventKind
	PFN   uint64 // Taken, Freed
	Order uint
	Type  buddy.Type // Taken: that was asked for
	Moved int        // pages that the lists got from the zone (Taken), or gave to it
}

// PageEventKind says what happened.
type PageEventKind uint8

// The kinds of events.
const (
	Taken   PageEventKind = iota // a block was allocated
	Freed                        // a block that was taken before was freed
	Decayed                      // the worker of the statistics ran
)

func (e PageEvent) String() string {
	switch e.Kind {
	case Taken:
		return fmt.Sprintf("take order %d, %s", e.Order, e.Type)
	case Freed:
		return fmt.Sprintf("free order %d", e.Order)
	}
	return "decay"
}

// PerCPUWindow is what happened to the lists of the CPU in front of one zone, from a
// moment on at which they were empty.
type PerCPUWindow struct {
	Sizing  buddy.Sizing // of which the model computes the limits
	Batch   int          // as the kernel tells it
	High    int          // at that moment
	Events  []PageEvent
	Pages   int // on the lists at the end; -1: not known
	EndHigh int // at the end
}

// ComparePerCPU compares how many pages the lists of a CPU exchange with their zone
// at each event of each window, and how many pages they hold at the end. Two figures
// of the kernel are in no file: how much a refill has grown, and how much was freed
// lately. Windows begin with allocations, which make the second 0; of the six values
// that the first can have the one is taken with which most agrees.
func ComparePerCPU(windows []PerCPUWindow) (Aspect, Aspect, error) {
	limits, lists := Aspect{Name: "per-cpu batch"}, Aspect{Name: "per-cpu lists"}
	number := 0
	for i, w := range windows {
		limits.compare(step{i + 1, 0, fmt.Sprintf("window %d", i+1)}, fmt.Sprint(w.Sizing.Limits().Batch), fmt.Sprint(w.Batch))
		var best []string
		most := -1
		for factor := range buddy.BatchScale + 1 {
			said, agree, err := w.replay(factor)
			if err != nil {
				return limits, lists, err
			}
			if agree > most {
				best, most = said, agree
			}
		}
		for j, said := range best {
			number++
			if j < len(w.Events) {
				e := w.Events[j]
				lists.compare(step{number, 0, fmt.Sprintf("window %d, event %d: %s", i+1, j+1, e)}, said, describeMoved(e.Moved))
				continue
			}
			lists.compare(step{number, 0, fmt.Sprintf("window %d, at the end", i+1)}, said, describeEnd(w.Pages, w.EndHigh))
		}
	}
	return limits, lists, nil
}

func describeMoved(pages int) string { return fmt.Sprintf("%d pages moved", pages) }

func describeEnd(pages, high int) string { return fmt.Sprintf("%d pages, high %d", pages, high) }

// replay returns what the model says of each event and of the end, and how often it
// agrees.
func (w *PerCPUWindow) replay(factor int) (said []string, agree int, err error) {
	zone, err := buddy.New(buddy.Config{Pages: w.Sizing.Managed, PageblockOrder: 9})
	if err != nil {
		return nil, 0, err
	}
	lists := buddy.NewPerCPU(zone, w.Sizing.Limits())
	lists.Assume(w.High, factor)
	at := map[uint64]uint64{} // the model's page frame for one of the kernel's
	for _, e := range w.Events {
		free, _ := zone.FreePages()
		switch e.Kind {
		case Taken:
			pfn, ok := lists.Alloc(buddy.Request{Order: e.Order, Type: e.Type})
			if !ok {
				return nil, 0, fmt.Errorf("the model has no block for %s", e)
			}
			at[e.PFN] = pfn
		case Freed:
			pfn, known := at[e.PFN]
			if !known {
				return nil, 0, fmt.Errorf("%s at page frame %d, which was not taken", e, e.PFN)
			}
			delete(at, e.PFN)
			if err := lists.Free(pfn); err != nil {
				return nil, 0, err
			}
		default:
			lists.Decay()
		}
		now, _ := zone.FreePages()
		pages := int(now) - int(free)
		if e.Kind == Taken {
			pages = -pages
		}
		text := describeMoved(pages)
		if text == describeMoved(e.Moved) {
			agree++
		}
		said = append(said, text)
	}
	if w.Pages >= 0 {
		s := lists.State()
		text := describeEnd(s.Count, s.High)
		if text == describeEnd(w.Pages, w.EndHigh) {
			agree++
		}
		said = append(said, text)
	}
	return said, agree, nil
}
