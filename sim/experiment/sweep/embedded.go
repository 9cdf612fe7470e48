package sweep

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"dmasim/internal/strictyaml"
	"dmasim/internal/suggest"
	"dmasim/sim/scenario"
)

// embedded holds the experiments that ship, in folders, and below a folder's
// scenarios/ those that only they use.
//
//go:embed embedded
var embedded embed.FS

// Names returns the names of the embedded experiments, in order: a folder and a word.
func Names() []string {
	var list []string
	files, err := fs.Glob(embedded, "embedded/*/*.yaml")
	if err != nil {
		return nil
	}
	for _, file := range files {
		list = append(list, strings.TrimSuffix(strings.TrimPrefix(file, "embedded/"), ".yaml"))
	}
	return list
}

// Open returns an embedded experiment. The error wraps fs.ErrNotExist if there is none
// of that name.
func Open(name string) (*Experiment, error) {
	file := path.Join("embedded", name+".yaml")
	text, err := embedded.ReadFile(file)
	if err != nil {
		hint := suggest.DidYouMean(suggest.Nearest(name, Names()))
		return nil, fmt.Errorf("no file and no embedded experiment %s%s: %w", strictyaml.Quote(name), hint, fs.ErrNotExist)
	}
	return parse(path.Base(file), text, "", func(wanted string) (*scenario.Scenario, error) {
		text, err := embedded.ReadFile(path.Join(path.Dir(file), "scenarios", wanted))
		if err != nil {
			return nil, err
		}
		return scenario.Parse(wanted, text)
	})
}

// Find returns the experiment in the file of that name or, if there is none, the
// embedded one.
func Find(name string) (*Experiment, error) {
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return Load(name)
	}
	if strings.HasSuffix(name, ".yaml") {
		return Load(name)
	}
	return Open(name)
}
