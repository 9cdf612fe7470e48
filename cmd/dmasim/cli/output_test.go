package cli_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"dmasim/cmd/dmasim/cli"
)

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// TestFullDisk holds output that can't be written not to be a mistake of the user.
func TestFullDisk(t *testing.T) {
	for _, args := range [][]string{{"allocators"}, {"allocators", "--json"}, {"scenario", "list"}, {"devices", "list"}} {
		var said bytes.Buffer
		status := cli.Main(args, strings.NewReader(""), fullDisk{}, &said)
		if status != 1 || said.String() != "dmasim: no space left\n" {
			t.Errorf("%q: exit status %d, said %q", args, status, said.String())
		}
	}
}
