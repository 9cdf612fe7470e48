package dmesg

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what is kept of a log.
const (
	maxFailures = 10_000
	maxKept     = 1 << 18 // runs of lists, and zones of reports
	maxText     = 120     // of names
	// nearby is how many lines apart the messages of one failure may be.
	nearby = 12
	// listWait is how many lines a list of free pages may be interrupted for.
	listWait = 40
)

// Log is what was found in a kernel log.
type Log struct {
	Failures []Failure
	Lines    int
	Dropped  int // failures beyond those that are kept
}

// Read reads a kernel log and explains every failure in it. The error is the
// reader's: no log is malformed.
func Read(r io.Reader) (*Log, error) {
	s := &scanner{}
	lines := newLineReader(r)
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read kernel log: %w", err)
		}
		s.line++
		s.feed(line)
	}
	return s.finish(), nil
}

// scanner collects what belongs to failures, line by line.
type scanner struct {
	line     int
	failures []*Failure
	dropped  int

	// How much was kept of lists and reports.
	runs, zones, unlogged int

	areas     []knownArea
	cmaTotal  uint64 // bytes, of /proc/meminfo
	cmaOption uint64 // bytes, of the command line

	lists   map[*Failure]*freeList
	open    *freeList // that may go on
	openFor *Failure

	waiting  []*Failure // for a Mem-Info
	info     *memInfo
	infoLine int // where it began
	infoLast int // the last line of it

	busyCount uint64 // pages of the last ranges that were busy
	busyTimes int
	busyLine  int
	bufferIO  *Failure // whose driver is listing what it holds
	heldLine  int
}

var (
	pageFailed = regexp.MustCompile(`^(.*?):? page allocation (?:failure|stalls for \d+ms)[:.,] ?order: ?(\d+), ?mode: ?(?:0x)?([0-9a-f]+)(?:\(([A-Z0-9_|]+)\))?`)
	oomInvoked = regexp.MustCompile(`^(.*?) invoked oom-killer: gfp_mask=(?:0x)?([0-9a-f]+)(?:\(([A-Z0-9_|]+)\))?(?:, nodemask=[^,]*)?(?:, order=(-?\d+))?`)
	oomKilled  = regexp.MustCompile(`Killed process (\d+) \(([^)]*)\)(?:,? UID:?\s*\d+,?)?,? ?(?:total-vm:(\d+)kB)?(?:, anon-rss:(\d+)kB)?(?:, file-rss:(\d+)kB)?(?:, shmem-rss:(\d+)kB)?`)
	memcgUsage = regexp.MustCompile(`memory: usage (\d+)kB, limit (\d+)kB`)
)

// infoWait is how many lines a Mem-Info may be interrupted for, by whether its end
// was seen: call traces come before it.
var infoWait = map[bool]int{false: 400, true: 20}

// relevant is a quick look whether a line may begin something.
func relevant(line string) bool {
	for _, word := range []string{
		"cma", "CMA", "Cma", "shared-dma-pool", "page allocation ", "oom-killer", "Mem-", "out of memory", "Killed process",
		"dma", "DMA", "swiotlb", "iova", "PFNs busy", "number of available", "req-size", "fail", "Fail", "nable to", "annot", "denied", "unsupported",
	} {
		if strings.Contains(line, word) {
			return true
		}
	}
	return false
}

// feed takes a line.
func (s *scanner) feed(raw string) {
	if s.info != nil && s.line-s.infoLast > infoWait[s.info.complete()] {
		s.closeInfo()
	}
	if s.open == nil && s.info == nil && s.line-s.heldLine > nearby && !relevant(raw) {
		return
	}
	message, time := clean(raw)
	if message == "" {
		return
	}
	s.readArea(message)
	switch {
	case s.readCMA(message, time),
		s.readPages(message, time),
		s.readDMA(message, time),
		s.readDriver(message, time):
	case s.info != nil && len(s.waiting) > 0 && s.info.read(message):
		s.infoLast = s.line
	case strings.Contains(message, "+0x"), strings.Contains(message, "("):
		s.readTrace(message)
	}
}

// add appends a failure.
func (s *scanner) add(kind, time string) *Failure {
	f := &Failure{Kind: kind, Line: s.line, Time: shortText(time), PageBytes: 4 << 10, Cause: Unknown}
	f.seconds, _ = strconv.ParseFloat(time, 64)
	if len(s.failures) == maxFailures {
		s.dropped++
		return f
	}
	s.failures = append(s.failures, f)
	return f
}

// last returns the last failure, if it is one of these kinds and nearby.
func (s *scanner) last(kinds ...string) *Failure {
	for i := len(s.failures) - 1; i >= 0; i-- {
		f := s.failures[i]
		if s.line-f.Line > nearby {
			return nil
		}
		if slices.Contains(kinds, f.Kind) {
			return f
		}
	}
	return nil
}

// shortText cuts a name out of a log.
func shortText(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	return text
}

