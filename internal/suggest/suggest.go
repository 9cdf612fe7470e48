// Package suggest finds what a misspelt word was probably meant to be.
package suggest

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

// longestWord, in bytes, bounds the work for words that nobody meant.
const longestWord = 64

// Nearest returns the option that word was probably meant to be, or "" if none
// is near. A third of the word may be wrong, upper and lower case being the
// same. A word of three letters or more may also stand for a part of an option:
// "cedar", and "cedr" as well, for "sunxi-cedar-a10". Of several that are
// equally near, the first is returned.
func Nearest(word string, options []string) string {
	if len(word) > longestWord {
		return ""
	}
	word = strings.ToLower(word)
	letters := utf8.RuneCountInString(word)
	wrong := min((letters+2)/3, letters-1) // letters that may be
	best, bestDistance := "", 2*wrong+2
	for _, option := range options {
		lower := strings.ToLower(option)
		d := 2 * levenshtein.ComputeDistance(word, lower)
		if letters >= 3 {
			d = min(d, 2*distanceToPart(word, lower)+1) // the whole is nearer
		}
		if d < bestDistance {
			best, bestDistance = option, d
		}
	}
	return best
}

// distanceToPart returns the distance from word to what is nearest to it within
// option: a piece of it, or one of the words that it is made of.
func distanceToPart(word, option string) int {
	if strings.Contains(option, word) {
		return 0
	}
	nearest := len(word)
	for part := range strings.FieldsFuncSeq(option, func(r rune) bool { return r == '-' || r == '_' }) {
		nearest = min(nearest, levenshtein.ComputeDistance(word, part))
	}
	return nearest
}

// DidYouMean returns the end of a message that offers name, with a space before
// it; "" if there is no name.
func DidYouMean(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", name)
}
