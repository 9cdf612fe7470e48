// Package layout holds the tests of the repository's structure: which package
// may import which.
package layout

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "dmasim/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// layers lists the packages from the top down; imports point downward only. A
// package belongs to the first layer that is a prefix of its path.
var layers = []string{
	"dmasim/cmd",
	"dmasim/sim/report",
	"dmasim/sim/experiment",
	"dmasim/sim/validate",
	"dmasim/sim/live",
	"dmasim/sim/scenario",
	"dmasim/sim/result",
	"dmasim/sim/metrics",
	"dmasim/sim/history",
	"dmasim/sim/explain",
	"dmasim/sim/heap",
	"dmasim/sim/physmem",
	"dmasim/sim",
	"dmasim/workloads",
	"dmasim/devices",
	"dmasim/allocator",
	"dmasim/internal/shareddata",
	"dmasim/internal/strictyaml",
	"dmasim/internal/suggest",
	"dmasim/mem",
}

// below lists, for packages inside allocator and sim, the packages above them
// that they must not import; the prefix rule does not tell these apart.
var below = map[string][]string{
	"dmasim/sim/heap":         {"dmasim/sim/metrics", "dmasim/sim$"},
	"dmasim/sim/dmabuf":       {"dmasim/sim/metrics", "dmasim/sim/heap", "dmasim/sim/physmem", "dmasim/sim$"},
	"dmasim/sim/dmamap":       {"dmasim/sim/metrics", "dmasim/sim/heap", "dmasim/sim/physmem", "dmasim/sim/dmabuf", "dmasim/sim$"},
	"dmasim/sim/physmem":      {"dmasim/sim/metrics", "dmasim/sim/heap", "dmasim/sim$"},
	"dmasim/allocator/holes":  {"dmasim/allocator$", "dmasim/allocator/ledger", "dmasim/allocator/kernel"},
	"dmasim/allocator$":       {"dmasim/allocator/ledger", "dmasim/allocator/kernel", "dmasim/allocator/golden"},
	"dmasim/allocator/ledger": {"dmasim/allocator/kernel", "dmasim/allocator/golden"},
	"dmasim/allocator/kernel": {"dmasim/allocator/golden"},
	// Usable on its own, so everything of dmasim is above it.
	"dmasim/allocator/dmaheap": {"dmasim"},
	"dmasim/sim/live/process":  {"dmasim/sim/live$", "dmasim/sim$", "dmasim/workloads"},
}

func layer(path string) int {
	for i, prefix := range layers {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return i
		}
	}
	return -1
}

func matches(path, pattern string) bool {
	if exact, ok := strings.CutSuffix(pattern, "$"); ok {
		return path == exact
	}
	return path == pattern || strings.HasPrefix(path, pattern+"/")
}

func TestImportsPointDownward(t *testing.T) {
	for _, p := range packages(t) {
		from := layer(p.ImportPath)
		if from < 0 && !strings.HasPrefix(p.ImportPath, "dmasim/internal/") {
			t.Errorf("%s has no layer: add it to the list", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			to := layer(imported)
			// sim and the packages below it share a prefix; heap and physmem
			// are below sim.
			if to >= 0 && to < from && !(p.ImportPath == "dmasim/sim" && (imported == "dmasim/sim/heap" || imported == "dmasim/sim/physmem")) {
				t.Errorf("%s imports %s, which is above it", p.ImportPath, imported)
			}
			for lower, uppers := range below {
				for _, upper := range uppers {
					if matches(p.ImportPath, lower) && matches(imported, upper) {
						t.Errorf("%s imports %s, which is above it", p.ImportPath, imported)
					}
				}
			}
		}
	}
}

// besideCore are packages below the core's that only programs outside of it import:
// they may be as heavy as they like, and nothing in the core may depend on them.
var besideCore = []string{"dmasim/workloads/trace/parquet"}

// TestCoreIsLight holds the core free of what does not fit into a browser page
// or a board: plotting, command lines, columnar files.
func TestCoreIsLight(t *testing.T) {
	heavy := []string{"gonum.org/v1/plot", "github.com/spf13/cobra", "github.com/parquet-go", "net/http"}
	heavy = append(heavy, besideCore...)
	for _, p := range packages(t) {
		l := layer(p.ImportPath)
		core := l > layer("dmasim/sim/result") || p.ImportPath == "dmasim/sim/scenario"
		if !core || strings.HasPrefix(p.ImportPath, "dmasim/internal") || slices.Contains(besideCore, p.ImportPath) {
			continue
		}
		for _, dep := range p.Deps {
			for _, h := range heavy {
				if dep == h || strings.HasPrefix(dep, h+"/") {
					t.Errorf("%s depends on %s", p.ImportPath, dep)
				}
			}
		}
	}
}
