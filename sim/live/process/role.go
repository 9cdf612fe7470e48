package process

import (
	"fmt"
	"os"
)

// Role is the first argument of the command line of such a process.
const Role = "told-process"

// Environment keeps the runtime from opening files and from interrupting system
// calls.
var Environment = []string{"GODEBUG=asyncpreemptoff=1,containermaxprocs=0,updatemaxprocs=0", "GOGC=off", "GOMAXPROCS=1"}

// Main does what the channel says if args say that this is such a process, and
// returns its exit status.
func Main(args []string) (status int, is bool) {
	if len(args) != 1 || args[0] != Role {
		return 0, false
	}
	if err := obey(); err != nil {
		fmt.Fprintf(os.Stderr, "dmasim: %s: %v\n", Role, err)
		return 1, true
	}
	return 0, true
}
