package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"dmasim/mem"
)

// The names of heaps whose events do not say one.
const (
	pageHeap    = "pages"    // the page allocator
	cmaHeap     = "cma"      // up to Linux 5.12
	dmabufsHeap = "dma-bufs" // Android's dma_heap_stat
)

// ftrace reads the text of Linux's trace: what tracefs prints, and trace-cmd
// report.
//
// Sources: kernel/trace/trace_output.c, trace_print_context, for the part before
// the event, kernel/trace/trace.c for the lines of lost events;
// include/trace/events/cma.h and kmem.h of Linux 4.4 to 6.12, and for Android's
// dma_heap_stat the header of its common kernel. In CMA's events numbers of frames
// were hexadecimal without 0x before Linux 5.14, in those of pages decimal.
type ftrace struct {
	lines
	record  record
	page    uint64
	started map[uint64]bool // by thread: it has an allocation of CMA under way
	total   uint64          // of dma_heap_stat
	counted bool            // total is known
	dropped uint64          // events, by lines among those of events
}

// maxThreads bounds the threads that may have a request under way.
const maxThreads = 1 << 20

func newFtrace(l lines, page uint64) *ftrace {
	return &ftrace{lines: l, page: page, started: map[uint64]bool{}}
}

func (f *ftrace) next(m *matcher) error {
	line, err := f.lines.next()
	switch {
	case err == io.EOF:
		m.losses.Unfinished += uint64(len(f.started))
		// What the head and the recorder say is a total, which has these in it.
		m.losses.LostEvents = max(m.losses.LostEvents, f.dropped)
		return err
	case err != nil:
		return err
	case f.endless:
		m.losses.Truncated++ // the recorder was stopped within the line
		return nil
	case len(line) == 0:
		return nil
	case line[0] == '#':
		return f.comment(m, string(line))
	case bytes.HasPrefix(line, []byte("CPU:")):
		return f.lost(m, string(line))
	case bytes.HasPrefix(line, []byte("cpus=")), bytes.HasPrefix(line, []byte("version =")):
		return nil // trace-cmd
	}
	r := &f.record
	if !r.parse(line) {
		m.losses.Unread++
		return nil
	}
	handle := handler(r.event)
	if handle == nil {
		return nil
	}
	at, err := parseSeconds(r.time)
	if err != nil {
		return f.fail(r.timeAt+1, err)
	}
	m.advance(at)
	r.split()
	return handle(f, m, r)
}

// comment reads the head of a trace, and what a recorder has to say of itself.
func (f *ftrace) comment(m *matcher, line string) error {
	if text, ok := strings.CutPrefix(line, "# entries-in-buffer/entries-written: "); ok {
		text, _, _ = strings.Cut(text, " ")
		kept, written, _ := strings.Cut(text, "/")
		k, errKept := strconv.ParseUint(kept, 10, 64)
		w, errWritten := strconv.ParseUint(written, 10, 64)
		if errKept == nil && errWritten == nil && w > k {
			addCapped(&m.losses.LostEvents, w-k)
		}
		return nil
	}
	if text, ok := strings.CutPrefix(line, lossMark); ok && f.page == 0 {
		_, size, found := strings.Cut(text, ", pages of ")
		if page, err := mem.ParseSize(size); found && err == nil && checkPage(page) == nil {
			f.page = uint64(page)
		}
	}
	m.losses.addComment(line)
	return nil
}

// lost reads, as the kernel prints it, "CPU:1 [LOST 23 EVENTS]", or, as
// trace-cmd does, "CPU:1 [23 EVENTS DROPPED]" and, without a number, "CPU:1 [EVENTS
// DROPPED]".
func (f *ftrace) lost(m *matcher, line string) error {
	_, text, _ := strings.Cut(line, "[")
	text = strings.TrimSuffix(text, "]")
	number := ""
	if t, ok := strings.CutPrefix(text, "LOST "); ok {
		number = strings.TrimSuffix(t, " EVENTS")
	} else if t, ok := strings.CutSuffix(text, " EVENTS DROPPED"); ok {
		number = t
	} else if text == "EVENTS DROPPED" {
		m.losses.Unnumbered++
		return nil
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		m.losses.Unread++
		return nil
	}
	addCapped(&f.dropped, n)
	return nil
}

// record is a line of a trace.
type record struct {
	line   []byte
	thread uint64
	time   []byte
	timeAt int // offset in the line
	event  []byte
	at     int                                  // offset of the fields
	values [ftraceFields]struct{ from, to int } // of fields, see split; to 0: there is none
}

// field is one that an event may have.
type field int

