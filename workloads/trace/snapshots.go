package trace

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"dmasim/allocator/dmaheap"
)

// maxSnapshot bounds the text of a picture of bufinfo, in bytes.
const maxSnapshot = 64 << 20

// snapshots reads a series of pictures of the dma-bufs that live, each as the
// kernel shows it: dma_buf/bufinfo of debugfs as it is, or the files below
// /sys/kernel/dmabuf/buffers as grep -r prints them. What is new in a picture was
// allocated, and what is gone was freed; what came and went between two is not
// seen. Buffers are known by their inodes, heaps by exporters.
//
// A line that is a number is the time, in seconds, of the picture that follows, as
// date +%s.%N prints it. Pictures of bufinfo may go without, and are a tick apart
// then.
//
// Sources: drivers/dma-buf/dma-buf.c, dma_buf_debug_show, and
// dma-buf-sysfs-stats.c, Linux 6.12.
type snapshots struct {
	lines
	sysfs bool
	tick  time.Duration

	open   bool // a picture is being read
	first  int  // its line
	headed bool // bufinfo: it has its head
	text   []byte
	stats  map[uint64]dmabufStats // sysfs: by inode
}

// dmabufStats are the files of a buffer in sysfs.
type dmabufStats struct {
	size     uint64
	sized    bool
	exporter string
}

// picture is a buffer in a picture.
type picture struct {
	key  bufferKey
	size uint64
}

const bufinfoHead = "Dma-buf Objects:"

func (s *snapshots) next(m *matcher) error {
	line, err := s.lines.next()
	switch {
	case err == io.EOF && s.open:
		return s.finish(m, true)
	case err != nil:
		return err
	case len(line) > 0 && line[0] == '#':
		m.losses.addComment(string(line))
		return nil
	}
	if at, ok := parseClock(line); ok && !s.endless {
		if err := s.finish(m, false); err != nil {
			return err
		}
		m.advance(at)
		s.begin()
		return nil
	}
	if s.sysfs {
		return s.file(line)
	}
	if string(line) == bufinfoHead && !(s.open && !s.headed) {
		again := s.open
		if err := s.finish(m, false); err != nil {
			return err
		}
		if again {
			if m.now > math.MaxInt64-s.tick {
				return s.fail(0, errTime)
			}
			m.advance(m.now + s.tick)
		}
		s.begin()
	}
	switch {
	case string(line) == bufinfoHead:
		s.headed = true
	case len(line) > 0 && !s.headed:
		return s.fail(1, fmt.Errorf("%.40q, want a time in seconds or %q", line, bufinfoHead))
	case len(s.text)+len(line) >= maxSnapshot:
		return s.fail(0, fmt.Errorf("a picture of more than %d bytes", maxSnapshot))
	}
	s.text = append(append(s.text, line...), '\n')
	return nil
}

// parseClock reads a line that is a time in seconds.
func parseClock(line []byte) (time.Duration, bool) {
	if len(line) == 0 || len(line) > 20 || !isDigit(line[0]) {
		return 0, false
	}
	if bytes.IndexByte(line, '.') < 0 {
		line = append(slices.Clone(line), ".0"...)
	}
	at, err := parseSeconds(line)
	return at, err == nil
}

func (s *snapshots) begin() {
	s.open, s.first, s.headed = true, s.number, false
	s.text = s.text[:0]
	s.stats = map[uint64]dmabufStats{}
}

var sysfsFolder = []byte("/dmabuf/buffers/")

// file reads the line of a file of sysfs, "/sys/kernel/dmabuf/buffers/12/size:4096".
// Older kernels have other files beside size and exporter_name.
func (s *snapshots) file(line []byte) error {
	if len(line) == 0 || s.endless { // the recorder was stopped within the line
		return nil
	}
	if !s.open {
		return s.fail(1, errors.New("a picture without a time before it: want a line with the seconds, as date +%s.%N prints them"))
	}
	at := bytes.Index(line, sysfsFolder)
	name, value, ok := bytes.Cut(line, []byte(":"))
	if at < 0 || !ok || len(name) < at {
		return s.fail(1, fmt.Errorf("%.60q is no file below /sys/kernel/dmabuf/buffers with its text", line))
	}
	inode, file, _ := bytes.Cut(name[at+len(sysfsFolder):], []byte("/"))
	number, ok := parseCount(inode)
	if !ok {
		return s.fail(at+len(sysfsFolder)+1, fmt.Errorf("%.40q is no inode", inode))
	}
	b, known := s.stats[number]
	if !known && len(s.stats) == maxLive {
		return s.fail(0, errLive)
	}
	switch string(file) {
	case "size":
		if b.size, ok = parseCount(value); !ok || b.size > math.MaxInt64 {
			return s.fail(len(name)+2, fmt.Errorf("size %.40q is no number of bytes", value))
		}
		b.sized = true
	case "exporter_name":
		if len(value) > maxHeapName {
			return s.fail(len(name)+2, errHeapName)
		}
		b.exporter = string(value)
	default:
		return nil
	}
	s.stats[number] = b
	return nil
}

// finish makes events of the picture that was read, if there is one. At the end of
// the trace it may be torn.
func (s *snapshots) finish(m *matcher, last bool) error {
	if !s.open {
		return nil
	}
	s.open = false
	var seen []picture
	add := func(exporter string, inode, size uint64) error {
		heap, err := m.heap([]byte(exporter))
		if err == nil {
			seen = append(seen, picture{bufferKey{heap, inode}, size})
		}
		return err
	}
	var err error
	if s.sysfs {
		if last && s.endless {
			m.losses.Truncated++
			return nil
		}
		for inode, b := range s.stats {
			if !b.sized { // freed while it was read
				m.losses.UnknownSizes++
				continue
			}
			err = cmp.Or(err, add(b.exporter, inode, b.size))
		}
	} else {
		buffers, parseErr := dmaheap.ParseBufinfo(bytes.NewReader(s.text))
		if last && errors.Is(parseErr, dmaheap.ErrTorn) {
			m.losses.Truncated++
			return nil
		}
		err = parseErr
		for _, b := range buffers {
			err = cmp.Or(err, add(b.Exporter, b.Inode, b.Size))
		}
	}
	if err != nil {
		return &Error{Path: s.path, Line: s.first, Err: fmt.Errorf("the picture that begins here: %w", err)}
	}
	return s.failLine(m.differences(seen))
}

// differences makes events of what changed since the last picture: frees, then
// allocations, both by inode.
func (m *matcher) differences(seen []picture) error {
	slices.SortStableFunc(seen, func(a, b picture) int {
		return cmp.Or(cmp.Compare(a.key.id, b.key.id), cmp.Compare(m.heaps[a.key.heap], m.heaps[b.key.heap]))
	})
	sizes := make(map[bufferKey]uint64, len(seen))
	for _, b := range seen {
		sizes[b.key] = b.size
	}
	var gone []bufferKey
	for heap := range m.live {
		for id, b := range m.live[heap].all() {
			key := bufferKey{heap, id}
			if size, ok := sizes[key]; !ok || size != b.size {
				gone = append(gone, key)
			}
		}
	}
	slices.SortFunc(gone, func(a, b bufferKey) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(m.heaps[a.heap], m.heaps[b.heap]))
	})
	for _, key := range gone {
		m.free(key, m.live[key.heap].get(key.id).size, 0)
	}
	for _, b := range seen {
		if m.live[b.key.heap].get(b.key.id) != nil {
			continue
		}
		if err := m.alloc(b.key, &Event{Size: b.size}); err != nil {
			return err
		}
	}
	return nil
}
