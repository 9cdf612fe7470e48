package generator

import (
	"time"

	"dmasim/mem"
)

// npu is an accelerator for neural networks. A session loads a network and runs it
// at a rate; the lifetimes of its tensors are those of the network's graph.
type npu struct {
	net        string
	instances  uint64
	placing    string
	batch      uint64
	element    uint64
	align      uint64
	pictures   uint64
	rate       float64
	latency    time.Duration
	busy, idle span
}

// The pools of an NPU, in the order of npuKind.
const (
	weightPool = iota
	ioPool
	tensorPool
)

var npuKind = kind{
	name: "npu", summary: "weights, inputs, and tensors that live as the network's graph has them",
	pools: []Pool{
		{Name: "weights", Meaning: "the network's parameters, as long as it is loaded"},
		{Name: "io", Meaning: "inputs and results, shared with camera or program"},
		{Name: "tensors", Meaning: "what operations hand to one another; or the scratchpad in which they lie"},
	},
	make: func() model { return &npu{} },
}

const (
	eachTensor = "tensors"
	oneArena   = "arena"
)

func (n *npu) bind(t *table) {
	var names []string
	for i := range networks {
		names = append(names, networks[i].name)
	}
	t.word(&n.net, names[0], names, about{"network", "",
		"the network: a chain (mobilenet-v1), blocks with shortcuts (resnet-50), or large tensors that live long (u-net)",
		"arXiv:1704.04861 table 1, arXiv:1512.03385 table 1, arXiv:1505.04597 figure 1; every operation is taken to write a tensor of its own"})
	t.integer(&n.instances, 1, 1, 16, about{"instances", "networks", "networks that are loaded at the same time at most", ""})
	t.word(&n.placing, eachTensor, []string{eachTensor, oneArena}, about{"placing", "",
		"tensors: each is a buffer, allocated and freed in every inference; arena: a compiler has packed them into one buffer, which is as large as the most that live at one time and is kept",
		"a scratchpad's allocator sees the one (MiniMalloc, ASPLOS 2023), a heap of the kernel the other"})
	t.integer(&n.batch, 1, 1, 64, about{"batch", "inputs", "inputs of an inference", ""})
	t.integer(&n.element, 1, 1, 8, about{"element", "bytes", "bytes of an element of a tensor or a weight: 1 for int8, 2 for fp16, 4 for fp32", ""})
	t.size(&n.align, 64, 1, 64*mem.KiB, about{"align", "", "what sizes of tensors are rounded up to", "assumed"})
	t.integer(&n.pictures, 2, 1, 16, about{"inputs", "buffers", "inputs, and as many results: 2 so that one is filled while the other is read", ""})
	t.number(&n.rate, 10, 0.001, 1000, about{"rate", "1/s", "inferences per second", ""})
	t.duration(&n.latency, 40*time.Millisecond, 10*time.Microsecond, time.Hour, about{"latency", "", "time of an inference; each operation takes an equal share", "assumed"})
	t.span(&n.busy, time.Minute, shortestSession, 1, about{"session", "", "time for which a network is loaded", ""})
	t.span(&n.idle, time.Minute, 0, 1, about{"pause", "", "time until the next is; 0: none", ""})
}

func (n *npu) check() error {
	if period := n.period(); n.latency > period {
		return wrong("latency", "%s is longer than the %s from one inference to the next", n.latency, period)
	}
	return nil
}

func (n *npu) period() time.Duration { return time.Duration(float64(time.Second) / n.rate) }

// bytes returns the size of a buffer for elements.
func (n *npu) bytes(elements uint64) uint64 { return up(elements*n.element*n.batch, n.align) }

// scratch returns the most bytes that tensors hold at one time.
func (n *npu) scratch() uint64 {
	net := *networkNamed(n.net)
	net.tensors = append([]tensor(nil), net.tensors...)
	for i := range net.tensors {
		net.tensors[i].elements = n.bytes(net.tensors[i].elements)
	}
	return net.load()
}

func (n *npu) result() uint64 {
	net := networkNamed(n.net)
	return n.bytes(net.tensors[len(net.tensors)-1].elements)
}

func (n *npu) most() []uint64 {
	net := networkNamed(n.net)
	return []uint64{
		n.instances * up(net.weights*n.element, n.align),
		n.instances * n.pictures * (n.bytes(net.input) + n.result()),
		n.instances * n.scratch(),
	}
}

func (n *npu) actors() []actor {
	return []actor{{name: "network", instances: int(n.instances), busy: n.busy, idle: n.idle, begin: n.begin, round: n.round}}
}

func (n *npu) begin(s *session) {
	net := networkNamed(n.net)
	s.allocate(weightPool, 1, up(net.weights*n.element, n.align), apart)
	s.allocate(ioPool, n.pictures, n.bytes(net.input), apart)
	s.allocate(ioPool, n.pictures, n.result(), apart)
	if n.placing == oneArena {
		s.allocate(tensorPool, 1, n.scratch(), apart)
	}
}

// round is an inference. One that lacks a tensor is given up.
func (n *npu) round(s *session, _ uint64) bool {
	if n.placing == oneArena {
		return false
	}
	net := networkNamed(n.net)
	start := s.now
	each := n.latency / time.Duration(len(net.tensors))
	s.optional()
	s.items = s.items[:0]
	for op := range net.tensors {
		s.now = start + time.Duration(op)*each
		s.items = append(s.items, s.allocate(tensorPool, 1, n.bytes(net.tensors[op].elements), 0))
		s.now += each
		for i := 0; i <= op; i++ {
			if net.tensors[i].last == op {
				s.free(s.items[i])
			}
		}
	}
	s.now = start + n.period()
	return true
}