// The fields that are looked at.
const (
	fieldName field = iota
	fieldPFN
	fieldPage
	fieldCount
	fieldRequestCount
	fieldAlign
	fieldErrno
	fieldOrder
	fieldInode
	fieldLen
	fieldTotal
	ftraceFields
)

var fieldNames = [ftraceFields]string{
	"name", "pfn", "page", "count", "request_count", "align", "errorno", "order", "inode", "len", "total_allocated",
}

// String returns the name of a field as events have it.
func (f field) String() string { return fieldNames[f] }

// fieldOf returns the field of a name, or ftraceFields.
func fieldOf(name []byte) field {
	switch string(name) {
	case "name":
		return fieldName
	case "pfn":
		return fieldPFN
	case "page":
		return fieldPage
	case "count":
		return fieldCount
	case "request_count":
		return fieldRequestCount
	case "align":
		return fieldAlign
	case "errorno":
		return fieldErrno
	case "order":
		return fieldOrder
	case "inode":
		return fieldInode
	case "len":
		return fieldLen
	case "total_allocated":
		return fieldTotal
	}
	return ftraceFields
}

// parse takes apart "task-pid (tgid) [cpu] flags time: event: fields". The name of a
// task may have any of these in it, so the first part that fits whole is taken.
func (r *record) parse(line []byte) bool {
	r.line = line
	for from := 0; ; {
		open := bytes.IndexByte(line[from:], '[')
		if open < 0 {
			return false
		}
		open += from
		from = open + 1
		if r.parseFrom(open) {
			return true
		}
	}
}

// parseFrom takes a line apart whose processor begins with the bracket at open.
func (r *record) parseFrom(open int) (ok bool) {
	line := r.line
	i := open + 1
	for i < len(line) && isDigit(line[i]) {
		i++
	}
	if i == open+1 || i+1 >= len(line) || line[i] != ']' || line[i+1] != ' ' {
		return false
	}
	task := trimSpace(line[:open])
	if n := len(task); n > 0 && task[n-1] == ')' { // the thread group
		if group := bytes.LastIndexByte(task, '('); group > 0 {
			task = trimSpace(task[:group])
		}
	}
	digits := len(task)
	for digits > 0 && isDigit(task[digits-1]) {
		digits--
	}
	if digits == 0 || digits == len(task) || task[digits-1] != '-' {
		return false
	}
	if r.thread, ok = parseCount(task[digits:]); !ok {
		return false
	}
	i = skipSpace(line, i+1)
	end := wordEnd(line, i)
	if end == i {
		return false
	}
	if line[end-1] != ':' { // the flags
		i = skipSpace(line, end)
		if end = wordEnd(line, i); end == i || line[end-1] != ':' {
			return false
		}
	}
	r.time, r.timeAt = line[i:end-1], i
	if len(r.time) == 0 || !isDigit(r.time[0]) {
		return false
	}
	i = skipSpace(line, end)
	colon := bytes.IndexByte(line[i:], ':')
	if colon < 0 {
		return false
	}
	r.event = line[i : i+colon]
	r.at = skipSpace(line, i+colon+1)
	return true
}

