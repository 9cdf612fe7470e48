package trace

import (
	"hash/maphash"
	"iter"
	"math/bits"
)

// table maps numbers, by which a trace knows its buffers, to what is known of them.
// The zero value is an empty one. Readers look up a buffer for every event, for
// which a map of Go's takes several times as long.
//
// It is a hash table with linear probing, at most half full, in which what follows a
// removed entry moves up (Knuth, The Art of Computer Programming, volume 3, section
// 6.4, algorithms L and R).
type table[V any] struct {
	entries []entry[V] // a power of two of them
	used    int
	secret  uint64
}

type entry[V any] struct {
	key   uint64
	value V
	used  bool
}

// home returns where a key belongs. The secret keeps whoever writes a file from
// choosing keys that all belong to one place; nothing that is read depends on it.
func (t *table[V]) home(key uint64) int {
	hi, lo := bits.Mul64(key^t.secret, 0x9e3779b97f4a7c15)
	return int(hi^lo) & (len(t.entries) - 1)
}

// find returns where a key is, or where it would be added.
func (t *table[V]) find(key uint64) int {
	i := t.home(key)
	for t.entries[i].used && t.entries[i].key != key {
		i = (i + 1) & (len(t.entries) - 1)
	}
	return i
}

// get returns the value of a key until the next call of add or take, or nil.
func (t *table[V]) get(key uint64) *V {
	if t.used == 0 {
		return nil
	}
	if e := &t.entries[t.find(key)]; e.used {
		return &e.value
	}
	return nil
}

// add adds a key that is not there.
func (t *table[V]) add(key uint64, value V) {
	if t.used >= len(t.entries)/2 {
		t.grow()
	}
	t.entries[t.find(key)] = entry[V]{key, value, true}
	t.used++
}

func (t *table[V]) grow() {
	old := t.entries
	if old == nil {
		t.secret = maphash.String(maphash.MakeSeed(), "")
	}
	t.entries = make([]entry[V], max(16, 2*len(old)))
	for i := range old {
		if old[i].used {
			t.entries[t.find(old[i].key)] = old[i]
		}
	}
}

// take removes a key and returns its value, if it is there.
func (t *table[V]) take(key uint64) (value V, ok bool) {
	if t.used == 0 {
		return value, false
	}
	hole := t.find(key)
	if !t.entries[hole].used {
		return value, false
	}
	value = t.entries[hole].value
	mask := len(t.entries) - 1
	for i := (hole + 1) & mask; t.entries[i].used; i = (i + 1) & mask {
		if (i-t.home(t.entries[i].key))&mask >= (i-hole)&mask {
			t.entries[hole] = t.entries[i]
			hole = i
		}
	}
	t.entries[hole] = entry[V]{}
	t.used--
	return value, true
}

// all goes through keys and values in no order.
func (t *table[V]) all() iter.Seq2[uint64, *V] {
	return func(yield func(uint64, *V) bool) {
		for i := range t.entries {
			if e := &t.entries[i]; e.used && !yield(e.key, &e.value) {
				return
			}
		}
	}
}
