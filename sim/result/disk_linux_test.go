package result_test

import (
	"errors"
	"io"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dmasim/sim/result"
)

// A real full disk: a file system in memory that holds one result, not two.
func TestWriteToFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("needs to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(disk, "out")
	large := result.File{Name: "figures/large.png", Write: func(w io.Writer) error {
		_, err := w.Write(make([]byte, 150<<10))
		return err
	}}
	write(t, path, large)
	before := tree(t, disk)
	if err := result.Write(t.Context(), path, sample(), large); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v, want %v", err, syscall.ENOSPC)
	}
	if diff := cmp.Diff(before, tree(t, disk)); diff != "" {
		t.Error("the old result has changed, or something was left behind")
	}
}
