package dmesg

import (
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"dmasim/allocator"
	"dmasim/allocator/kernel/cma"
	"dmasim/allocator/ledger"
	"dmasim/mem"
)

// cmaAlignment is CONFIG_CMA_ALIGNMENT: the largest order to which requests are
// aligned.
const cmaAlignment = 8

// maxRuns is how many free runs are kept of an area.
const maxRuns = 1 << 16

const listStart = "number of available pages:"

var (
	cmaFailed   = regexp.MustCompile(`(?:\w*cma_alloc\w*(?:\(\))?: )?(?:([\w,@.\-]+): )?alloc failed, req-size: ?(\d+) pages?, ret: ?(-?\d+)`)
	cmaReserved = regexp.MustCompile(`(?i)cma: (?:CMA: )?reserved (\d+) MiB at (?:0x)?([0-9a-f]+)`)
	cmaPool     = regexp.MustCompile(`created CMA memory pool at 0x([0-9a-f]+), size (\d+) MiB`)
	cmaPoolName = regexp.MustCompile(`initialized node ([\w,@.\-]+), compatible id shared-dma-pool`)
	cmaOption   = regexp.MustCompile(`(?:^|\s)cma=(\d+)([KMG])\b`)
	cmaRefused  = regexp.MustCompile(`cma: Failed to reserve (\d+) MiB`)
	cmaTotal    = regexp.MustCompile(`CmaTotal:\s*(\d+) kB`)
	freeRun     = regexp.MustCompile(`(\d+)(?:@(\d+))?`)
	listPart    = regexp.MustCompile(`^(?:range \d+: ?)?[\d@+]*(?:\d[@+]|[@+]\d|=> ?\d|\d*=>|free of|total pages)|^\d* ?(?:free of )?\d* total pages`)
	listSum     = regexp.MustCompile(`=> ?(\d+)(?: pages, total: (\d+) pages| free of (\d+) total)`)
	busyRange   = regexp.MustCompile(`alloc_contig_range: \[([0-9a-f]+), ([0-9a-f]+)\) PFNs busy`)
)

// freeList is a list of available pages. It is kept as text until its end was
// seen, because it may be cut anywhere and go on in another line.
type freeList struct {
	line, lastLine int
	text           []byte

	runs       []Run
	count      int    // of runs, and what they are together and at most
	sum        uint64 // pages
	largest    uint64
	free       uint64
	total      uint64
	summed     bool // its end was read
	positioned bool // the runs have positions
	ranges     int64
}

// maxList is how much of a list is kept, in bytes.
const maxList = 256 << 10

// rangeGap is how far apart the ranges of an area of several are put, in bits.
const rangeGap = 1 << 44

// add takes the text that follows the start of a list, or continues it.
func (l *freeList) add(text string, line int) {
	l.lastLine = line
	l.text = append(l.text, text[:min(len(text), maxList-len(l.text))]...)
}

// ended says that the end of the list was seen.
func (l *freeList) ended() bool {
	tail := l.text[max(0, len(l.text)-80):]
	return listSum.Match(tail)
}

// continues says whether a message goes on with a list.
func continues(message string) (text string, ok bool) {
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(message), "cma:"))
	return text, listPart.MatchString(text)
}

// parse reads the text.
func (l *freeList) parse() {
	text := string(l.text)
	l.text = nil
	if m := listSum.FindStringSubmatch(text); m != nil {
		free, ok := number(m[1])
		total, counted := number(m[2] + m[3])
		l.free, l.total, l.summed = free, total, ok && counted
	}
	text, _, _ = strings.Cut(text, "=>")
	for part := range strings.SplitSeq(text, "range ") {
		if n, rest, ok := strings.Cut(part, ":"); ok {
			if i, ok := number(strings.TrimSpace(n)); ok && i < 64 {
				l.ranges = int64(i)
			}
			part = rest
		}
		for _, f := range freeRun.FindAllStringSubmatch(part, maxRuns) {
			n, ok := number(f[1])
			if !ok || n == 0 || len(l.runs) == maxRuns {
				continue
			}
			r := Run{At: -1, Pages: n}
			if at, ok := number(f[2]); ok {
				r.At, l.positioned = int64(at)+l.ranges*rangeGap, true
			}
			l.runs = append(l.runs, r)
		}
	}
	l.positioned = l.positioned || l.summed && l.free == 0
	if l.positioned { // what has none is cut
		l.runs = slices.DeleteFunc(l.runs, func(r Run) bool { return r.At < 0 })
	}
	l.count = len(l.runs)
	for _, r := range l.runs {
		l.sum += r.Pages
		l.largest = max(l.largest, r.Pages)
	}
}

