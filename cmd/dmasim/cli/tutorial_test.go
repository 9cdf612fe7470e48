package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// step is a command of a document, or a file that the reader is to write.
type step struct {
	line    int
	command string // "" of a file
	output  []string
	file    string
	text    string
}

// fence begins a block: of a terminal, or of a file with a name.
var fence = regexp.MustCompile("^```(console|\\S+ (\\S+))$")

// stepsOf reads the fenced blocks of a document.
func stepsOf(t *testing.T, document string) []step {
	var steps []step
	lines := strings.Split(document, "\n")
	for i := 0; i < len(lines); i++ {
		if !strings.HasPrefix(lines[i], "```") {
			continue
		}
		block := fence.FindStringSubmatch(lines[i])
		if block == nil {
			t.Fatalf("line %d: a block that is neither console nor has the name of a file", i+1)
		}
		begin := i + 1
		for i++; lines[i] != "```"; i++ {
			if i+1 == len(lines) {
				t.Fatalf("line %d: a block without end", begin)
			}
			command, is := strings.CutPrefix(lines[i], "$ ")
			switch {
			case block[1] != "console":
			case is:
				steps = append(steps, step{line: i + 1, command: command})
			case i == begin:
				t.Fatalf("line %d: output of no command", i+1)
			default:
				last := &steps[len(steps)-1]
				last.output = append(last.output, lines[i])
			}
		}
		if block[1] != "console" {
			steps = append(steps, step{line: begin, file: block[2], text: strings.Join(lines[begin:i], "\n") + "\n"})
		}
	}
	return steps
}

// pattern matches what a command printed. In the document, … stands for any lines, or
// within a line for anything.
func (s *step) pattern() *regexp.Regexp {
	var text strings.Builder
	text.WriteString(`\A`)
	for _, line := range s.output {
		if line == "…" {
			text.WriteString(`(?:.*\n)*?`)
			continue
		}
		parts := strings.Split(line, "…")
		for i, part := range parts {
			parts[i] = regexp.QuoteMeta(part)
		}
		text.WriteString(strings.Join(parts, ".*") + ` *\n`)
	}
	text.WriteString(`\z`)
	return regexp.MustCompile(text.String())
}

// fails says whether a command is to fail: its output ends with an error of dmasim's,
// or it says no.
func (s *step) fails() bool {
	return len(s.output) > 0 &&
		(strings.HasPrefix(s.output[len(s.output)-1], "dmasim: ") || strings.HasPrefix(s.output[0], "No "))
}

// TestTutorial does what docs/tutorial.md tells a newcomer to do, in one shell.
func TestTutorial(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program")
	}
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash")
	}
	repo, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(repo, "docs/tutorial.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps := stepsOf(t, string(document))
	dir := t.TempDir()
	if err := os.Symlink(repo, filepath.Join(dir, "dmasim")); err != nil {
		t.Skip(err)
	}
	var script strings.Builder
	// Without root, what only root may is left out.
	script.WriteString("sudo() { [ \"$(id -u)\" != 0 ] || \"$@\"; }\n")
	results := t.TempDir()
	for i, s := range steps {
		if s.file != "" {
			fmt.Fprintf(&script, "cat > %s <<'END OF FILE'\n%sEND OF FILE\n", s.file, s.text)
			continue
		}
		fmt.Fprintf(&script, "{ %s\n} > %[2]s/%[3]d.out 2>&1 < /dev/null; echo $? > %[2]s/%[3]d.status\n", s.command, results, i)
	}
	// Go's caches stay where they are; the home is the reader's.
	caches, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPATH").Output()
	if err != nil {
		t.Fatal(err)
	}
	cache := strings.Fields(string(caches))
	shell := exec.Command("bash", "-c", script.String())
	shell.Dir = dir
	shell.Env = append(os.Environ(), "HOME="+dir, "GOCACHE="+cache[0], "GOMODCACHE="+cache[1], "GOPATH="+cache[2])
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for i, s := range steps {
		if s.file != "" {
			continue
		}
		out, err := os.ReadFile(filepath.Join(results, fmt.Sprint(i, ".out")))
		if err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile(filepath.Join(results, fmt.Sprint(i, ".status")))
		if err != nil {
			t.Fatal(err)
		}
		if failed := string(status) != "0\n"; failed != s.fails() {
			t.Errorf("tutorial.md:%d: $ %s\nends with status %s%s", s.line, s.command, status, out)
			continue
		}
		// Other architectures round otherwise, and figures may differ in a digit.
		if runtime.GOARCH == "amd64" && !s.pattern().Match(out) {
			t.Errorf("tutorial.md:%d: $ %s\nprinted\n%s\nwant\n%s", s.line, s.command, out, strings.Join(s.output, "\n"))
		}
	}
}
