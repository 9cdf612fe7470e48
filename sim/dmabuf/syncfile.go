package dmabuf

// syncFile is a set of fences as a file (struct sync_file).
type syncFile struct{ fences []Fence }

// Access is what somebody does with a buffer.
type Access uint8

// The kinds of access; both together are allowed.
const (
	Reads  Access = 1
	Writes Access = 2
)

// waits returns the usage that somebody with that access waits for.
func (a Access) waits() Usage {
	if a&Writes != 0 {
		return Read
	}
	return Write
}

func (a Access) valid() bool { return a != 0 && a&^(Reads|Writes) == 0 }

// ExportSyncFile makes a sync_file of what a reader or a writer of the buffer has
// to wait for now (DMA_BUF_IOCTL_EXPORT_SYNC_FILE). Its descriptor is closed on
// exec. One without fences is signalled.
func (s *System) ExportSyncFile(pid PID, fd FD, access Access) (FD, Errno) {
	p, f, errno := s.open(pid, fd, bufferFile, ENOTTY)
	switch {
	case errno != OK:
		return 0, errno
	case !access.valid():
		return 0, EINVAL
	}
	s.scratch = s.Unsignalled(s.scratch[:0], Buffer(f.object), access.waits())
	return s.newSyncFile(p, s.scratch)
}

// FenceFile makes a sync_file of one fence (sync_file_create).
func (s *System) FenceFile(pid PID, number Fence) (FD, Errno) {
	p := s.process(pid)
	if p == nil {
		return 0, ESRCH
	}
	s.scratch = append(s.scratch[:0], number)
	if s.Signalled(number) {
		s.scratch = s.scratch[:0]
	}
	return s.newSyncFile(p, s.scratch)
}

func (s *System) newSyncFile(p *process, fences []Fence) (FD, Errno) {
	number, sync := s.syncFiles.add()
	sync.fences = append(sync.fences[:0], fences...)
	for _, fence := range fences {
		s.fences.at(uint32(fence)).references++
	}
	file := s.newFile(syncFileFile, number)
	fd, errno := s.install(p, file, true, Exported)
	if errno != OK {
		s.put(file)
	}
	return fd, errno
}

// ImportSyncFile adds the fences of a sync_file to a buffer, as those of a writer
// or of a reader (DMA_BUF_IOCTL_IMPORT_SYNC_FILE). A descriptor of something else
// is EINVAL, also if there is none.
func (s *System) ImportSyncFile(pid PID, fd, fenceFD FD, access Access) Errno {
	_, f, errno := s.open(pid, fd, bufferFile, ENOTTY)
	switch {
	case errno != OK:
		return errno
	case !access.valid():
		return EINVAL
	}
	_, sync, errno := s.open(pid, fenceFD, syncFileFile, EINVAL)
	if errno != OK {
		return EINVAL
	}
	usage := Read
	if access&Writes != 0 {
		usage = Write
	}
	for _, fence := range s.syncFiles.at(sync.object).fences {
		if !s.Signalled(fence) {
			s.AddFence(Buffer(f.object), fence, usage)
		}
	}
	return OK
}

// MergeSyncFiles makes a sync_file of the fences of two (SYNC_IOC_MERGE). Of one
// context the later fence is enough. Without a free descriptor it is EMFILE before
// the second one is looked at, which is ENOENT if it is no sync_file.
func (s *System) MergeSyncFiles(pid PID, a, b FD) (FD, Errno) {
	p, first, errno := s.open(pid, a, syncFileFile, ENOTTY)
	if errno != OK {
		return 0, errno
	}
	if p.open >= p.limit {
		return 0, EMFILE
	}
	_, second, errno := s.open(pid, b, syncFileFile, ENOENT)
	if errno != OK {
		return 0, ENOENT
	}
	s.scratch = s.scratch[:0]
	for _, object := range []uint32{first.object, second.object} {
		for _, fence := range s.syncFiles.at(object).fences {
			s.mergeFence(fence)
		}
	}
	return s.newSyncFile(p, s.scratch)
}

// mergeFence adds a fence to the scratch list.
func (s *System) mergeFence(number Fence) {
	if s.Signalled(number) {
		return
	}
	f := s.fences.at(uint32(number))
	for i, have := range s.scratch {
		if other := s.fences.at(uint32(have)); other.context == f.context {
			if other.number < f.number {
				s.scratch[i] = number
			}
			return
		}
	}
	s.scratch = append(s.scratch, number)
}

// Pending appends to dst the fences that somebody who waits for a descriptor has to
// wait for: as a reader or writer of a buffer, or for all of a sync_file.
func (s *System) Pending(dst []Fence, pid PID, fd FD, access Access) ([]Fence, Errno) {
	_, d, errno := s.descriptor(pid, fd)
	if errno != OK {
		return dst, errno
	}
	switch f := s.files.at(d.file); {
	case f.kind == bufferFile && access.valid():
		return s.Unsignalled(dst, Buffer(f.object), access.waits()), OK
	case f.kind == syncFileFile:
		for _, fence := range s.syncFiles.at(f.object).fences {
			if !s.Signalled(fence) {
				dst = append(dst, fence)
			}
		}
		return dst, OK
	}
	return dst, EINVAL
}

// FirstPending returns the first of the fences that Pending returns, NoFence where
// there is none.
func (s *System) FirstPending(pid PID, fd FD, access Access) (Fence, Errno) {
	var errno Errno
	if s.scratch, errno = s.Pending(s.scratch[:0], pid, fd, access); len(s.scratch) == 0 {
		return NoFence, errno
	}
	return s.scratch[0], errno
}

func (s *System) firstPending(b Buffer, access Access) Fence {
	for _, have := range s.buffers.at(uint32(b)).reservation {
		if have.usage <= access.waits() && !s.fences.at(uint32(have.fence)).signalled {
			return have.fence
		}
	}
	return NoFence
}
