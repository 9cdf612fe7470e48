package sweep

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"dmasim/sim/experiment"
)

// Shard is one of several equal parts of an experiment.
type Shard struct{ Index, Of int } // Index is below Of

// Whole is all of an experiment.
var Whole = Shard{0, 1}

// ParseShard reads a shard such as 3/16: the fourth of sixteen.
func ParseShard(text string) (Shard, error) {
	index, of, _ := strings.Cut(text, "/")
	k, err := strconv.Atoi(index)
	n, err2 := strconv.Atoi(of)
	if err != nil || err2 != nil || n < 1 || k < 0 || k >= n {
		return Shard{}, fmt.Errorf("shard %q: want K/N with K from 0 to N-1, like 0/16", text)
	}
	return Shard{k, n}, nil
}

// Holds reports whether a cell is in the shard.
func (s Shard) Holds(cell int) bool { return cell%s.Of == s.Index }

// Options say how cells are run.
type Options struct {
	experiment.Options
	Retry bool // cells that failed are run again
	// Start, if not nil, is called once with the number of cells to run, and Done
	// after each, from several goroutines.
	Start func(cells int)
	Done  func()
}

// Run runs the cells of a shard of which dir has no outcome, and adds them to it.
// A failed cell is an outcome. Where ctx ends, so does Run, with its error; the
// cells that had ended are kept.
func (e *Experiment) Run(ctx context.Context, dir string, s Shard, o Options) error {
	found, err := e.readOutcomes(dir)
	if err != nil {
		return err
	}
	var todo []int
	for i, outcome := range found {
		if s.Holds(i) && (outcome == nil || o.Retry && outcome.Error != "") {
			todo = append(todo, i)
		}
	}
	if o.Start != nil {
		o.Start(len(todo))
	}
	if len(todo) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("run cells: %w", err)
	}
	j, err := newJournal(dir, s, e.digest)
	if err != nil {
		return fmt.Errorf("run cells: %w", err)
	}
	err = experiment.Each(ctx, o.Jobs, len(todo), func(ctx context.Context, i int) error {
		outcome := e.simulate(ctx, todo[i], o.Options)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := j.append(outcome); err != nil {
			return fmt.Errorf("run cells: %w", err)
		}
		if o.Done != nil {
			o.Done()
		}
		return nil
	})
	return errors.Join(err, j.close())
}

// simulate runs a cell. Whatever is wrong with it is its outcome, even a mistake of
// the program, which costs one cell and not a night.
func (e *Experiment) simulate(ctx context.Context, index int, o experiment.Options) (outcome Outcome) {
	outcome.Cell = index
	defer func() {
		if problem := recover(); problem != nil {
			outcome.Figures, outcome.Error = nil, fmt.Sprint("panic: ", problem)
		}
	}()
	cell := e.Cell(index)
	v, _, err := e.build(cell.Point)
	if err != nil {
		outcome.Error = err.Error()
		return outcome
	}
	figures, err := experiment.Measure(ctx, &v, cell.Seed, e.WarmUp, o)
	if err != nil {
		outcome.Error = err.Error()
		return outcome
	}
	for _, f := range figures {
		outcome.Figures = append(outcome.Figures, Figure{f.Name, f.Unit, f.Value})
	}
	return outcome
}
