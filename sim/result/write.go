package result

import (
	"bufio"
	"context"
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
	"runtime"
	"slices"
)

// File is one more file of a result, such as a figure.
type File struct {
	Name  string // relative to the result, with slashes: "figures/map.png"
	Write func(io.Writer) error
}

const (
	manifestName = "manifest.json"
	hostName     = "host.json"
)

// CheckTarget returns nil if a result can be written to dir: there is nothing
// yet, or an empty directory, or a dmasim result, which [Write] replaces. For
// anything else the error is [ErrNotResult]; it is also an error if nothing can
// be created beside dir. Call it before a long simulation.
func CheckTarget(dir string) error {
	target, err := resolve(dir)
	if err != nil {
		return err
	}
	if _, err := occupied(target); err != nil {
		return err
	}
	parent := filepath.Dir(target)
	for {
		info, err := os.Stat(parent)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("result %s: %s is not a directory", dir, parent)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || parent == filepath.Dir(parent) {
			return fmt.Errorf("result %s: %w", dir, err)
		}
		parent = filepath.Dir(parent)
	}
	probe, err := os.MkdirTemp(parent, stagingPattern(target))
	if err != nil {
		return fmt.Errorf("result %s: %w", dir, err)
	}
	return os.Remove(probe)
}

// Write writes r and extra to dir, which must satisfy [CheckTarget]: whole or
// not at all, as the package's documentation says. It fills in the manifest's
// Files. It stops with ctx's error where ctx ends.
func Write(ctx context.Context, dir string, r *Result, extra ...File) error {
	if err := r.Check(); err != nil {
		return fmt.Errorf("result %s: %w", dir, err)
	}
	return WriteFiles(ctx, dir, &r.Manifest, r.Host, append(r.files(), extra...))
}

// WriteFiles writes a result of other content than a Result's in the same way:
// the files, the manifest, whose Files it fills in, and the facts about the host.
func WriteFiles(ctx context.Context, dir string, m *Manifest, host Host, files []File) error {
	target, err := resolve(dir)
	if err != nil {
		return err
	}
	if _, err := occupied(target); err != nil {
		return err
	}
	parent := filepath.Dir(target)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return fmt.Errorf("result %s: %w", dir, err)
	}
	staging, err := os.MkdirTemp(parent, stagingPattern(target))
	if err != nil {
		return fmt.Errorf("result %s: %w", dir, err)
	}
	fresh, old := filepath.Join(staging, "new"), filepath.Join(staging, "old")
	if err := fill(ctx, fresh, m, host, files); err != nil {
		os.RemoveAll(staging)
		return fmt.Errorf("result %s: %w", dir, err)
	}
	if err := swap(target, fresh, old); err != nil {
		// Where the old result could not be put back it stays in the hidden directory.
		if _, kept := os.Lstat(old); kept != nil {
			os.RemoveAll(staging)
		}
		return fmt.Errorf("result %s: %w", dir, err)
	}
	if err := syncDirectory(parent); err != nil {
		return fmt.Errorf("result %s: %w", dir, err)
	}
	if err := os.RemoveAll(staging); err != nil {
		return fmt.Errorf("result %s is written, its predecessor is not removed: %w", dir, err)
	}
	return nil
}

// resolve returns the absolute path of dir with its links followed, so that
// what is renamed is the directory and not a link to it.
func resolve(dir string) (string, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("result %s: %w", dir, err)
	}
	switch target, err := filepath.EvalSymlinks(path); {
	case err == nil:
		return target, nil
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(path); err == nil {
			return "", fmt.Errorf("%s is a link to nothing: %w", dir, ErrNotResult)
		}
		return path, nil
	default:
		return "", fmt.Errorf("result %s: %w", dir, err)
	}
}

func stagingPattern(target string) string { return "." + filepath.Base(target) + ".tmp-*" }

