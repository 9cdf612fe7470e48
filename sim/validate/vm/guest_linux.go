package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// mounts are the file systems in which Linux tells of itself, in the order in which
// they can be mounted. A kernel may lack some.
var mounts = []struct{ kind, at string }{
	{"devtmpfs", "/dev"},
	{"proc", "/proc"},
	{"sysfs", "/sys"},
	{"debugfs", "/sys/kernel/debug"},
	{"tracefs", "/sys/kernel/tracing"},
}

// Init does what the first process of a virtual machine has to do, and then
// restarts it. It returns false, and does nothing, anywhere else.
func Init() bool {
	if os.Getpid() != 1 {
		return false
	}
	text, err := os.ReadFile(jobFile)
	if err != nil {
		return false
	}
	if err := serve(text); err != nil {
		fmt.Fprintf(os.Stderr, "dmasim: init: %v\n", err) // the kernel's console
	}
	unix.Sync()
	// A kernel that can't power off can restart, which ends QEMU just as well.
	err = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	fmt.Fprintf(os.Stderr, "dmasim: init: restart: %v\n", err)
	return true // the kernel panics when its first process ends
}

func serve(text []byte) error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			continue // in a kernel without the parent
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && !errors.Is(err, unix.ENODEV) {
			fmt.Fprintf(os.Stderr, "dmasim: init: mount %s: %v\n", m.kind, err)
		}
	}
	if err := os.MkdirAll("/tmp", 0o1777); err != nil {
		return err
	}
	port, err := openPort("/dev/ttyS1")
	if err != nil {
		return err
	}
	defer port.Close()
	s, err := newSender(port)
	if err != nil {
		return err
	}
	var job Job
	if err := json.Unmarshal(text, &job); err != nil {
		return err
	}
	before, err := snapshot(&job)
	if err != nil {
		return err
	}
	status := run(&job, s)
	if err := collect(&job, before, s.writer(files)); err != nil {
		if err := s.send(stderr, fmt.Appendf(nil, "dmasim: collect files: %v\n", err)); err != nil {
			return err
		}
		status = max(status, 1)
	}
	if err := s.send(ended, []byte{byte(status), byte(status >> 8), 0, 0}); err != nil {
		return err
	}
	return unix.IoctlSetInt(int(port.Fd()), unix.TCSBRK, 1) // until all is sent
}

// openPort opens a serial port that changes nothing of what is written.
func openPort(path string) (*os.File, error) {
	port, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	settings, err := unix.IoctlGetTermios(int(port.Fd()), unix.TCGETS)
	if err == nil {
		settings.Iflag, settings.Oflag, settings.Lflag = 0, 0, 0
		err = unix.IoctlSetTermios(int(port.Fd()), unix.TCSETS, settings)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), port.Close())
	}
	return port, nil
}

// run runs the command and returns its exit status, or as a shell does 128 more
// than the signal that ended it.
func run(job *Job, s *sender) int {
	cmd := exec.Command("/init", job.Args...)
	cmd.Dir = job.Dir
	cmd.Env = []string{"HOME=/", "PATH=/", "TMPDIR=/tmp"}
	cmd.Stdout, cmd.Stderr = s.writer(stdout), s.writer(stderr)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal())
		}
		return exit.ExitCode()
	}
	_, _ = io.WriteString(s.writer(stderr), fmt.Sprintf("dmasim: %v\n", err))
	return 1
}

// device returns the file system of a file.
func device(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Dev }
