package result

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Read reads the result in dir. It is [ErrNotResult] if there is none, and
// [ErrDamaged] if a file is missing, is not the one that was written, or
// contradicts another.
func Read(dir string) (*Result, error) {
	r := new(Result)
	var err error
	if r.Manifest, err = ReadManifest(dir); err != nil {
		return nil, err
	}
	if r.Manifest.Content != "" {
		return nil, fmt.Errorf("%s holds a %s, not a run: %w", dir, r.Manifest.Content, ErrNotResult)
	}
	if err := r.read(dir); err != nil {
		return nil, fmt.Errorf("result %s: %w", dir, err)
	}
	return r, nil
}

// ReadFiles reads the files of a result of any content that are wanted, by their name
// in the manifest. The errors are those of [Read]; a wanted file is the one that was
// written.
func ReadFiles(dir string, wanted func(name string) bool) (Manifest, map[string][]byte, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return Manifest{}, nil, err
	}
	contents := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		if !wanted(name) {
			continue
		}
		if contents[name], err = verify(dir, name, m.Files[name], true); err != nil {
			return Manifest{}, nil, fmt.Errorf("result %s: %w", dir, err)
		}
	}
	return m, contents, nil
}

// ReadManifest reads the manifest of a result of any content. It is [ErrNotResult] if
// there is none, and an error if it is of a format that this program cannot read.
func ReadManifest(dir string) (Manifest, error) {
	var m Manifest
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%s has no %s: %w", dir, manifestName, ErrNotResult)
	}
	if err != nil {
		return m, fmt.Errorf("read result: %w", err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%s: %s: %w: %w", dir, manifestName, err, ErrNotResult)
	}
	if m.Kind != Kind {
		return m, fmt.Errorf("%s: %s is of another program: %w", dir, manifestName, ErrNotResult)
	}
	if m.Format != Format {
		return m, fmt.Errorf("result %s is in format %d, this program reads format %d", dir, m.Format, Format)
	}
	return m, nil
}

// read verifies every file that the manifest names and fills in r.
func (r *Result) read(dir string) error {
	contents := map[string][]byte{"scenario.yaml": nil, "summary.json": nil, "samples.csv": nil,
		"reaches.csv": nil, "failures.csv": nil, "map.csv": nil, "memory.csv": nil, "spaces.csv": nil, "incidents.csv": nil}
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if r.Manifest.Files[name] == "" {
			return damaged(name, errors.New("the manifest does not name it"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Manifest.Files)) {
		_, keep := contents[name]
		data, err := verify(dir, name, r.Manifest.Files[name], keep)
		if err != nil {
			return err
		}
		if keep {
			contents[name] = data
		}
	}
	r.Scenario = contents["scenario.yaml"]
	var err error
	if r.Variants, err = readSummary(contents["summary.json"]); err != nil {
		return damaged("summary.json", err)
	}
	if err := r.Check(); err != nil {
		return damaged("summary.json", err)
	}
	tables := newTableReader(r.Variants)
	for _, table := range []struct {
		name string
		read func([]byte) error
	}{
		{"samples.csv", tables.samples},
		{"reaches.csv", tables.reaches},
		{"failures.csv", tables.failures},
		{"map.csv", tables.maps},
		{"memory.csv", tables.memory},
		{"spaces.csv", tables.spaces},
		{"incidents.csv", tables.incidents},
	} {
		if err := table.read(contents[table.name]); err != nil {
			return damaged(table.name, err)
		}
	}
	host, err := os.ReadFile(filepath.Join(dir, hostName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(host, &r.Host); err != nil {
		return damaged(hostName, err)
	}
	return nil
}

// verify compares a file with its SHA-256 and returns its content if keep.
func verify(dir, name, want string, keep bool) ([]byte, error) {
	local, err := filepath.Localize(name)
	if err != nil {
		return nil, damaged(name, errors.New("not a name of a file below the result"))
	}
	f, err := os.Open(filepath.Join(dir, local))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged(name, errors.New("missing"))
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	hash := sha256.New()
	var data []byte
	if keep {
		data, err = io.ReadAll(io.TeeReader(f, hash))
	} else {
		_, err = io.Copy(hash, f)
	}
	if err != nil {
		return nil, err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		return nil, damaged(name, fmt.Errorf("changed since it was written: SHA-256 is %s, the manifest says %s", got, want))
	}
	return data, nil
}

func damaged(name string, why error) error { return fmt.Errorf("%w: %s: %w", ErrDamaged, name, why) }
