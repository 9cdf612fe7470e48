package lesson

import (
	"context"
	"fmt"
	"time"

	"dmasim/sim"
	"dmasim/sim/experiment"
	"dmasim/sim/scenario"
)

// Transfers runs a variant and returns the lives of the first buffers of a client, and
// what devices did with them, as bars of a timeline.
func Transfers(v scenario.Variant, client string, buffers int) []Bar {
	w := &transfers{client: client, numbers: map[uint64]int{}, lives: make([]Bar, buffers), done: make([][]Bar, buffers)}
	Must(experiment.Simulate(context.Background(), &v, v.Spec.Seed, experiment.Options{
		Observe: func(cfg sim.Config) []sim.Observer { w.cfg = cfg; return []sim.Observer{w} },
	}))
	var bars []Bar
	for i := range min(w.born, buffers) {
		bars = append(append(bars, w.lives[i]), w.done[i]...)
	}
	return bars
}

// transfers is an observer that notes the first buffers of a client.
type transfers struct {
	cfg     sim.Config
	client  string
	born    int            // buffers until now
	numbers map[uint64]int // of the client's live buffers, by address
	lives   []Bar
	done    [][]Bar // by buffer
}

func (t *transfers) Advance(time.Duration) {}

func (t *transfers) Event(e *sim.Event) {
	if e.Client < 0 || t.cfg.Clients[e.Client].Name != t.client {
		return
	}
	at := e.Buffer.Block.Addr
	if e.Kind == sim.Alloc && e.Buffer.Payload > 0 {
		t.numbers[at] = t.born
		if t.born < len(t.lives) {
			t.lives[t.born] = Bar{fmt.Sprint("buffer ", t.born+1), "lives", e.At, t.cfg.Duration}
		}
		t.born++
		return
	}
	number, live := t.numbers[at]
	if !live || number >= len(t.lives) {
		return
	}
	switch e.Kind {
	case sim.Start:
		// Its end is not told of where the buffer is gone by then.
		for _, transfer := range t.cfg.Clients[e.Client].Transfers {
			if transfer.Device == e.Device {
				kind := t.cfg.Devices[e.Device].Name
				t.done[number] = append(t.done[number], Bar{t.lives[number].Row, kind, e.At, e.At + transfer.Time})
			}
		}
	case sim.Free:
		t.lives[number].To = e.At
		delete(t.numbers, at)
	}
}
