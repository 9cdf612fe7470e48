package dmabuf

// BeginCPUAccess opens a bracket around CPU access (DMA_BUF_IOCTL_SYNC with
// DMA_BUF_SYNC_START): memory and the CPU's caches agree from now on, if a device
// has the buffer mapped. Then it would wait, as a reader or writer does: the
// fence to wait for is returned, NoFence if there is none; the caller calls
// [System.FirstPending] until none is left. synced is how many bytes were
// synchronised: the whole buffer for each mapped attachment that is not coherent.
func (s *System) BeginCPUAccess(pid PID, fd FD, access Access) (pending Fence, synced uint64, errno Errno) {
	b, number, errno := s.bracket(pid, fd, access)
	if errno != OK {
		return NoFence, 0, errno
	}
	if access&Reads != 0 && b.nonCoherent > 0 {
		b.memoryNewer = false
	}
	return s.firstPending(number, access), uint64(b.nonCoherent) * b.size, OK
}

// EndCPUAccess closes the bracket (DMA_BUF_SYNC_END): what the CPU wrote is in
// memory, if a device has the buffer mapped. That one was opened is not checked.
func (s *System) EndCPUAccess(pid PID, fd FD, access Access) (synced uint64, errno Errno) {
	b, _, errno := s.bracket(pid, fd, access)
	if errno != OK {
		return 0, errno
	}
	if access&Writes != 0 && b.nonCoherent > 0 {
		b.cachesNewer = false
	}
	return uint64(b.nonCoherent) * b.size, OK
}

func (s *System) bracket(pid PID, fd FD, access Access) (*buffer, Buffer, Errno) {
	_, f, errno := s.open(pid, fd, bufferFile, ENOTTY)
	switch {
	case errno != OK:
		return nil, 0, errno
	case !access.valid():
		return nil, 0, EINVAL
	}
	return s.buffers.at(f.object), Buffer(f.object), OK
}

// CPURead tells that the CPU reads a live buffer. It is stale where a device
// wrote since caches and memory last agreed.
func (s *System) CPURead(b Buffer) (stale bool) { return s.buffers.at(uint32(b)).memoryNewer }

// CPUWrite tells that the CPU writes a live buffer.
func (s *System) CPUWrite(b Buffer) { s.buffers.at(uint32(b)).cachesNewer = true }

// DeviceAccess tells that the device of a mapped attachment read or wrote the
// buffer. It is stale where the CPU's caches held what memory did not have: a
// reader got old data, and a writer's data will be overwritten when they are
// written back.
func (s *System) DeviceAccess(number Attachment, access Access) (stale bool) {
	a := s.attachments.at(uint32(number))
	b := s.attached(a)
	if b == nil || a.coherent {
		return false
	}
	if access&Writes != 0 {
		b.memoryNewer = true
	}
	return b.cachesNewer
}
