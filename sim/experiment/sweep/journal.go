package sweep

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
)

// Outcome is what became of a cell: measured, or failed.
type Outcome struct {
	Cell    int      `json:"cell"`
	Figures []Figure `json:"figures,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// Figure is one metric of a cell.
type Figure struct {
	Metric string  `json:"metric"`
	Unit   string  `json:"unit"`
	Value  float64 `json:"value"`
}

const (
	journalPrefix = "shard-"
	journalSuffix = ".jsonl"
)

// journal is a file that gets a line for each cell that has ended. It has one
// writer, which appends whole lines.
type journal struct {
	mu    sync.Mutex
	file  *os.File
	lines int
	err   error // after which nothing more is written
}

// newJournal begins a file in dir.
func newJournal(dir string, s Shard, d digest) (*journal, error) {
	f, err := os.CreateTemp(dir, fmt.Sprintf("%s%d-of-%d-*%s", journalPrefix, s.Index, s.Of, journalSuffix))
	if err != nil {
		return nil, err
	}
	j := &journal{file: f}
	return j, errors.Join(f.Chmod(0o644), j.append(d))
}

func (j *journal) append(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		_, j.err = j.file.Write(append(line, '\n'))
		j.lines++
	}
	return j.err
}

// close puts all on disk. A file without cells is of no use.
func (j *journal) close() error {
	err := errors.Join(j.file.Sync(), j.file.Close())
	if j.lines < 2 {
		err = errors.Join(err, os.Remove(j.file.Name()))
	}
	return err
}

// readOutcomes reads all cells in dir, by number; nil where there is none. There
// is nothing else in dir, if it is there.
func (e *Experiment) readOutcomes(dir string) ([]*Outcome, error) {
	found := make([]*Outcome, e.Cells())
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read cells: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		path := filepath.Join(dir, name)
		if strings.HasPrefix(name, ".") {
			continue // of a network file system
		}
		if !strings.HasPrefix(name, journalPrefix) || !strings.HasSuffix(name, journalSuffix) || entry.IsDir() {
			return nil, fmt.Errorf("read cells: %s is no file of a sweep", path)
		}
		if err := e.readJournal(path, found); err != nil {
			return nil, fmt.Errorf("read cells: %s: %w", path, err)
		}
	}
	return found, nil
}

// readJournal adds the cells of a file. A last line without end was being written
// when its process was killed, or is being written now.
func (e *Experiment) readJournal(path string, found []*Outcome) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<16)
	for number := 1; ; number++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if number == 1 {
			var d digest
			if err := json.Unmarshal(line, &d); err != nil {
				return fmt.Errorf("line 1: damaged: %w", err)
			}
			if err := e.digest.mismatch(d); err != nil {
				return err
			}
			continue
		}
		o := new(Outcome)
		if err := json.Unmarshal(line, o); err != nil {
			return fmt.Errorf("line %d: damaged: %w", number, err)
		}
		if err := keep(found, o); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
}

// keep adds an outcome to those found. Of a cell that failed and was run again
// with success, the success stays; of two failures one of them, whatever the order.
func keep(found []*Outcome, o *Outcome) error {
	if o.Cell < 0 || o.Cell >= len(found) || (o.Error == "") == (len(o.Figures) == 0) {
		return errors.New("damaged: not a cell of the experiment")
	}
	switch before := found[o.Cell]; {
	case before == nil, before.Error != "" && o.Error == "", before.Error != "" && o.Error < before.Error:
		found[o.Cell] = o
	case before.Error == "" && o.Error == "" && !reflect.DeepEqual(before, o):
		return fmt.Errorf("cell %d was run twice, with different figures", o.Cell)
	}
	return nil
}
