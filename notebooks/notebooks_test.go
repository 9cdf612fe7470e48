// Package notebooks holds the tests of the notebooks as files; what is in them runs
// in CI.
package notebooks

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type notebook struct {
	Cells []struct {
		Kind    string            `json:"cell_type"`
		Count   *int              `json:"execution_count"`
		Outputs []json.RawMessage `json:"outputs"`
		Source  []string          `json:"source"`
	} `json:"cells"`
	Metadata struct {
		Kernel struct {
			Name string `json:"name"`
		} `json:"kernelspec"`
	} `json:"metadata"`
}

// goSetup begins the first program of every lesson: it finds the packages beside it.
const goSetup = "!*rm -f go.work && go work init . \"$GONB_DIR\" \"$GONB_DIR/..\"\n%noautoget\n"

func TestNotebooks(t *testing.T) {
	files, err := filepath.Glob("*.ipynb")
	if err != nil || len(files) == 0 {
		t.Fatalf("no notebooks: %v", err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var n notebook
			if err := json.Unmarshal(text, &n); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(readme), "("+file+")") {
				t.Error("README.md does not link to it")
			}
			first := true
			for i, c := range n.Cells {
				if c.Kind != "code" {
					continue
				}
				if c.Count != nil || len(c.Outputs) > 0 {
					t.Errorf("cell %d has output: clear it before a commit", i+1)
				}
				if source := strings.Join(c.Source, ""); first && n.Metadata.Kernel.Name == "gonb" && !strings.HasPrefix(source, goSetup) {
					t.Errorf("cell %d does not begin with\n%s", i+1, goSetup)
				}
				first = false
			}
			switch kernel := n.Metadata.Kernel.Name; kernel {
			case "gonb", "python3":
			default:
				t.Errorf("wants kernel %q", kernel)
			}
		})
	}
}
