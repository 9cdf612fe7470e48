package vm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// tool is a program of the host, or an absolute path of another file, and the Debian
// package that has it.
type tool struct{ program, pack string }

func (t tool) isThere() bool {
	if filepath.IsAbs(t.program) {
		_, err := os.Stat(t.program)
		return err == nil
	}
	_, err := exec.LookPath(t.program)
	return err == nil
}

// ErrMissing is wrapped by errors about programs that have to be installed first.
var ErrMissing = errors.New("not installed")

// need returns an error that names the programs which are not there, with the line
// that installs them.
func need(tools ...tool) error {
	var programs, packs []string
	for _, t := range tools {
		if !t.isThere() {
			programs, packs = append(programs, t.program), append(packs, t.pack)
		}
	}
	if len(programs) == 0 {
		return nil
	}
	slices.Sort(packs)
	return fmt.Errorf("%s: %w; on Debian: apt-get install --no-install-recommends %s",
		strings.Join(programs, ", "), ErrMissing, strings.Join(slices.Compact(packs), " "))
}
