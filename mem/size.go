package mem

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// Sizes in bytes.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// Size is a number of bytes. It prints exactly, with the largest binary unit
// that divides it ("256MiB", "12150KiB", "4097B"), and reads what it prints.
type Size uint64

// Addr is an address in some space. It prints and reads as hexadecimal
// ("0x40000000").
type Addr uint64

// PFN is the number of a page frame: an address divided by the page size.
type PFN uint64

var units = [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// String returns the exact size with the largest binary unit that divides it.
func (s Size) String() string {
	unit := 0
	if s != 0 {
		unit = min(bits.TrailingZeros64(uint64(s))/10, len(units)-1)
	}
	return strconv.FormatUint(uint64(s)>>(10*unit), 10) + units[unit]
}

// Short returns the size rounded to three significant digits (four from 1000 to
// 1023) in the largest unit that keeps it at least one ("11.9MiB"): for people,
// not for reading back.
func (s Size) Short() string {
	unit := 0
	if s != 0 {
		unit = min((bits.Len64(uint64(s))-1)/10, len(units)-1)
	}
	v := float64(s) / float64(uint64(1)<<(10*unit))
	if v >= 1023.5 && unit < len(units)-1 {
		unit++
		v /= 1024
	}
	digits := 2
	switch {
	case unit == 0 || v >= 99.95:
		digits = 0
	case v >= 9.995:
		digits = 1
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if digits > 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text + units[unit]
}

// ParseSize reads a size: a number with a binary unit ("256MiB", "1.5 GiB",
// "64K" is refused), a plain number of bytes ("4096") or hexadecimal bytes
// ("0x1000"). It refuses decimal units, signs, fractions of a byte and values
// of 2^64 and above.
func ParseSize(text string) (Size, error) {
	t := strings.TrimSpace(text)
	if strings.HasPrefix(t, "0x") || strings.HasPrefix(t, "0X") {
		n, err := strconv.ParseUint(t[2:], 16, 64)
		if err != nil {
			return 0, fmt.Errorf("size %q: not a hexadecimal number of at most 64 bits", text)
		}
		return Size(n), nil
	}
	digits := len(t) - len(strings.TrimLeft(t, "0123456789."))
	number, unit := t[:digits], strings.TrimSpace(t[digits:])
	if number == "" {
		return 0, fmt.Errorf("size %q: want a number with a unit, like 256MiB", text)
	}
	shift := -1
	for i, u := range units {
		if strings.EqualFold(unit, u) || (unit == "" && i == 0) {
			shift = 10 * i
		}
	}
	if shift < 0 {
		if hint, ok := decimalUnits[strings.ToLower(unit)]; ok {
			return 0, fmt.Errorf("size %q: unit %q is ambiguous, write %s", text, unit, hint)
		}
		return 0, fmt.Errorf("size %q: unknown unit %q, want B, KiB, MiB, GiB, TiB, PiB or EiB", text, unit)
	}
	if whole, fraction, found := strings.Cut(number, "."); found {
		return parseFraction(text, whole, fraction, shift)
	}
	n, err := humanize.ParseBytes(number + units[shift/10])
	if err != nil {
		return 0, fmt.Errorf("size %q: does not fit in 64 bits", text)
	}
	return Size(n), nil
}

var decimalUnits = map[string]string{
	"k": "KiB", "kb": "KiB", "m": "MiB", "mb": "MiB", "g": "GiB", "gb": "GiB",
	"t": "TiB", "tb": "TiB", "p": "PiB", "pb": "PiB", "e": "EiB", "eb": "EiB",
}

// parseFraction reads whole.fraction units of 2^shift bytes exactly, because
// the float arithmetic of the libraries truncates ("4.1KiB" to 4198).
func parseFraction(text, whole, fraction string, shift int) (Size, error) {
	bad := fmt.Errorf("size %q: not a whole number of bytes", text)
	if fraction == "" || strings.Contains(fraction, ".") || len(fraction) > 18 {
		return 0, bad
	}
	if whole == "" {
		whole = "0"
	}
	w, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || bits.Len64(w)+shift > 64 {
		return 0, fmt.Errorf("size %q: does not fit in 64 bits", text)
	}
	f, err := strconv.ParseUint(fraction, 10, 64)
	if err != nil {
		return 0, bad
	}
	scale := uint64(1)
	for range fraction {
		scale *= 10
	}
	hi, lo := bits.Mul64(f, uint64(1)<<shift)
	quotient, rest := bits.Div64(hi, lo, scale)
	if rest != 0 {
		return 0, bad
	}
	return Size(w<<shift + quotient), nil
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; see [ParseSize].
func (s *Size) UnmarshalText(text []byte) error {
	n, err := ParseSize(string(text))
	if err == nil {
		*s = n
	}
	return err
}

// MarshalJSON writes the number of bytes: JSON is for programs.
func (s Size) MarshalJSON() ([]byte, error) { return strconv.AppendUint(nil, uint64(s), 10), nil }

// UnmarshalJSON reads a number of bytes.
func (s *Size) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err == nil {
		*s = Size(n)
	}
	return err
}

// String returns the address in hexadecimal.
func (a Addr) String() string { return "0x" + strconv.FormatUint(uint64(a), 16) }

// ParseAddr reads an address: hexadecimal with 0x, or a size ("1GiB") where a
// round number is clearer.
func ParseAddr(text string) (Addr, error) {
	n, err := ParseSize(text)
	if err != nil {
		return 0, fmt.Errorf("address %q: want hexadecimal like 0x40000000, or a size like 1GiB", text)
	}
	return Addr(n), nil
}

// MarshalText implements encoding.TextMarshaler.
func (a Addr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; see [ParseAddr].
func (a *Addr) UnmarshalText(text []byte) error {
	n, err := ParseAddr(string(text))
	if err == nil {
		*a = n
	}
	return err
}
