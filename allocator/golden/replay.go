package golden

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"dmasim/mem"
)

// Model answers the rows of a recording as the allocator that it models would.
type Model interface {
	// Do performs one operation and returns its result in the words of the
	// recording. It does not look at row.Result. The error is ErrNotModelled,
	// or says why the row makes no sense to the allocator: an operation or a
	// flag that it does not have.
	//
	// After a divergence Do may be asked to free what the model did not place;
	// it answers NotLive.
	Do(row Row) (string, error)
}

// NotLive is the answer of a Model that is asked to free what it did not place.
const NotLive = "not live"

// ErrNotModelled is what a model returns for behaviour that it leaves out on
// purpose: the rest of the recording is then not compared.
var ErrNotModelled = errors.New("not modelled")

// ErrUnknownAllocator is wrapped by the error of Replay for a recording of an
// allocator that has no model.
var ErrUnknownAllocator = errors.New("unknown allocator")

// Report is what became of one recording.
type Report struct {
	Name        string
	Allocator   string
	Mode        string
	Operations  int // rows
	Agreements  int // rows that the model answered as recorded
	NotModelled int // rows that were not compared: the last ones
	First       *Divergence
}

// Divergence is a row that the model answered differently.
type Divergence struct {
	Row   Row
	Model string // its answer
	// RecordedFree and ModelFree are the free ranges, before the operation and
	// by the recording, in which the two answers place (the first piece of)
	// the block; empty for an answer without a place or at one that is taken.
	RecordedFree, ModelFree mem.Range
}

// Replay makes the model that the header names and compares its answer to every
// row. The error is a *MalformedError; nothing is said about agreement then.
func Replay(rec *Recording) (Report, error) {
	report := Report{Name: rec.Name, Operations: len(rec.Rows)}
	var err error
	if report.Allocator, err = rec.Header.Text("allocator"); err != nil {
		return Report{}, err
	}
	if report.Mode, err = rec.Header.Text("mode"); err != nil {
		return Report{}, err
	}
	arena, err := rec.Header.arena()
	if err != nil {
		return Report{}, err
	}
	newModel, ok := models[report.Allocator]
	if !ok {
		return Report{}, rec.Header.Bad("allocator", ErrUnknownAllocator)
	}
	model, err := newModel(rec.Header)
	switch {
	case errors.Is(err, ErrNotModelled):
		report.NotModelled = report.Operations
		return report, nil
	case err != nil:
		return Report{}, rec.Header.located(err)
	}

	live := newLiveSet()
	for i, row := range rec.Rows {
		answer, err := model.Do(row)
		if errors.Is(err, ErrNotModelled) {
			report.NotModelled = report.Operations - i
			break
		}
		if err != nil {
			return Report{}, &MalformedError{File: rec.Name, Line: row.Line, Err: fmt.Errorf("%s: %w", row, err)}
		}
		if answer == row.Result {
			report.Agreements++
		}
		if report.First != nil {
			continue
		}
		if answer != row.Result {
			report.First = &Divergence{
				Row: row, Model: answer,
				RecordedFree: live.around(arena, row, row.Result),
				ModelFree:    live.around(arena, row, answer),
			}
		}
		if err := live.apply(row); err != nil {
			return Report{}, &MalformedError{File: rec.Name, Line: row.Line, Err: err}
		}
	}
	return report, nil
}

// around returns the free range that the first piece of an answer lies in.
func (s *liveSet) around(arena mem.RangeSet, row Row, answer string) mem.Range {
	if !row.Op.places() {
		return mem.Range{}
	}
	extents, err := row.extents(answer)
	if err != nil || len(extents) == 0 {
		return mem.Range{}
	}
	return s.gap(arena, extents[0].Lo)
}

// arena returns what the allocator manages, in the recording's unit.
func (h Header) arena() (mem.RangeSet, error) {
	if h.Has("chunks") {
		chunks, err := h.chunks()
		return mem.NewRangeSet(chunks...), err
	}
	base, err := h.Uint("base", math.MaxUint64)
	if err != nil {
		return nil, err
	}
	size, err := h.Uint("size", math.MaxUint64-base)
	if err != nil {
		return nil, err
	}
	return mem.NewRangeSet(mem.Range{Lo: base, Hi: base + size}), nil
}

// chunks returns the value of "chunks", base+size;base+size…, in its order.
func (h Header) chunks() ([]mem.Range, error) {
	text, err := h.Text("chunks")
	if err != nil {
		return nil, err
	}
	var list []mem.Range
	for chunk := range strings.SplitSeq(text, ";") {
		start, length, ok := strings.Cut(chunk, "+")
		base, errBase := canonicalHex(start)
		size, errSize := canonicalHex(length)
		if !ok || errBase != nil || errSize != nil || size > math.MaxUint64-base {
			return nil, h.Bad("chunks", fmt.Errorf("chunk %q: want 0xbase+0xsize below 2^64", chunk))
		}
		list = append(list, mem.Range{Lo: base, Hi: base + size})
	}
	return list, nil
}

// located returns err as a *MalformedError, blaming the column names where it
// blames no line itself.
func (h Header) located(err error) error {
	if errors.As(err, new(*MalformedError)) {
		return err
	}
	return &MalformedError{File: h.file, Line: h.columns, Err: err}
}

// address returns a place as the recordings write it.
func address(addr uint64) string { return "0x" + strconv.FormatUint(addr, 16) }
