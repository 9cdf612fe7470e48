package dmaheap

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync"
)

// Mapping is a buffer in the address space of this process. It keeps the memory
// alive, whatever becomes of the buffer's descriptors.
type Mapping struct {
	buffer  *Buffer
	access  Access
	cleanup runtime.Cleanup

	mu     sync.Mutex
	memory []byte // nil once unmapped
	users  int    // calls of Access that run
	closed bool
}

// Map maps the whole buffer for what access says.
func (b *Buffer) Map(access Access) (*Mapping, error) {
	const op = "map"
	if access&^(Read|Write) != 0 || access == 0 {
		return nil, fail(op, b.String(), fs.ErrInvalid)
	}
	if uint64(int(b.size)) != b.size || int(b.size) < 0 {
		return nil, fail(op, b.String(), fmt.Errorf("%d bytes do not fit into the address space", b.size))
	}
	var memory []byte
	err := control(b.file, func(fd uintptr) (err error) {
		memory, err = mapMemory(fd, int(b.size), access&Write != 0)
		return err
	})
	if err != nil {
		return nil, fail(op, b.String(), err)
	}
	m := &Mapping{buffer: b, access: access, memory: memory}
	m.cleanup = runtime.AddCleanup(m, func(memory []byte) {
		_ = unmapMemory(memory) // nobody is left to be told
	}, memory)
	return m, nil
}

// Access calls use with the memory, between the brackets that tell the kernel of
// it (see [Buffer.BeginCPUAccess]); so the buffer's descriptor must be open. The
// slice is valid until use returns and not beyond. Writing into it without Write
// is a fault where the mapping is for reading.
func (m *Mapping) Access(access Access, use func([]byte) error) (err error) {
	memory, err := m.enter(access)
	if err != nil {
		return fail("access", m.buffer.String(), err)
	}
	defer func() { err = errors.Join(err, m.leave()) }()
	if err := m.buffer.BeginCPUAccess(access); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.buffer.EndCPUAccess(access)) }()
	return use(memory)
}

func (m *Mapping) enter(access Access) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return nil, fs.ErrClosed
	case access == 0 || access&^m.access != 0:
		return nil, fmt.Errorf("the mapping is for other access: %w", fs.ErrInvalid)
	}
	m.users++
	return m.memory, nil
}

func (m *Mapping) leave() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users--
	return m.settle()
}

// Close unmaps the memory, or has it unmapped when the last call of Access that
// runs returns. A second Close is an error.
func (m *Mapping) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fail("unmap", m.buffer.String(), fs.ErrClosed)
	}
	m.closed = true
	return m.settle()
}

// settle unmaps what was closed and is not in use. The caller holds mu.
func (m *Mapping) settle() error {
	if !m.closed || m.users > 0 || m.memory == nil {
		return nil
	}
	m.cleanup.Stop()
	err := unmapMemory(m.memory)
	m.memory = nil
	return fail("unmap", m.buffer.String(), err)
}
