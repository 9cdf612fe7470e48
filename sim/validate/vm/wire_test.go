package vm

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// TestFrames sends what a command prints, with the firmware's noise before it.
func TestFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var port bytes.Buffer
		port.Write(rapid.SliceOf(rapid.Byte()).Draw(t, "noise"))
		s, err := newSender(&port)
		if err != nil {
			t.Fatal(err)
		}
		kinds := []kind{stdout, stderr, files}
		var want [256]bytes.Buffer
		for range rapid.IntRange(0, 5).Draw(t, "writes") {
			k := rapid.SampledFrom(kinds).Draw(t, "kind")
			text := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, rapid.IntRange(0, 3*maxFrame).Draw(t, "size"))
			if n, err := s.writer(k).Write(text); n != len(text) || err != nil {
				t.Fatal(n, err)
			}
			want[k].Write(text)
		}
		r, err := newReceiver(&port)
		if err != nil {
			t.Fatal(err)
		}
		var got [256]bytes.Buffer
		for {
			k, payload, err := r.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got[k].Write(payload)
		}
		for _, k := range kinds {
			if !bytes.Equal(got[k].Bytes(), want[k].Bytes()) {
				t.Fatalf("%d bytes of kind %q, want %d", got[k].Len(), k, want[k].Len())
			}
		}
	})
}

func TestTornFrames(t *testing.T) {
	for _, test := range []struct {
		text string
		want error
	}{
		{"no preamble", io.EOF},
		{preamble + "o\x05\x00", io.ErrUnexpectedEOF},
		{preamble + "o\x05\x00\x00\x00abc", io.ErrUnexpectedEOF},
		{preamble + "o\xff\xff\xff\xff", ErrWire},
	} {
		r, err := newReceiver(bytes.NewBufferString(test.text))
		if err == nil {
			_, _, err = r.next()
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%q: %v, want %v", test.text, err, test.want)
		}
	}
}

func FuzzReceiver(f *testing.F) {
	f.Add([]byte(preamble + "o\x03\x00\x00\x00abcx\x04\x00\x00\x00\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := newReceiver(bytes.NewReader(text))
		for err == nil {
			var payload []byte
			if _, payload, err = r.next(); len(payload) > maxFrame {
				t.Errorf("a payload of %d bytes", len(payload))
			}
		}
	})
}