// readCMA reads requests to contiguous memory areas and what is free in these.
func (s *scanner) readCMA(message, time string) bool {
	if m := cmaFailed.FindStringSubmatch(message); m != nil {
		s.closeList()
		f := s.add(CMA, time)
		f.Area = &Area{Name: m[1]}
		if n, ok := number(m[2]); ok {
			f.RequestedPages = pages(n)
		}
		f.errno, _ = strconv.Atoi(m[3])
		if s.busyTimes > 0 && f.RequestedPages != nil && s.busyCount == *f.RequestedPages {
			f.busyRanges = s.busyTimes
		}
		s.busyTimes = 0
		return true
	}
	if _, rest, ok := strings.Cut(message, listStart); ok {
		s.closeList()
		s.open, s.openFor = &freeList{line: s.line}, s.listOwner()
		s.open.add(strings.TrimSpace(rest), s.line)
		if s.open.ended() {
			s.closeList()
		}
		return true
	}
	if s.open != nil {
		if s.line-s.open.lastLine > listWait {
			s.closeList()
		} else if text, ok := continues(message); ok {
			s.open.add(text, s.line)
			if s.open.ended() {
				s.closeList()
			}
			return true
		}
	}
	if m := busyRange.FindStringSubmatch(message); m != nil {
		lo, err := strconv.ParseUint(m[1], 16, 44)
		hi, err2 := strconv.ParseUint(m[2], 16, 44)
		if err == nil && err2 == nil && hi > lo {
			if s.busyCount != hi-lo || s.line-s.busyLine > 4*nearby {
				s.busyCount, s.busyTimes = hi-lo, 0
			}
			s.busyTimes++
			s.busyLine = s.line
		}
		return true
	}
	if m := cmaRefused.FindStringSubmatch(message); m != nil {
		f := s.add(CMAReserve, time)
		if n, ok := number(m[1]); ok && n < 1<<24 {
			f.RequestedPages = pages(n << 20 / f.PageBytes)
		}
		return true
	}
	return false
}

// listOwner returns the failure that a list of free pages is about: the first of
// those just before it that have none.
func (s *scanner) listOwner() *Failure {
	for i := max(0, len(s.failures)-nearby); i < len(s.failures); i++ {
		f := s.failures[i]
		if f.Kind == CMA && s.lists[f] == nil && s.line-f.Line <= nearby && f.RequestedPages != nil {
			return f
		}
	}
	return nil
}

// closeList ends the list at hand and gives it to its failure.
func (s *scanner) closeList() {
	l, f := s.open, s.openFor
	s.open, s.openFor = nil, nil
	if l == nil {
		return
	}
	l.parse()
	if !l.summed && l.count == 0 {
		return
	}
	if s.runs += l.count; s.runs > maxKept {
		l.forget()
	}
	if f == nil {
		s.addUnlogged(l)
		return
	}
	if s.lists == nil {
		s.lists = map[*Failure]*freeList{}
	}
	s.lists[f] = l
}

// addUnlogged takes note of a list without a request before it.
func (s *scanner) addUnlogged(l *freeList) {
	free := l.sum
	if l.summed {
		free = l.free
	}
	for i := len(s.failures) - 1; i >= 0; i-- {
		if f := s.failures[i]; f.Kind == CMA {
			if s.unlogged == maxFailures {
				s.dropped++
				return
			}
			s.unlogged++
			f.Unlogged = append(f.Unlogged, Unlogged{Line: l.line, FreePages: free, LargestRunPages: l.largest})
			return
		}
	}
	f := s.add(CMA, "")
	f.Line = l.line
	f.Area = &Area{}
	if s.lists == nil {
		s.lists = map[*Failure]*freeList{}
	}
	s.lists[f] = l
}

// readPages reads failures of the page allocator and out-of-memory kills.
func (s *scanner) readPages(message, time string) bool {
	switch {
	case strings.Contains(message, "page allocation "):
		m := pageFailed.FindStringSubmatch(message)
		if m == nil {
			return false
		}
		f := s.addPages(PageAlloc, time, m[1], m[2], m[3], m[4])
		f.RequestedPages = pages(1 << f.order)
	case strings.Contains(message, "invoked oom-killer"):
		m := oomInvoked.FindStringSubmatch(message)
		if m == nil {
			return false
		}
		f := s.addPages(OOM, time, m[1], m[4], m[2], m[3])
		f.RequestedPages = pages(1 << f.order)
	case strings.Contains(message, "Mem-Info:"), strings.Contains(message, "Mem-info:"):
		if s.info != nil && !s.info.empty() {
			s.closeInfo()
		}
		if len(s.waiting) > 0 {
			s.info, s.infoLine, s.infoLast = &memInfo{}, s.line, s.line
		}
	case strings.Contains(message, "memory: usage "):
		m := memcgUsage.FindStringSubmatch(message)
		if m == nil || len(s.waiting) == 0 {
			return false
		}
		f := s.waiting[len(s.waiting)-1]
		s.waiting = s.waiting[:len(s.waiting)-1]
		f.Kind = MemcgOOM
	case strings.Contains(message, "Memory cgroup out of memory"), strings.Contains(message, "Killed process"):
		s.readKill(message, time)
	case strings.Contains(message, "WARNING:") && strings.Contains(message, "mm/page_alloc.c"):
		if f := s.last(CMA); f != nil {
			f.refused = true
		}
	default:
		return false
	}
	return true
}

