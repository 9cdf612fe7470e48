package generator

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmasim/internal/strictyaml"
	"dmasim/mem"
	"dmasim/workloads"
	"dmasim/workloads/bufferlist"
)

// Type says how a parameter is written.
type Type string

// The types.
const (
	Integer  Type = "integer"  // 4
	Number   Type = "number"   // 0.5
	Size     Type = "size"     // 64KiB
	Duration Type = "duration" // 1m30s
	Word     Type = "word"     // one of Parameter.Options
	Text     Type = "text"     // 1280x720 1920x1080
)

// Parameter is a value that a generator takes, as its users see it.
type Parameter struct {
	Name     string
	Meaning  string
	Unit     string // of an Integer or a Number: what is counted; "" for a plain number
	Type     Type
	Default  string
	Min, Max string   // of an Integer, a Number, a Size and a Duration
	Options  []string // of a Word
	Source   string   // where the default, the limits or the formula come from
}

// ValueError says what is wrong with the value of a parameter, or with its name.
type ValueError struct {
	Generator, Parameter string
	Err                  error
}

func (e *ValueError) Error() string {
	return e.Generator + ": " + e.Parameter + ": " + e.Err.Error()
}

// Unwrap returns what is wrong.
func (e *ValueError) Unwrap() error { return e.Err }

// parameter is a Parameter bound to a field of a generator.
type parameter struct {
	Parameter
	set  func(text string) error
	text func() string
}

// about is what a table says of a parameter beside its type and limits.
type about struct{ name, unit, meaning, source string }

// table gathers the parameters of a generator.
type table []parameter

func (t *table) add(what about, p parameter) {
	p.Name, p.Unit, p.Meaning, p.Source = what.name, what.unit, what.meaning, what.source
	p.Default = p.text()
	*t = append(*t, p)
}

// integer binds a whole number.
func (t *table) integer(to *uint64, byDefault, least, most uint64, what about) {
	*to = byDefault
	t.add(what, parameter{
		Parameter: Parameter{Type: Integer, Min: strconv.FormatUint(least, 10), Max: strconv.FormatUint(most, 10)},
		set: func(text string) error {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil || n < least || n > most {
				return fmt.Errorf("want a whole number from %d to %d, not %s", least, most, strictyaml.Quote(text))
			}
			*to = n
			return nil
		},
		text: func() string { return strconv.FormatUint(*to, 10) },
	})
}

// number binds a number.
func (t *table) number(to *float64, byDefault, least, most float64, what about) {
	plain := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	*to = byDefault
	t.add(what, parameter{
		Parameter: Parameter{Type: Number, Min: plain(least), Max: plain(most)},
		set: func(text string) error {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(v) || v < least || v > most {
				return fmt.Errorf("want a number from %s to %s, not %s", plain(least), plain(most), strictyaml.Quote(text))
			}
			*to = v
			return nil
		},
		text: func() string { return plain(*to) },
	})
}

// size binds a number of bytes.
func (t *table) size(to *uint64, byDefault, least, most mem.Size, what about) {
	*to = uint64(byDefault)
	t.add(what, parameter{
		Parameter: Parameter{Type: Size, Min: least.String(), Max: most.String()},
		set: func(text string) error {
			n, err := mem.ParseSize(text)
			if err == nil && (n < least || n > most) {
				err = fmt.Errorf("want a size from %s to %s, not %s", least, most, strictyaml.Quote(text))
			}
			if err != nil {
				return err
			}
			*to = uint64(n)
			return nil
		},
		text: func() string { return mem.Size(*to).String() },
	})
}

// duration binds a time.
func (t *table) duration(to *time.Duration, byDefault, least, most time.Duration, what about) {
	*to = byDefault
	t.add(what, parameter{
		Parameter: Parameter{Type: Duration, Min: writeTime(least), Max: writeTime(most)},
		set: func(text string) error {
			d, err := strictyaml.ParseDuration(text)
			if err == nil && (d < least || d > most) {
				err = fmt.Errorf("want a time from %s to %s, not %s", writeTime(least), writeTime(most), strictyaml.Quote(text))
			}
			if err != nil {
				return err
			}
			*to = d
			return nil
		},
		text: func() string { return writeTime(*to) },
	})
}

