package dmabuf

// Holder is somebody who holds a reference to a buffer.
type Holder struct {
	PID        PID // of descriptors and mappings; else -1
	Descriptor FD  // or -1
	Hold
}

// Live appends the buffers that are live to dst, by number.
func (s *System) Live(dst []Buffer) []Buffer {
	for i, b := range s.buffers.all {
		if f := s.files.get(b.file); f != nil && f.kind == bufferFile && f.object == i && f.references > 0 {
			dst = append(dst, Buffer(i))
		}
	}
	return dst
}

// Holders appends to dst who holds a live buffer: descriptors by process and
// number, then mappings, messages and importers. It looks at every descriptor
// there is.
func (s *System) Holders(dst []Holder, b Buffer) []Holder {
	file := s.buffers.at(uint32(b)).file
	for pid := range s.processes {
		for fd, d := range s.processes[pid].descriptors {
			if d.open && d.file == file {
				dst = append(dst, Holder{PID(pid), FD(fd), d.Hold})
			}
		}
	}
	for _, m := range s.mappings.all {
		if m.file == file {
			dst = append(dst, Holder{m.pid, -1, m.Hold})
		}
	}
	for _, m := range s.messages.all {
		if m.file == file {
			dst = append(dst, Holder{-1, -1, m.Hold})
		}
	}
	for _, m := range s.importers.all {
		if m.file == file {
			dst = append(dst, Holder{-1, -1, m.Hold})
		}
	}
	return dst
}

// Forgotten reports whether a buffer is held by nothing but descriptors and
// mappings that were inherited or received and never used since.
func Forgotten(holders []Holder) bool {
	for _, h := range holders {
		if !h.Never || (h.By != Inherited && h.By != Received) {
			return false
		}
	}
	return len(holders) > 0
}
