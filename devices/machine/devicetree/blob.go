package devicetree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/u-root/u-root/pkg/dt"
)

// ErrNotBlob says that a file does not begin as a device tree blob does.
var ErrNotBlob = errors.New("not a device tree blob: it does not begin with d00dfeed")

// IsBlob reports whether data begins as a device tree blob does.
func IsBlob(data []byte) bool {
	return len(data) >= 4 && binary.BigEndian.Uint32(data) == dt.Magic
}

// Bounds on a blob, far above those of real ones (a large one has 300 KiB and
// 4000 nodes, the kernel reads 64 levels), so that a hostile one costs little.
const (
	maxBlob  = 16 << 20 // bytes
	maxNodes = 1 << 15
	maxDepth = 64
	maxName  = 255 // characters of a node's or a property's name; the specification allows 31
)

// parse reads a blob with the library, which trusts its counts: it would take 4
// GiB of memory for a property that says so, any depth, and a tree that ends in
// the middle. So the structure is checked before.
func parse(data []byte) (*dt.FDT, error) {
	total, err := checkBlob(data)
	if err != nil {
		return nil, err
	}
	fdt, err := dt.ReadFDT(bytes.NewReader(data[:total]))
	if err != nil {
		return nil, fmt.Errorf("device tree blob: %w", err)
	}
	return fdt, nil
}

// The words that the structure of a tree is made of (Devicetree Specification
// v0.4, 5.4.1).
const (
	beginNode = 1
	endNode   = 2
	property  = 3
	nop       = 4
	end       = 9
)

// headerSize is that of version 17, the first that says how long the structure
// is.
const headerSize = 40

// blob checks a blob from its beginning to its end.
type blob struct {
	data    []byte
	strings []byte
	at      int // offset of what is read next
	limit   int // end of the structure
	path    []string
	nodes   int
}

func at(offset int, format string, args ...any) error {
	return fmt.Errorf("offset 0x%x: "+format, append([]any{offset}, args...)...)
}

// checkBlob returns how long the blob is that data begins with.
func checkBlob(data []byte) (total int, err error) {
	if !IsBlob(data) {
		return 0, ErrNotBlob
	}
	if len(data) < headerSize {
		return 0, at(len(data), "the blob ends within its header of %d bytes", headerSize)
	}
	var header dt.Header
	if _, err := binary.Decode(data, binary.BigEndian, &header); err != nil {
		return 0, at(0, "header: %w", err)
	}
	switch {
	case header.Version < 17 || header.LastCompVersion > 17:
		return 0, at(0x14, "version %d of the format, compatible with %d: want 17", header.Version, header.LastCompVersion)
	case header.TotalSize > maxBlob:
		return 0, at(4, "a blob of %d bytes: at most %d are read", header.TotalSize, maxBlob)
	case int64(header.TotalSize) > int64(len(data)):
		return 0, at(len(data), "the blob is cut off: it says that it has %d bytes", header.TotalSize)
	}
	total = int(header.TotalSize)
	block := func(field int, name string, from, size, align uint32) error {
		if from < headerSize || from%align != 0 || uint64(from)+uint64(size) > uint64(total) {
			return at(field, "the %s, %d bytes at 0x%x, is not inside of the blob", name, size, from)
		}
		return nil
	}
	if err := errors.Join(
		block(8, "structure", header.OffDtStruct, header.SizeDtStruct, 4),
		block(12, "block of strings", header.OffDtStrings, header.SizeDtStrings, 1),
		block(16, "list of reserved memory", header.OffMemRsvmap, 16, 8),
	); err != nil {
		return 0, firstOf(err)
	}
	reserved := int(header.OffMemRsvmap)
	for ; ; reserved += 16 {
		if reserved+16 > total {
			return 0, at(total, "the list of reserved memory has no end")
		}
		if [16]byte(data[reserved:]) == [16]byte{} {
			break
		}
	}
	if int(header.OffDtStruct) < reserved+16 {
		return 0, at(8, "the structure begins before the list of reserved memory ends")
	}
	b := &blob{
		data: data[:total], at: int(header.OffDtStruct), limit: int(header.OffDtStruct + header.SizeDtStruct),
		strings: data[header.OffDtStrings : header.OffDtStrings+header.SizeDtStrings],
	}
	return total, b.check()
}

