package parquet

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// TestZstdBound holds the bound to what pages become.
func TestZstdBound(t *testing.T) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	bound := func(packed []byte) (int64, bool) {
		var head zstd.Header
		if err := head.Decode(packed); err != nil {
			t.Fatal(err)
		}
		return zstdBound(io.NewSectionReader(bytes.NewReader(packed), 0, int64(len(packed))), &head)
	}
	rapid.Check(t, func(t *rapid.T) {
		var page []byte
		for range rapid.IntRange(1, 4).Draw(t, "parts") {
			part := rapid.SliceOfN(rapid.Byte(), 16, 64).Draw(t, "part")
			page = append(page, bytes.Repeat(part, rapid.IntRange(1, 6000).Draw(t, "times"))...)
		}
		packed := encoder.EncodeAll(page, nil)
		if most, ok := bound(packed); !ok || most < int64(len(page)) || most > int64(len(page))+2*128<<10+1 {
			t.Fatalf("%d, %v for %d bytes", most, ok, len(page))
		}
		if most, ok := bound(packed[:rapid.IntRange(14, len(packed)-1).Draw(t, "cut")]); ok {
			t.Fatalf("%d for a torn page", most)
		}
	})
	one := encoder.EncodeAll(make([]byte, 1<<20), nil)
	if most, ok := bound(append(one[:len(one):len(one)], one...)); ok {
		t.Errorf("%d for two frames", most)
	}
}
