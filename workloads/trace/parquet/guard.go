package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Bounds of what a file may make a reader hold.
const (
	maxFooter     = 1 << 20  // bytes; a group of rows takes about 1 KiB
	maxElements   = 1 << 16  // of all lists in the footer together
	maxDepth      = 32       // of what is nested in the footer
	maxSchema     = 256      // columns
	maxPage       = 32 << 20 // bytes, compressed or not
	maxPageValues = 1 << 22
	maxPageHead   = 16 << 10 // bytes; statistics may hold a value
)

var errTorn = errors.New("the file is torn")

// footer reads the tables at the end of a file, within bounds.
func footer(in io.ReaderAt, size int64) (*format.FileMetaData, error) {
	var end [8]byte
	if size < 12 {
		return nil, fmt.Errorf("%w: it has %d bytes", errTorn, size)
	}
	if _, err := in.ReadAt(end[:], size-8); err != nil {
		return nil, err
	}
	if string(end[4:]) != "PAR1" {
		return nil, fmt.Errorf("%w: it does not end in PAR1", errTorn)
	}
	length := int64(binary.LittleEndian.Uint32(end[:]))
	switch {
	case length > size-12:
		return nil, fmt.Errorf("the footer has %d bytes, more than the file before it", length)
	case length > maxFooter:
		return nil, fmt.Errorf("the footer has %d bytes, more than %d: write fewer, larger row groups", length, maxFooter)
	}
	text := make([]byte, length)
	if _, err := in.ReadAt(text, size-8-length); err != nil {
		return nil, err
	}
	c := compact{text: text, elements: maxElements}
	if err := c.structure(0); err != nil {
		return nil, fmt.Errorf("footer: byte %d: %w", size-8-length+int64(c.at), err)
	}
	var meta format.FileMetaData
	if err := thrift.Unmarshal(&thrift.CompactProtocol{}, text[:c.at], &meta); err != nil {
		return nil, fmt.Errorf("footer: %w", err)
	}
	if len(meta.Schema) > maxSchema {
		return nil, fmt.Errorf("the file has more than %d columns", maxSchema)
	}
	return &meta, nil
}

// checkPages reads the heads of all pages of the columns that are wanted.
func checkPages(in io.ReaderAt, size int64, meta *format.FileMetaData, wanted func(string) bool) error {
	for i := range meta.RowGroups {
		for j := range meta.RowGroups[i].Columns {
			chunk := &meta.RowGroups[i].Columns[j]
			if chunk.FilePath != "" {
				return errors.New("the columns are in other files")
			}
			column := &chunk.MetaData
			if len(column.PathInSchema) != 1 || !wanted(column.PathInSchema[0]) {
				continue
			}
			if err := checkChunk(in, size, column); err != nil {
				return fmt.Errorf("row group %d: column %s: %w", i+1, column.PathInSchema[0], err)
			}
		}
	}
	return nil
}

func checkChunk(in io.ReaderAt, size int64, c *format.ColumnMetaData) error {
	at := c.DataPageOffset
	if c.DictionaryPageOffset > 0 {
		at = min(at, c.DictionaryPageOffset)
	}
	if at < 4 || c.TotalCompressedSize < 0 || at > size || c.TotalCompressedSize > size-at {
		return fmt.Errorf("bytes %d and %d more are not in the file", at, c.TotalCompressedSize)
	}
	buffer := make([]byte, maxPageHead)
	for end := at + c.TotalCompressedSize; at < end; {
		n, err := in.ReadAt(buffer[:min(maxPageHead, end-at)], at)
		if n == 0 {
			return err
		}
		head := compact{text: buffer[:n], elements: maxPageHead}
		if err := head.structure(0); err != nil {
			return fmt.Errorf("page at byte %d: %w", at, err)
		}
		var page format.PageHeader
		if err := thrift.Unmarshal(&thrift.CompactProtocol{}, buffer[:head.at], &page); err != nil {
			return fmt.Errorf("page at byte %d: %w", at, err)
		}
		body := at + int64(head.at)
		if err := checkPage(in, body, end, c.Codec, &page); err != nil {
			return fmt.Errorf("page at byte %d: %w", at, err)
		}
		at = body + int64(page.CompressedPageSize)
	}
	return nil
}

// checkPage checks a page whose head was read and whose body begins at body.
func checkPage(in io.ReaderAt, body, end int64, codec format.CompressionCodec, page *format.PageHeader) error {
	packed, size := int64(page.CompressedPageSize), int64(page.UncompressedPageSize)
	values := max(page.DataPageHeader.V.NumValues, page.DictionaryPageHeader.V.NumValues, page.DataPageHeaderV2.V.NumValues, page.DataPageHeaderV2.V.NumRows)
	switch {
	case packed < 0 || size < 0 || packed > end-body:
		return fmt.Errorf("its size of %d bytes is not in the column", packed)
	case packed > maxPage || size > maxPage:
		return fmt.Errorf("it has %d bytes, more than %d", max(packed, size), maxPage)
	case values > maxPageValues:
		return fmt.Errorf("it has %d values, more than %d", values, maxPageValues)
	}
	skip := int64(page.DataPageHeaderV2.V.DefinitionLevelsByteLength) + int64(page.DataPageHeaderV2.V.RepetitionLevelsByteLength)
	if skip < 0 || skip > packed {
		return errors.New("its levels are longer than itself")
	}
	// A compressed body has a size of its own to lie about.
	var start [zstd.HeaderMaxSize]byte
	n, err := in.ReadAt(start[:min(int64(len(start)), packed-skip)], body+skip)
	if err != nil && err != io.EOF {
		return err
	}
	switch codec {
	case format.Uncompressed:
	case format.Snappy:
		if length, ok := binary.Uvarint(start[:n]); n > 0 && (ok <= 0 || length > maxPage) {
			return fmt.Errorf("it becomes %d bytes, more than %d", length, maxPage)
		}
	case format.Zstd:
		return checkZstd(io.NewSectionReader(in, body+skip, packed-skip), start[:n])
	default:
		return fmt.Errorf("compressed with %v, want Snappy, Zstandard or nothing", codec)
	}
	return nil
}

