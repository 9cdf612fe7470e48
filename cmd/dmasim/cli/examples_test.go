package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"

	"dmasim/cmd/dmasim/cli"
)

// exampleFiles are the commands that make what the examples of help read: files
// by the names they have there.
var exampleFiles = []struct{ name, command string }{
	{"my.yaml", "dmasim scenario init my.yaml"},
	{"my-scenario.yaml", "dmasim scenario init my-scenario.yaml"},
	{"my-devices.yaml", "cp $REPO/cmd/dmasim/cli/testdata/examples/my-devices.yaml ."},
	{"dmasim-out/cedar-256mib", "dmasim run cedar-256mib"},
	{"dmasim-out/before", "dmasim run cma-borrowed --out dmasim-out/before"},
	{"dmasim-out/after", "dmasim run cma-borrowed --seed 2 --out dmasim-out/after"},
	{"dmasim-out/window-mix-comparison", "dmasim compare window-mix --replications 3"},
	{"window.yaml", "cp $REPO/docs/window.yaml ."},
	{"window.sh", "dmasim sweep slurm window.yaml --shards 20 > window.sh"},
	{"dmasim sweep merge", "dmasim sweep run window.yaml --shard 0/1"},
	{"A.1048576.csv", "cp $REPO/cmd/dmasim/cli/testdata/examples/buffers.csv A.1048576.csv"},
	{"random.bin.gz", "gzip -c $REPO/cmd/dmasim/cli/testdata/examples/placement.txt > random.bin.gz"},
	{"cma.txt.gz", "gzip -c $REPO/cmd/dmasim/cli/testdata/examples/cma.txt > cma.txt.gz"},
	{"trace.gz", "gzip -c $REPO/cmd/dmasim/cli/testdata/examples/cma.txt > trace.gz"},
	{"video.txt.gz", "gzip -c $REPO/cmd/dmasim/cli/testdata/examples/cma.txt > video.txt.gz"},
	{"camera.csv", "dmasim trace convert $REPO/cmd/dmasim/cli/testdata/examples/cma.txt camera.csv"},
	{"a.txt", "cp $REPO/cmd/dmasim/cli/testdata/examples/cma.txt a.txt"},
	{"b.txt", "cp $REPO/cmd/dmasim/cli/testdata/examples/cma.txt b.txt"},
	{"recordings/", "cp -R $REPO/allocator/golden/testdata recordings"},
	{"cma-00.csv", "cp $REPO/allocator/golden/testdata/cma-00-tiny_align_offset.csv cma-00.csv"},
	{"iova-07.csv.gz", "gzip -c $REPO/allocator/golden/testdata/iova-06-tiny_rcache.csv > iova-07.csv.gz"},
	{"bug-report.txt", "cp $REPO/sim/explain/dmesg/testdata/cma-16MiB-linux-6.12.log bug-report.txt"},
	{"board.dtb", "cp $REPO/devices/machine/devicetree/testdata/pools.dtb board.dtb"},
	{"bcm2711-rpi-4-b.dtb", "cp $REPO/devices/machine/devicetree/testdata/buses.dtb bcm2711-rpi-4-b.dtb"},
	{"pi4.yaml", "dmasim machine import bcm2711-rpi-4-b.dtb --ram 4GiB --out pi4.yaml"},
	{"~/saved", "mkdir -p ~/saved && cp $REPO/devices/machine/testdata/vm-24GiB-linux-6.18/* ~/saved"},
}

// Programs that are not ours, or that need another machine, become ones that take
// the same words.
const otherPrograms = `
sudo() {
  case "${1-} ${2-}" in
  "dmasim machine"|"dmasim kernel") [ "$(id -u)" = 0 ] || return 0 ;;
  "dmasim man") set -- dmasim man "$PWD/root$3" ;;
  "cp meminfo") return 0 ;;
  esac
  "$@"
}
dmesg() { cat $REPO/sim/explain/dmesg/testdata/cma-16MiB-linux-6.12.log; }
sbatch() { for script; do :; done; sh -n "$script"; }
benchstat() { for file; do :; done; grep -q ^Benchmark "$file"; }
man() { test -s "$2/man1/$3.1"; }
dmasim() {
  case "${1-} ${2-}" in
  "devices merge") command dmasim "$@" || [ $? = 1 ] ;; # the answer may be no
  *) command dmasim "$@" ;;
  esac
}
source() { sed -n 1p "$1" | grep -q dmasim; }
`

// inVirtualMachine are the commands of which the examples need a kernel of their
// own; .ci/run runs them there.
var inVirtualMachine = []string{"dmasim kernel vm", "dmasim kernel record", "dmasim validate"}

// TestHelp holds the help of every command to the width of a terminal, and to an
// example.
func TestHelp(t *testing.T) {
	for command, example := range cli.HelpExamples() {
		if example == "" {
			t.Errorf("%s: its help has no example", command)
		}
		var help, stderr bytes.Buffer
		args := append(strings.Fields(command)[1:], "--help")
		if status := cli.Main(args, nil, &help, &stderr); status != 0 {
			t.Errorf("%s --help exits with %d: %s", command, status, &stderr)
		}
		for line := range strings.Lines(help.String()) {
			if utf8.RuneCountInString(line) > 81 {
				t.Errorf("%s --help: a line of more than 80 characters: %s", command, line)
			}
		}
	}
}

// TestExamples runs the examples of every command's help.
func TestExamples(t *testing.T) {
	repo, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	dir := t.TempDir()
	for command, example := range cli.HelpExamples() {
		if slices.Contains(inVirtualMachine, command) {
			continue
		}
		var script strings.Builder
		fmt.Fprintf(&script, "%s\nmkdir -p $HOME\n", otherPrograms)
		all := "\n" + example
		for i := len(exampleFiles) - 1; i >= 0; i-- {
			f := exampleFiles[i]
			makes := regexp.MustCompile(`(init|> |--out |init --from \S+) ?` + regexp.QuoteMeta(f.name)).FindStringIndex(example)
			uses := strings.Index(all, f.name)
			if uses >= 0 && (makes == nil || uses < makes[0]) {
				all = f.command + "\n" + all
			}
		}
		script.WriteString(all + "\n")
		path := filepath.Join(dir, strings.ReplaceAll(command, " ", "-")+".txtar")
		text := "exec bash -euo pipefail examples.sh\n-- examples.sh --\n" + script.String()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	slices.Sort(files)
	testscript.Run(t, testscript.Params{
		Files: files,
		Setup: func(e *testscript.Env) error {
			e.Setenv("REPO", repo)
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("SLURM_ARRAY_TASK_ID", "3") // of --shard auto/N
			return nil
		},
	})
}
