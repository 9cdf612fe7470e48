package scenario

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/strictyaml"
)

// nameSyntax holds a letter at least, so that a name is never taken for an
// index, and no dot, so that it can be a step of a path.
var nameSyntax = regexp.MustCompile(namePattern)

const namePattern = `^[0-9]{0,9}[A-Za-z][A-Za-z0-9_-]{0,62}$`

func badName(name string) string {
	return strictyaml.Quote(name) + " is not a name: want a word of letters, digits, - and _, like vpu-0"
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// NameFor returns a name that looks like text: what names cannot hold becomes -,
// and one that is too long is cut. A name that would not begin with a letter
// begins with kind, which is a name itself: 12 of kind trace becomes trace-12.
func NameFor(text, kind string) string {
	const longest = 63
	name := notInNames.ReplaceAllString(text, "-")
	if strings.TrimLeft(name, "0123456789_-") != name || name == "" {
		name = strings.TrimRight(kind+"-"+strings.TrimLeft(name, "-"), "-")
	}
	return name[:min(len(name), longest)]
}

// checkNames reports elements of the list at root's key whose names are wrong
// or taken.
func checkNames(d *strictyaml.Decoder, root *yaml.Node, key string, n int) {
	seen := map[string]bool{}
	for i := range n {
		element := strictyaml.At(root, key, i)
		name := elementName(element)
		switch place := strictyaml.At(element, "name"); {
		case !nameSyntax.MatchString(name):
			d.Fail(place, badName(name))
		case seen[name]:
			d.Fail(place, "name "+strictyaml.Quote(name)+" is taken")
		}
		seen[name] = true
	}
}