// split finds the values of fields, "key=value" between spaces, of several with one
// key the first.
func (r *record) split() {
	clear(r.values[:])
	line := r.line
	for at := r.at; at < len(line); at++ {
		from := at
		for at < len(line) && line[at] != '=' && line[at] != ' ' {
			at++
		}
		if at == len(line) || line[at] == ' ' {
			continue
		}
		key := fieldOf(line[from:at])
		at++
		from = at
		at = wordEnd(line, at)
		if key < ftraceFields && r.values[key].to == 0 {
			r.values[key].from, r.values[key].to = from, at
		}
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func skipSpace(line []byte, i int) int {
	for i < len(line) && line[i] == ' ' {
		i++
	}
	return i
}

func trimSpace(line []byte) []byte {
	end := len(line)
	for end > 0 && line[end-1] == ' ' {
		end--
	}
	return line[:end]
}

func wordEnd(line []byte, i int) int {
	for i < len(line) && line[i] != ' ' {
		i++
	}
	return i
}

var errClock = errors.New("the time is no number of seconds with a fraction: choose a trace_clock like mono")

// parseSeconds reads seconds with a fraction of at most nine digits.
func parseSeconds(text []byte) (time.Duration, error) {
	whole, fraction, ok := bytes.Cut(text, []byte("."))
	if !ok {
		return 0, errClock
	}
	var n uint64
	for _, c := range whole {
		if !isDigit(c) {
			return 0, errClock
		}
		if n = n*10 + uint64(c-'0'); n > math.MaxInt64/uint64(time.Second) {
			return 0, errTime
		}
	}
	if len(whole) == 0 || len(fraction) == 0 || len(fraction) > 9 {
		return 0, errClock
	}
	var nanos uint64
	for i := range 9 {
		nanos *= 10
		if i < len(fraction) {
			if !isDigit(fraction[i]) {
				return 0, errClock
			}
			nanos += uint64(fraction[i] - '0')
		}
	}
	if n = n*uint64(time.Second) + nanos; n > math.MaxInt64 {
		return 0, errTime
	}
	return time.Duration(n), nil
}

// field returns the value of a field and its offset in the line.
func (r *record) field(key field) (value []byte, at int, ok bool) {
	v := &r.values[key]
	return r.line[v.from:v.to], v.from, v.to > 0
}

// number reads a field as a number. The error is an *Error.
func (f *ftrace) number(r *record, key field, base int) (uint64, error) {
	value, at, ok := r.field(key)
	if !ok {
		return 0, f.fail(r.at+1, fmt.Errorf("%s has no %s", r.event, key))
	}
	n, ok := uint64(0), false
	if base == 16 && !bytes.HasPrefix(value, []byte("0x")) {
		n, ok = parseHex(value)
	} else {
		n, ok = parseCount(value)
	}
	if !ok {
		return 0, f.fail(at+1, fmt.Errorf("%s %.40q is no number", key, value))
	}
	return n, nil
}

// null reports whether an event's page is none.
func (f *ftrace) null(r *record) (bool, error) {
	value, _, ok := r.field(fieldPage)
	if !ok {
		return false, f.fail(r.at+1, fmt.Errorf("%s has no page", r.event))
	}
	for _, c := range bytes.TrimPrefix(value, []byte("0x")) {
		if c != '0' {
			return string(value) == "(null)", nil
		}
	}
	return true, nil
}

// bytes returns the size of so many pages.
func (f *ftrace) bytes(r *record, pages uint64) (uint64, error) {
	hi, size := bits.Mul64(pages, f.pageSize())
	if hi != 0 || size > math.MaxInt64 {
		return 0, f.fail(r.at+1, fmt.Errorf("%d pages are more than can be", pages))
	}
	return size, nil
}

func (f *ftrace) pageSize() uint64 {
	if f.page == 0 {
		return defaultPage
	}
	return f.page
}

// order returns the size of 2^order pages.
func (f *ftrace) order(r *record, order uint64) (uint64, error) {
	if order > 40 {
		return 0, f.fail(r.at+1, fmt.Errorf("order %d is more than can be", order))
	}
	return f.bytes(r, 1<<order)
}

// handler returns what reads an event, or nil where it is skipped.
func handler(event []byte) func(*ftrace, *matcher, *record) error {
	switch string(event) {
	case "cma_alloc_start":
		return (*ftrace).cmaStart
	case "cma_alloc_finish", "cma_alloc":
		return (*ftrace).cmaFinish
	case "cma_release":
		return (*ftrace).cmaRelease
	case "mm_page_alloc":
		return (*ftrace).pageAlloc
	case "mm_page_free":
		return (*ftrace).pageFree
	case "dma_heap_stat":
		return (*ftrace).dmaHeapStat
	}
	return nil // cma_alloc_busy_retry, too: the same request goes on
}

// cmaStart notes that a thread asks. A thread has one request at a time.
func (f *ftrace) cmaStart(m *matcher, r *record) error {
	heap, err := f.area(m, r)
	if err != nil || m.skipped[heap] {
		return err
	}
	if f.started[r.thread] {
		m.losses.Unfinished++
		return nil
	}
	if len(f.started) == maxThreads {
		return f.fail(r.at+1, fmt.Errorf("more than %d threads have requests under way", maxThreads))
	}
	f.started[r.thread] = true
	return nil
}

// area returns the heap of an event of CMA.
func (f *ftrace) area(m *matcher, r *record) (int, error) {
	name, at, ok := r.field(fieldName)
	if !ok {
		name, at = []byte(cmaHeap), r.at
	}
	heap, err := m.heap(name)
	if err != nil {
		return 0, f.fail(at+1, err)
	}
	return heap, nil
}

func (f *ftrace) cmaFinish(m *matcher, r *record) error {
	delete(f.started, r.thread)
	heap, err := f.area(m, r)
	if err != nil {
		return err
	}
	key := fieldCount
	if _, _, ok := r.field(fieldRequestCount); ok {
		key = fieldRequestCount
	}
	pages, err := f.number(r, key, 10)
	if err != nil {
		return err
	}
	pfn, err := f.number(r, fieldPFN, 16)
	if err != nil {
		return err
	}
	var e Event
	if e.Size, err = f.bytes(r, pages); err != nil {
		return err
	}
	if _, _, ok := r.field(fieldAlign); ok { // not in the first releases
		order, err := f.number(r, fieldAlign, 10)
		if err != nil {
			return err
		}
		if e.Align, err = f.order(r, order); err != nil {
			return err
		}
	}
	failed, err := f.null(r)
	if err != nil {
		return err
	}
	if errno, _, ok := r.field(fieldErrno); ok && string(errno) != "0" {
		failed = true
	}
	if failed {
		m.failed(heap, &e)
		return nil
	}
	if e.Addr, err = f.bytes(r, pfn); err != nil {
		return err
	}
	e.Placed = true
	return f.failLine(m.alloc(bufferKey{heap, pfn}, &e))
}

func (f *ftrace) cmaRelease(m *matcher, r *record) error {
	heap, err := f.area(m, r)
	if err != nil {
		return err
	}
	pages, err := f.number(r, fieldCount, 10)
	if err != nil {
		return err
	}
	pfn, err := f.number(r, fieldPFN, 16)
	if err != nil {
		return err
	}
	size, err := f.bytes(r, pages)
	if err != nil {
		return err
	}
	m.free(bufferKey{heap, pfn}, size, f.pageSize())
	return nil
}

// pageBlock reads an event of the page allocator, whose blocks are aligned to
// their size.
func (f *ftrace) pageBlock(m *matcher, r *record) (bufferKey, Event, error) {
	heap, err := m.heap([]byte(pageHeap))
	if err != nil {
		return bufferKey{}, Event{}, f.fail(0, err)
	}
	pfn, err := f.number(r, fieldPFN, 10)
	if err != nil {
		return bufferKey{}, Event{}, err
	}
	order, err := f.number(r, fieldOrder, 10)
	if err != nil {
		return bufferKey{}, Event{}, err
	}
	size, err := f.order(r, order)
	if err != nil {
		return bufferKey{}, Event{}, err
	}
	return bufferKey{heap, pfn}, Event{Size: size, Align: size}, nil
}

func (f *ftrace) pageAlloc(m *matcher, r *record) error {
	key, e, err := f.pageBlock(m, r)
	if err != nil {
		return err
	}
	failed, err := f.null(r)
	if err != nil {
		return err
	}
	if failed {
		m.failed(key.heap, &e)
		return nil
	}
	if e.Addr, err = f.bytes(r, key.id); err != nil {
		return err
	}
	e.Placed = true
	return f.failLine(m.alloc(key, &e))
}

func (f *ftrace) pageFree(m *matcher, r *record) error {
	key, e, err := f.pageBlock(m, r)
	if err != nil {
		return err
	}
	m.free(key, e.Size, f.pageSize())
	return nil
}

// dmaHeapStat reads an allocation, or a free if the length is negative. The event
// also has the bytes of all heaps, from which lost events show.
func (f *ftrace) dmaHeapStat(m *matcher, r *record) error {
	heap, err := m.heap([]byte(dmabufsHeap))
	if err != nil {
		return f.fail(0, err)
	}
	inode, err := f.number(r, fieldInode, 10)
	if err != nil {
		return err
	}
	text, at, ok := r.field(fieldLen)
	if !ok {
		return f.fail(r.at+1, errors.New("dma_heap_stat has no len"))
	}
	length, err := strconv.ParseInt(string(bytes.TrimSuffix(text, []byte("B"))), 10, 64)
	if err != nil || length == math.MinInt64 {
		return f.fail(at+1, fmt.Errorf("len %.40q is no number of bytes", text))
	}
	text, at, ok = r.field(fieldTotal)
	if !ok {
		return f.fail(r.at+1, errors.New("dma_heap_stat has no total_allocated"))
	}
	total, err := strconv.ParseUint(string(bytes.TrimSuffix(text, []byte("B"))), 10, 64)
	if err != nil {
		return f.fail(at+1, fmt.Errorf("total_allocated %.40q is no number of bytes", text))
	}
	if f.counted && total != f.total+uint64(length) {
		m.losses.CounterJumps++
	}
	f.total, f.counted = total, true
	key := bufferKey{heap, inode}
	if length < 0 {
		m.free(key, uint64(-length), 0)
		return nil
	}
	return f.failLine(m.alloc(key, &Event{Size: uint64(length)}))
}