// occupied reports whether there is a directory at path. It is an error if it
// may not be replaced.
func occupied(path string) (bool, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("result %s: %w", path, err)
	case !info.IsDir():
		return false, fmt.Errorf("%s is not a directory: %w", path, ErrNotResult)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return false, fmt.Errorf("result %s: %w", path, err)
	}
	if len(entries) == 0 {
		return true, nil
	}
	data, err := os.ReadFile(filepath.Join(path, manifestName))
	var m struct{ Kind string }
	if err != nil || json.Unmarshal(data, &m) != nil || m.Kind != Kind {
		return false, fmt.Errorf("%s holds other files: %w", path, ErrNotResult)
	}
	return true, nil
}

// swap puts fresh in the place of target, whose old content, if any, is then at
// old. On an error target is as it was, unless old exists.
func swap(target, fresh, old string) error {
	exists, err := occupied(target)
	if err != nil {
		return err
	}
	if exists {
		if err := os.Rename(target, old); err != nil {
			return err
		}
	}
	err = os.Rename(fresh, target)
	if err != nil && exists {
		if back := os.Rename(old, target); back != nil {
			return fmt.Errorf("%w; the old result is in %s: %w", err, old, back)
		}
	}
	return err
}

// files are those that hold a Result.
func (r *Result) files() []File {
	files := []File{
		{"scenario.yaml", func(w io.Writer) error { _, err := w.Write(r.Scenario); return err }},
		{"summary.json", func(w io.Writer) error { return writeSummary(w, r.Variants) }},
		{"samples.csv", func(w io.Writer) error { return writeSamples(w, r.Variants) }},
		{"reaches.csv", func(w io.Writer) error { return writeReaches(w, r.Variants) }},
		{"failures.csv", func(w io.Writer) error { return writeFailures(w, r.Variants) }},
		{"map.csv", func(w io.Writer) error { return writeMaps(w, r.Variants) }},
		{"memory.csv", func(w io.Writer) error { return writeMemory(w, r.Variants) }},
		{"spaces.csv", func(w io.Writer) error { return writeSpaces(w, r.Variants) }},
		{"incidents.csv", func(w io.Writer) error { return writeIncidents(w, r.Variants) }},
	}
	if slices.ContainsFunc(r.Variants, func(v Variant) bool { return len(v.Run.Summary.OnFailure) > 0 }) {
		files = append(files, File{"on_failure.csv", func(w io.Writer) error { return writeOnFailure(w, r.Variants) }})
	}
	return files
}

// fill writes files, the host and the manifest into the new directory dir.
func fill(ctx context.Context, dir string, m *Manifest, host Host, files []File) error {
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	hashes := make(map[string]string, len(files))
	directories := map[string]bool{dir: true}
	for _, f := range files {
		local, err := filepath.Localize(f.Name)
		if err != nil || f.Name == manifestName || f.Name == hostName || hashes[f.Name] != "" {
			return fmt.Errorf("file %q: not a name for a file of a result, or taken", f.Name)
		}
		path := filepath.Join(dir, local)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		for d := filepath.Dir(path); d != dir; d = filepath.Dir(d) {
			directories[d] = true
		}
		if hashes[f.Name], err = writeFile(ctx, path, f.Write); err != nil {
			return fmt.Errorf("write %s: %w", f.Name, err)
		}
	}
	manifest := *m
	manifest.Kind, manifest.Format, manifest.Files = Kind, Format, hashes
	for _, f := range []struct {
		name string
		v    any
	}{{hostName, host}, {manifestName, manifest}} {
		if _, err := writeFile(ctx, filepath.Join(dir, f.name), func(w io.Writer) error { return writeJSON(w, f.v) }); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	for d := range maps.Keys(directories) {
		if err := syncDirectory(d); err != nil {
			return err
		}
	}
	*m = manifest
	return nil
}

// writeFile writes a new file to disk and returns its SHA-256 in hexadecimal.
func writeFile(ctx context.Context, path string, write func(io.Writer) error) (string, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	w := bufio.NewWriterSize(&contextWriter{ctx, io.MultiWriter(f, hash)}, 1<<16)
	if err := write(w); err != nil {
		return "", err
	}
	if err := w.Flush(); err != nil {
		return "", err
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), ctx.Err()
}

// A contextWriter fails where its context has ended.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c *contextWriter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// syncDirectory puts the names in a directory on disk, where the system can.
func syncDirectory(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
