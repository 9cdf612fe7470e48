package devices

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"dmasim/mem"
)

// FieldError is a mistake in the description of a device.
type FieldError struct {
	Field string // key in the device file; "" if the whole is meant
	Index int    // element of the key's list; -1 if it is not one
	Msg   string
}

func (e *FieldError) Error() string {
	switch {
	case e.Field == "":
		return e.Msg
	case e.Index >= 0:
		return fmt.Sprintf("%s[%d]: %s", e.Field, e.Index, e.Msg)
	}
	return e.Field + ": " + e.Msg
}

// Validate reports the first mistake in the description as a *FieldError. It
// looks at each rule for itself: whether any memory is left to the device, see
// [Device.Compile].
func (d *Device) Validate() error {
	for _, check := range []func() *FieldError{d.checkName, d.checkReach, d.checkTranslate, d.checkBoundary, d.checkAssumed} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func fail(field string, index int, format string, args ...any) *FieldError {
	return &FieldError{field, index, fmt.Sprintf(format, args...)}
}

const nameLetters = "abcdefghijklmnopqrstuvwxyz0123456789-"

func (d *Device) checkName() *FieldError {
	if d.Name == "" || strings.Trim(d.Name, nameLetters) != "" || strings.Trim(d.Name, "-") != d.Name {
		return fail("name", -1, "want lower-case letters, digits and dashes between them, not %q", d.Name)
	}
	return nil
}

func (d *Device) checkReach() *FieldError {
	for i, s := range d.Spans {
		switch {
		case (s.Hi == 0) == (s.Size == 0):
			return fail("reach", i, "want lo and either hi or size")
		case s.Range().Empty():
			return fail("reach", i, "the range from %s is empty or passes the end of the 64-bit space", s.Lo)
		}
	}
	if d.AddressBits > 64 {
		return fail("address_bits", -1, "want at most 64 bits, not %d", d.AddressBits)
	}
	if d.Beyond == Truncate && (d.AddressBits == 0 || d.AddressBits == 64) {
		return fail("beyond", -1, "only addresses of less than 64 bits are truncated: want address_bits")
	}
	return nil
}

func (d *Device) checkTranslate() *FieldError {
	if len(d.Translate) > 0 && !d.Space.inMemory() {
		return fail("translate", 0, "a device with addresses in space %s has no bus windows", d.Space)
	}
	for i, t := range d.Translate {
		if t.Memory().Empty() || t.OnBus().Empty() {
			return fail("translate", i, "the window is empty or passes the end of the 64-bit space")
		}
		for j, o := range d.Translate[:i] {
			if t.Memory().Overlaps(o.Memory()) || t.OnBus().Overlaps(o.OnBus()) {
				return fail("translate", i, "the window overlaps window %d", j)
			}
		}
	}
	return nil
}

// maxOvershoot bounds padding and guard, so that their sums stay small.
const maxOvershoot mem.Size = 1 << 60

func (d *Device) checkBoundary() *FieldError {
	if d.Padding > maxOvershoot {
		return fail("padding", -1, "want at most %s", maxOvershoot)
	}
	b := d.Boundary
	if b == nil {
		return nil
	}
	if b.Size == 0 {
		return fail("boundary", -1, "want a size")
	}
	if b.Guard > maxOvershoot {
		return fail("boundary", -1, "want a guard of at most %s", maxOvershoot)
	}
	room := b.Size - 1 // beside one byte of payload
	if b.Guard > room || b.checked(d.Padding) > room-b.Guard {
		return fail("boundary", -1, "with guard and padding, not even one byte of payload lies between two multiples of %s", b.Size)
	}
	return nil
}

// checked returns how many bytes of padding the boundary looks at.
func (b *Boundary) checked(padding mem.Size) mem.Size {
	if b.Checks == ChecksPayload {
		return 0
	}
	return padding
}

func (d *Device) checkAssumed() *FieldError {
	for i, key := range d.Assumed {
		if !slices.Contains(Keys(), key) {
			return fail("assumed", i, "%q is no key of a device", key)
		}
	}
	return nil
}

// Keys returns the keys of a device in a file, in the order of the fields.
func Keys() []string { return keysOf(reflect.TypeFor[Device]()) }

func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i], _, _ = strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
	}
	return keys
}

// inMemory reports whether the space is one in which memory has addresses.
func (s Space) inMemory() bool { return s == "" || s == CPU || s == Bus }
