// Command guest is dmasim with two commands more, for virtual machines: leaks runs
// dmasim on the kernel's heaps, ends it in every way there is, and wants the kernel
// to list no more dma-bufs than before; exec runs another program.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"dmasim/allocator/dmaheap"
	"dmasim/cmd/dmasim/cli"
)

func main() {
	var command string
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	switch {
	case command == "leaks":
		leaks()
	case command == "exec" && len(os.Args) > 2:
		fail(syscall.Exec(os.Args[2], os.Args[2:], os.Environ()))
	default:
		os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
}

func leaks() {
	failed := false
	for _, scenario := range []struct{ name, text string }{{"workload", workload}, {"programs", programs}} {
		file := "/tmp/" + scenario.name + ".yaml"
		if err := os.WriteFile(file, []byte(scenario.text), 0o644); err != nil {
			fail(err)
		}
		for _, e := range endings {
			if err := e.try(file); err != nil {
				failed = true
				fmt.Printf("%s, %s: %v\n", scenario.name, e.name, err)
			} else {
				fmt.Printf("%s, %s: nothing is left\n", scenario.name, e.name)
			}
		}
	}
	if failed {
		os.Exit(1)
	}
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "dmasim: guest: %v\n", err)
	os.Exit(1)
}

// ending is a way in which a run ends.
type ending struct {
	name   string
	signal syscall.Signal // sent while buffers live; 0: none is
	output string         // where it writes to
	status int            // of the exit; 128 more than a signal that ended it
	says   string         // on standard error
}

var endings = []ending{
	{name: "as it should", output: os.DevNull},
	{name: "SIGKILL", signal: syscall.SIGKILL, output: os.DevNull, status: 128 + int(syscall.SIGKILL)},
	{name: "SIGINT", signal: syscall.SIGINT, output: os.DevNull, status: 1, says: "are released"},
	{name: "SIGTERM", signal: syscall.SIGTERM, output: os.DevNull, status: 1, says: "are released"},
	{name: "a full disk", output: "/dev/full", status: 1, says: "no space left on device"},
}

// Work that ends by itself, and has buffers at most times.
const (
	workload = `
name: workload
duration: 5m
memory: [{base: 0, size: 128MiB}]
heaps: [{name: main, allocator: tlsf}]
workloads:
  - name: work
    heap: main
    churn: {every: {fixed: 10ms}, size: {fixed: 64KiB}, lifetime: {fixed: 400ms}}
`
	programs = `
name: programs
duration: 30s
memory: [{base: 0, size: 128MiB}]
machine: {}
heaps: [{name: system, kind: system}]
processes:
  - name: server
    program:
      - repeat:
          every: 100ms
          do:
            - alloc: {heap: system, size: 1MiB, as: frame}
            - mmap: {of: frame, as: view}
            - write: view
            - fork: {name: child, program: [{sleep: 300ms}]}
            - sleep: 50ms
            - munmap: view
            - close: frame
`
)

// patience is how long buffers may take to come or to go.
const patience = 2 * time.Minute

func (e *ending) try(scenario string) error {
	before, err := live()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(e.output, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	var said bytes.Buffer
	cmd := exec.Command("/proc/self/exe", "run", "--backend", "kernel", "--budget", "32MiB", scenario)
	cmd.Stdout, cmd.Stderr = out, &said
	cmd.WaitDelay = patience // children may hold the pipe
	if err := cmd.Start(); err != nil {
		return err
	}
	if e.signal != 0 {
		err := until("has a buffer", func(n int) bool { return n > before })
		if err := errors.Join(err, cmd.Process.Signal(e.signal)); err != nil {
			return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	status := cmd.ProcessState.ExitCode()
	if w := cmd.ProcessState.Sys().(syscall.WaitStatus); w.Signaled() {
		status = 128 + int(w.Signal())
	}
	if status != e.status || !strings.Contains(said.String(), e.says) {
		return fmt.Errorf("exit status %d, said %q; want %d, %q", status, said.String(), e.status, e.says)
	}
	return until(fmt.Sprintf("left %d buffers", before), func(n int) bool { return n == before })
}

// live returns how many dma-bufs there are.
func live() (int, error) {
	f, err := os.Open("/sys/kernel/debug/dma_buf/bufinfo")
	if err != nil {
		return 0, err
	}
	list, err := dmaheap.ParseBufinfo(io.Reader(f))
	return len(list), errors.Join(err, f.Close())
}

func until(what string, is func(buffers int) bool) error {
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		n, err := live()
		switch {
		case err != nil:
			return err
		case is(n):
			return nil
		case time.Since(start) > patience:
			return fmt.Errorf("never %s: %d live", what, n)
		}
	}
}
