package trace

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxZstdWindow bounds how far back a file may refer, and with that what its
// decoder holds: the window of zstd --ultra -22 and, almost always, of --long.
const maxZstdWindow = 128 << 20

// decompressed returns a reader of what in holds, decompressed where it begins
// like gzip or Zstandard, with room for a line. Both hold no more than their
// windows, whatever a file expands to.
func decompressed(in io.Reader) (*bufio.Reader, error) {
	buffered := bufio.NewReaderSize(in, maxLine)
	magic, _ := buffered.Peek(4)
	switch text := string(magic); {
	case strings.HasPrefix(text, "\x1f\x8b"):
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, torn(err)
		}
		return bufio.NewReaderSize(z, maxLine), nil
	case text == "\x28\xb5\x2f\xfd":
		// One goroutine, that of the caller: it needs no Close.
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return bufio.NewReaderSize(zstdReader{z}, maxLine), nil
	}
	return buffered, nil
}

// zstdReader tells where its errors come from.
type zstdReader struct{ in io.Reader }

func (z zstdReader) Read(p []byte) (int, error) {
	n, err := z.in.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("zstd: %w", err)
	}
	return n, err
}

// Stem returns a path without the extension of a compressed file, if it has one.
func Stem(path string) string {
	switch ext := filepath.Ext(path); strings.ToLower(ext) {
	case ".gz", ".zst":
		return path[:len(path)-len(ext)]
	}
	return path
}

// Compress returns a writer that compresses as the extension of name says: .gz,
// .zst, or, with any other, not at all. Its Close does not close w.
func Compress(w io.Writer, name string) (io.WriteCloser, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".gz":
		return gzip.NewWriter(w), nil
	case ".zst":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return uncompressed{w}, nil
}

type uncompressed struct{ io.Writer }

func (uncompressed) Close() error { return nil }
