//go:build !unix

package vm

import (
	"os"
	"syscall"
)

// Kernels are built on Linux; elsewhere a process is on its own.

func ownGroup() *syscall.SysProcAttr { return nil }

func killGroup(process *os.Process) error { return process.Kill() }

func lock(*os.File) error { return nil }
