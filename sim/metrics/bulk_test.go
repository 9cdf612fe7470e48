package metrics_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/metrics"
	"dmasim/workloads"
)

// batch is a list that can be asked for many operations at once.
type batch struct{ list }

func (b *batch) Fill(ops []workloads.Op) int {
	n := copy(ops, b.list)
	b.list = b.list[n:]
	return n
}

// single is an observer that wants every event, so that none are executed in bulk.
type single struct{}

func (single) Advance(time.Duration) {}

func (single) Event(*sim.Event) {}

// TestBulkIsTheSame executes work in bulk and one operation after the other.
func TestBulkIsTheSame(tt *testing.T) {
	inBulk := 0
	rapid.Check(tt, func(t *rapid.T) {
		inputs := rapid.SliceOfN(anyOps(), 1, 2).Draw(t, "inputs")
		many, apart := rapid.Bool().Draw(t, "many"), rapid.Bool().Draw(t, "apart")
		// The longer it lasts, the more happens between two samples.
		duration := rapid.SampledFrom([]time.Duration{0, 150, 512 * 7, 512 * 50, 512 * 200}).Draw(t, "duration")
		outcome := func(observers ...sim.Observer) (metrics.Run, string) {
			cfg := anySystem(tt, inputs, many, apart)
			cfg.Duration = duration
			s, err := sim.New(cfg, observers...)
			if err != nil {
				t.Fatal(err)
			}
			c := metrics.NewCollector(cfg, s)
			if err := s.Run(context.Background()); err != nil {
				return metrics.Run{}, err.Error()
			}
			for _, h := range s.Heaps() {
				if err := h.Check(); err != nil {
					t.Fatal(err)
				}
			}
			return c.Run(), fmt.Sprint(s.Heaps()[0].Ledger.Live(), s.Heaps()[len(s.Heaps())-1].Ledger.Live())
		}
		counter := &bulkCounter{}
		got, gotText := outcome(counter)
		want, wantText := outcome(single{})
		if gotText != wantText {
			t.Fatalf("%s\nwant %s", gotText, wantText)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v\nwant %+v", got, want)
		}
		inBulk += counter.changes
	})
	if inBulk == 0 {
		tt.Error("nothing was executed in bulk")
	}
}

// bulkCounter counts what is executed in bulk.
type bulkCounter struct{ changes int }

func (*bulkCounter) Advance(time.Duration) {}

func (*bulkCounter) Event(*sim.Event) {}

func (*bulkCounter) Due() time.Duration { return 1<<63 - 1 }

func (*bulkCounter) Room() uint64 { return 1 << 62 }

func (b *bulkCounter) Changes(_ int, list []sim.Change) { b.changes += len(list) }

// anySystem is a small or a large heap of two clients that the inputs share, or a heap
// for each.
func anySystem(t testing.TB, inputs [][]workloads.Op, many, apart bool) sim.Config {
	cfg := system(t)
	cfg.CheckEvery = 0
	if many {
		cfg.Heaps[0].Arena = mem.NewRangeSet(mem.Range{Lo: 1000, Hi: 3000})
	}
	if apart {
		other := cfg.Heaps[0]
		other.Name, other.Allocator = "other", "next-fit"
		cfg.Heaps = append(cfg.Heaps, other)
		cfg.Clients[1].Heap = 1
	}
	cfg.Inputs = nil
	for i, ops := range inputs {
		cfg.Inputs = append(cfg.Inputs, sim.Input{Name: fmt.Sprint("batch", i), Source: &batch{ops}, Clients: []int{0, 1}})
	}
	return cfg
}

// anyOps is work of two clients that is right for the most part: buffers are freed that
// were asked for, whether or not they were served, and names are used again.
func anyOps() *rapid.Generator[[]workloads.Op] {
	return rapid.Custom(func(t *rapid.T) []workloads.Op {
		var ops []workloads.Op
		var asked []uint64
		alone := rapid.Bool().Draw(t, "alone")
		at := time.Duration(0)
		for range rapid.IntRange(1, 300).Draw(t, "operations") {
			at += time.Duration(rapid.SampledFrom([]int{0, 1, 1, 1, 1, 3}).Draw(t, "pause"))
			o := workloads.Op{At: at}
			switch n := rapid.Uint16().Draw(t, "what"); {
			case n == 31111: // a mistake, mostly
				o.Kind, o.Buffer = workloads.Free, rapid.Uint64Range(0, 1<<23).Draw(t, "free")
			case n%2 == 0 && len(asked) > 0:
				i := rapid.IntRange(0, len(asked)-1).Draw(t, "which")
				o.Kind, o.Buffer = workloads.Free, asked[i]
				asked = append(asked[:i], asked[i+1:]...)
			default:
				o.Size = rapid.Uint64Range(1, 24).Draw(t, "size")
				o.Align = rapid.SampledFrom([]uint64{0, 0, 0, 1, 4, 6}).Draw(t, "align")
				o.Limit = rapid.SampledFrom([]uint64{0, 0, 0, 60}).Draw(t, "limit")
				if !alone {
					o.Client = rapid.IntRange(0, 1).Draw(t, "client")
				}
				o.Buffer = rapid.Uint64Range(0, 400).Draw(t, "name")
				for slices.Contains(asked, o.Buffer) {
					o.Buffer++
				}
				if rapid.IntRange(0, 19).Draw(t, "temporary") == 13 {
					o.Lifetime = 5
				} else {
					asked = append(asked, o.Buffer)
				}
			}
			ops = append(ops, o)
		}
		return ops
	})
}
