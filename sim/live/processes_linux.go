//go:build amd64 || arm64 || riscv64

package live

import (
	"os"
	"syscall"

	"dmasim/allocator/dmaheap"
	"dmasim/sim/live/process"
	"dmasim/workloads/program"
)

// Processes are real processes, all forked from one.
type Processes struct {
	heaps    []string
	ancestor *process.Ancestor
}

// StartProcesses starts what processes are forked from. Heaps are the kernel's names,
// for each of the configuration's. The program must call [process.Main] first.
func StartProcesses(heaps []string) (*Processes, error) {
	ancestor, err := process.Start()
	return &Processes{heaps, ancestor}, err
}

// Spawn makes a process.
func (p *Processes) Spawn(descriptors int) (Process, error) {
	limit := process.FirstFD + descriptors
	if limit > process.ChannelFD {
		limit++ // the channel's
	}
	made, err := p.ancestor.Spawn(limit)
	if err != nil {
		return nil, err
	}
	return realProcess{made, p.heaps}, nil
}

// Close ends what processes are forked from.
func (p *Processes) Close() error { return p.ancestor.Close() }

type realProcess struct {
	*process.Process
	heaps []string
}

func (r realProcess) Open(heap int, cloExec bool) (int, syscall.Errno, error) {
	return r.Process.Open(r.heaps[heap], cloExec)
}

func (r realProcess) Close(fd int) (syscall.Errno, error) { return r.CloseFD(fd) }

func (r realProcess) Sync(fd int, access program.Access, end bool) (syscall.Errno, error) {
	flags := uint64(access)
	if end {
		flags |= dmaheap.SyncEnd
	}
	return r.Process.Sync(fd, flags)
}

func (r realProcess) Fork() (Process, syscall.Errno, error) {
	child, errno, err := r.Process.Fork()
	if child == nil {
		return nil, errno, err
	}
	return realProcess{child, r.heaps}, errno, err
}

func (r realProcess) Send(fd int) (Message, syscall.Errno, error) {
	file, errno, err := r.HandOver(fd)
	if file == nil {
		return nil, errno, err
	}
	return file, errno, err
}

func (r realProcess) Receive(m Message, cloExec bool) (int, syscall.Errno, error) {
	return r.Accept(m.(*os.File), cloExec)
}

func (r realProcess) End() error { return r.Kill() }
