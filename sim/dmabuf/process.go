package dmabuf

import "time"

// PID numbers processes, from 0 on; numbers are not used again.
type PID int32

// FD is a descriptor of a process.
type FD int32

// process is a process's descriptor table and mappings.
type process struct {
	descriptors []descriptor
	lowest      int // no descriptor below is free
	open        int
	limit       int
	mappings    link // of the last one made
	ended       bool
}

// descriptor is an entry of a descriptor table.
type descriptor struct {
	file    uint32
	open    bool
	cloExec bool
	Hold
}

// Hold says how and when somebody got hold of a buffer.
type Hold struct {
	By    Means
	Since time.Duration
	Used  time.Duration // when it was last used
	Never bool          // it never was
}

// Means is the way in which a reference came about.
type Means uint8

// The means.
const (
	Exported Means = iota // by the call that made the buffer
	Opened
	Duplicated
	Inherited // by a fork
	Received
	Mapped
	Imported // by a driver
	InFlight // in a message
)

var meansNames = [...]string{"export", "open", "dup", "fork", "receive", "mmap", "import", "message"}

// String returns the name used in results, such as "fork".
func (m Means) String() string { return meansNames[m] }

// link is the number of an element plus 1; 0 is none.
type link uint32

// Spawn makes a process without descriptors, of which it may open limit.
func (s *System) Spawn(limit int) PID {
	s.processes = append(s.processes, process{limit: limit})
	return PID(len(s.processes) - 1)
}

// process returns a process that has not ended, or nil.
func (s *System) process(pid PID) *process {
	if pid < 0 || int(pid) >= len(s.processes) || s.processes[pid].ended {
		return nil
	}
	return &s.processes[pid]
}

// Fork makes a child with copies of the descriptors and mappings, which refer to
// the same files.
func (s *System) Fork(pid PID) (PID, Errno) {
	if s.process(pid) == nil {
		return 0, ESRCH
	}
	child := s.Spawn(s.processes[pid].limit)
	parent, c := &s.processes[pid], &s.processes[child]
	c.descriptors = append([]descriptor(nil), parent.descriptors...)
	c.lowest, c.open = parent.lowest, parent.open
	for i := range c.descriptors {
		if d := &c.descriptors[i]; d.open {
			s.files.at(d.file).references++
			d.Hold = Hold{By: Inherited, Since: s.Now, Never: true}
		}
	}
	// The list is last in, first out: the copies are made in the order of the
	// originals.
	var originals []uint32
	for m := parent.mappings; m != 0; m = s.mappings.at(uint32(m - 1)).next {
		originals = append(originals, uint32(m-1))
	}
	for i := len(originals) - 1; i >= 0; i-- {
		file := s.mappings.at(originals[i]).file
		s.addMapping(child, file, Inherited)
	}
	return child, OK
}

// Exec closes the descriptors that are to be closed then, and drops all mappings.
func (s *System) Exec(pid PID) Errno {
	p := s.process(pid)
	if p == nil {
		return ESRCH
	}
	s.closeAll(p, true)
	return OK
}

// Exit ends a process, by itself or killed: its descriptors and mappings go. What
// drivers do for it is the caller's.
func (s *System) Exit(pid PID) Errno {
	p := s.process(pid)
	if p == nil {
		return ESRCH
	}
	s.closeAll(p, false)
	p.descriptors, p.ended = nil, true
	return OK
}

// closeAll drops the mappings of a process and closes its descriptors, or those
// that an exec closes. The kernel only queues the last references there, and
// drops what it queued last first (fput, task_work_run): descriptors from the
// highest down, then mappings, the oldest first.
func (s *System) closeAll(p *process, exec bool) {
	for fd := len(p.descriptors) - 1; fd >= 0; fd-- {
		if d := &p.descriptors[fd]; d.open && (d.cloExec || !exec) {
			s.closeDescriptor(p, fd)
		}
	}
	var newestFirst []uint32
	for m := p.mappings; m != 0; m = s.mappings.at(uint32(m - 1)).next {
		newestFirst = append(newestFirst, uint32(m-1))
	}
	for i := len(newestFirst) - 1; i >= 0; i-- {
		s.unmap(p, newestFirst[i])
	}
}

// install puts a file into the lowest free descriptor. The caller's reference
// becomes the descriptor's; if there is none free it stays the caller's.
func (s *System) install(p *process, file uint32, cloExec bool, by Means) (FD, Errno) {
	fd := p.lowest
	for fd < len(p.descriptors) && p.descriptors[fd].open {
		fd++
	}
	if fd >= p.limit {
		return 0, EMFILE
	}
	if fd == len(p.descriptors) {
		p.descriptors = append(p.descriptors, descriptor{})
	}
	p.descriptors[fd] = descriptor{file: file, open: true, cloExec: cloExec, Hold: Hold{By: by, Since: s.Now, Never: true}}
	p.lowest = fd + 1
	p.open++
	return FD(fd), OK
}

// descriptor returns an open descriptor, which is about to be used.
func (s *System) descriptor(pid PID, fd FD) (*process, *descriptor, Errno) {
	p := s.process(pid)
	if p == nil {
		return nil, nil, ESRCH
	}
	if fd < 0 || int(fd) >= len(p.descriptors) || !p.descriptors[fd].open {
		return nil, nil, EBADF
	}
	d := &p.descriptors[fd]
	d.Used, d.Never = s.Now, false
	return p, d, OK
}

func (s *System) closeDescriptor(p *process, fd int) {
	d := &p.descriptors[fd]
	d.open = false
	p.lowest = min(p.lowest, fd)
	p.open--
	s.put(d.file)
}

// Close closes a descriptor.
func (s *System) Close(pid PID, fd FD) Errno {
	p, _, errno := s.descriptor(pid, fd)
	if errno != OK {
		return errno
	}
	s.closeDescriptor(p, int(fd))
	return OK
}

// Dup duplicates a descriptor to the lowest free one (dup, or fcntl with
// F_DUPFD_CLOEXEC).
func (s *System) Dup(pid PID, fd FD, cloExec bool) (FD, Errno) {
	p, d, errno := s.descriptor(pid, fd)
	if errno != OK {
		return 0, errno
	}
	file := d.file
	made, errno := s.install(p, file, cloExec, Duplicated)
	if errno == OK {
		s.files.at(file).references++
	}
	return made, errno
}

// Dup3 duplicates a descriptor to a given one, which is closed before if it is
// open (dup3). The same one twice is EINVAL, even if it is not open.
func (s *System) Dup3(pid PID, fd, to FD, cloExec bool) Errno {
	if fd == to {
		return EINVAL
	}
	p, d, errno := s.descriptor(pid, fd)
	switch {
	case errno != OK:
		return errno
	case to < 0 || int(to) >= p.limit:
		return EBADF
	}
	file := d.file
	s.files.at(file).references++
	if int(to) < len(p.descriptors) && p.descriptors[to].open {
		s.closeDescriptor(p, int(to))
	}
	for int(to) >= len(p.descriptors) {
		p.descriptors = append(p.descriptors, descriptor{})
	}
	p.descriptors[to] = descriptor{file: file, open: true, cloExec: cloExec, Hold: Hold{By: Duplicated, Since: s.Now, Never: true}}
	p.open++
	if p.lowest == int(to) {
		p.lowest++
	}
	return OK
}
