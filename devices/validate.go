package devices

import (
	"fmt"
	"reflect"
	"strings"
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
	if err := d.checkName(); err != nil {
		return err
	}
	for _, s := range shapes {
		if err := s.check(d); err != nil {
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

// Keys returns the keys of a device in a file, in the order of the fields.
func Keys() []string { return keysOf(reflect.TypeFor[Device]()) }

func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i], _, _ = strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
	}
	return keys
}
