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
	"dmasim/devices/machine"
	"dmasim/mem"
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
	if run.Before, err = machine.ReadProc(os.DirFS("/proc")); err != nil {
		return run, err
	}
	minFree, err := readNumber("/proc/sys/vm/min_free_kbytes")
	if err != nil {
		return run, err
	}
	run.MinFree = mem.Size(minFree) * mem.KiB
	slab, err := slabPages()
	if err != nil {
		return run, err
	}

	hog := exec.CommandContext(ctx, exe, HelperArgument, "hog", "system", strconv.Itoa(hogSize))
	hog.Env = helperEnvironment
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
	if err := readKill(&run, lines, hog.Process.Pid, slab); err != nil {
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

// slabPages returns how many pages the kernel's slabs have.
func slabPages() (uint64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`(?m)^Slab:\s+(\d+) kB$`).FindSubmatch(text)
	if found == nil {
		return 0, errors.New("/proc/meminfo has no Slab")
	}
	kilobytes, err := strconv.ParseUint(string(found[1]), 10, 64)
	return kilobytes << 10 / pageSize(), err
}

// Lines of the kernel's report (mm/oom_kill.c, mm/show_mem.c, Linux 6.12).
var (
	killedLine = regexp.MustCompile(`^Out of memory: Killed process (\d+) .*anon-rss:(\d+)kB, file-rss:(\d+)kB, shmem-rss:(\d+)kB, .*pgtables:(\d+)kB`)
	slabLine   = regexp.MustCompile(`slab_reclaimable:(\d+) slab_unreclaimable:(\d+)`)
	pcpLine    = regexp.MustCompile(`free:\d+ free_pcp:(\d+)`)
	zoneLine   = regexp.MustCompile(`^Node 0 (\w+) free:(\d+)kB boost:`)
)

// readKill reads the report on the first process that was killed.
func readKill(run *validate.Exhaustion, lines []string, hog int, slabBefore uint64) error {
	page := pageSize()
	number := func(text string) uint64 {
		n, _ := strconv.ParseUint(text, 10, 64) // digits: the expressions say so
		return n
	}
	slab, perCPU := uint64(0), uint64(0)
	for _, line := range lines {
		if m := slabLine.FindStringSubmatch(line); m != nil {
			slab = number(m[1]) + number(m[2])
		}
		if m := pcpLine.FindStringSubmatch(line); m != nil {
			perCPU = number(m[1])
		}
		if m := zoneLine.FindStringSubmatch(line); m != nil {
			run.Zones = append(run.Zones, validate.ZoneAtKill{Name: m[1], Free: number(m[2]) << 10 / page})
		}
		m := killedLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		run.Victim = "another"
		if number(m[1]) == uint64(hog) {
			run.Victim = "hog"
		}
		run.Needs = []validate.Need{
			{What: "of the process itself", Bytes: (number(m[2]) + number(m[3])) << 10},
			{What: "of its page tables", Bytes: number(m[5]) << 10},
			{What: "of more slabs", Bytes: (slab - min(slab, slabBefore)) * page},
			{What: "on the lists of the CPU", Bytes: perCPU * page},
		}
		return nil
	}
	return fmt.Errorf("the log has no report of a kill in %d lines: %s", len(lines), strings.Join(lines[:min(3, len(lines))], " / "))
}

// readBuffers reads every dma-buf that lives.
func readBuffers() ([]dmaheap.BufferInfo, error) {
	f, err := os.Open("/sys/kernel/debug/dma_buf/bufinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return dmaheap.ParseBufinfo(f)
}
