package buddy

// Queue is a list of live blocks of one zone, such as one of its LRU lists
// (struct lruvec). It needs no memory of its own: a live block is on no list
// of its zone, so the links of its first page are free. The zone does not know
// of the queue; take a block off before it is freed.
type Queue struct{ l list }

// NewQueue returns an empty queue.
func NewQueue() Queue { return Queue{emptyList} }

// Len returns the number of blocks.
func (q *Queue) Len() uint64 { return uint64(q.l.n) }

// Push puts a live block that is on no queue at the young end.
func (z *Zone) Push(q *Queue, pfn uint64) { z.pushHead(&q.l, uint32(pfn-z.origin)) }

// Remove takes a block off its queue.
func (z *Zone) Remove(q *Queue, pfn uint64) { z.remove(&q.l, uint32(pfn-z.origin)) }

// Oldest returns the block that was pushed first, or false if there is none.
func (z *Zone) Oldest(q *Queue) (pfn uint64, ok bool) {
	return z.origin + uint64(q.l.tail), q.l.tail != none
}

// Younger returns the block that was pushed next after the one at a page frame, or
// false if that is the youngest.
func (z *Zone) Younger(pfn uint64) (uint64, bool) {
	i := z.prev[uint32(pfn-z.origin)]
	return z.origin + uint64(i), i != none
}
