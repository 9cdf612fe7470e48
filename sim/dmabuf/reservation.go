package dmabuf

// Usage is what a fence of a buffer is about (enum dma_resv_usage).
type Usage uint8

// The usages, the strongest first. A reader waits for Kernel and Write, a writer
// also for Read. Bookkeep is never waited for implicitly.
const (
	Kernel Usage = iota
	Write
	Read
	Bookkeep
)

// slot is a fence of a reservation (struct dma_resv).
type slot struct {
	fence Fence
	usage Usage
}

// AddFence adds a fence to a live buffer's reservation (dma_resv_add_fence).
func (s *System) AddFence(b Buffer, number Fence, usage Usage) {
	f := s.fences.at(uint32(number))
	f.references++
	slots := &s.buffers.at(uint32(b)).reservation
	for i := range *slots {
		have := &(*slots)[i]
		old := s.fences.at(uint32(have.fence))
		if old.signalled || (old.context == f.context && have.usage >= usage && old.number <= f.number) {
			s.putFence(have.fence)
			*have = slot{number, usage}
			return
		}
	}
	*slots = append(*slots, slot{number, usage})
}

// Unsignalled appends to dst the fences of a live buffer that somebody who asks
// for usage has to wait for, in the order of the reservation.
func (s *System) Unsignalled(dst []Fence, b Buffer, usage Usage) []Fence {
	for _, have := range s.buffers.at(uint32(b)).reservation {
		if have.usage <= usage && !s.fences.at(uint32(have.fence)).signalled {
			dst = append(dst, have.fence)
		}
	}
	return dst
}

// ContextOf returns the context of a fence that is not signalled.
func (s *System) ContextOf(number Fence) Context { return s.fences.at(uint32(number)).context }

// Direction is what a poll asks for.
type Direction uint8

// The directions: In waits as a reader does, Out as a writer.
const (
	In  Direction = iota // POLLIN
	Out                  // POLLOUT
)

// usage returns what a poll waits for.
func (d Direction) usage() Usage {
	if d == In {
		return Write
	}
	return Read
}

// Poll reports whether a buffer is ready. If not, it arms a callback on the first
// fence that is not signalled, unless one of that direction is armed; the callback
// holds a reference to the buffer until that fence signals. While one is armed the
// answer is no, even if nothing is pending any more (dma_buf_poll).
func (s *System) Poll(pid PID, fd FD, d Direction) (ready bool, errno Errno) {
	_, f, errno := s.open(pid, fd, bufferFile, EINVAL)
	if errno != OK {
		return false, errno
	}
	b := s.buffers.at(f.object)
	if b.armed[d] != NoFence {
		return false, OK
	}
	s.scratch = s.Unsignalled(s.scratch[:0], Buffer(f.object), d.usage())
	if len(s.scratch) == 0 {
		return true, OK
	}
	b.armed[d] = s.scratch[0]
	f.references++
	s.wait(s.fences.at(uint32(s.scratch[0])), waiter{buffer: link(f.object + 1)})
	return false, OK
}

// disarm ends the polls of a buffer that wait for a fence. There is a waiter for
// each direction, and each ends one.
func (s *System) disarm(number Buffer, signalled Fence) {
	b := s.buffers.at(uint32(number))
	for d := range b.armed {
		if b.armed[d] == signalled {
			b.armed[d] = NoFence
			s.put(b.file)
			return
		}
	}
}