// checkZstd decompresses a page to nowhere, if its blocks could become too much.
func checkZstd(body *io.SectionReader, start []byte) error {
	var head zstd.Header
	if len(start) == 0 {
		return nil
	}
	if err := head.Decode(start); err != nil {
		return nil // no Zstandard: the page may be stored as it is
	}
	if head.HasFCS && head.FrameContentSize > maxPage || head.WindowSize > maxPage {
		return fmt.Errorf("it becomes %d bytes, more than %d", max(head.FrameContentSize, head.WindowSize), maxPage)
	}
	if most, ok := zstdBound(body, &head); ok && most <= maxPage {
		return nil
	}
	z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxPage), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer z.Close()
	n, err := io.Copy(io.Discard, io.LimitReader(z, maxPage+1))
	if n > maxPage {
		return fmt.Errorf("it becomes more than %d bytes", maxPage)
	}
	return err
}

// zstdBound returns what a frame becomes at most, by the heads of its blocks. It is
// not known where there is more than one frame, or where it has very many blocks.
//
// Source: RFC 8878, section 3.1.1.2.
func zstdBound(frame *io.SectionReader, head *zstd.Header) (most int64, ok bool) {
	const maxBlocks, blockMaximum = 1 << 10, 128 << 10
	at := int64(head.HeaderSize)
	for range maxBlocks {
		var raw [4]byte
		if _, err := frame.ReadAt(raw[:3], at); err != nil || head.Skippable {
			return 0, false
		}
		block := binary.LittleEndian.Uint32(raw[:])
		size := int64(block >> 3)
		at += 3
		switch block >> 1 & 3 {
		case 0: // as it is
			most += size
			at += size
		case 1: // one byte again and again
			most += size
			at++
		case 2:
			most += blockMaximum
			at += size
		default:
			return 0, false
		}
		if block&1 == 1 { // the last
			if head.HasCheckSum {
				at += 4
			}
			return most, at == frame.Size()
		}
	}
	return 0, false
}

// compact walks through a structure in Thrift's compact protocol, without making
// anything of it, to find its end and whether it is nested, or has lists, beyond
// bounds.
//
// Source: Apache Thrift, doc/specs/thrift-compact-protocol.md.
type compact struct {
	text     []byte
	at       int
	elements uint64 // that lists may still have
}

var (
	errNested = fmt.Errorf("nested more than %d deep", maxDepth)
	errList   = errors.New("a list of more elements than can be")
	errType   = errors.New("a type that Thrift does not have")
)

func (c *compact) byte() (byte, error) {
	if c.at >= len(c.text) {
		return 0, errTorn
	}
	c.at++
	return c.text[c.at-1], nil
}

func (c *compact) number() (uint64, error) {
	n, length := binary.Uvarint(c.text[c.at:])
	if length <= 0 {
		return 0, errTorn
	}
	c.at += length
	return n, nil
}

func (c *compact) skip(n uint64) error {
	if n > uint64(len(c.text)-c.at) {
		return errTorn
	}
	c.at += int(n)
	return nil
}

func (c *compact) structure(depth int) error {
	if depth > maxDepth {
		return errNested
	}
	for {
		head, err := c.byte()
		if err != nil || head == 0 {
			return err
		}
		if head>>4 == 0 { // the field's number is not one a little above the last
			if _, err := c.number(); err != nil {
				return err
			}
		}
		if kind := head & 15; kind > 2 { // 1 and 2 are the values of a boolean
			if err := c.value(kind, depth); err != nil {
				return err
			}
		}
	}
}

func (c *compact) value(kind byte, depth int) error {
	switch kind {
	case 1, 2, 3:
		return c.skip(1)
	case 4, 5, 6:
		_, err := c.number()
		return err
	case 7:
		return c.skip(8)
	case 8:
		n, err := c.number()
		if err != nil {
			return err
		}
		return c.skip(n)
	case 9, 10, 11:
		return c.list(kind == 11, depth+1)
	case 12:
		return c.structure(depth + 1)
	}
	return errType
}

func (c *compact) list(pairs bool, depth int) error {
	if depth > maxDepth {
		return errNested
	}
	var n uint64
	var kinds byte
	var err error
	if pairs {
		if n, err = c.number(); err != nil || n == 0 {
			return err
		}
		if kinds, err = c.byte(); err != nil {
			return err
		}
	} else {
		head, err := c.byte()
		if err != nil {
			return err
		}
		n, kinds = uint64(head>>4), head&15
		if n == 15 {
			if n, err = c.number(); err != nil {
				return err
			}
		}
	}
	if n > c.elements {
		return errList
	}
	c.elements -= n
	for range n {
		if pairs {
			if err := c.value(kinds>>4, depth); err != nil {
				return err
			}
		}
		if err := c.value(kinds&15, depth); err != nil {
			return err
		}
	}
	return nil
}