// writeTime writes a time without the minutes and seconds that it does not have:
// 10m for 10m0s.
func writeTime(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// word binds one of several words.
func (t *table) word(to *string, byDefault string, options []string, what about) {
	*to = byDefault
	t.add(what, parameter{
		Parameter: Parameter{Type: Word, Options: options},
		set: func(text string) error {
			return strictyaml.OneOf(to, strings.ReplaceAll(what.name, "_", " "), []byte(text), options)
		},
		text: func() string { return *to },
	})
}

// format binds a format of pictures, as lists of buffers have it.
func (t *table) format(to *string, byDefault string, what about) {
	*to = byDefault
	t.add(what, parameter{
		Parameter: Parameter{Type: Text},
		set: func(text string) error {
			if _, err := bufferlist.PictureSize(16, 16, text); err != nil {
				return err
			}
			*to = text
			return nil
		},
		text: func() string { return *to },
	})
}

// sides are those of a picture, in pixels.
type sides struct{ width, height uint64 }

func (s sides) String() string { return fmt.Sprintf("%dx%d", s.width, s.height) }

// most sides of a list, and the longest side of a picture.
const (
	mostSides   = 32
	longestSide = 16384
)

// sides binds a list of pictures' sides with a space between.
func (t *table) sides(to *[]sides, byDefault []sides, what about) {
	set := func(text string) error {
		words := strings.Fields(text)
		if len(words) == 0 || len(words) > mostSides {
			return fmt.Errorf("want 1 to %d pictures, like 1280x720 1920x1080", mostSides)
		}
		var list []sides
		for _, word := range words {
			width, height, err := bufferlist.ParseSides(word)
			if err != nil {
				return err
			}
			if width > longestSide || height > longestSide {
				return fmt.Errorf("%s: want sides of at most %d pixels", word, longestSide)
			}
			list = append(list, sides{width, height})
		}
		*to = list
		return nil
	}
	*to = byDefault
	t.add(what, parameter{
		Parameter: Parameter{Type: Text},
		set:       set,
		text: func() string {
			var words []string
			for _, s := range *to {
				words = append(words, s.String())
			}
			return strings.Join(words, " ")
		},
	})
}

// span is how long something lasts: a mean and a coefficient of variation (standard
// deviation over mean), log-normal; always the mean where that is 0.
type span struct {
	mean time.Duration
	cv   float64
}

// distribution returns the law of the span.
func (s span) distribution() workloads.Distribution {
	if s.cv < 1e-6 || s.mean == 0 {
		return workloads.Distribution{Kind: "fixed", Parameters: map[string]float64{"value": float64(s.mean)}}
	}
	spread := 1 + s.cv*s.cv // the square of mean over median
	return workloads.Distribution{Kind: "log_normal", Parameters: map[string]float64{
		"median": float64(s.mean) / math.Sqrt(spread), "sigma": math.Sqrt(math.Log(spread)),
	}}
}

// recipe is where it is said that sessions are to be drawn so.
const recipe = "log-normal, a modelling choice: results depend on the variance of lifetimes (J. E. Shore, CACM 20(11), 1977)"

// span binds a mean and, under the name with _cv, its coefficient of variation.
func (t *table) span(to *span, byDefault, least time.Duration, cv float64, what about) {
	what.source = "assumed"
	t.duration(&to.mean, byDefault, least, 10000*time.Hour, what)
	t.number(&to.cv, cv, 0, 100, about{
		what.name + "_cv", "", "coefficient of variation of " + what.name + "; 0: always the mean", recipe,
	})
}

func (t table) find(name string) (*parameter, bool) {
	i := slices.IndexFunc(t, func(p parameter) bool { return p.Name == name })
	if i < 0 {
		return nil, false
	}
	return &t[i], true
}

// errUnknownParameter is what is wrong with the name of a parameter.
var errUnknownParameter = errors.New("there is no such parameter")
