package dmabuf

// Context is a timeline: its fences are signalled in the order in which they were
// made.
type Context uint32

// Fence stands for the end of some work (struct dma_fence).
type Fence uint32

// NoFence is no fence.
const NoFence Fence = 1<<32 - 1

// fence holds a reference to itself until it is signalled.
type fence struct {
	context    Context
	number     uint64 // in its context, from 1
	references int32
	signalled  bool
	waiters    link // the first one
	last       link
}

// Token is what a waiter is known by to the caller.
type Token uint64

type waiter struct {
	token  Token
	buffer link // 0, or the buffer whose poll waits
	next   link
}

// NewContext makes a timeline.
func (s *System) NewContext() Context {
	s.contexts = append(s.contexts, 0)
	return Context(len(s.contexts) - 1)
}

// NewFence makes the next fence of a context.
func (s *System) NewFence(c Context) Fence {
	s.contexts[c]++
	i, f := s.fences.add()
	*f = fence{context: c, number: s.contexts[c], references: 1}
	return Fence(i)
}

// Signal signals a fence, for good, and appends the tokens of those that wait for
// it to dst, in the order in which they began to wait. Signalling twice is
// EINVAL.
func (s *System) Signal(dst []Token, number Fence) ([]Token, Errno) {
	f := s.fences.get(uint32(number))
	if f == nil || f.signalled {
		return dst, EINVAL
	}
	f.signalled = true
	for next := f.waiters; next != 0; {
		i := uint32(next - 1)
		w := *s.waiters.at(i)
		s.waiters.drop(i)
		next = w.next
		if w.buffer != 0 {
			s.disarm(Buffer(w.buffer-1), number)
		} else {
			dst = append(dst, w.token)
		}
	}
	f.waiters, f.last = 0, 0
	s.putFence(number)
	return dst, OK
}

func (s *System) putFence(number Fence) {
	f := s.fences.at(uint32(number))
	if f.references--; f.references == 0 {
		s.fences.drop(uint32(number))
	}
}

// Await makes token wait for a fence. It is false where the fence is signalled.
func (s *System) Await(number Fence, token Token) bool {
	f := s.fences.get(uint32(number))
	if f == nil || f.signalled {
		return false
	}
	s.wait(f, waiter{token: token})
	return true
}

func (s *System) wait(f *fence, w waiter) {
	i, added := s.waiters.add()
	*added = w
	if f.last != 0 {
		s.waiters.at(uint32(f.last - 1)).next = link(i + 1)
	} else {
		f.waiters = link(i + 1)
	}
	f.last = link(i + 1)
}

// Signalled reports whether a fence is signalled. One that nobody refers to any
// more is.
func (s *System) Signalled(number Fence) bool {
	f := s.fences.get(uint32(number))
	return f == nil || f.signalled
}
