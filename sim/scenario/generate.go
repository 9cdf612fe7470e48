package scenario

import (
	"errors"
	"slices"

	"go.yaml.in/yaml/v4"

	"dmasim/allocator"
	"dmasim/internal/strictyaml"
	"dmasim/sim"
	"dmasim/workloads/generator"
)

// Generate makes the buffers of a real user of them. It is written as one key, the
// kind of generator, over its parameters, and beside it, where pools differ in their
// heaps or devices, the pools: {camera: {mode: video}, pools: [{name: raw, heap: cma}]}.
type Generate struct {
	*generator.Generator
	Pools []GeneratorPool
}

// GeneratorPool says where the buffers of one of a generator's pools come from, and what they are for. What it leaves out is the workload's.
type GeneratorPool struct {
	// Name of the pool, one of the generator's.
	Name string `yaml:"name"`
	// Heap that its buffers come from.
	Heap string `yaml:"heap,omitempty"`
	// Devices that share every buffer, by name.
	Devices []string `yaml:"devices,omitempty"`
	// End of memory that is filled first.
	Placement Placement `yaml:"placement" jsonschema_extras:"default=natural"`
}

const poolsKey = "pools"

// DecodeYAML implements strictyaml.NodeDecoder.
func (g *Generate) DecodeYAML(d *strictyaml.Decoder, n *yaml.Node) {
	if !d.Mapping(n) {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Value == poolsKey {
			d.Decode(value, &g.Pools)
			continue
		}
		made, err := generator.New(key.Value)
		switch {
		case err != nil:
			d.FailNear(key, "unknown generator "+strictyaml.Quote(key.Value), key.Value, append(generator.Names(), poolsKey))
		case g.Generator != nil:
			d.Fail(key, "one generator is enough: "+g.Name()+" is there already")
		default:
			g.Generator = made
			g.parameters(d, value)
		}
	}
	if g.Generator == nil && d.Mistakes() == 0 {
		d.Fail(n, "want a generator, like {camera: {mode: video}}")
	}
}

// parameters decodes those of the generator.
func (g *Generate) parameters(d *strictyaml.Decoder, n *yaml.Node) {
	if !d.Mapping(n) {
		return
	}
	known := g.Parameters()
	names := make([]string, len(known))
	for i, p := range known {
		names[i] = p.Name
	}
	mistakes := d.Mistakes()
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := slices.Index(names, key.Value)
		switch {
		case at < 0:
			d.UnknownKey(key, names)
			continue
		case !d.Scalar(value, "one value"):
			continue
		}
		kind := known[at].Type
		if kind == generator.Integer && value.Tag != "!!int" || kind == generator.Number && value.Tag != "!!int" && value.Tag != "!!float" {
			d.Fail(value, "want a number, not "+strictyaml.Quote(value.Value))
			continue
		}
		g.fail(d, n, g.Set(key.Value, value.Value))
	}
	if d.Mistakes() == mistakes {
		g.fail(d, n, g.Check())
	}
}

// fail notes what is wrong with a parameter, at its value if it is written.
func (g *Generate) fail(d *strictyaml.Decoder, parameters *yaml.Node, err error) {
	var wrong *generator.ValueError
	if !errors.As(err, &wrong) {
		return
	}
	place, message := strictyaml.At(parameters, wrong.Parameter), strictyaml.Clip(wrong.Parameter+": "+wrong.Err.Error())
	var word *strictyaml.WordError
	if errors.As(err, &word) {
		d.FailNear(place, message, word.Word, word.Options)
		return
	}
	d.Fail(place, message)
}

// MarshalYAML implements yaml.Marshaler.
func (g Generate) MarshalYAML() (any, error) {
	parameters := flowNode(yaml.MappingNode)
	for _, p := range g.Parameters() {
		parameters.Content = append(parameters.Content, scalarNode(p.Name), scalarNode(g.Value(p.Name)))
	}
	written := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalarNode(g.Name()), parameters}}
	if len(g.Pools) > 0 {
		pools, err := toNode(g.Pools)
		if err != nil {
			return nil, err
		}
		written.Content = append(written.Content, scalarNode(poolsKey), pools)
	}
	return written, nil
}

// complete fills in every pool that the generator may have, with what it inherits
// from its workload. Pools that it does not know stay, to be found wrong.
func (g *Generate) complete(w *Workload) {
	if g.Generator == nil {
		return
	}
	for _, known := range g.AllPools() {
		if !slices.ContainsFunc(g.Pools, func(p GeneratorPool) bool { return p.Name == known.Name }) {
			g.Pools = append(g.Pools, GeneratorPool{Name: known.Name})
		}
	}
	for i := range g.Pools {
		p := &g.Pools[i]
		if p.Heap == "" {
			p.Heap = w.Heap
		}
		if p.Devices == nil {
			p.Devices = slices.Clone(w.Devices)
		}
		p.Devices = nilIfEmpty(p.Devices)
		if p.Placement == Placement(allocator.Natural) {
			p.Placement = w.Placement
		}
	}
}

// generate checks the pools of a generator and adds a client for each that is used,
// in the order of the generator's client numbers.
func (c *checker) generate(cfg *sim.Config, w *Workload, place *yaml.Node, add func(client Client, heap string, heapAt, devicesAt, nameAt *yaml.Node)) {
	if cfg.Duration == 0 {
		c.Fail(strictyaml.At(place, "generate"), "has no end: give the scenario a duration")
	}
	pools := strictyaml.At(place, "generate", poolsKey)
	written := 0
	if pools.Kind == yaml.SequenceNode {
		written = len(pools.Content)
	}
	var known []string
	for _, p := range w.Generate.AllPools() {
		known = append(known, p.Name)
	}
	seen := map[string]bool{}
	for i, p := range w.Generate.Pools {
		at := strictyaml.At(pools, i, "name")
		switch {
		case !slices.Contains(known, p.Name):
			c.FailNear(at, "a "+w.Generate.Name()+" has no pool "+strictyaml.Quote(p.Name), p.Name, known)
		case seen[p.Name]:
			c.Fail(at, "pool "+strictyaml.Quote(p.Name)+" is there twice")
		}
		seen[p.Name] = true
	}
	for _, used := range w.Generate.Generator.Pools() {
		i := slices.IndexFunc(w.Generate.Pools, func(p GeneratorPool) bool { return p.Name == used.Name })
		p := &w.Generate.Pools[i]
		own := place
		if i < written {
			own = strictyaml.At(pools, i)
		}
		at := func(key string) *yaml.Node {
			if n := strictyaml.Child(own, key); n != nil {
				return n
			}
			return strictyaml.At(place, key)
		}
		client := Client{Name: w.Name + "-" + p.Name, Devices: p.Devices, Placement: p.Placement}
		add(client, p.Heap, at("heap"), at("devices"), strictyaml.At(place, "name"))
	}
}
