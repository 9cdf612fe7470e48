package dmabuf_test

import (
	"math"
	"testing"

	"dmasim/sim/dmabuf"
)

// TestMmapErrno has what mmap returns on Linux 6.12.117, as dmasim validate found.
func TestMmapErrno(t *testing.T) {
	s := dmabuf.New()
	pid := s.Spawn(8)
	heap, _ := s.OpenHeap(pid, 0, true)
	_, buffer, _ := s.Export(pid, 8192, true)
	for _, test := range []struct {
		fd             dmabuf.FD
		offset, length uint64
		want           dmabuf.Errno
	}{
		{buffer, 0, 8192, dmabuf.OK},
		{buffer, 4096, 4096, dmabuf.OK},
		{buffer, 0, 0, dmabuf.EINVAL},
		{buffer, 4096, 8192, dmabuf.EINVAL},
		{buffer, 8192, 4096, dmabuf.EINVAL},
		{buffer, math.MaxUint64 - 4095, 4096, dmabuf.EOVERFLOW},
		{heap, 0, 4096, dmabuf.ENODEV},
		{heap, 0, 0, dmabuf.EINVAL},
		{7, 0, 0, dmabuf.EBADF},
	} {
		if _, errno := s.Mmap(pid, test.fd, test.offset, test.length); errno != test.want {
			t.Errorf("mmap of %d, %d bytes from %#x: %v, want %v", test.fd, test.length, test.offset, errno, test.want)
		}
	}
}