// forget drops the runs and keeps what they are together.
func (l *freeList) forget() { l.runs, l.positioned = nil, false }

// scale turns positions from bits into pages. An area has a bit for 2^k pages,
// while its runs are printed in pages at the position of their first bit: k is the
// smallest with which no two runs touch and none leaves the area.
func (l *freeList) scale() uint {
	fits := func(k uint) bool {
		end := int64(-1)
		for _, r := range l.runs {
			at := r.At << k
			if r.At < 0 || at <= end || l.summed && l.ranges == 0 && uint64(at)+r.Pages > l.total {
				return false
			}
			end = at + int64(r.Pages)
		}
		return true
	}
	for k := range uint(12) {
		if l.ranges > 0 && k > 0 {
			break
		}
		if fits(k) {
			for i := range l.runs {
				l.runs[i].At <<= k
			}
			return k
		}
	}
	// The positions contradict each other: only the lengths are of use.
	l.positioned = false
	for i := range l.runs {
		l.runs[i].At = -1
	}
	return 0
}

// judgeCMA says why a request to an area failed, from what the log knows of it.
func (f *Failure) judgeCMA(l *freeList) {
	a := f.Area
	if f.RequestedPages != nil && a.AlignPages == 0 {
		a.AlignPages = 1 << cma.AlignOrder(*f.RequestedPages, cmaAlignment)
	}
	if l != nil {
		f.describeArea(l)
	}
	if f.RequestedPages == nil {
		return
	}
	n := *f.RequestedPages
	switch {
	case a.TotalPages != nil && n > *a.TotalPages:
		f.Cause = cause(allocator.Exhausted)
	case l == nil || !l.summed && l.count == 0:
		f.judgeBlind()
	case !l.positioned || a.Cut || n == 0:
		f.judgeLengths()
	default:
		f.judgeArea(l)
	}
}

// describeArea fills in what a list says of the area.
func (f *Failure) describeArea(l *freeList) {
	a := f.Area
	if l.positioned {
		l.scale()
	}
	a.Cut = !l.summed || l.sum != l.free
	a.Free, a.Runs = l.runs, l.count
	f.LargestRunPages = pages(l.largest)
	f.FreePages = pages(l.sum)
	if l.summed {
		f.FreePages, a.TotalPages = pages(l.free), pages(l.total)
	}
}

// judgeBlind is for failures without a list of free pages.
func (f *Failure) judgeBlind() {
	switch held := heldBytes(f.Objects); {
	case f.errno == -16 || f.busyRanges > 0:
		f.Cause = cause(allocator.Busy)
	case f.Area.TotalPages != nil && held > 0 && *f.Area.TotalPages*f.PageBytes < held+*f.RequestedPages*f.PageBytes:
		f.Cause = cause(allocator.Exhausted)
	default:
		f.Cause = Unknown
	}
}

func heldBytes(objects []Held) uint64 {
	var sum uint64
	for _, h := range objects {
		sum += uint64(h.Bytes)
	}
	return sum
}

// judgeLengths is for lists that are cut or without positions.
func (f *Failure) judgeLengths() {
	switch n := *f.RequestedPages; {
	case !f.Area.Cut && *f.FreePages < n:
		f.Cause = cause(allocator.Exhausted)
	case f.Area.TotalPages != nil && *f.FreePages < n:
		f.Cause = cause(allocator.Exhausted)
	case !f.Area.Cut && *f.LargestRunPages < n:
		f.Cause = cause(allocator.Fragmented)
	case *f.LargestRunPages >= n && f.errno == -16:
		f.Cause = cause(allocator.Busy)
	default:
		f.Cause = Unknown
	}
}

