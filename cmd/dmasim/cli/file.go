package cli

import (
	"cmp"
	"io"
	"os"
	"path/filepath"
)

// writeWhole writes a file under another name and renames it, so that it is never
// there in part.
func writeWhole(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	err = cmp.Or(write(f), f.Chmod(0o644), f.Sync())
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
