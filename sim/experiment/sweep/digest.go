package sweep

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"go.yaml.in/yaml/v4"

	"dmasim/sim/result"
)

// format is that of the files with cells.
const format = 1

// digest is what cells belong to.
type digest struct {
	Format     int    `json:"dmasim_sweep"`
	Experiment string `json:"experiment"`
	// Program is the version of dmasim, and the hash of its binary where the version
	// does not tell all of its source.
	Program string `json:"program"`
	Cells   string `json:"cells_sha256"` // of all that decides what a cell is
}

// newDigest hashes what the cells are, the scenario, and the files that it reads.
func (e *Experiment) newDigest(folder string, files []string) (digest, error) {
	resolved, err := e.Scenario.Resolved(folder)
	if err != nil {
		return digest{}, err
	}
	type parameter struct {
		Name   string
		Paths  []string
		Drawn  bool
		Values []string
	}
	what := struct {
		Scenario     string
		Variants     []string
		Parameters   []parameter
		Sampled      int
		Replications int
		Seed         uint64
		WarmUp       int64
		Files        []string
	}{Scenario: string(resolved), Sampled: e.sampled, Replications: e.Replications, Seed: e.Seed, WarmUp: int64(e.WarmUp)}
	for _, v := range e.variants {
		what.Variants = append(what.Variants, v.Name)
	}
	for _, p := range e.Parameters {
		hashed := parameter{Name: p.Name, Paths: p.Paths, Drawn: p.drawn}
		for _, v := range p.values {
			hashed.Values = append(hashed.Values, canonical(v.node))
		}
		what.Parameters = append(what.Parameters, hashed)
	}
	for _, file := range files {
		sum, err := hashFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return digest{}, fmt.Errorf("experiment %s: %w", e.Name, err)
		}
		what.Files = append(what.Files, sum)
	}
	text, err := json.Marshal(what)
	if err != nil {
		return digest{}, err
	}
	sum := sha256.Sum256(text)
	program, err := programVersion()
	return digest{format, e.Name, program, hex.EncodeToString(sum[:])}, err
}

// canonical writes a value so that different ones differ.
func canonical(n *yaml.Node) string {
	text := fmt.Sprintf("%d%s%q", n.Kind, n.Tag, n.Value)
	for _, c := range n.Content {
		text += "(" + canonical(c) + ")"
	}
	return text
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// programVersion names this program so that another one that may compute something
// else has another name.
func programVersion() (string, error) {
	m := result.NewManifest("", 0)
	name := fmt.Sprintf("%s %s %s %s/%s", m.Version, m.Revision, m.Go, m.OS, m.Arch)
	if m.Revision != "" && !slices.Contains([]byte(m.Revision), '+') {
		return name, nil
	}
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	sum, err := hashFile(path)
	if err != nil {
		return "", fmt.Errorf("read this program: %w", err)
	}
	return name + " sha256:" + sum[:16], nil
}

// mismatch says why cells of another digest do not belong to this one; nil if they
// do.
func (d digest) mismatch(found digest) error {
	switch {
	case found == d:
		return nil
	case found.Format != d.Format:
		return fmt.Errorf("%w: in format %d, this program has format %d", ErrOther, found.Format, d.Format)
	case found.Experiment != d.Experiment:
		return fmt.Errorf("%w: of the experiment %s, this is %s", ErrOther, found.Experiment, d.Experiment)
	case found.Cells != d.Cells:
		return fmt.Errorf("%w: the experiment, its scenario or a file that it reads was changed since", ErrOther)
	}
	return fmt.Errorf("%w: another build of dmasim ran them (%s), this is %s", ErrOther, found.Program, d.Program)
}

// ErrOther is in the error for cells that do not belong to the experiment.
var ErrOther = errors.New("cells of another sweep")
