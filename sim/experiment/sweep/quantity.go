package sweep

import (
	"errors"
	"math"
	"strconv"
	"time"

	"dmasim/internal/strictyaml"
	"dmasim/mem"
)

// unit is what a value measures.
type unit int8

const (
	noUnit unit = iota // text
	whole              // a number without a fraction
	number
	size   // bytes
	period // nanoseconds
)

// maxExact is up to where every whole number is a float64.
const maxExact = 1 << 53

// Quantity is a number, a size or a time.
type Quantity struct {
	unit  unit
	value float64
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (q *Quantity) UnmarshalText(text []byte) error {
	if *q = parseQuantity(string(text)); q.unit == noUnit {
		return errors.New("want a number, a size like 4KiB or a time like 10ms, not " + strictyaml.Quote(string(text)))
	}
	return nil
}

// parseQuantity reads a quantity; one without unit is none, or too
// large to be exact.
func parseQuantity(text string) Quantity {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n > maxExact || n < -maxExact {
			return Quantity{}
		}
		return Quantity{whole, float64(n)}
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
		return Quantity{number, f}
	}
	if t, err := time.ParseDuration(text); err == nil {
		return Quantity{period, float64(t)}
	}
	if s, err := mem.ParseSize(text); err == nil && s <= maxExact {
		return Quantity{size, float64(s)}
	}
	return Quantity{}
}

// commonUnit is that in which both can be told, if there is one: whole numbers are
// numbers, and sizes in bytes.
func commonUnit(a, b unit) unit {
	switch {
	case a == b, b == whole && (a == number || a == size):
		return a
	case a == whole && (b == number || b == size):
		return b
	}
	return noUnit
}

// text writes a value as a scenario has it.
func (u unit) text(value float64) string {
	switch u {
	case size:
		return mem.Size(value).String()
	case period:
		return time.Duration(value).String()
	case whole:
		return strconv.FormatInt(int64(value), 10)
	}
	return strconv.FormatFloat(value, 'g', -1, 64)
}

// unit is that of what is drawn.
func (r *RangeFile) unit() unit {
	u := commonUnit(r.Low.unit, r.High.unit)
	if r.Step != nil {
		u = commonUnit(u, r.Step.unit)
	}
	return u
}

// at is the value at a share of the way from low to high, which is below 1.
func (r *RangeFile) at(share float64) string {
	u := r.unit()
	step := 0.0
	switch {
	case r.Step != nil:
		step = r.Step.value
	case u != number:
		step = 1
	}
	v := r.Low.value + share*(r.High.value-r.Low.value)
	if r.Scale == "log" {
		v = r.Low.value * math.Exp(share*math.Log(r.High.value/r.Low.value))
	}
	if step > 0 {
		// The multiples from low to high.
		v = min(max(math.Round(v/step), math.Ceil(r.Low.value/step)), math.Floor(r.High.value/step)) * step
	}
	return u.text(v)
}
