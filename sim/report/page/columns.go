package page

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
)

// Columns are columns of numbers, written one after the other.
type Columns struct {
	specs []columnSpec
	data  []byte
}

// columnSpec says how a column is read back.
type columnSpec struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	Delta bool   `json:"delta,omitempty"` // every number is the difference from the one before
}

// Add appends a column. Numbers below 2^53 are read back exactly.
func Add[T ~int | ~int64 | ~uint8 | ~uint64](c *Columns, name string, n int, value func(int) T) {
	c.specs = append(c.specs, columnSpec{Name: name, Count: n})
	for i := range n {
		c.data = binary.AppendUvarint(c.data, uint64(value(i)))
	}
}

// AddRising appends a column of numbers that never fall.
func AddRising[T ~int | ~int64 | ~uint64](c *Columns, name string, n int, value func(int) T) {
	c.specs = append(c.specs, columnSpec{Name: name, Count: n, Delta: true})
	last := uint64(0)
	for i := range n {
		v := uint64(value(i))
		c.data = binary.AppendUvarint(c.data, v-last)
		last = v
	}
}

// base64 returns the compressed numbers of all columns.
func (c *Columns) base64() (string, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(c.data); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes()), nil
}
