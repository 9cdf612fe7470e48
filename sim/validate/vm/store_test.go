package vm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// packed makes an archive as a machine does.
func packed(t *testing.T, files ...[2]string) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	squeezed := gzip.NewWriter(&out)
	archive := tar.NewWriter(squeezed)
	for _, f := range files {
		if err := archive.WriteHeader(&tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), squeezed.Close()); err != nil {
		t.Fatal(err)
	}
	return &out
}

func TestStore(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	job := &Job{Dir: folder}
	read := func(name string) string {
		text, err := os.ReadFile(at(name))
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	write(t, at("old/manifest.json"), "1")
	write(t, at("old/left over"), "1")
	write(t, at("a.txt"), "1")
	err := store(job, packed(t,
		[2]string{at("a.txt"), "2"}, [2]string{at("deep/b.txt"), "2"},
		[2]string{at("old/manifest.json"), "2"}, [2]string{at("new/manifest.json"), "2"}, [2]string{at("new/figures/x.png"), "2"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.txt", "deep/b.txt", "old/manifest.json", "new/manifest.json", "new/figures/x.png"} {
		if got := read(name); got != "2" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if _, err := os.Stat(at("old/left over")); !errors.Is(err, os.ErrNotExist) {
		t.Error("an older result was not replaced as a whole")
	}
	if list, _ := filepath.Glob(at(".dmasim-vm-*")); len(list) > 0 {
		t.Errorf("left behind: %v", list)
	}
}

func TestStoreRefuses(t *testing.T) {
	folder := t.TempDir()
	job := &Job{Dir: folder}
	write(t, filepath.Join(folder, "mine", "letters"), "1")
	if err := store(job, packed(t, [2]string{filepath.Join(folder, "mine", "manifest.json"), "2"})); err == nil {
		t.Error("a folder that is no result was replaced")
	}
	for _, name := range []string{"/etc/passwd", "relative", folder + "/../up"} {
		if err := store(job, packed(t, [2]string{name, "2"})); !errors.Is(err, ErrWire) {
			t.Errorf("%s: %v", name, err)
		}
	}
	torn := packed(t, [2]string{filepath.Join(folder, "torn"), "some text that is long enough to be torn"})
	torn.Truncate(torn.Len() - 20)
	if err := store(job, torn); err == nil {
		t.Error("a torn archive was stored")
	}
	if _, err := os.Stat(filepath.Join(folder, "torn")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a part of a torn archive was stored")
	}
	if list, _ := filepath.Glob(filepath.Join(folder, ".dmasim-vm-*")); len(list) > 0 {
		t.Errorf("left behind: %v", list)
	}
}
