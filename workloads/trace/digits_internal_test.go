package trace

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestLeadingDigits compares with a library, at every length and in front of every
// kind of character.
func TestLeadingDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.StringMatching(`[a9 ]{0,9}`).Draw(t, "before")
		number := rapid.StringMatching(`[0-9]{0,19}`).Draw(t, "number")
		after := rapid.StringMatching(`([^0-9](.|\n){0,12})?`).Draw(t, "after")
		want, _ := strconv.ParseUint(number, 10, 64)
		n, end := leadingDigits([]byte(before+number+after), len(before))
		if n != want || end != len(before)+len(number) {
			t.Fatalf("%d to %d, want %d to %d", n, end, want, len(before)+len(number))
		}
	})
	for c := range 256 {
		if c >= '0' && c <= '9' {
			continue
		}
		text := "1234567" + string([]byte{byte(c)}) + strings.Repeat("9", 8)
		for from := range 8 {
			want, _ := strconv.ParseUint(text[from:7], 10, 64)
			if n, end := leadingDigits([]byte(text), from); n != want || end != 7 {
				t.Errorf("%q from %d: %d to %d", text, from, n, end)
			}
		}
	}
}
