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
	bounced  bool   // mapped through bounce buffers: the device uses a copy
	copied   uint64 // the last write whose data the copy has
	next     link   // of the buffer's copies
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
func (s *System) Map(number Attachment) Errno { return s.mapFor(number, false) }

// MapBounced is Map where the device uses bounce buffers: it gets a copy of what
// the CPU sees, in both directions, as drivers of displays and GPUs map what they
// import (DMA_BIDIRECTIONAL).
func (s *System) MapBounced(number Attachment) Errno { return s.mapFor(number, true) }

func (s *System) mapFor(number Attachment, bounced bool) Errno {
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
	a.mapped, a.bounced = true, bounced
	b.mapped++
	switch {
	case bounced:
		b.copyTo(a)
		a.next, b.copies = b.copies, link(number)+1
	case !a.coherent:
		b.nonCoherent++
		b.cachesNewer = false
	}
	return OK
}

// Unmap ends the mapping (dma_buf_unmap_attachment): what the device wrote is what
// the CPU reads from then on. What was in bounce buffers is copied back; lost says
// that it was older than what memory held, and that is gone.
func (s *System) Unmap(number Attachment) (lost bool, errno Errno) {
	a := s.attachments.get(uint32(number))
	if a == nil {
		return false, EINVAL
	}
	b := s.attached(a)
	if b == nil || !a.mapped {
		s.warn(Buffer(a.buffer), "unmapped, though not mapped")
		return false, EINVAL
	}
	a.mapped = false
	b.mapped--
	switch {
	case a.bounced:
		s.forgetCopy(b, link(number)+1)
		lost = b.copyFrom(a)
	case !a.coherent:
		b.nonCoherent--
		b.memoryNewer = false
	}
	return lost, OK
}

func (s *System) forgetCopy(b *buffer, number link) {
	at := &b.copies
	for *at != 0 && *at != number {
		at = &s.attachments.at(uint32(*at - 1)).next
	}
	if *at != 0 { // the buffer was not released with devices attached
		*at = s.attachments.at(uint32(number - 1)).next
	}
}

// copyTo fills the bounce buffers of an attachment with what the CPU sees.
func (b *buffer) copyTo(a *attachment) {
	a.copied = b.memory
	if b.memoryNewer {
		a.copied = 0
	}
}

// copyFrom copies the bounce buffers of an attachment back, as the CPU does it. It
// reports whether that destroyed newer data.
func (b *buffer) copyFrom(a *attachment) (lost bool) {
	if a.copied == b.memory && !b.memoryNewer {
		return false
	}
	lost = a.copied < b.memory
	b.memory = a.copied
	b.memoryNewer, b.cachesNewer = false, true
	return lost
}
