package vm

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// store writes the files that a command left in a machine to the same places of the
// host: each to a temporary name first, and result directories as a whole, in place
// of older results alone.
func store(job *Job, from io.Reader) (err error) {
	packed, err := gzip.NewReader(from)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWire, err)
	}
	staging, err := os.MkdirTemp(job.Dir, ".dmasim-vm-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	var paths []string
	for archive := tar.NewReader(packed); ; {
		head, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrWire, err)
		}
		if !filepath.IsAbs(head.Name) || filepath.Clean(head.Name) != head.Name || !job.mayWrite(head.Name) {
			return fmt.Errorf("%w: file %q", ErrWire, head.Name)
		}
		if err := extract(staging+head.Name, archive, fs.FileMode(head.Mode).Perm()); err != nil {
			return err
		}
		paths = append(paths, head.Name)
	}
	results := resultDirectories(paths)
	for _, folder := range results {
		if err := replaceResult(staging+folder, folder); err != nil {
			return err
		}
	}
	for _, path := range paths {
		if !inAny(path, results) {
			if err := place(staging+path, path); err != nil {
				return err
			}
		}
	}
	return nil
}

func extract(path string, from io.Reader, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

// manifest is the file by which a result directory is known.
const manifest = "manifest.json"

// resultDirectories returns the outermost folders of results.
func resultDirectories(paths []string) []string {
	var list []string
	for _, path := range paths {
		if filepath.Base(path) == manifest && !inAny(path, list) {
			list = append(list, filepath.Dir(path))
		}
	}
	return list
}

func inAny(path string, folders []string) bool {
	for _, folder := range folders {
		if strings.HasPrefix(path, folder+"/") {
			return true
		}
	}
	return false
}

// replaceResult moves a result to where at most an older one is.
func replaceResult(from, to string) error {
	_, err := os.Stat(to)
	if errors.Is(err, fs.ErrNotExist) {
		return place(from, to)
	}
	if _, err := os.Stat(filepath.Join(to, manifest)); err != nil {
		return fmt.Errorf("%s is not a result of dmasim: left as it is", to)
	}
	old := from + ".old"
	if err := os.Rename(to, old); err != nil {
		return err
	}
	if err := place(from, to); err != nil {
		return errors.Join(err, os.Rename(old, to))
	}
	return nil
}

func place(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	return os.Rename(from, to)
}
