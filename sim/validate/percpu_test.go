package validate_test

import (
	"testing"

	"dmasim/allocator/kernel/buddy"
	"dmasim/sim/validate"
)

// perCPUWindow plays allocations and frees on lists whose refills have grown, and
// tells of them as a kernel's trace does.
func perCPUWindow(t *testing.T, factor int) validate.PerCPUWindow {
	t.Helper()
	sizing := buddy.Sizing{PageSize: 4096, Managed: 115024, LowWatermark: 816}
	zone, err := buddy.New(buddy.Config{Base: 4096, Pages: sizing.Managed, PageblockOrder: 9})
	if err != nil {
		t.Fatal(err)
	}
	lists := buddy.NewPerCPU(zone, sizing.Limits())
	lists.Assume(2000, factor)
	w := validate.PerCPUWindow{Sizing: sizing, Batch: 31, High: 2000}
	var live []validate.PageEvent
	for i := range 900 {
		before, _ := zone.FreePages()
		e := validate.PageEvent{Kind: validate.Taken, Order: uint(i) % 4 / 3, Type: buddy.Type(i % 3)}
		switch {
		case i%200 == 199:
			lists.Decay()
			e = validate.PageEvent{Kind: validate.Decayed}
		case i > 40 && i%5 < 2:
			e, live = live[0], live[1:]
			e.Kind = validate.Freed
			if err := lists.Free(e.PFN); err != nil {
				t.Fatal(err)
			}
		default:
			pfn, ok := lists.Alloc(buddy.Request{Order: e.Order, Type: e.Type})
			if !ok {
				t.Fatal("no page")
			}
			e.PFN = pfn
			live = append(live, e)
		}
		after, _ := zone.FreePages()
		e.Moved = max(int(before)-int(after), int(after)-int(before))
		w.Events = append(w.Events, e)
	}
	s := lists.State()
	w.Pages, w.EndHigh = s.Count, s.High
	return w
}

func TestComparePerCPU(t *testing.T) {
	windows := []validate.PerCPUWindow{perCPUWindow(t, 0), perCPUWindow(t, 3), perCPUWindow(t, 5)}
	batch, lists, err := validate.ComparePerCPU(windows)
	if err != nil || batch.First != nil || lists.First != nil || lists.Operations != 3*901 {
		t.Errorf("%v: %+v, %+v", err, batch, lists)
	}
	refills := 0
	for _, e := range windows[0].Events {
		if e.Kind == validate.Taken && e.Moved > 0 {
			refills++
		}
	}
	if refills < 8 {
		t.Errorf("%d refills say little", refills)
	}
	windows[1].Events[0].Moved++
	windows[2].EndHigh++
	windows[2].Batch = 63
	batch, lists, err = validate.ComparePerCPU(windows)
	if err != nil || lists.Agreements != lists.Operations-2 || lists.First == nil || lists.First.Number != 902 || batch.Agreements != 2 {
		t.Errorf("%v: %+v, %+v", err, batch, lists)
	}
	windows[0].Events[0].Kind = validate.Freed
	if _, _, err := validate.ComparePerCPU(windows); err == nil {
		t.Error("a page that was not taken is freed")
	}
}
