package scenario

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"dmasim/internal/strictyaml"
	"dmasim/internal/suggest"
)

//go:embed embedded/*.yaml
var embedded embed.FS

// Names returns the names of the embedded scenarios, in order.
func Names() []string {
	entries, err := embedded.ReadDir("embedded")
	if err != nil {
		return nil
	}
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return list
}

// Open returns an embedded scenario. The error wraps fs.ErrNotExist if there is
// none of that name.
func Open(name string) (*Scenario, error) {
	text, err := Text(name)
	if err != nil {
		return nil, err
	}
	return Parse(name+".yaml", text)
}

// Text returns an embedded scenario as it is written, with its comments. The
// error wraps fs.ErrNotExist if there is none of that name.
func Text(name string) ([]byte, error) {
	text, err := embedded.ReadFile(path.Join("embedded", name+".yaml"))
	if err != nil {
		hint := suggest.DidYouMean(suggest.Nearest(name, Names()))
		return nil, fmt.Errorf("no file and no embedded scenario %s%s: %w", strictyaml.Quote(name), hint, fs.ErrNotExist)
	}
	return text, nil
}
