package dmabuf

// Importer is a driver that got hold of a buffer (dma_buf_get).
type Importer uint32

type importer struct {
	file uint32
	Hold
}

// Attachment is a device attached to a buffer (struct dma_buf_attachment).
type Attachment uint32

type attachment struct {
	buffer   uint32
	coherent bool
	mapped   bool
}

// Get makes a driver hold the buffer of a descriptor (dma_buf_get).
func (s *System) Get(pid PID, fd FD) (Importer, Errno) {
	_, f, errno := s.open(pid, fd, bufferFile, EINVAL)
	if errno != OK {
		return 0, errno
	}
	f.references++
	i, m := s.importers.add()
	*m = importer{file: s.buffers.at(f.object).file, Hold: Hold{By: Imported, Since: s.Now}}
	return Importer(i), OK
}

// Put makes the driver let go of it (dma_buf_put).
func (s *System) Put(number Importer) Errno {
	m := s.importers.get(uint32(number))
	if m == nil {
		return EINVAL
	}
	file := m.file
	s.importers.drop(uint32(number))
	s.put(file)
	return OK
}

// ImportedBuffer returns the buffer that an importer holds.
func (s *System) ImportedBuffer(number Importer) Buffer {
	return Buffer(s.files.at(s.importers.at(uint32(number)).file).object)
}

// Attach attaches a device to the buffer that its driver holds (dma_buf_attach).
// The attachment holds no reference.
func (s *System) Attach(number Importer, coherent bool) (Attachment, Errno) {
	m := s.importers.get(uint32(number))
	if m == nil {
		return 0, EINVAL
	}
	object := s.files.at(m.file).object
	i, a := s.attachments.add()
	*a = attachment{buffer: object, coherent: coherent}
	s.buffers.at(object).attachments++
	return Attachment(i), OK
}

// Detach detaches a device (dma_buf_detach). One that is mapped is a misuse, and
// is unmapped.
func (s *System) Detach(number Attachment) Errno {
	a := s.attachments.get(uint32(number))
	if a == nil {
		return EINVAL
	}
	if a.mapped {
		s.warn(Buffer(a.buffer), "detached while mapped")
		s.Unmap(number)
	}
	if b := s.attached(a); b != nil {
		b.attachments--
	}
	s.attachments.drop(uint32(number))
	return OK
}

// attached returns the buffer of an attachment, or nil if it was released.
func (s *System) attached(a *attachment) *buffer { return s.buffers.get(a.buffer) }

// Map maps a buffer for an attached device (dma_buf_map_attachment): what the CPU
// wrote reaches memory. EBUSY if it is mapped already.
func (s *System) Map(number Attachment) Errno {
	a := s.attachments.get(uint32(number))
	if a == nil {
		return EINVAL
	}
	b := s.attached(a)
	switch {
	case b == nil:
		return EINVAL
	case a.mapped:
		s.warn(Buffer(a.buffer), "mapped twice for one device")
		return EBUSY
	}
	a.mapped = true
	b.mapped++
	if !a.coherent {
		b.nonCoherent++
		b.cachesNewer = false
	}
	return OK
}

// Unmap ends the mapping (dma_buf_unmap_attachment): what the device wrote is what
// the CPU reads from then on.
func (s *System) Unmap(number Attachment) Errno {
	a := s.attachments.get(uint32(number))
	if a == nil {
		return EINVAL
	}
	b := s.attached(a)
	if b == nil || !a.mapped {
		s.warn(Buffer(a.buffer), "unmapped, though not mapped")
		return EINVAL
	}
	a.mapped = false
	b.mapped--
	if !a.coherent {
		b.nonCoherent--
		b.memoryNewer = false
	}
	return OK
}
