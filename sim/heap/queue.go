package heap

// queue is a list that grows at its end and is read at both. It allocates only
// to hold more than ever before.
type queue[T any] struct {
	list []T
	head int // how many of the list are gone
}

func (q *queue[T]) len() int { return len(q.list) - q.head }

func (q *queue[T]) first() T { return q.list[q.head] }

func (q *queue[T]) last() T { return q.list[len(q.list)-1] }

func (q *queue[T]) push(v T) {
	// Moving what is left is worth it once half of the list is gone.
	if len(q.list) == cap(q.list) && q.head > len(q.list)/2 {
		q.list = append(q.list[:0], q.list[q.head:]...)
		q.head = 0
	}
	q.list = append(q.list, v)
}

func (q *queue[T]) dropFirst() {
	if q.head++; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
}

func (q *queue[T]) dropLast() {
	if q.list = q.list[:len(q.list)-1]; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
}
