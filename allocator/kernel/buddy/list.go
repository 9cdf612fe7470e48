package buddy

import "math"

// list is a list of blocks, linked through next and prev of the zone by their
// first pages.
type list struct{ head, tail, n uint32 }

const none = math.MaxUint32

var emptyList = list{head: none, tail: none}

func (z *Zone) pushHead(l *list, i uint32) {
	z.prev[i], z.next[i] = none, l.head
	if l.head == none {
		l.tail = i
	} else {
		z.prev[l.head] = i
	}
	l.head = i
	l.n++
}

func (z *Zone) pushTail(l *list, i uint32) {
	z.prev[i], z.next[i] = l.tail, none
	if l.tail == none {
		l.head = i
	} else {
		z.next[l.tail] = i
	}
	l.tail = i
	l.n++
}

func (z *Zone) remove(l *list, i uint32) {
	prev, next := z.prev[i], z.next[i]
	if prev == none {
		l.head = next
	} else {
		z.next[prev] = next
	}
	if next == none {
		l.tail = prev
	} else {
		z.prev[next] = prev
	}
	l.n--
}

// enlist puts a block on the free list of a type.
func (z *Zone) enlist(t Type, order uint, i uint32, tail bool) {
	if tail {
		z.pushTail(&z.lists[t][order], i)
	} else {
		z.pushHead(&z.lists[t][order], i)
	}
	z.page[i] = headFree | uint8(order)
	z.orders[t] |= 1 << order
}

// delist takes a block off the free list of a type.
func (z *Zone) delist(t Type, order uint, i uint32) {
	z.remove(&z.lists[t][order], i)
	z.page[i] = 0
	if z.lists[t][order].n == 0 {
		z.orders[t] &^= 1 << order
	}
}
