package kernel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"dmasim/allocator/dmaheap"
	"dmasim/sim/live/process"
	"dmasim/sim/validate"
)

// hogSize is the size of the buffers that are taken until memory is out.
const hogSize = 1 << 20

// runHog takes buffers of a size in bytes from a heap, and keeps them, until it is
// killed or refused. It writes a byte for each.
func runHog(heap, size string) error {
	bytes, err := strconv.ParseUint(size, 10, 64)
	if err != nil {
		return err
	}
	// Who started it is not to be killed; it is.
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("0"), 0); err != nil {
		return err
	}
	h, err := dmaheap.Open(heap)
	if err != nil {
		return err
	}
	var held []*dmaheap.Buffer
	for {
		b, err := h.Alloc(bytes)
		if err != nil {
			return fmt.Errorf("buffer %d: %w", len(held), err)
		}
		held = append(held, b)
		if _, err := os.Stdout.Write([]byte{'.'}); err != nil {
			return err
		}
	}
}

// Exhaust has a helper take buffers of the system heap until the kernel kills it.
// It only works inside of a virtual machine.
func Exhaust(ctx context.Context) (run validate.Exhaustion, err error) {
	if !InsideVM(os.DirFS("/")) {
		return run, ErrNotVM
	}
	l, err := openLog()
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	kept, err := readBuffers()
	if err != nil {
		return run, err
	}
	exe, err := os.Executable()
	if err != nil {
		return run, err
	}
	restore, err := protectSelf()
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, restore()) }()
	run.Size = hogSize
	if run.Before, err = readMemory(); err != nil {
		return run, err
	}
	before, err := readUses()
	if err != nil {
		return run, err
	}

	hog := exec.CommandContext(ctx, exe, HelperArgument, "hog", "system", strconv.Itoa(hogSize))
	hog.Env = process.Environment
	hog.Stderr = os.Stderr
	out, err := hog.StdoutPipe()
	if err != nil {
		return run, err
	}
	if err := hog.Start(); err != nil {
		return run, err
	}
	taken, readErr := io.Copy(io.Discard, bufio.NewReader(out))
	run.Buffers = uint64(taken)
	ended := hog.Wait()
	if err := errors.Join(readErr, ctx.Err()); err != nil {
		return run, err
	}
	var exit *exec.ExitError
	if !errors.As(ended, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
		return run, fmt.Errorf("the process was not killed: %v", ended)
	}
	lines, err := l.lines()
	if err != nil {
		return run, err
	}
	if err := readKill(&run, lines, hog.Process.Pid, before); err != nil {
		return run, err
	}
	rest, err := readBuffers()
	run.Left = len(rest) - len(kept)
	return run, err
}

// protectSelf keeps the kernel from killing this process for want of memory.
func protectSelf() (restore func() error, err error) {
	const file = "/proc/self/oom_score_adj"
	before, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return func() error { return os.WriteFile(file, before, 0) }, os.WriteFile(file, []byte("-1000"), 0)
}

// uses are what the kernel counts of its own and of processes' memory, in KiB.
var uses = []struct {
	what   string
	proc   *regexp.Regexp // in /proc/meminfo
	report *regexp.Regexp // when a process is killed
	pages  bool           // the report counts pages
}{
	{"of processes", regexp.MustCompile(`(?m)^(?:Active|Inactive)\(anon\):\s+(\d+) kB$`), regexp.MustCompile(`(?m)\b(?:inactive|active|isolated)_anon:(\d+)(?: |$)`), true},
	{"of page tables", regexp.MustCompile(`(?m)^PageTables:\s+(\d+) kB$`), regexp.MustCompile(`(?m) pagetables:(\d+)(?: |$)`), true},
	{"of slabs", regexp.MustCompile(`(?m)^Slab:\s+(\d+) kB$`), regexp.MustCompile(` slab_(?:un)?reclaimable:(\d+)`), true},
	{"of kernel stacks", regexp.MustCompile(`(?m)^KernelStack:\s+(\d+) kB$`), regexp.MustCompile(` kernel_stack:(\d+)kB`), false},
	{"on the lists of the CPU", nil, regexp.MustCompile(` free_pcp:(\d+) `), true},
}

// sum adds the numbers that an expression finds.
func sum(text string, expression *regexp.Regexp) (total uint64) {
	if expression == nil {
		return 0
	}
	for _, m := range expression.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.ParseUint(m[1], 10, 64) // digits: the expressions say so
		total += n
	}
	return total
}

// readUses returns the uses as they are now, in KiB.
func readUses() ([]uint64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, err
	}
	var list []uint64
	for _, u := range uses {
		list = append(list, sum(string(text), u.proc))
	}
	return list, nil
}

// Lines of the kernel's report (mm/oom_kill.c, mm/show_mem.c, Linux 6.12).
var (
	killedLine = regexp.MustCompile(`^Out of memory: Killed process (\d+) `)
	zoneLine   = regexp.MustCompile(`^(?:Node 0 )?(\w+) free:(\d+)kB boost:(\d+)kB .* free_cma:(\d+)kB`)
)

// readKill reads the report on the first process that was killed. Its general part
// goes from Mem-Info to the first zone; of that, the line of the node repeats some
// figures in other units.
func readKill(run *validate.Exhaustion, lines []string, hog int, before []uint64) error {
	page := pageSize()
	var general strings.Builder
	for _, line := range lines {
		switch m := zoneLine.FindStringSubmatch(line); {
		case m != nil:
			free, inCMA := sum(m[2], number), sum(m[4], number) // read one after the other
			run.Zones = append(run.Zones, validate.ZoneAtKill{
				Name: m[1], Free: (free - min(free, inCMA)) << 10 / page, Boost: sum(m[3], number) << 10 / page,
			})
		case len(run.Zones) == 0:
			general.WriteString(" " + line + "\n")
		}
		m := killedLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		run.Victim = "another"
		if m[1] == strconv.Itoa(hog) {
			run.Victim = "hog"
		}
		for i, u := range uses {
			now := sum(general.String(), u.report) << 10
			if u.pages {
				now = now >> 10 * page
			}
			run.Needs = append(run.Needs, validate.Need{What: u.what, Bytes: now - min(now, before[i]<<10)})
		}
		return nil
	}
	return fmt.Errorf("the log has no report of a kill in %d lines: %s", len(lines), strings.Join(lines[:min(3, len(lines))], " / "))
}

var number = regexp.MustCompile(`(\d+)`)

// readBuffers reads every dma-buf that lives.
func readBuffers() ([]dmaheap.BufferInfo, error) {
	f, err := os.Open("/sys/kernel/debug/dma_buf/bufinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return dmaheap.ParseBufinfo(f)
}
