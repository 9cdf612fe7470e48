package kernel

import (
	"fmt"
	"os"
)

// A helper is another process of this program that does what it is told: by
// HelperArgument and a role, it becomes one.

// HelperArgument is the first argument of a helper's command line.
const HelperArgument = "validate-helper"

// RunHelper does the job of a helper if args say that this process is one, and
// returns its exit status.
func RunHelper(args []string) (status int, is bool) {
	if len(args) < 2 || args[0] != HelperArgument {
		return 0, false
	}
	var err error
	switch {
	case args[1] == "hog" && len(args) == 4:
		err = runHog(args[2], args[3])
	default:
		err = fmt.Errorf("unknown role %q", args[1])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "dmasim: %s: %v\n", HelperArgument, err)
		return 1, true
	}
	return 0, true
}
