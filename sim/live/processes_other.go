//go:build !linux || !(amd64 || arm64 || riscv64)

package live

import "dmasim/allocator/dmaheap"

// Processes are real processes; there are none here.
type Processes struct{}

// StartProcesses fails.
func StartProcesses([]string) (*Processes, error) { return nil, dmaheap.ErrUnsupported }

// Spawn fails.
func (*Processes) Spawn(int) (Process, error) { return nil, dmaheap.ErrUnsupported }

// Close does nothing.
func (*Processes) Close() error { return nil }
