package validate_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dmasim/sim/validate"
)

var config = validate.AreaConfig{Base: 60416, Pages: 4096, PageSize: 4096, AlignOrder: 8}

func newArea(t *testing.T, cfg validate.AreaConfig) *validate.ModelArea {
	t.Helper()
	m, err := validate.NewModelArea(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// lying is a model that is wrong from one operation on.
type lying struct {
	validate.Contiguous
	at  int
	lie func(*validate.AreaOutcome)
}

func (l *lying) Do(op validate.Operation) (validate.AreaOutcome, error) {
	out, err := l.Contiguous.Do(op)
	if l.at--; l.at == 0 {
		l.lie(&out)
	}
	return out, err
}

func compare(t *testing.T, list []validate.Operation, model, kernel validate.Contiguous) validate.Comparison {
	t.Helper()
	c, err := validate.CompareSequence(context.Background(), list, validate.Sides{Model: model, Kernel: kernel, Sees: validate.Observes{Stats: true, Log: true}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCompareAreaOfTwoModels(t *testing.T) {
	list := validate.Mix{Seed: 1, Operations: 2000, Pages: config.Pages, PageSize: config.PageSize}.Random()
	c := compare(t, list, newArea(t, config), newArea(t, config))
	for _, a := range c.Aspects {
		if a.First != nil || a.Agreements != a.Operations || a.Operations == 0 {
			t.Errorf("%+v", a)
		}
	}
	if len(c.Aspects) != 6 || c.Failed < 100 {
		t.Errorf("%d aspects, %d failures", len(c.Aspects), c.Failed)
	}
	if diff := cmp.Diff(c.Model, c.Kernel); diff != "" {
		t.Error(diff)
	}
}

// TestCompareAreaFindsLies makes one side wrong in one thing at one operation.
func TestCompareAreaFindsLies(t *testing.T) {
	list := validate.Mix{Seed: 1, Operations: 900, Pages: config.Pages, PageSize: config.PageSize}.Random()
	failing := 0
	m := newArea(t, config)
	for i, op := range list {
		out, err := m.Do(op)
		if err != nil {
			t.Fatal(err)
		}
		if out.FreeList != "" && failing == 0 {
			failing = i + 1
		}
	}
	for _, test := range []struct {
		aspect string
		at     int
		lie    func(*validate.AreaOutcome)
	}{
		{"cma result", 77, func(o *validate.AreaOutcome) { o.Errno = "EIO" }},
		{"cma placement", 1, func(o *validate.AreaOutcome) { o.Bitmap[3] ^= 1 << 31 }},
		{"cma placement", 900, func(o *validate.AreaOutcome) { o.Bitmap = o.Bitmap[1:] }},
		{"cma counters", 500, func(o *validate.AreaOutcome) { o.MaxChunk++ }},
		{"cma counters", 501, func(o *validate.AreaOutcome) { o.Used-- }},
		{"cma statistics", 9, func(o *validate.AreaOutcome) { o.Stats.Released++ }},
		{"cma free list", failing, func(o *validate.AreaOutcome) { o.FreeList = "" }},
	} {
		for _, side := range []string{"model", "kernel"} {
			liar := &lying{newArea(t, config), test.at, test.lie}
			var model, kernel validate.Contiguous = newArea(t, config), liar
			if side == "model" {
				model, kernel = kernel, model
			}
			var r validate.Report
			r.Add(compare(t, list, model, kernel).Aspects...)
			if r.Agree {
				t.Errorf("%s of %s: agrees", test.aspect, side)
			}
			for _, a := range r.Aspects {
				if (a.First != nil) != (a.Name == test.aspect) {
					t.Errorf("%s of %s: %s diverges: %+v", test.aspect, side, a.Name, a.First)
				} else if a.First != nil && (a.First.Number != test.at || a.First.Model == a.First.Kernel || a.Agreements != a.Operations-1) {
					t.Errorf("%s of %s: %+v, want operation %d", test.aspect, side, a.First, test.at)
				}
			}
		}
	}
}

// TestCompareAreaFirstFailure lets one side have less room.
func TestCompareAreaFirstFailure(t *testing.T) {
	less := config
	less.Taken = make(validate.Bitmap, 128)
	less.Taken[127] = 1 << 31
	list := []validate.Operation{{Kind: validate.DebugfsAlloc, Size: 4095}, {Kind: validate.DebugfsAlloc, Size: 1}}
	for _, a := range compare(t, list, newArea(t, config), newArea(t, less)).Aspects {
		if a.Name == "cma first failure" {
			want := &validate.Divergence{Number: 2, Operation: "d 1", Model: "none fails", Kernel: "operation 2 fails"}
			if diff := cmp.Diff(want, a.First); diff != "" {
				t.Error(diff)
			}
			return
		}
	}
	t.Error("no first failure")
}

// TestModelArea is what a kernel recorded: an area of 16 MiB that fills up.
func TestModelArea(t *testing.T) {
	m := newArea(t, config)
	do := func(text string, op validate.Operation, want validate.Errno) validate.AreaOutcome {
		t.Helper()
		out, err := m.Do(op)
		if err != nil || out.Errno != want {
			t.Errorf("%s: %s, %v; want %s", text, out.Errno, err, want)
		}
		return out
	}
	do("one page", validate.Operation{Kind: validate.HeapAlloc, ID: "a", Size: 1}, validate.OK)
	do("nothing", validate.Operation{Kind: validate.HeapAlloc, ID: "b"}, "EINVAL")
	do("rounded up to nothing", validate.Operation{Kind: validate.HeapAlloc, ID: "b", Size: 1<<64 - 1}, "EINVAL")
	do("aligned to its size", validate.Operation{Kind: validate.HeapAlloc, ID: "c", Size: 3 << 12}, validate.OK)
	out := do("unaligned", validate.Operation{Kind: validate.DebugfsAlloc, Size: 33}, validate.OK)
	if got, want := out.Bitmap.String(), "4096 bits, taken: 0+1 4+36"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	out = do("more than there is in one run", validate.Operation{Kind: validate.DebugfsAlloc, Size: 4090}, "ENOMEM")
	if want := "3@1+4056@40=> 4059 free of 4096 total pages"; out.FreeList != want {
		t.Errorf("%s, want %s", out.FreeList, want)
	}
	out = do("more than the area", validate.Operation{Kind: validate.DebugfsAlloc, Size: 4097}, "ENOMEM")
	if want := (validate.AreaStats{Allocated: 37, Failed: 4090}); out.Stats != want || out.FreeList != "" {
		t.Errorf("%+v and %q, want %+v and no list: it is refused unseen", out.Stats, out.FreeList, want)
	}
	do("failed before", validate.Operation{Kind: validate.Close, ID: "b"}, "EBADF")
	out = do("all of debugfs", validate.Operation{Kind: validate.DebugfsFree, Size: 1 << 20}, validate.OK)
	if out.Used != 4 || out.MaxChunk != 4089 || out.Stats.Released != 33 {
		t.Errorf("%+v", out)
	}
	if _, err := validate.NewModelArea(validate.AreaConfig{Pages: 1, Taken: validate.Bitmap{2}}); err == nil {
		t.Errorf("taken beyond the area: %v", err)
	}
}