// firstOf returns the first of several joined errors: one line is enough.
func firstOf(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()[0]
	}
	return err
}

func (b *blob) wrong(offset int, format string, args ...any) error {
	err := at(offset, format, args...)
	if len(b.path) == 0 {
		return err
	}
	return fmt.Errorf("%w, in node %s", err, clip("/"+strings.Join(b.path[1:], "/")))
}

// clip shortens what a hostile blob could make too long for a line, and
// replaces what would move the cursor.
func clip(text string) string {
	const most = 120
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, text)
	if len(text) > most {
		text = text[:most/2-1] + "…" + text[len(text)-most/2:]
	}
	return text
}

// word reads one of the structure's words of four bytes.
func (b *blob) word() (uint32, error) {
	if b.limit-b.at < 4 {
		return 0, b.wrong(b.at, "the structure ends before the tree does")
	}
	w := binary.BigEndian.Uint32(b.data[b.at:])
	b.at += 4
	return w, nil
}

// skip goes over bytes and to the next multiple of four.
func (b *blob) skip(n int) { b.at = min(b.limit, (b.at+n+3)&^3) }

func (b *blob) check() error {
	done := false
	for {
		start := b.at
		token, err := b.word()
		if err != nil {
			return err
		}
		switch token {
		case nop:
		case beginNode:
			if done {
				return b.wrong(start, "a second root")
			}
			if err := b.enter(start); err != nil {
				return err
			}
		case property:
			if err := b.property(start); err != nil {
				return err
			}
		case endNode:
			if len(b.path) == 0 {
				return b.wrong(start, "a node ends that did not begin")
			}
			b.path = b.path[:len(b.path)-1]
			done = len(b.path) == 0
		case end:
			switch {
			case len(b.path) > 0:
				return b.wrong(start, "the tree ends within a node")
			case !done:
				return b.wrong(start, "a tree without a root")
			case b.at != b.limit:
				return b.wrong(b.at, "%d bytes behind the end of the tree", b.limit-b.at)
			}
			return nil
		default:
			return b.wrong(start, "0x%x is no token of a device tree", token)
		}
	}
}

func (b *blob) enter(start int) error {
	length := bytes.IndexByte(b.data[b.at:b.limit], 0)
	switch {
	case length < 0 || length > maxName:
		return b.wrong(start, "a node whose name does not end within %d characters", maxName)
	case len(b.path) == maxDepth:
		return b.wrong(start, "more than %d levels of nodes", maxDepth)
	case len(b.path) > 0 && length == 0:
		return b.wrong(start, "a node without a name")
	}
	if b.nodes++; b.nodes > maxNodes {
		return b.wrong(start, "more than %d nodes", maxNodes)
	}
	b.path = append(b.path, string(b.data[b.at:b.at+length]))
	b.skip(length + 1)
	return nil
}

func (b *blob) property(start int) error {
	if len(b.path) == 0 {
		return b.wrong(start, "a property outside of every node")
	}
	size, err := b.word()
	if err != nil {
		return err
	}
	name, err := b.word()
	if err != nil {
		return err
	}
	if int64(name) >= int64(len(b.strings)) {
		return b.wrong(start, "a property's name at 0x%x of a block of strings that has %d bytes", name, len(b.strings))
	}
	if rest := b.strings[name:]; bytes.IndexByte(rest[:min(len(rest), maxName+1)], 0) < 0 {
		return b.wrong(start, "a property whose name does not end within %d characters", maxName)
	}
	if int64(size) > int64(b.limit-b.at) {
		return b.wrong(start, "a property of %d bytes where %d are left", size, b.limit-b.at)
	}
	b.skip(int(size))
	return nil
}
