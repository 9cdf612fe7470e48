package sweep

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"dmasim/internal/strictyaml"
	"dmasim/internal/suggest"
	"dmasim/sim/result"
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

// Find returns the experiment in the file of that name, or in the result of a sweep;
// if there is neither, the embedded one.
func Find(name string) (*Experiment, error) {
	switch info, err := os.Stat(name); {
	case err == nil && info.IsDir():
		return loadResult(name)
	case !errors.Is(err, fs.ErrNotExist), strings.HasSuffix(name, ".yaml"):
		return Load(name)
	}
	return Open(name)
}

// WrittenScenario is the file of a sweep's result with its scenario as it was written:
// in the resolved one, defaults that follow from a parameter are fixed. Traces are looked
// for from the folder of the result.
const WrittenScenario = "scenario-as-written.yaml"

// loadResult reads the experiment of a result with the scenario as it was written.
func loadResult(dir string) (*Experiment, error) {
	m, err := result.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	if m.Content != "sweep" {
		return nil, fmt.Errorf("%s is no result of a sweep", dir)
	}
	file := filepath.Join(dir, "experiment.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("load experiment: %w", err)
	}
	return parse(file, text, dir, func(string) (*scenario.Scenario, error) {
		return scenario.Load(filepath.Join(dir, WrittenScenario))
	})
}
