package generator

import (
	"time"

	"dmasim/mem"
)

// nic is a network card's receive side: rings of descriptors and the buffers that
// packets arrive in. Buffers that go to a program are out of the ring until it has
// read them, and others take their place.
type nic struct {
	queues, descriptors, descriptor uint64
	buffer                          uint64
	readers, batch                  uint64

	hold, rest span
	busy, idle span
}

// The pools of a network card, in the order of nicKind.
const (
	descriptorPool = iota
	rxPool
	heldPool
)

var nicKind = kind{
	name: "nic", summary: "receive rings, and packets that programs have not read yet",
	pools: []Pool{
		{Name: "rings", Meaning: "descriptors, as long as the interface is up"},
		{Name: "rx", Meaning: "buffers in the rings"},
		{Name: "held", Meaning: "buffers with packets that wait for a program; others took their place in the ring"},
	},
	make: func() model { return &nic{} },
}

const ringSource = "256 of 16 bytes at first, 4096 at most: Linux, igb and e1000e"

func (c *nic) bind(t *table) {
	t.integer(&c.queues, 4, 1, 64, about{"queues", "queues", "receive queues, often one for each CPU", ""})
	t.integer(&c.descriptors, 256, 32, 8192, about{"descriptors", "descriptors", "descriptors of a ring, and buffers in it", ringSource})
	t.integer(&c.descriptor, 16, 8, 128, about{"descriptor", "bytes", "bytes of a descriptor", ringSource})
	t.size(&c.buffer, 2*mem.KiB, 256, 64*mem.KiB, about{"buffer", "", "size of a buffer: half a page for packets of 1500 bytes, 16KiB for jumbo frames", "256, 1536, 2048 and 3072 bytes, in halves of pages or whole ones: igb, e1000e"})
	t.integer(&c.readers, 8, 0, 128, about{"readers", "programs", "programs that receive", ""})
	t.integer(&c.batch, 64, 1, 4096, about{"batch", "buffers", "packets that arrive for a program at once", "NAPI_POLL_WEIGHT, the packets of one poll (Linux, include/linux/netdevice.h)"})
	t.span(&c.hold, 20*time.Millisecond, time.Millisecond, 2, about{"hold", "", "time until a program has read them", ""})
	t.span(&c.rest, 200*time.Millisecond, time.Millisecond, 2, about{"rest", "", "time from then to the next that arrive", ""})
	t.span(&c.busy, time.Hour, shortestSession, 1, about{"session", "", "time for which the interface is up", ""})
	t.span(&c.idle, 5*time.Second, 0, 1, about{"pause", "", "time for which it is down, to change the MTU or the number of descriptors; 0: never", ""})
}

func (c *nic) check() error { return nil }

func (c *nic) ring() uint64 { return up(c.descriptors*c.descriptor, uint64(4*mem.KiB)) }

func (c *nic) most() []uint64 {
	return []uint64{c.queues * c.ring(), c.queues * c.descriptors * c.buffer, c.readers * c.batch * c.buffer}
}

func (c *nic) actors() []actor {
	return []actor{
		{name: "interface", instances: 1, busy: c.busy, idle: c.idle, begin: func(s *session) {
			for range c.queues {
				s.allocate(descriptorPool, 1, c.ring(), time.Microsecond)
				s.allocate(rxPool, c.descriptors, c.buffer, time.Microsecond)
			}
		}},
		{name: "reader", instances: int(c.readers), busy: c.hold, idle: c.rest, begin: func(s *session) {
			s.allocate(heldPool, c.batch, c.buffer, time.Microsecond)
		}},
	}
}
