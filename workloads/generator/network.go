package generator

// network is a neural network as a list of operations, each of which makes one
// tensor from earlier ones. A tensor lives from the operation that makes it to the
// last one that reads it.
type network struct {
	name    string
	weights uint64 // parameters
	input   uint64 // elements
	tensors []tensor
}

// tensor is the result of the operation of the same number.
type tensor struct {
	elements uint64
	last     int // operation that reads it last; the network's result: the last one
}

// image is the tensor that the network is given.
const image = -1

// graph builds a network.
type graph struct{ network }

// op adds an operation that makes a tensor of these sides from others.
func (g *graph) op(height, width, channels uint64, from ...int) int {
	n := len(g.tensors)
	g.tensors = append(g.tensors, tensor{elements: height * width * channels, last: n})
	for _, i := range from {
		if i != image {
			g.tensors[i].last = n
		}
	}
	return n
}

// load returns the most elements that tensors hold at one time.
func (n *network) load() uint64 {
	var most uint64
	for op := range n.tensors {
		var live uint64
		for i := 0; i <= op; i++ {
			if n.tensors[i].last >= op {
				live += n.tensors[i].elements
			}
		}
		most = max(most, live)
	}
	return most
}

// mobileNet is MobileNetV1 at 224x224 (Howard et al., MobileNets: Efficient
// Convolutional Neural Networks for Mobile Vision Applications, arXiv:1704.04861,
// table 1): a chain, in which two tensors live at any time.
func mobileNet() network {
	g := graph{network{name: "mobilenet-v1", weights: 4_200_000, input: 224 * 224 * 3}}
	side, channels := uint64(112), uint64(32)
	last := g.op(side, side, channels, image)
	for _, layer := range []struct{ stride, channels uint64 }{
		{1, 64}, {2, 128}, {1, 128}, {2, 256}, {1, 256}, {2, 512},
		{1, 512}, {1, 512}, {1, 512}, {1, 512}, {1, 512}, {2, 1024}, {1, 1024},
	} {
		// A filter for each channel, then 1x1 over all of them.
		side /= layer.stride
		last = g.op(side, side, channels, last)
		channels = layer.channels
		last = g.op(side, side, channels, last)
	}
	last = g.op(1, 1, channels, last)
	last = g.op(1, 1, 1000, last)
	g.op(1, 1, 1000, last)
	return g.network
}

// resNet is ResNet-50 at 224x224 (He et al., Deep Residual Learning for Image
// Recognition, arXiv:1512.03385, table 1): shortcuts keep the input of a block until
// its end.
func resNet() network {
	g := graph{network{name: "resnet-50", weights: 25_600_000, input: 224 * 224 * 3}}
	last := g.op(112, 112, 64, image)
	last = g.op(56, 56, 64, last)
	for _, stage := range []struct{ blocks, side, narrow uint64 }{{3, 56, 64}, {4, 28, 128}, {6, 14, 256}, {3, 7, 512}} {
		for block := range stage.blocks {
			// The first block of a stage halves the sides in its 3x3 convolution, and
			// projects its input to the new number of channels.
			before := stage.side
			if block == 0 && stage.side < 56 {
				before = 2 * stage.side
			}
			in := last
			last = g.op(before, before, stage.narrow, in)
			last = g.op(stage.side, stage.side, stage.narrow, last)
			last = g.op(stage.side, stage.side, 4*stage.narrow, last)
			if block == 0 {
				in = g.op(stage.side, stage.side, 4*stage.narrow, in)
			}
			last = g.op(stage.side, stage.side, 4*stage.narrow, last, in)
		}
	}
	last = g.op(1, 1, 2048, last)
	last = g.op(1, 1, 1000, last)
	g.op(1, 1, 1000, last)
	return g.network
}

// uNet is U-Net at 572x572 (Ronneberger et al., U-Net: Convolutional Networks for
// Biomedical Image Segmentation, arXiv:1505.04597, figure 1): the way up reads what
// the way down made, so that large tensors live through the whole of the inside.
func uNet() network {
	g := graph{network{name: "u-net", weights: 31_000_000, input: 572 * 572}}
	side, channels := uint64(572), uint64(64)
	last := image
	convolve := func() {
		for range 2 { // 3x3 without padding
			side -= 2
			last = g.op(side, side, channels, last)
		}
	}
	var skips []int
	for range 4 {
		convolve()
		skips = append(skips, last)
		side /= 2
		last = g.op(side, side, channels, last)
		channels *= 2
	}
	convolve()
	for i := len(skips) - 1; i >= 0; i-- {
		channels /= 2
		side *= 2
		last = g.op(side, side, channels, last)
		last = g.op(side, side, 2*channels, last, skips[i]) // both, one behind the other
		convolve()
	}
	g.op(side, side, 2, last)
	return g.network
}

var networks = []network{mobileNet(), resNet(), uNet()}

func networkNamed(name string) *network {
	for i := range networks {
		if networks[i].name == name {
			return &networks[i]
		}
	}
	return &networks[0]
}
