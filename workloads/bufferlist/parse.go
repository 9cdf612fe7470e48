package bufferlist

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"dmasim/mem"
)

// Group is equal buffers that are allocated and freed together.
type Group struct {
	Label string // as it was written, without the count
	Count int    // at least 1
	Size  mem.Size
}

const (
	// maxBuffers bounds the buffers of a list, and maxText what is read.
	maxBuffers = 100_000
	maxText    = 1 << 16
	// maxTotal bounds the bytes of all buffers.
	maxTotal = 1 << 60
)

// Parse reads a list. The error names the element that is wrong, counted from 1.
func Parse(text string) ([]Group, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("buffers: the list is longer than %d bytes", maxText)
	}
	var groups []Group
	buffers, total := 0, mem.Size(0)
	for i, element := range strings.Split(text, ",") {
		g, err := parseGroup(strings.Fields(element))
		if err != nil {
			return nil, fmt.Errorf("buffers, element %d: %w", i+1, err)
		}
		buffers += g.Count
		if buffers > maxBuffers {
			return nil, fmt.Errorf("buffers, element %d: more than %d buffers in all", i+1, maxBuffers)
		}
		if g.Size > (maxTotal-total)/mem.Size(g.Count) {
			return nil, fmt.Errorf("buffers, element %d: more than %s in all", i+1, mem.Size(maxTotal))
		}
		total += g.Size * mem.Size(g.Count)
		groups = append(groups, g)
	}
	return groups, nil
}

// parseGroup reads the words of "4x 1920x1080 NV12" or "16x 64KiB". The count may
// be left out.
func parseGroup(words []string) (Group, error) {
	g := Group{Count: 1}
	if len(words) > 0 && strings.HasSuffix(words[0], "x") {
		n, err := strconv.ParseUint(strings.TrimSuffix(words[0], "x"), 10, 31)
		if err != nil || n == 0 || n > maxBuffers {
			return g, fmt.Errorf("count %q: want a number from 1 to %d before the x", words[0], maxBuffers)
		}
		g.Count, words = int(n), words[1:]
	}
	g.Label = strings.Join(words, " ")
	switch {
	case len(words) == 0:
		return g, errors.New("empty: want buffers like 4x 1920x1080 NV12, or 16x 64KiB")
	case isPicture(words[0]) && len(words) == 1:
		return g, fmt.Errorf("picture %q has no format, like NV12", words[0])
	case isPicture(words[0]) && len(words) == 2:
		size, err := pictureSize(words[0], words[1])
		g.Size = mem.Size(size)
		return g, err
	case isPicture(words[0]):
		return g, fmt.Errorf("%q: is there a comma missing?", g.Label)
	}
	size, err := mem.ParseSize(g.Label)
	if err == nil && size == 0 {
		err = errors.New("a buffer of no bytes")
	}
	g.Size = size
	return g, err
}

// isPicture tells 1920x1080 from 0x1000.
func isPicture(word string) bool {
	return strings.Contains(word, "x") && !strings.HasPrefix(word, "0x")
}
