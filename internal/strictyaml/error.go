package strictyaml

import (
	"fmt"
	"strings"

	"dmasim/internal/suggest"
)

// Error is a mistake in a file, at the place of the offending text.
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
	b.WriteString(": " + e.Msg + suggest.DidYouMean(e.Suggestion))
	if e.More > 0 {
		fmt.Fprintf(&b, " (and %d more)", e.More)
	}
	return b.String()
}

// Bounds on what a message repeats, in characters.
const (
	longestQuote   = 64
	longestMessage = 200
)

// Quote returns text for a message: quoted, in one line and not endless.
func Quote(text string) string { return fmt.Sprintf("%q", clip(text, longestQuote)) }

// Clip makes a foreign message one short line.
func Clip(message string) string {
	return clip(strings.Join(strings.Fields(message), " "), longestMessage)
}

func clip(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
