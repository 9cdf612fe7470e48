package dmabuf

import "math"

// Buffer numbers buffers; the number of one that was released is used again.
type Buffer uint32

// buffer is a dma-buf (struct dma_buf).
type buffer struct {
	file        uint32
	size        uint64
	attachments int32
	mapped      int32 // attachments that are mapped
	nonCoherent int32 // of them of devices that are not coherent

	reservation []slot
	armed       [2]Fence // by direction: the fence that a poll waits for

	// memoryNewer: a device wrote what the CPU's caches don't have.
	// cachesNewer: the CPU wrote what memory doesn't have.
	memoryNewer, cachesNewer bool

	// latest numbers the writes to the buffer, wherever they went, and memory is the
	// last one whose data memory has.
	latest, memory uint64
	copies         link // attachments that are mapped through bounce buffers, the newest map first
}

// Export makes a buffer with a descriptor (dma_buf_export, dma_buf_fd). Without a
// free descriptor nothing is made, and the errno is EMFILE.
func (s *System) Export(pid PID, size uint64, cloExec bool) (Buffer, FD, Errno) {
	p := s.process(pid)
	if p == nil {
		return 0, 0, ESRCH
	}
	number, b := s.buffers.add()
	file := s.newFile(bufferFile, number)
	fd, errno := s.install(p, file, cloExec, Exported)
	if errno != OK {
		s.files.drop(file)
		s.buffers.drop(number)
		return 0, 0, errno
	}
	*b = buffer{file: file, size: size, reservation: b.reservation[:0], armed: [2]Fence{NoFence, NoFence}}
	return Buffer(number), fd, OK
}

// BufferOf returns the buffer that a descriptor is of; EINVAL if it is of
// something else.
func (s *System) BufferOf(pid PID, fd FD) (Buffer, Errno) {
	_, f, errno := s.open(pid, fd, bufferFile, EINVAL)
	if errno != OK {
		return 0, errno
	}
	return Buffer(f.object), OK
}

// Size returns the size of a live buffer in bytes.
func (s *System) Size(b Buffer) uint64 { return s.buffers.at(uint32(b)).size }

// releaseBuffer is called when the last reference is gone (dma_buf_release).
func (s *System) releaseBuffer(number Buffer) {
	b := s.buffers.at(uint32(number))
	if b.attachments > 0 {
		s.warn(number, "released with devices attached")
	}
	for i := range b.reservation {
		s.putFence(b.reservation[i].fence)
	}
	b.reservation = b.reservation[:0]
	s.released = append(s.released, number)
}

// Mapping numbers mappings.
type Mapping uint32

// mapping holds a reference to its file.
type mapping struct {
	file       uint32
	pid        PID
	next, prev link
	Hold
}

// Mmap maps length bytes of a buffer from an offset, both in whole pages or not:
// EINVAL if they pass the buffer's end (dma_buf_mmap_internal), EOVERFLOW where their
// end is 2^64 or above, which is found out before (file_mmap_ok), ENODEV if the
// descriptor is of something else.
func (s *System) Mmap(pid PID, fd FD, offset, length uint64) (Mapping, Errno) {
	_, _, errno := s.descriptor(pid, fd)
	switch {
	case errno != OK:
		return 0, errno
	case length == 0:
		return 0, EINVAL
	case offset > math.MaxUint64-length:
		return 0, EOVERFLOW
	}
	_, f, errno := s.open(pid, fd, bufferFile, ENODEV)
	if errno != OK {
		return 0, errno
	}
	b := s.buffers.at(f.object)
	if offset > b.size || length > b.size-offset {
		return 0, EINVAL
	}
	return s.addMapping(pid, b.file, Mapped), OK
}

func (s *System) addMapping(pid PID, file uint32, by Means) Mapping {
	p := &s.processes[pid]
	i, m := s.mappings.add()
	*m = mapping{file: file, pid: pid, next: p.mappings, Hold: Hold{By: by, Since: s.Now, Never: true}}
	if p.mappings != 0 {
		s.mappings.at(uint32(p.mappings - 1)).prev = link(i + 1)
	}
	p.mappings = link(i + 1)
	s.files.at(file).references++
	return Mapping(i)
}

// mapping returns a mapping of a process, which is about to be used.
func (s *System) mapping(pid PID, number Mapping) *mapping {
	m := s.mappings.get(uint32(number))
	if m == nil || m.pid != pid {
		return nil
	}
	m.Used, m.Never = s.Now, false
	return m
}

// Munmap drops a mapping; EINVAL if the process has none of that number.
func (s *System) Munmap(pid PID, number Mapping) Errno {
	if s.mapping(pid, number) == nil {
		return EINVAL
	}
	s.unmap(&s.processes[pid], uint32(number))
	return OK
}

func (s *System) unmap(p *process, i uint32) {
	m := s.mappings.at(i)
	if m.next != 0 {
		s.mappings.at(uint32(m.next - 1)).prev = m.prev
	}
	if m.prev != 0 {
		s.mappings.at(uint32(m.prev - 1)).next = m.next
	} else {
		p.mappings = m.next
	}
	file := m.file
	s.mappings.drop(i)
	s.put(file)
}

// MappingsOf appends the mappings of a process to dst, the newest first: after a
// fork, in the same order as its parent's.
func (s *System) MappingsOf(dst []Mapping, pid PID) []Mapping {
	for m := s.processes[pid].mappings; m != 0; m = s.mappings.at(uint32(m - 1)).next {
		dst = append(dst, Mapping(m-1))
	}
	return dst
}

// MappedBuffer returns the buffer of a mapping; EINVAL if the process has none of
// that number.
func (s *System) MappedBuffer(pid PID, number Mapping) (Buffer, Errno) {
	m := s.mapping(pid, number)
	if m == nil {
		return 0, EINVAL
	}
	return Buffer(s.files.at(m.file).object), OK
}
