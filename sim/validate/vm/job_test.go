package vm

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cavaliergopher/cpio"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestInitramfs holds the program, the job and what the command line names.
func TestInitramfs(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	write(t, "my.yaml", "scenario")
	write(t, "traces/a.txt", "a")
	write(t, "traces/deep/b.txt", "b")
	write(t, "more", "more")
	job, err := NewJob([]string{"run", "my.yaml", "--trace=traces", "--out", "new"}, []string{"more"})
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "program")
	buildStatic(t, program)
	var image bytes.Buffer
	if err := writeInitramfs(&image, program, job); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	unpacked, err := gzip.NewReader(&image)
	if err != nil {
		t.Fatal(err)
	}
	for r := cpio.NewReader(unpacked); ; {
		head, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got["/"+head.Name] = string(text)
		if head.Name == "init" && head.Mode.Perm() != 0o755 {
			t.Errorf("init has mode %o", head.Mode.Perm())
		}
	}
	want, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"/init": string(want), folder: "", folder + "/my.yaml": "scenario", folder + "/more": "more",
		folder + "/traces/a.txt": "a", folder + "/traces/deep/b.txt": "b",
	} {
		if in, there := got[name]; !there || in != text {
			t.Errorf("%s: there %t, %d bytes, want %d", name, there, len(in), len(text))
		}
	}
	var inside Job
	if err := json.Unmarshal([]byte(got[jobFile]), &inside); err != nil || inside.Dir != folder || !slices.Equal(inside.Args, job.Args) {
		t.Errorf("job %+v, %v", inside, err)
	}
}

// buildStatic builds the least program there is.
func buildStatic(t *testing.T, to string) {
	t.Helper()
	source := filepath.Join(t.TempDir(), "main.go")
	write(t, source, "package main\n\nfunc main() {}\n")
	cmd := exec.Command("go", "build", "-o", to, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// TestDynamicProgramIsRefused gives a program a loader.
func TestDynamicProgramIsRefused(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	buildStatic(t, program)
	if err := checkStatic(program); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	first := binary.LittleEndian.Uint64(text[0x20:]) // of the program headers
	binary.LittleEndian.PutUint32(text[first:], uint32(elf.PT_INTERP))
	write(t, program, string(text))
	if err := checkStatic(program); !errors.Is(err, ErrDynamic) {
		t.Errorf("%v, want %v", err, ErrDynamic)
	}
}

func TestInputs(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	write(t, "big", "")
	if err := os.Truncate("big", maxInputs+1); err != nil {
		t.Fatal(err)
	}
	job, err := NewJob([]string{"conform", "big", "big"}, nil)
	if err != nil || !slices.Equal(job.Inputs, []string{filepath.Join(folder, "big")}) {
		t.Fatalf("%+v, %v", job, err)
	}
	if err := writeInitramfs(io.Discard, os.Args[0], job); err == nil {
		t.Error("more than fits was taken")
	}
	if _, err := NewJob(nil, []string{"absent"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestMayWrite(t *testing.T) {
	job := Job{Dir: "/home/me", Args: []string{"run", "--out=/data/out", "/", "-x"}}
	for path, want := range map[string]bool{
		"/home/me/new": true, "/home/me": true, "/home/meow": false, "/data/out/manifest.json": true,
		"/data/other": false, "/tmp/x": false, "/init": false,
	} {
		if got := job.mayWrite(path); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
}
