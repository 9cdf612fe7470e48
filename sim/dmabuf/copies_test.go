package dmabuf_test

import (
	"testing"

	"dmasim/sim/dmabuf"
)

// shared is a buffer that a camera has mapped as it lies, and a display through
// bounce buffers; both are coherent.
type shared struct {
	*dmabuf.System
	pid             dmabuf.PID
	fd              dmabuf.FD
	number          dmabuf.Buffer
	camera, display dmabuf.Attachment
	lost            bool // something was, so far
}

func newShared(t *testing.T) *shared {
	t.Helper()
	s := &shared{System: dmabuf.New()}
	s.pid, s.number, s.fd = buffer(t, s.System)
	for _, a := range []*dmabuf.Attachment{&s.camera, &s.display} {
		importer, errno := s.Get(s.pid, s.fd)
		must(t, errno)
		*a, errno = s.Attach(importer, true)
		must(t, errno)
	}
	must(t, s.Map(s.camera))
	must(t, s.MapBounced(s.display))
	return s
}

func (s *shared) cameraWrites()  { s.DeviceAccess(s.camera, dmabuf.Writes) }
func (s *shared) displayWrites() { s.DeviceAccess(s.display, dmabuf.Writes) }
func (s *shared) cpuWrites()     { s.CPUWrite(s.number) }
func (s *shared) end()           { s.EndCPUAccess(s.pid, s.fd, dmabuf.Writes) }
func (s *shared) unmap() {
	lost, _ := s.Unmap(s.display)
	s.lost = s.lost || lost
}
func (s *shared) remap() {
	s.unmap()
	s.MapBounced(s.display)
}
func (s *shared) begin() {
	_, synced, _ := s.BeginCPUAccess(s.pid, s.fd, dmabuf.Reads)
	s.lost = s.lost || synced.Lost
}

// TestCopies: who reads what, where a device uses bounce buffers.
func TestCopies(t *testing.T) {
	const fresh, staleCopy, staleMemory = dmabuf.Fresh, dmabuf.StaleCopy, dmabuf.StaleMemory
	type acts = []func(*shared)
	camera, display, cpu := (*shared).cameraWrites, (*shared).displayWrites, (*shared).cpuWrites
	begin, end, unmap, remap := (*shared).begin, (*shared).end, (*shared).unmap, (*shared).remap
	for name, test := range map[string]struct {
		acts              acts
		onDisplay, others dmabuf.Staleness
		lost              bool
	}{
		"nothing":                              {},
		"another device wrote":                 {acts: acts{camera}, onDisplay: staleCopy},
		"a map for each picture":               {acts: acts{unmap, camera, (*shared).mapAgain}},
		"a map for each picture, written back": {acts: acts{camera, remap}, onDisplay: staleCopy, others: staleMemory, lost: true},
		"the CPU wrote":                        {acts: acts{cpu}, onDisplay: staleCopy},
		"the CPU wrote within a bracket":       {acts: acts{cpu, end}},
		"a bracket of a reader":                {acts: acts{camera, begin}, onDisplay: staleCopy, others: staleMemory, lost: true},
		"the device wrote":                     {acts: acts{display}, others: staleMemory},
		"the device wrote, then a bracket":     {acts: acts{display, begin}},
		"the device wrote, then unmap":         {acts: acts{display, remap}},
		"both wrote":                           {acts: acts{display, camera}, onDisplay: staleCopy},
		"both wrote, the copy last":            {acts: acts{camera, display, begin}},
	} {
		s := newShared(t)
		for _, do := range test.acts {
			do(s)
		}
		if got := s.DeviceAccess(s.display, dmabuf.Reads); got != test.onDisplay {
			t.Errorf("%s: the display reads %d, want %d", name, got, test.onDisplay)
		}
		if got := s.DeviceAccess(s.camera, dmabuf.Reads); got != test.others {
			t.Errorf("%s: the camera reads %d, want %d", name, got, test.others)
		}
		if got := s.CPURead(s.number); got != test.others {
			t.Errorf("%s: the CPU reads %d, want %d", name, got, test.others)
		}
		if s.lost != test.lost {
			t.Errorf("%s: data were lost: %v, want %v", name, s.lost, test.lost)
		}
	}
}

func (s *shared) mapAgain() { s.MapBounced(s.display) }

// TestCopyThroughCaches: the CPU copies, through caches that a device that is not
// coherent may have made stale, and leaves in them what it copies back.
func TestCopyThroughCaches(t *testing.T) {
	s := newShared(t)
	importer, errno := s.Get(s.pid, s.fd)
	must(t, errno)
	encoder, errno := s.Attach(importer, false)
	must(t, errno)
	must(t, s.Map(encoder))
	if got, want := s.bytesOfBracket(t), uint64(2*4096); got != want {
		t.Errorf("a bracket synchronises %d bytes, want %d", got, want)
	}
	s.DeviceAccess(encoder, dmabuf.Writes)
	s.end() // copies what the caches have
	if got := s.DeviceAccess(s.display, dmabuf.Reads); got != dmabuf.StaleCopy {
		t.Errorf("the display reads %d, want what the caches had", got)
	}
	s.displayWrites()
	s.unmap()
	if got := s.DeviceAccess(encoder, dmabuf.Reads); got != dmabuf.StaleCaches {
		t.Errorf("the encoder reads %d, want what memory had before the CPU copied", got)
	}
}

func (s *shared) bytesOfBracket(t *testing.T) uint64 {
	t.Helper()
	_, synced, errno := s.BeginCPUAccess(s.pid, s.fd, dmabuf.Writes)
	must(t, errno)
	return synced.Bytes
}

// TestForgottenCopies: any order of unmaps leaves the copies that are left.
func TestForgottenCopies(t *testing.T) {
	for first := range 3 {
		for second := range 3 {
			if first == second {
				continue
			}
			s := newShared(t)
			list := []dmabuf.Attachment{s.display}
			for range 2 {
				importer, errno := s.Get(s.pid, s.fd)
				must(t, errno)
				a, errno := s.Attach(importer, true)
				must(t, errno)
				must(t, s.MapBounced(a))
				list = append(list, a)
			}
			for left, i := range []int{first, second, 3 - first - second} {
				if got, want := s.bytesOfBracket(t), uint64(3-left)*4096; got != want {
					t.Errorf("unmapping %d, then %d: %d bytes synchronised with %d left, want %d", first, second, got, 3-left, want)
				}
				s.Unmap(list[i])
			}
		}
	}
}
