package trace

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"dmasim/mem"
	"dmasim/workloads"
)

// Format names the form of a trace.
type Format string

// The formats.
const (
	MiniMalloc Format = "minimalloc" // see [ReadMiniMalloc]
	Placements Format = "placement"  // see [NewPlacementReader]
	CSV        Format = "csv"        // events as rows; see docs/traces.md
	Ftrace     Format = "ftrace"     // the text of Linux's trace: CMA, pages, dma-bufs
	Bufinfo    Format = "bufinfo"    // pictures of debugfs's dma_buf/bufinfo
	Sysfs      Format = "sysfs"      // pictures of /sys/kernel/dmabuf/buffers
	Parquet    Format = "parquet"    // the columns of CSV; see [RegisterParquet]
)

// Formats returns all formats.
func Formats() []Format {
	return []Format{MiniMalloc, Placements, CSV, Parquet, Ftrace, Bufinfo, Sysfs}
}

// ErrUnknownFormat is a file that is in none of the formats.
var ErrUnknownFormat = errors.New("not a trace that is known")

// Options say how a trace is read. The zero value will do.
type Options struct {
	Format Format // "": told by the content
	// Page is the page size in formats that count pages, 4, 16 or 64 KiB. 0: what
	// the trace says, else 4 KiB.
	Page mem.Size
	// Tick is the length of a time step of MiniMalloc's, the time from one record
	// of a placement trace to the next, and from one picture without a time to the
	// next. 0: 1 µs.
	Tick time.Duration
	// Order is that of buffers of MiniMalloc's that start at a time. "": FileOrder.
	Order Order
	// Heaps are those whose events are given out; none: all.
	Heaps []string
}

const defaultPage = 4 << 10

func checkPage(page mem.Size) error {
	switch page {
	case 4 * mem.KiB, 16 * mem.KiB, 64 * mem.KiB:
		return nil
	}
	return fmt.Errorf("page size %v, want 4KiB, 16KiB or 64KiB", page)
}

// Reader reads a trace of any format event by event, in bounded memory: what it
// holds grows with the buffers that live at a time, and of MiniMalloc's format,
// whose rows have no order, with the buffers.
type Reader struct {
	format  Format
	options Options
	decoder decoder
	matcher *matcher
	file    io.Closer // nil: the caller's
	problem *Problem
	header  PlacementHeader
	ended   error // of the decoder: there is nothing behind what is ready
	err     error // the same, once nothing is ready
}

// decoder reads one format.
type decoder interface {
	// next makes the next events, perhaps none, and returns io.EOF at the end. Those
	// that it made before an error are good.
	next(*matcher) error
}

// batchEvents is how many events are decoded before the first of them is given out:
// many, so that code and data of either stay at hand.
const batchEvents = 64

// Open opens a file; see [NewReader].
func Open(path string, o Options) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := NewReader(f, path, o)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.file = f
	return r, nil
}