// judgeArea asks the ledger why the request failed in an area of which all is
// known. Its unit is a page.
func (f *Failure) judgeArea(l *freeList) {
	base := f.basePage()
	book := l.ledger(base)
	req := allocator.Request{Size: *f.RequestedPages, Align: f.Area.AlignPages}
	d := book.Diagnose(req)
	f.Cause = cause(d.Cause)
	if d.Cause == allocator.Policy {
		// The kernel tried the place: pages that the area had lent stayed.
		f.Cause = cause(allocator.Busy)
		return
	}
	if l.ranges == 0 {
		f.Area.Need = l.need(book, req, base)
	}
}

// basePage returns the page frame number of the area's first page, where the log
// says where the area is; else a number that is aligned to anything.
func (f *Failure) basePage() uint64 {
	if f.Area.Base == nil {
		return 0
	}
	return uint64(*f.Area.Base) / f.PageBytes
}

// ledger makes one of the area in which every used run is a block.
func (l *freeList) ledger(base uint64) *ledger.Ledger { return l.changed(base, mem.Range{}, 0) }

// changed is the ledger of the area with some pages given back, and more pages at
// its end.
func (l *freeList) changed(base uint64, vacated mem.Range, more uint64) *ledger.Ledger {
	free := []mem.Range{vacated, {Lo: base + l.total, Hi: base + l.total + more}}
	for _, r := range l.runs {
		free = append(free, mem.Range{Lo: base + uint64(r.At), Hi: base + uint64(r.At) + r.Pages})
	}
	if l.ranges > 0 { // nobody knows where they end
		return ledger.New(free, 1)
	}
	area := mem.Range{Lo: base, Hi: base + l.total + more}
	book := ledger.New(mem.RangeSet{area}, 1)
	for _, used := range mem.NewRangeSet(area).Subtract(mem.NewRangeSet(free...)) {
		book.Alloc(allocator.Block{Addr: used.Lo, Size: used.Size()}, used.Size(), 0)
	}
	return book
}

// need finds the smallest changes that would have let the request succeed.
func (l *freeList) need(book *ledger.Ledger, req allocator.Request, base uint64) *Vacancy {
	v := &Vacancy{}
	fits := func(state *ledger.Ledger) bool { return state.Diagnose(req).Cause == allocator.Policy }
	if used, at, ok := l.emptiest(req, base); ok && fits(l.changed(base, mem.Range{Lo: at, Hi: at + req.Size}, 0)) {
		v.VacatePages, v.VacateAt = used, at-base
	}
	if g, ok := book.ArenaGrowth(req); ok && g.Above > 0 && fits(l.changed(base, mem.Range{}, g.Above)) {
		v.GrowPages = g.Above
	}
	if align, _, ok := book.FittingAlign(req, 1); ok {
		v.FitsAlign = align
	}
	v.FitsPages = uint64(sort.Search(int(min(req.Size, l.free)), func(n int) bool {
		less := allocator.Request{Size: uint64(n) + 1, Align: min(req.Align, 1<<cma.AlignOrder(uint64(n)+1, cmaAlignment))}
		return book.Diagnose(less).Cause != allocator.Policy
	}))
	return v
}

