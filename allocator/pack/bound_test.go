package pack_test

import (
	"context"
	"testing"

	"dmasim/allocator/pack"
)

func TestLowerBound(t *testing.T) {
	tests := map[string]struct {
		buffers     []pack.Buffer
		load, bound uint64
	}{
		"ends before starts": {
			[]pack.Buffer{{0, 5, 8, 1}, {5, 9, 8, 1}}, 8, 8,
		},
		"rounded but for the highest": {
			[]pack.Buffer{{0, 5, 5, 4}, {0, 5, 5, 4}, {4, 6, 6, 4}}, 16, 21,
		},
		"only the coarsest": {
			[]pack.Buffer{{0, 5, 1, 16}, {0, 5, 1, 16}, {0, 5, 1, 2}}, 3, 17,
		},
		"multiples of an alignment count for it": {
			[]pack.Buffer{{0, 5, 1, 8}, {0, 5, 1, 4}, {0, 5, 1, 4}}, 3, 9,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			load, err := pack.Load(test.buffers)
			if err != nil || load != test.load {
				t.Errorf("load %d, %v, want %d", load, err, test.load)
			}
			bound, err := pack.LowerBound(test.buffers)
			if err != nil || bound != test.bound {
				t.Errorf("bound %d, %v, want %d", bound, err, test.bound)
			}
			r, err := pack.Pack(context.Background(), test.buffers, pack.Options{})
			if err != nil || r.Height != test.bound {
				t.Errorf("height %d, %v, want %d", r.Height, err, test.bound)
			}
		})
	}
}

func BenchmarkLowerBound(b *testing.B) {
	buffers := read(b, "K.1048576")
	for b.Loop() {
		if _, err := pack.LowerBound(buffers); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	buffers := read(b, "K.1048576")
	offsets, err := pack.FirstFit(buffers, pack.BySize)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := pack.Check(buffers, offsets); err != nil {
			b.Fatal(err)
		}
	}
}
