package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Error is a mistake in a scenario file, at the place of the offending text.
type Error struct {
	File         string
	Line, Column int    // from 1; 0 where the mistake is not in the file
	Msg          string // what is wrong
	Suggestion   string // what was probably meant, if anything is near
	More         int    // further mistakes behind this one
}

// Error returns the mistake in one line: file:line:column: message.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": " + e.Msg)
	if e.Suggestion != "" {
		fmt.Fprintf(&b, " (did you mean %q?)", e.Suggestion)
	}
	if e.More > 0 {
		fmt.Fprintf(&b, " (and %d more)", e.More)
	}
	return b.String()
}

// first returns the first of errs by position, which counts the others; nil if
// there are none.
func first(errs []*Error) error {
	if len(errs) == 0 {
		return nil
	}
	e := *slices.MinFunc(errs, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	e.More = len(errs) - 1
	return &e
}

// longestName bounds the work of nearest and the length of messages.
const longestName = 64

// nearest returns the option that word was probably meant to be, or "".
// A third of the word may be wrong, case apart.
func nearest(word string, options []string) string {
	if len(word) > longestName {
		return ""
	}
	best, bestDistance := "", min((len(word)+2)/3, len(word)-1)+1
	for _, option := range options {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(option)); d < bestDistance {
			best, bestDistance = option, d
		}
	}
	return best
}

// quote returns text for a message: quoted, in one line and not endless.
func quote(text string) string {
	if runes := []rune(text); len(runes) > longestName {
		text = string(runes[:longestName]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
