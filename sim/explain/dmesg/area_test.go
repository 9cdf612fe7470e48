package dmesg_test

import (
	"fmt"
	"math/bits"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// area is a CMA area page by page.
type area []bool // true: used

// place returns the first aligned start of n free pages.
func (a area) place(n, align int) (int, bool) {
	for at := 0; at+n <= len(a); at += align {
		free := true
		for _, used := range a[at : at+n] {
			free = free && !used
		}
		if free {
			return at, true
		}
	}
	return 0, false
}

// log prints the area as the kernel does.
func (a area) log(asked int) string {
	var list []string
	free := 0
	for at := 0; at < len(a); at++ {
		n := 0
		for at+n < len(a) && !a[at+n] {
			n++
		}
		if n > 0 {
			list = append(list, fmt.Sprintf("%d@%d", n, at))
		}
		free += n
		at += n
	}
	return fmt.Sprintf("cma: __cma_alloc: reserved: alloc failed, req-size: %d pages, ret: -12\ncma: number of available pages: %s=> %d free of %d total pages\n",
		asked, strings.Join(list, "+"), free, len(a))
}

func alignOf(n int) int { return 1 << min(bits.Len(uint(n-1)), 8) }

// TestNeedAgainstEveryPlace applies the changes that would have helped to a copy
// of the area and sees the request succeed; nothing smaller helps.
func TestNeedAgainstEveryPlace(t *testing.T) {
	causes := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		a := make(area, rapid.IntRange(8, 200).Draw(t, "pages"))
		for range rapid.IntRange(1, 12).Draw(t, "buffers") {
			at := rapid.IntRange(0, len(a)-1).Draw(t, "at")
			for i := range a[at:min(len(a), at+rapid.IntRange(1, 30).Draw(t, "length"))] {
				a[at+i] = true
			}
		}
		n := rapid.IntRange(1, len(a)).Draw(t, "asked")
		align := alignOf(n)
		if _, ok := a.place(n, align); ok {
			t.Skip()
		}
		f := read(t, a.log(n))[0]
		causes[f.Cause]++
		if f.Area.Need == nil {
			t.Fatalf("%s: no change is known", a.log(n))
		}
		need := f.Area.Need
		fewest := n + 1
		for at := 0; at+n <= len(a); at += align {
			used := 0
			for _, u := range a[at : at+n] {
				if u {
					used++
				}
			}
			fewest = min(fewest, used)
		}
		if fewest <= n {
			vacated := append(area(nil), a...)
			gone := 0
			for i := range n {
				if at := int(need.VacateAt) + i; vacated[at] {
					vacated[at] = false
					gone++
				}
			}
			if _, ok := vacated.place(n, align); !ok || gone != fewest || int(need.VacatePages) != fewest {
				t.Errorf("%sgot %+v, which frees %d pages; want %d", a.log(n), need, gone, fewest)
			}
		}
		larger := append(area(nil), a...)
		for grown := 1; ; grown++ {
			larger = append(larger, false)
			if _, ok := larger.place(n, align); ok {
				if int(need.GrowPages) != grown {
					t.Errorf("%sgrow by %d, want %d", a.log(n), need.GrowPages, grown)
				}
				break
			}
		}
		fits := 0
		for m := 1; m < n; m++ {
			if _, ok := a.place(m, alignOf(m)); ok {
				fits = m
			}
		}
		if int(need.FitsPages) != fits {
			t.Errorf("%s%d pages fit, want %d", a.log(n), need.FitsPages, fits)
		}
		fitting := 0
		for less := align / 2; less >= 1 && fitting == 0; less /= 2 {
			if _, ok := a.place(n, less); ok {
				fitting = less
			}
		}
		if int(need.FitsAlign) != fitting {
			t.Errorf("%salignment %d fits, want %d", a.log(n), need.FitsAlign, fitting)
		}
	})
	for _, cause := range []string{"exhausted", "fragmented", "alignment"} {
		if causes[cause] == 0 {
			t.Errorf("cause %s never came up", cause)
		}
	}
}
