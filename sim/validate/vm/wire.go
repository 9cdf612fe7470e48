package vm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// kind says what a frame carries.
type kind byte

const (
	stdout kind = 'o'
	stderr kind = 'e'
	files  kind = 'f' // a part of the archive of files, see collect
	ended  kind = 'x' // the exit status, a 32-bit number; the last frame
)

// preamble comes before the first frame. What a serial port carries before it is
// the firmware's.
const preamble = "\x00dmasim-vm-1\n"

// maxFrame bounds the payload of a frame, in bytes.
const maxFrame = 1 << 16

// ErrWire is wrapped by errors about what came out of the machine.
var ErrWire = errors.New("garbled answer from the virtual machine")

// sender writes frames. Several goroutines may.
type sender struct {
	mutex sync.Mutex
	to    io.Writer
}

func newSender(to io.Writer) (*sender, error) {
	_, err := io.WriteString(to, preamble)
	return &sender{to: to}, err
}

func (s *sender) send(k kind, payload []byte) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for first := true; first || len(payload) > 0; first = false {
		part := payload[:min(len(payload), maxFrame)]
		payload = payload[len(part):]
		head := binary.LittleEndian.AppendUint32([]byte{byte(k)}, uint32(len(part)))
		if _, err := s.to.Write(append(head, part...)); err != nil {
			return err
		}
	}
	return nil
}

// writer returns a writer that sends what is written as frames of a kind.
func (s *sender) writer(k kind) io.Writer { return frameWriter{s, k} }

type frameWriter struct {
	sender *sender
	kind   kind
}

func (w frameWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := w.sender.send(w.kind, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// receiver reads frames.
type receiver struct{ from *bufio.Reader }

// newReceiver skips what comes before the preamble. The error is io.EOF if there is
// none.
func newReceiver(r io.Reader) (*receiver, error) {
	from := bufio.NewReaderSize(r, maxFrame)
	var seen []byte
	for !bytes.HasSuffix(seen, []byte(preamble)) {
		c, err := from.ReadByte()
		if err != nil {
			return nil, err
		}
		if seen = append(seen, c); len(seen) > 2*len(preamble) {
			seen = append(seen[:0], seen[len(seen)-len(preamble):]...)
		}
	}
	return &receiver{from}, nil
}

// next returns the next frame. The error is io.EOF at the end of the input and
// wraps [ErrWire] where it makes no sense.
func (r *receiver) next() (kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r.from, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.LittleEndian.Uint32(head[1:])
	if size > maxFrame {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes", ErrWire, size)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(r.from, payload); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return kind(head[0]), payload, nil
}
