// Package shareddata finds the recordings that tests use and that are too
// large, or not ours, to be kept in the repository.
package shareddata

import (
	"os"
	"path/filepath"
	"testing"
)

// Path returns the path of a file or folder below the data directory: the
// environment variable DMASIM_DATA, else ../shared/data beside the repository.
// It skips the test where the data are absent.
func Path(tb testing.TB, elem ...string) string {
	tb.Helper()
	dir := os.Getenv("DMASIM_DATA")
	if dir == "" {
		dir = filepath.Join(root(tb), "..", "shared", "data")
	}
	path := filepath.Join(append([]string{dir}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("needs the recordings of %s: set DMASIM_DATA to the folder that holds them", filepath.Join(elem...))
	}
	return path
}

// root returns the folder of go.mod, above the test's working directory.
func root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}
