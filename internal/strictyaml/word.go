package strictyaml

import (
	"slices"
	"strings"
)

// WordError says that a word is none of those that may stand in its place.
type WordError struct {
	What, Word string
	Options    []string // at least one
}

func (e *WordError) Error() string {
	last := len(e.Options) - 1
	want := e.Options[last]
	if last > 0 {
		want = strings.Join(e.Options[:last], ", ") + " or " + want
	}
	return "unknown " + e.What + " " + Quote(e.Word) + ", want " + want
}

// OneOf sets to if text is one of the options, of which there are some; the
// error is a [*WordError]. It serves UnmarshalText: the decoder adds which of
// the options was probably meant.
func OneOf[W ~string](to *W, what string, text []byte, options []string) error {
	if !slices.Contains(options, string(text)) {
		return &WordError{what, string(text), options}
	}
	*to = W(text)
	return nil
}
