package dmabuf

// Synced is what a bracket around CPU access did.
type Synced struct {
	// Bytes that were synchronised: the whole buffer for each mapped attachment
	// whose device is not coherent or uses bounce buffers.
	Bytes uint64
	// Lost: what a bounce buffer held was copied over newer data.
	Lost bool
}

// BeginCPUAccess opens a bracket around CPU access (DMA_BUF_IOCTL_SYNC with
// DMA_BUF_SYNC_START): memory and the CPU's caches agree from now on, if a device
// has the buffer mapped. Then it would wait, as a reader or writer does: the
// fence to wait for is returned, NoFence if there is none; the caller calls
// [System.FirstPending] until none is left.
//
// For a reader, bounce buffers are copied back, whether their device wrote or not
// (swiotlb_sync_single_for_cpu).
func (s *System) BeginCPUAccess(pid PID, fd FD, access Access) (pending Fence, synced Synced, errno Errno) {
	b, number, errno := s.bracket(pid, fd, access)
	if errno != OK {
		return NoFence, Synced{}, errno
	}
	if access&Reads != 0 && b.nonCoherent > 0 {
		b.memoryNewer = false
	}
	synced.Bytes = uint64(b.nonCoherent) * b.size
	for i := b.copies; i != 0; i = s.attachments.at(uint32(i - 1)).next {
		synced.Bytes += b.size
		if access&Reads != 0 && b.copyFrom(s.attachments.at(uint32(i-1))) {
			synced.Lost = true
		}
	}
	return s.firstPending(number, access), synced, OK
}

// EndCPUAccess closes the bracket (DMA_BUF_SYNC_END): what the CPU wrote is in
// memory and in bounce buffers, if a device has the buffer mapped. That one was
// opened is not checked.
func (s *System) EndCPUAccess(pid PID, fd FD, access Access) (synced uint64, errno Errno) {
	b, _, errno := s.bracket(pid, fd, access)
	if errno != OK {
		return 0, errno
	}
	synced = uint64(b.nonCoherent) * b.size
	for i := b.copies; i != 0; i = s.attachments.at(uint32(i - 1)).next {
		synced += b.size
		if access&Writes != 0 {
			b.copyTo(s.attachments.at(uint32(i - 1)))
		}
	}
	if access&Writes != 0 && b.nonCoherent > 0 {
		b.cachesNewer = false
	}
	return synced, OK
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

// Staleness says whether data that were read are the newest, and if not, why.
type Staleness uint8

// The answers.
const (
	Fresh Staleness = iota
	// StaleCaches: the CPU's caches and memory do not agree.
	StaleCaches
	// StaleCopy: the device used a bounce buffer that is older than memory.
	StaleCopy
	// StaleMemory: memory is older than what a device wrote to its bounce buffer,
	// or than what was lost when one was copied back.
	StaleMemory
)

// CPURead tells that the CPU reads a live buffer. It is stale where a device
// wrote since caches and memory last agreed.
func (s *System) CPURead(number Buffer) Staleness {
	b := s.buffers.at(uint32(number))
	switch {
	case b.memoryNewer:
		return StaleCaches
	case b.memory < b.latest:
		return StaleMemory
	}
	return Fresh
}

// CPUWrite tells that the CPU writes a live buffer.
func (s *System) CPUWrite(number Buffer) {
	b := s.buffers.at(uint32(number))
	b.cachesNewer = true
	b.latest++
	b.memory = b.latest
}

// DeviceAccess tells that the device of a mapped attachment read or wrote the
// buffer. It is stale where the CPU's caches held what memory did not have: a
// reader got old data, and a writer's data will be overwritten when they are
// written back. A reader's is also stale where its bounce buffers, or those of
// others, do not agree with memory.
func (s *System) DeviceAccess(number Attachment, access Access) Staleness {
	a := s.attachments.at(uint32(number))
	b := s.attached(a)
	if b == nil {
		return Fresh
	}
	has, reads := b.memory, access&Reads != 0
	if a.bounced {
		has = a.copied
	}
	stale := reads && has < b.latest
	if access&Writes != 0 {
		b.latest++
		if a.bounced {
			a.copied = b.latest
		} else {
			b.memory = b.latest
		}
	}
	switch {
	case a.bounced && stale:
		return StaleCopy
	case a.bounced:
		return Fresh
	case !a.coherent && access&Writes != 0:
		b.memoryNewer = true
	}
	switch {
	case !a.coherent && b.cachesNewer:
		return StaleCaches
	case stale:
		return StaleMemory
	}
	return Fresh
}
