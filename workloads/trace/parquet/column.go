package parquet

import (
	"errors"
	"io"

	"github.com/parquet-go/parquet-go"
)

// column reads the values of one column from a group of rows, page by page. Values of
// a page are used where the library has decoded them.
type column struct {
	pages  parquet.Pages
	page   parquet.Page
	rows   int    // of page
	row    int    // the next one in page
	levels []byte // of definition, by row: 1 unless the value is null; nil: none is
	value  int    // the next one in page, which has no nulls

	// Values of page, of which there is one kind.
	numbers []uint64
	indices []int32 // into the dictionary
	text    []byte
	offsets []uint32 // of texts, and the end of the last

	// Of numbers or texts in the dictionary.
	dictionary parquet.Dictionary
	many       []uint64
	words      []string
	seen       map[string]string // texts that are in no dictionary
}

// Bounds of text in a trace: longer ones are cut off, and refused for their length or
// for what they say, and of more than so many different ones not all are remembered.
const (
	maxText  = 257
	maxTexts = 1 << 12
)

func newColumn(chunk parquet.ColumnChunk) *column {
	return &column{pages: chunk.Pages(), seen: map[string]string{}}
}

func (c *column) close() {
	if c.page != nil {
		parquet.Release(c.page)
	}
	c.page = nil
	c.pages.Close()
}

// turn makes the page with the next row the current one.
func (c *column) turn() error {
	for c.row == c.rows {
		if c.page != nil {
			parquet.Release(c.page)
		}
		page, err := c.pages.ReadPage()
		if err != nil {
			c.page = nil
			if errors.Is(err, io.EOF) {
				return errTorn
			}
			return err
		}
		c.page, c.row, c.value = page, 0, 0
		c.levels, c.rows = page.DefinitionLevels(), int(page.NumRows())
		c.numbers, c.indices, c.text, c.offsets = nil, nil, nil, nil
		values := page.Data()
		switch dictionary := page.Dictionary(); {
		case dictionary != nil:
			c.indices = values.Int32()
			c.look(dictionary)
		case page.Type().Kind() == parquet.ByteArray:
			c.text, c.offsets = values.ByteArray()
		default:
			c.numbers = values.Uint64()
		}
	}
	return nil
}

// look takes over a dictionary.
func (c *column) look(dictionary parquet.Dictionary) {
	if c.dictionary == dictionary {
		return
	}
	c.dictionary = dictionary
	c.many, c.words = nil, nil
	values := dictionary.Page().Data()
	if dictionary.Type().Kind() != parquet.ByteArray {
		c.many = values.Uint64()
		return
	}
	data, offsets := values.ByteArray()
	text := string(data)
	for i := range dictionary.Len() {
		c.words = append(c.words, text[offsets[i]:offsets[i+1]])
	}
}

// next goes past at most n rows, those that are left in the current page, and returns
// how many and their levels.
func (c *column) next(n int) (int, []byte, error) {
	if err := c.turn(); err != nil {
		return 0, nil, err
	}
	n = min(n, c.rows-c.row)
	levels := c.levels
	if levels != nil {
		levels = levels[c.row : c.row+n]
	}
	c.row += n
	return n, levels, nil
}

// readNumbers reads the numbers of the next rows, 0 where they are null, and which
// are known if known is not nil.
func (c *column) readNumbers(numbers []uint64, known []bool) error {
	for len(numbers) > 0 {
		n, levels, err := c.next(len(numbers))
		if err != nil {
			return err
		}
		if levels == nil && c.indices == nil {
			copy(numbers[:n], c.numbers[c.value:c.value+n])
			c.value += n
		} else {
			c.readSomeNumbers(numbers[:n], levels)
		}
		if known != nil {
			for i := range known[:n] {
				known[i] = levels == nil || levels[i] == 1
			}
			known = known[n:]
		}
		numbers = numbers[n:]
	}
	return nil
}

func (c *column) readSomeNumbers(numbers []uint64, levels []byte) {
	for i := range numbers {
		switch {
		case levels != nil && levels[i] != 1:
			numbers[i] = 0
			continue
		case c.indices != nil:
			numbers[i] = c.many[c.indices[c.value]]
		default:
			numbers[i] = c.numbers[c.value]
		}
		c.value++
	}
}

// readTexts reads the texts of the next rows, "" where they are null.
func (c *column) readTexts(texts []string) error {
	for len(texts) > 0 {
		n, levels, err := c.next(len(texts))
		if err != nil {
			return err
		}
		for i := range texts[:n] {
			switch {
			case levels != nil && levels[i] != 1:
				texts[i] = ""
				continue
			case c.indices != nil:
				texts[i] = c.words[c.indices[c.value]]
			default:
				texts[i] = c.keep(c.text[c.offsets[c.value]:c.offsets[c.value+1]])
			}
			c.value++
		}
		texts = texts[n:]
	}
	return nil
}

// keep returns a text that stays when the page goes.
func (c *column) keep(text []byte) string {
	text = text[:min(len(text), maxText)]
	kept, ok := c.seen[string(text)]
	if !ok {
		if len(c.seen) == maxTexts {
			clear(c.seen)
		}
		kept = string(text)
		c.seen[kept] = kept
	}
	return kept
}