// NewReader starts to read a trace, which may be compressed with gzip or
// Zstandard. path is for errors only. The error names the place where there is one; it wraps
// ErrUnknownFormat where the format can't be told.
func NewReader(in io.Reader, path string, o Options) (*Reader, error) {
	if o.Page != 0 {
		if err := checkPage(o.Page); err != nil {
			return nil, err
		}
	}
	if o.Tick < 0 {
		return nil, fmt.Errorf("the time step is %v, want more than 0", o.Tick)
	}
	o.Tick = cmp.Or(o.Tick, time.Microsecond)
	o.Order = cmp.Or(o.Order, FileOrder)
	if !slices.Contains(Orders(), o.Order) {
		return nil, fmt.Errorf("unknown order %q, want one of %q", o.Order, Orders())
	}
	plain, err := decompressed(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r := &Reader{format: o.Format, options: o, matcher: newMatcher(o.Heaps)}
	if r.format == "" {
		head, err := plain.Peek(maxLine)
		if err != nil && err != io.EOF && len(head) == 0 {
			return nil, fmt.Errorf("%s: %w", path, torn(err))
		} // else whoever reads on meets the error at its place
		if len(head) == 0 {
			return nil, fmt.Errorf("%s: %w: it is empty", path, ErrUnknownFormat)
		}
		if bytes.HasPrefix(head, []byte("\x17\x08Dtracing")) {
			return nil, fmt.Errorf("%s: %w: it is a binary file of trace-cmd; take the text of trace-cmd report", path, ErrUnknownFormat)
		}
		if r.format = detect(head); r.format == "" {
			return nil, fmt.Errorf("%s: %w, none of %s", path, ErrUnknownFormat, formatList())
		}
	}
	if err := r.start(plain, in, path); err != nil {
		return nil, err
	}
	return r, nil
}

func formatList() string {
	var names []string
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// start makes the decoder. in reads from original.
func (r *Reader) start(in *bufio.Reader, original io.Reader, path string) error {
	text := lines{lineReader: lineReader{in: in}, path: path}
	if len(r.options.Heaps) > 0 && (r.format == MiniMalloc || r.format == Placements) {
		return fmt.Errorf("%s: the format %s tells of no heaps to choose from", path, r.format)
	}
	switch r.format {
	case MiniMalloc:
		problem, err := ReadMiniMalloc(in, path)
		if err != nil {
			return err
		}
		replay, err := problem.Replay(ReplayOptions{Order: r.options.Order, Tick: r.options.Tick})
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r.problem = problem
		r.decoder = &problemEvents{replay.sweep, r.options.Tick}
	case Placements:
		placements, err := NewPlacementReader(in)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r.header = placements.Header
		r.decoder = &placementEvents{records: placements, path: path, tick: r.options.Tick}
	case CSV:
		r.decoder = &csvTrace{lines: text}
	case Parquet:
		var err error
		r.decoder, err = openColumnar(in, original, path, r.matcher)
		return err
	case Ftrace:
		r.decoder = newFtrace(text, uint64(r.options.Page))
	case Bufinfo, Sysfs:
		r.decoder = &snapshots{lines: text, sysfs: r.format == Sysfs, tick: r.options.Tick}
	default:
		return fmt.Errorf("unknown format %q of a trace, want one of %s", r.format, formatList())
	}
	return nil
}

// Format returns the format, which may have been told by the content.
func (r *Reader) Format() Format { return r.format }

// Problem returns the whole of a trace in MiniMalloc's format, of others nil.
func (r *Reader) Problem() *Problem { return r.problem }

// Header returns what the head of a binary placement trace says; else it is zero.
func (r *Reader) Header() PlacementHeader { return r.header }

// Heaps returns the names of the heaps that were seen so far, wanted or not; the
// reader is a little ahead of the events.
func (r *Reader) Heaps() []string { return slices.Clone(r.matcher.heaps) }

// Losses returns what was missing so far, as far as the reader is. Nothing is in a placement trace, which is
// made and not recorded: it may end anywhere.
func (r *Reader) Losses() Losses {
	l := r.matcher.losses
	if r.err == io.EOF {
		l.NeverFreed = r.matcher.unfreed()
	}
	return l
}

// Next sets e to the next event. It returns false at the end of the trace or
// after an error; see [Reader.Err].
func (r *Reader) Next(e *Event) bool {
	m := r.matcher
	if m.taken == len(m.ready) && !r.decode() {
		return false
	}
	*e = m.ready[m.taken]
	m.taken++
	return true
}

// decode makes events ready where none is. It returns false where there are none.
func (r *Reader) decode() bool {
	m := r.matcher
	m.ready, m.taken = m.ready[:0], 0
	for r.ended == nil && len(m.ready) < batchEvents {
		r.ended = r.decoder.next(m)
	}
	if len(m.ready) == 0 {
		r.err = r.ended
		return false
	}
	return true
}

// Err returns the error that ended the trace, if one did.
func (r *Reader) Err() error {
	if r.err == io.EOF {
		return nil
	}
	return r.err
}

// Close closes the file of [Open].
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// detect tells the format of a trace by its beginning; "": none.
func detect(head []byte) Format {
	if bytes.HasPrefix(head, []byte("DMATRC0")) {
		return Placements
	}
	if bytes.HasPrefix(head, []byte(parquetMagic)) {
		return Parquet
	}
	head = bytes.TrimPrefix(head, []byte("\ufeff"))
	onlyComments := len(head) > 0
	for line := range bytes.Lines(head) {
		text := bytes.TrimRight(line, "\r\n")
		_, isTime := parseClock(text)
		switch {
		case bytes.HasPrefix(text, []byte("# tracer:")):
			return Ftrace
		case len(bytes.TrimSpace(text)) == 0, text[0] == '#':
			continue
		case isTime:
		case string(text) == bufinfoHead:
			return Bufinfo
		case bytes.Contains(text, sysfsFolder):
			return Sysfs
		case isPlacementLine(text):
			return Placements
		case bytes.Contains(text, []byte("time_ns")) && bytes.IndexByte(text, ',') > 0:
			return CSV
		case isProblemHeader(string(text)):
			return MiniMalloc
		case bytes.HasPrefix(text, []byte("CPU:")), bytes.HasPrefix(text, []byte("cpus=")), isRecord(text):
			return Ftrace
		case bytes.HasPrefix(text, []byte("version =")): // trace-cmd
		default:
			return ""
		}
		onlyComments = false
	}
	if onlyComments {
		return Placements // the simplest of those that may be comments alone
	}
	return ""
}

func isRecord(line []byte) bool {
	var r record
	return r.parse(line)
}

// isPlacementLine reports whether a line begins as those of a placement trace in
// text do.
func isPlacementLine(line []byte) bool {
	return len(line) > 2 && (line[0] == 'a' || line[0] == 'f') && line[1] == ' ' && isDigit(line[2])
}

// isProblemHeader reports whether a line names columns of MiniMalloc's, one of
// them at least that others do not have.
func isProblemHeader(line string) bool {
	for field := range strings.SplitSeq(line, ",") {
		switch miniMallocColumns[strings.TrimSpace(field)] {
		case "lower", "upper", "end":
			return true
		}
	}
	return false
}

// problemEvents gives out the buffers of a static problem by time.
type problemEvents struct {
	sweep sweep
	tick  time.Duration
}

func (p *problemEvents) next(m *matcher) error {
	for len(m.ready) < batchEvents {
		i, end, ok := p.sweep.next()
		if !ok {
			return io.EOF
		}
		b := &p.sweep.buffers[i]
		e := Event{At: time.Duration(b.Lower) * p.tick, Buffer: uint64(i), Size: b.Size, Align: b.Align}
		if end {
			e = Event{At: time.Duration(b.Upper) * p.tick, Kind: workloads.Free, Buffer: uint64(i), Size: b.Size}
		}
		m.ready = append(m.ready, e)
	}
	return nil
}

// placementEvents gives out the records of a placement trace.
type placementEvents struct {
	records *PlacementReader
	path    string
	tick    time.Duration
	sizes   table[uint64] // of live slots
	ops     [batchEvents]workloads.Op
}

func (p *placementEvents) next(m *matcher) error {
	n := p.records.read(p.ops[:])
	if n == 0 {
		return p.end()
	}
	for i := range p.ops[:n] {
		op := &p.ops[i]
		e := Event{At: m.now, Kind: op.Kind, Buffer: op.Buffer, Size: op.Size, Align: op.Align, Limit: op.Limit}
		switch {
		case op.Kind == workloads.Free:
			e.Size, _ = p.sizes.take(op.Buffer)
		case p.sizes.used == maxLive:
			return p.fail(errLive)
		default:
			p.sizes.add(op.Buffer, op.Size)
		}
		if m.now > math.MaxInt64-p.tick {
			return p.fail(ErrTooLong)
		}
		m.now += p.tick
		m.ready = append(m.ready, e)
	}
	return nil
}

func (p *placementEvents) end() error {
	if err := p.records.Err(); err != nil {
		return p.fail(err)
	}
	return io.EOF
}

func (p *placementEvents) fail(err error) error { return fmt.Errorf("%s: %w", p.path, err) }