func (s *scanner) addPages(kind, time, process, order, mode, flags string) *Failure {
	if s.info != nil && s.info.complete() {
		s.closeInfo()
	}
	f := s.add(kind, time)
	if i := strings.LastIndexAny(process, "]"); i >= 0 && strings.Contains(process, "[") {
		process = process[i+1:] // what of the prefix was not known
	}
	f.Process = shortText(process)
	n, _ := strconv.Atoi(order)
	f.order = min(max(n, 0), maxBlocks)
	f.mode, _ = strconv.ParseUint(mode, 16, 64)
	f.flags = shortText(flags)
	if len(s.waiting) < 64 {
		s.waiting = append(s.waiting, f)
	}
	if s.info == nil { // some kernels have no heading
		s.info, s.infoLine, s.infoLast = &memInfo{}, s.line, s.line
	}
	return f
}

// closeInfo gives the report at hand to the failures before it that wait for one.
func (s *scanner) closeInfo() {
	info := s.info
	s.info = nil
	if info == nil || info.empty() {
		return
	}
	var later []*Failure
	newest := -1
	for i, f := range s.waiting {
		if f.Line <= s.infoLine {
			newest = i
		}
	}
	for i, f := range s.waiting {
		switch {
		case f.Line > s.infoLine:
			later = append(later, f)
		case i == newest, s.waiting[newest].seconds-f.seconds < 1 && f.seconds > 0:
			f.judgePages(info)
			if s.zones += len(info.zones); s.zones > maxKept {
				f.Pages.Zones = []ZoneReport{}
			}
		}
	}
	s.waiting = later
}

// readKill reads whom the out-of-memory killer killed.
func (s *scanner) readKill(message, time string) {
	memcg := strings.Contains(message, "Memory cgroup out of memory")
	var f *Failure
	for i := len(s.failures) - 1; i >= 0 && f == nil; i-- {
		if k := s.failures[i].Kind; k == OOM || k == MemcgOOM {
			f = s.failures[i]
			break
		}
	}
	if f == nil || f.killed != nil || memcg && f.Kind == OOM && (f.Pages != nil || s.info != nil && !s.info.empty()) {
		kind := OOM
		if memcg {
			kind = MemcgOOM
		}
		f = s.add(kind, time)
	}
	if memcg {
		f.Kind = MemcgOOM
		s.waiting = slices.DeleteFunc(s.waiting, func(w *Failure) bool { return w == f })
	}
	m := oomKilled.FindStringSubmatch(message)
	if m == nil {
		return
	}
	f.killed = &Killed{Name: shortText(m[2])}
	f.killed.PID, _ = number(m[1])
	f.killed.AnonRSS, f.killed.FileRSS, f.killed.Shmem = kilobytes(m[4]), kilobytes(m[5]), kilobytes(m[6])
}

// finish judges what was found.
func (s *scanner) finish() *Log {
	s.closeList()
	s.closeInfo()
	log := &Log{Lines: s.line, Dropped: s.dropped, Failures: []Failure{}}
	for _, f := range s.failures {
		s.judge(f)
		f.describe()
		log.Failures = append(log.Failures, *f)
	}
	return log
}

// judge finds out why a request failed.
func (s *scanner) judge(f *Failure) {
	if f.requestedBytes > 0 && f.RequestedPages == nil {
		f.RequestedPages = pages((f.requestedBytes + f.PageBytes - 1) / f.PageBytes)
	}
	switch f.Kind {
	case CMA:
		l := s.lists[f]
		f.findPageSize()
		s.identify(f, l)
		f.judgeCMA(l)
	case PageAlloc, OOM:
		if f.Pages == nil {
			f.Pages = &Memory{Order: f.order, Flags: f.flags, Zones: []ZoneReport{}}
			if f.Kind == OOM {
				f.Cause = cause(exhausted)
			}
		}
		f.Pages.Killed = f.killed
	case MemcgOOM:
		f.Pages = &Memory{Order: f.order, Flags: f.flags, Killed: f.killed, Zones: []ZoneReport{}}
		f.Cause = cause(limit)
	}
}

// findPageSize compares the bytes that a driver asked for with the pages that the
// kernel did.
func (f *Failure) findPageSize() {
	if f.requestedBytes == 0 || f.RequestedPages == nil {
		return
	}
	for _, size := range []uint64{4 << 10, 16 << 10, 64 << 10} {
		if (f.requestedBytes+size-1)/size == *f.RequestedPages {
			f.PageBytes = size
			return
		}
	}
}
