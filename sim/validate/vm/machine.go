package vm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"dmasim/mem"
)

// Machine describes a virtual machine.
type Machine struct {
	Kernel  string   // file of the kernel's image
	Memory  mem.Size // whole MiB
	Append  []string // to the kernel's command line
	Devices []string // of QEMU, as its -device option takes them
	KVM     bool     // use the processor's virtualization instead of emulating one
	Timeout time.Duration
	Console io.Writer // what the kernel prints; nil: it is only kept for errors
}

// Errors of a machine that did not end as it should.
var (
	ErrTimeout = errors.New("the virtual machine took too long")
	ErrDied    = errors.New("the virtual machine ended before the command did: its console tells why")
)

// qemu is the program that emulates a machine of this kind.
const qemu = "qemu-system-x86_64"

// Ready returns what keeps this host from running a machine, if anything does: QEMU is
// not installed, or dmasim not linked statically.
func Ready() error {
	if err := need(tool{qemu, "qemu-system-x86"}); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return checkStatic(program)
}

// Run runs a job in a machine and returns its exit status. What it prints goes to
// out and errors; the files that it leaves are written to the same places of the
// host. Nothing is left running or lying about, also when ctx ends.
func Run(ctx context.Context, m *Machine, job *Job, out, errs io.Writer) (status int, err error) {
	if err := Ready(); err != nil {
		return 0, err
	}
	program, err := os.Executable()
	if err != nil {
		return 0, err
	}
	scratch, err := os.MkdirTemp("", "dmasim-vm-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	initramfs := filepath.Join(scratch, "initramfs.gz")
	f, err := os.Create(initramfs)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(writeInitramfs(f, program, job), f.Close()); err != nil {
		return 0, fmt.Errorf("make the first file system: %w", err)
	}
	socket := filepath.Join(scratch, "answers")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	limited, cancel := context.WithTimeoutCause(ctx, m.Timeout, ErrTimeout)
	defer cancel()
	console := &tail{also: m.Console}
	cmd := exec.CommandContext(limited, qemu, m.arguments(initramfs, socket)...)
	var complaints bytes.Buffer // of QEMU itself
	cmd.Stdout, cmd.Stderr = console, &complaints
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	answer := make(chan answered, 1)
	go func() { answer <- receive(listener, job, out, errs) }()
	failed := cmd.Wait()
	listener.Close() // in case QEMU never connected
	a := <-answer
	switch {
	case limited.Err() != nil:
		err = context.Cause(limited)
		if errors.Is(err, ErrTimeout) {
			console.show(errs)
			err = fmt.Errorf("%w: %v", ErrTimeout, m.Timeout)
		}
		return 0, err
	case a.err != nil && !errors.Is(a.err, io.EOF) && !errors.Is(a.err, io.ErrUnexpectedEOF) && !errors.Is(a.err, net.ErrClosed):
		return 0, a.err
	case a.ended:
		return a.status, nil
	case failed != nil:
		return 0, fmt.Errorf("%s: %w: %s", qemu, failed, strings.TrimSpace(complaints.String()))
	}
	console.show(errs)
	return 0, ErrDied
}

// arguments is QEMU's command line: no disk, no network, no screen; the first serial
// port is the console, the second one carries the answers.
func (m *Machine) arguments(initramfs, socket string) []string {
	// By counted instructions, the same machine does the same each time, and does not
	// wait where nothing is to be done.
	processor := []string{"-accel", "tcg", "-icount", "shift=3,sleep=off"}
	if m.KVM {
		processor = []string{"-accel", "kvm", "-cpu", "host"}
	}
	parameters := append([]string{
		"console=ttyS0", "quiet", "panic=-1", "rdinit=/init", "transparent_hugepage=never", "retain_initrd", Parameter,
	}, m.Append...)
	list := append(processor,
		"-smp", "1", "-m", fmt.Sprintf("%dM", m.Memory/mem.MiB),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", m.Kernel, "-initrd", initramfs, "-append", strings.Join(parameters, " "),
		"-serial", "stdio",
		"-chardev", "socket,id=answers,path="+socket, "-serial", "chardev:answers",
	)
	for _, device := range m.Devices {
		list = append(list, "-device", device)
	}
	return list
}

// answered is what came out of a machine.
type answered struct {
	ended  bool // with a status
	status int
	err    error
}

// receive passes on what comes out of a machine until it ends.
func receive(listener net.Listener, job *Job, out, errs io.Writer) (a answered) {
	connection, err := listener.Accept()
	if err != nil {
		return answered{err: err}
	}
	defer connection.Close()
	r, err := newReceiver(connection)
	if err != nil {
		return answered{err: err}
	}
	left := &archived{job: job}
	defer func() { a.err = errors.Join(a.err, left.close(a.ended)) }()
	for {
		kind, payload, err := r.next()
		if err != nil {
			return answered{err: err}
		}
		switch kind {
		case stdout:
			_, err = out.Write(payload)
		case stderr:
			_, err = errs.Write(payload)
		case files:
			err = left.write(payload)
		case ended:
			if len(payload) != 4 {
				return answered{err: fmt.Errorf("%w: status of %d bytes", ErrWire, len(payload))}
			}
			return answered{ended: true, status: int(binary.LittleEndian.Uint32(payload))}
		default:
			err = fmt.Errorf("%w: frame of kind %q", ErrWire, kind)
		}
		if err != nil {
			return answered{err: err}
		}
	}
}

// archived stores an archive of files while it comes in.
type archived struct {
	job  *Job
	to   *io.PipeWriter // nil: no file came yet
	done chan error
}

func (a *archived) write(part []byte) error {
	if a.to == nil {
		var from *io.PipeReader
		from, a.to = io.Pipe()
		a.done = make(chan error, 1)
		go func() {
			err := store(a.job, from)
			from.CloseWithError(err)
			a.done <- err
		}()
	}
	_, err := a.to.Write(part)
	if errors.Is(err, io.ErrClosedPipe) {
		return nil // store has what it wanted, or says why not
	}
	return err
}

// close ends the archive, and stores nothing of one that is not whole.
func (a *archived) close(whole bool) error {
	if a.to == nil {
		return nil
	}
	if whole {
		a.to.Close()
	} else {
		a.to.CloseWithError(io.ErrUnexpectedEOF)
	}
	err := <-a.done
	if !whole {
		return nil // there is a better error
	}
	return err
}

// tail keeps the end of what is written.
type tail struct {
	also io.Writer
	kept []byte
}

// keptConsole bounds what is kept of a console, in bytes.
const keptConsole = 4096

func (t *tail) Write(p []byte) (int, error) {
	if t.also != nil {
		if _, err := t.also.Write(p); err != nil {
			return 0, err
		}
	}
	t.kept = append(t.kept, p...)
	if extra := len(t.kept) - keptConsole; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(p), nil
}

// show prints the last lines of a console, for who looks into why a machine failed.
func (t *tail) show(to io.Writer) {
	const most = 8
	text := strings.TrimSpace(strings.ReplaceAll(string(t.kept), "\r", ""))
	if text == "" {
		return
	}
	lines := strings.Split(text, "\n")
	for _, line := range lines[max(0, len(lines)-most):] {
		fmt.Fprintf(to, "dmasim: console: %s\n", line)
	}
}
