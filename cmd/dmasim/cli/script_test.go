package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"dmasim/cmd/dmasim/cli"
	"dmasim/internal/shareddata"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"dmasim": func() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the command line as a user would, one file per topic, with
// device tree blobs below $TREES and copies of /proc in $PROC.
func TestScripts(t *testing.T) {
	machines, err := filepath.Abs("../../../devices/machine")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TREES", filepath.Join(machines, "devicetree", "testdata"))
			e.Setenv("PROC", filepath.Join(machines, "testdata", "vm-24GiB-linux-6.18"))
			return nil
		},
	})
}

// TestRecordings does the same with recorded instances, below $MINIMALLOC.
func TestRecordings(t *testing.T) {
	minimalloc := shareddata.Path(t, "minimalloc")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/recordings",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("MINIMALLOC", minimalloc)
			return nil
		},
	})
}
