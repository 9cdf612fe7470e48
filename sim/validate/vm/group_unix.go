//go:build unix

package vm

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func killGroup(process *os.Process) error { return syscall.Kill(-process.Pid, syscall.SIGKILL) }

// lock waits until no other process has the file locked.
func lock(file *os.File) error { return unix.Flock(int(file.Fd()), unix.LOCK_EX) }
