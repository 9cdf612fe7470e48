package kernel

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"dmasim/sim/validate/vm"
)

// ErrNotVM is returned by what only runs inside of a virtual machine that dmasim
// started, because it could harm a host.
var ErrNotVM = errors.New("only inside of a virtual machine: dmasim kernel vm -- validate")

// InsideVM reports whether the machine whose root is given was started by dmasim
// kernel vm.
func InsideVM(root fs.FS) bool {
	text, err := fs.ReadFile(root, "proc/cmdline")
	return err == nil && slices.Contains(strings.Fields(string(text)), vm.Parameter)
}