// emptiest returns the aligned place of the request's size in the area that has
// the fewest used pages, and the lowest of these. How many are used changes evenly
// between the starts at which either end of the place passes an end of a free run,
// so only aligned starts next to those are looked at.
func (l *freeList) emptiest(req allocator.Request, base uint64) (used, at uint64, ok bool) {
	end := base + l.total
	if req.Size > l.total {
		return 0, 0, false
	}
	last := end - req.Size
	before := make([]uint64, len(l.runs)+1) // free pages in the runs before
	for i, r := range l.runs {
		before[i+1] = before[i] + r.Pages
	}
	freeBelow := func(page uint64) uint64 {
		i := sort.Search(len(l.runs), func(i int) bool { return base+uint64(l.runs[i].At) >= page })
		if i == 0 {
			return 0
		}
		r := l.runs[i-1]
		return before[i-1] + min(r.Pages, page-base-uint64(r.At))
	}
	look := func(start uint64) {
		if start < base || start > last {
			return
		}
		n := req.Size - (freeBelow(start+req.Size) - freeBelow(start))
		if !ok || n < used || n == used && start < at {
			used, at, ok = n, start, true
		}
	}
	near := func(start uint64) {
		down := start - start%req.Align
		look(down)
		look(down + req.Align)
	}
	near(base)
	near(last)
	for _, r := range l.runs {
		for _, edge := range []uint64{base + uint64(r.At), base + uint64(r.At) + r.Pages} {
			near(edge)
			if edge >= req.Size {
				near(edge - req.Size)
			}
		}
	}
	return used, at, ok
}

// readArea takes note of an area that the log says was reserved.
func (s *scanner) readArea(line string) {
	if !strings.Contains(line, "cma") && !strings.Contains(line, "CMA") && !strings.Contains(line, "Cma") && !strings.Contains(line, "shared-dma-pool") {
		return
	}
	if m := cmaReserved.FindStringSubmatch(line); m != nil {
		s.addArea(m[1], m[2], "")
	} else if m := cmaPool.FindStringSubmatch(line); m != nil {
		s.addArea(m[2], m[1], "")
	} else if m := cmaPoolName.FindStringSubmatch(line); m != nil && len(s.areas) > 0 && s.areas[len(s.areas)-1].name == "" {
		s.areas[len(s.areas)-1].name = m[1]
	} else if m := cmaTotal.FindStringSubmatch(line); m != nil {
		if kB, ok := number(m[1]); ok {
			s.cmaTotal = kB << 10
		}
	} else if m := cmaOption.FindStringSubmatch(line); m != nil && strings.Contains(line, "ommand line") {
		if n, ok := number(m[1]); ok && n < 1<<24 {
			s.cmaOption = n << map[string]uint{"K": 10, "M": 20, "G": 30}[m[2]]
		}
	}
}

// knownArea is an area that was reserved at boot.
type knownArea struct {
	name       string
	base, size uint64 // bytes
}

func (s *scanner) addArea(mebibytes, base, name string) {
	size, ok := number(mebibytes)
	at, err := strconv.ParseUint(base, 16, 64)
	if ok && err == nil && len(s.areas) < 64 && size < 1<<24 && at < 1<<52 {
		s.areas = append(s.areas, knownArea{name, at, size << 20})
	}
}

// identify finds out which of the reserved areas a failure is about: the one of
// its name or size, else the only one.
func (s *scanner) identify(f *Failure, l *freeList) {
	var total uint64
	if l != nil && l.summed {
		total = l.total
	}
	candidates := slices.Clone(s.areas)
	if total > 0 {
		for _, page := range []uint64{f.PageBytes, 16 << 10, 64 << 10} {
			same := slices.DeleteFunc(slices.Clone(s.areas), func(a knownArea) bool { return a.size != total*page })
			if len(same) > 0 {
				candidates = same
				f.PageBytes = page
				break
			}
			if page == 64<<10 {
				return
			}
		}
	}
	named := slices.DeleteFunc(slices.Clone(candidates), func(a knownArea) bool { return a.name == "" || a.name != f.Area.Name })
	if len(named) == 1 {
		candidates = named
	}
	switch {
	case len(candidates) == 1:
		base := mem.Addr(candidates[0].base)
		f.Area.Base = &base
		if f.Area.TotalPages == nil {
			f.Area.TotalPages = pages(candidates[0].size / f.PageBytes)
		}
	case len(s.areas) == 0 && f.Area.TotalPages == nil && total == 0:
		if size := max(s.cmaTotal, s.cmaOption); size > 0 {
			f.Area.TotalPages = pages(size / f.PageBytes)
		}
	}
}
