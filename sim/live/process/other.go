//go:build !linux || !(amd64 || arm64 || riscv64)

package process

import "dmasim/allocator/dmaheap"

func obey() error { return dmaheap.ErrUnsupported }
