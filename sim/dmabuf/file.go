package dmabuf

// file is an open file (struct file).
type file struct {
	references int32
	kind       fileKind
	object     uint32 // number of the heap, buffer or sync_file
}

type fileKind uint8

const (
	heapFile fileKind = iota
	bufferFile
	syncFileFile
)

func (s *System) newFile(kind fileKind, object uint32) uint32 {
	i, f := s.files.add()
	*f = file{references: 1, kind: kind, object: object}
	return i
}

// put drops a reference.
func (s *System) put(i uint32) {
	f := s.files.at(i)
	if f.references--; f.references > 0 {
		return
	}
	switch f.kind {
	case bufferFile:
		s.releaseBuffer(Buffer(f.object))
	case syncFileFile:
		sync := s.syncFiles.at(f.object)
		for _, fence := range sync.fences {
			s.putFence(fence)
		}
		sync.fences = sync.fences[:0]
		s.syncFiles.drop(f.object)
	}
	s.files.drop(i)
}

// open returns the open file of a descriptor, if it is of a kind. The errno for
// another kind is what the caller's system call says.
func (s *System) open(pid PID, fd FD, kind fileKind, otherKind Errno) (*process, *file, Errno) {
	p, d, errno := s.descriptor(pid, fd)
	if errno != OK {
		return nil, nil, errno
	}
	f := s.files.at(d.file)
	if f.kind != kind {
		return nil, nil, otherKind
	}
	return p, f, OK
}

// OpenHeap opens the device file of a heap, which the caller found permitted.
func (s *System) OpenHeap(pid PID, heap int, cloExec bool) (FD, Errno) {
	p := s.process(pid)
	if p == nil {
		return 0, ESRCH
	}
	file := s.newFile(heapFile, uint32(heap))
	fd, errno := s.install(p, file, cloExec, Opened)
	if errno != OK {
		s.put(file)
	}
	return fd, errno
}

// HeapOf returns the heap that a descriptor is of.
func (s *System) HeapOf(pid PID, fd FD) (heap int, errno Errno) {
	_, f, errno := s.open(pid, fd, heapFile, ENOTTY)
	if errno != OK {
		return 0, errno
	}
	return int(f.object), OK
}

// Message is a descriptor on its way from one process to another.
type Message uint32

// message holds a reference to the file (SCM_RIGHTS).
type message struct {
	file uint32
	Hold
}

// Send puts a descriptor into a message. The sender keeps its own.
func (s *System) Send(pid PID, fd FD) (Message, Errno) {
	_, d, errno := s.descriptor(pid, fd)
	if errno != OK {
		return 0, errno
	}
	s.files.at(d.file).references++
	i, m := s.messages.add()
	*m = message{file: d.file, Hold: Hold{By: InFlight, Since: s.Now, Never: true}}
	return Message(i), OK
}

// Receive takes a message and installs its file. Without a free descriptor the
// file is dropped, as by a recvmsg that says MSG_CTRUNC, and the errno is EMFILE.
func (s *System) Receive(pid PID, number Message, cloExec bool) (FD, Errno) {
	p, m := s.process(pid), s.messages.get(uint32(number))
	switch {
	case p == nil:
		return 0, ESRCH
	case m == nil:
		return 0, EINVAL
	}
	file := m.file
	s.messages.drop(uint32(number))
	fd, errno := s.install(p, file, cloExec, Received)
	if errno != OK {
		s.put(file)
	}
	return fd, errno
}

// Drop throws a message away, as when its socket is closed.
func (s *System) Drop(number Message) Errno {
	m := s.messages.get(uint32(number))
	if m == nil {
		return EINVAL
	}
	file := m.file
	s.messages.drop(uint32(number))
	s.put(file)
	return OK
}
