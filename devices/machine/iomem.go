package machine

import (
	"errors"
	"strconv"
	"strings"

	"dmasim/mem"
)

// ErrHiddenAddresses is what is wrong with a copy of /proc/iomem that was made
// without privilege.
var ErrHiddenAddresses = errors.New("every address is zero: the kernel hides them from who lacks CAP_SYS_ADMIN; copy the file as root")

// parseIomem reads where RAM is: what is called "System RAM", at any depth,
// since memory that was added later lies below the device that it is on, and
// with the name of the driver ("System RAM (kmem)"). A boot alias of 32-bit ARM
// is the same memory at another address and left out.
// Source: kernel/resource.c, r_show, Linux 4.6 and later; before, everyone saw
// the addresses.
func parseIomem(f *file) (mem.RangeSet, error) {
	var ranges []mem.Range
	hidden, empty := true, true
	for {
		more, err := f.next()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		if len(f.words) == 0 {
			continue
		}
		empty = false
		r, zero, err := f.span()
		if err != nil {
			return nil, err
		}
		hidden = hidden && zero
		if !isRAM(f.words[2:]) {
			continue
		}
		if len(ranges) == maxRanges {
			return nil, f.errorf("more than %d ranges of RAM", maxRanges)
		}
		ranges = append(ranges, r)
	}
	switch {
	case empty:
		return nil, errors.New(f.name + ": empty")
	case hidden:
		f.line = 1
		return nil, f.wrap(ErrHiddenAddresses)
	case len(ranges) == 0:
		return nil, errors.New(f.name + ": no System RAM")
	}
	return mem.NewRangeSet(ranges...), nil
}

// span reads "00001000-0009fbff : name", whose end is the last byte, and
// reports whether both are zero.
func (f *file) span() (r mem.Range, zero bool, err error) {
	w := f.words
	from, to, found := strings.Cut(w[0].text, "-")
	if !found || len(w) < 2 || w[1].text != ":" {
		return mem.Range{}, false, f.errorf(`want a line like "00001000-0009fbff : System RAM"`)
	}
	lo, err := f.address(word{from, w[0].column})
	if err != nil {
		return mem.Range{}, false, err
	}
	last, err := f.address(word{to, w[0].column + len(from) + 1})
	if err != nil {
		return mem.Range{}, false, err
	}
	if last < lo {
		return mem.Range{}, false, f.errorAt(w[0], "a range that ends before it starts")
	}
	// No memory ends at 2^64, and Hi could not say so.
	return mem.Range{Lo: lo, Hi: max(last+1, last)}, last == 0, nil
}

func (f *file) address(w word) (uint64, error) {
	n, err := strconv.ParseUint(w.text, 16, 64)
	if err != nil {
		return 0, f.errorAt(w, "%q is not a hexadecimal address of at most 64 bits", w.text)
	}
	return n, nil
}

func isRAM(name []word) bool {
	if len(name) < 2 || name[0].text != "System" || name[1].text != "RAM" {
		return false
	}
	return len(name) == 2 || strings.HasPrefix(name[2].text, "(") && name[2].text != "(boot"
}
