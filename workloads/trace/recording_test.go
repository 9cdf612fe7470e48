package trace_test

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/zstd"

	"dmasim/internal/shareddata"
	"dmasim/workloads/trace"
)

// ownRecording is what dmasim kernel record took in a virtual machine with Linux
// 6.12.117 and a CMA area of 16 MiB, in which dmasim validate --aspect cma allocated.
const ownRecording = "testdata/cma-16MiB-linux-6.12.txt.gz"

func summarise(t *testing.T, path string) *trace.Summary {
	t.Helper()
	r, err := trace.Open(path, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := trace.Summarise(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOwnRecording imports a recording of a real kernel. All in it lies in its area,
// and no more than that lives, but for buffers that count as wholes while they are
// freed in pieces.
func TestOwnRecording(t *testing.T) {
	s := summarise(t, ownRecording)
	if s.Format != trace.Ftrace || s.Requests != 139 || s.Failed != 16 || s.Frees != 123 || len(s.Heaps) != 1 {
		t.Fatalf("%+v", s)
	}
	if want := (trace.Losses{Unfinished: 2, InPieces: 19}); s.Losses != want {
		t.Errorf("losses %+v, want %+v", s.Losses, want)
	}
	if h := s.Heaps[0]; h.Name != "reserved" || h.Lo != 0x1c000000 || h.Hi != 0x1d000000 || h.Live != 0 {
		t.Errorf("%+v", h)
	}
}

// TestSharedRecordings reads the traces that are kept beside the repository.
func TestSharedRecordings(t *testing.T) {
	for _, test := range []struct {
		folder, file string
		format       trace.Format
		events       uint64
	}{
		{"minimalloc", "A.1048576.csv", trace.MiniMalloc, 308},
		{"placement", "random.bin.gz", trace.Placements, 2_000_000},
		{"placement", "window.bin.gz", trace.Placements, 2_000_000},
	} {
		t.Run(test.file, func(t *testing.T) {
			s := summarise(t, shareddata.Path(t, test.folder, test.file))
			if s.Format != test.format || s.Events != test.events {
				t.Errorf("%s, %d events, want %s and %d", s.Format, s.Events, test.format, test.events)
			}
		})
	}
}

func TestZstandard(t *testing.T) {
	const text = "time_ns,event,buffer,size\n0,alloc,7,4096\n5,free,7,\n"
	var packed bytes.Buffer
	w, err := trace.Compress(&packed, "x.csv.zst")
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(text))
	w.Close()
	for _, o := range []trace.Options{{}, {Format: trace.CSV}} {
		events, _, err := readEvents(packed.String(), o)
		if len(events) != 2 || err != nil {
			t.Errorf("%d events, %v", len(events), err)
		}
	}
	if _, _, err := readEvents(packed.String()[:packed.Len()-6], trace.Options{}); err == nil {
		t.Error("a torn file is read")
	}
	var placements bytes.Buffer
	z, _ := zstd.NewWriter(&placements)
	z.Write([]byte("a 0 4096 1\nf 0\n"))
	z.Close()
	if events, _, err := readEvents(placements.String(), trace.Options{}); len(events) != 2 || err != nil {
		t.Errorf("placements: %d events, %v", len(events), err)
	}
}
