package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/internal/strictyaml"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/workloads"
	"dmasim/workloads/program"
	"dmasim/workloads/trace"
)

// complete fills in what was left out and depends on other fields. What a
// churn's clients inherit moves down to them.
func (s *Spec) complete(dir string) {
	// An empty list is none: a resolved scenario has all of them.
	s.Devices, s.Workloads, s.Processes = nilIfEmpty(s.Devices), nilIfEmpty(s.Workloads), nilIfEmpty(s.Processes)
	if s.Machine != nil && s.Machine.Proc != "" && !filepath.IsAbs(s.Machine.Proc) {
		s.Machine.Proc = filepath.Join(dir, s.Machine.Proc)
	}
	s.completeTranslation()
	for i := range s.Heaps {
		h := &s.Heaps[i]
		if len(h.Arena) == 0 && h.Kind == Carveout && s.Machine == nil {
			h.Arena = slices.Clone(s.Memory)
		}
		if h.Area == "" && h.Kind == CMAHeap && s.Machine != nil && len(s.Machine.CMA) > 0 {
			h.Area = s.Machine.CMA[0].Name
		}
		if h.Granule == 0 {
			h.Granule = s.Page
		}
	}
	for i := range s.Workloads {
		w := &s.Workloads[i]
		if w.Trace != nil && w.Trace.File != "" && !filepath.IsAbs(w.Trace.File) {
			w.Trace.File = filepath.Join(dir, w.Trace.File)
		}
		if w.Adversary != nil && w.Adversary.Unit == 0 {
			for _, h := range s.Heaps {
				if h.Name == w.Heap {
					w.Adversary.Unit = h.Granule
				}
			}
		}
		if w.Generate != nil {
			w.Generate.complete(w)
			w.Devices, w.Placement = nil, Placement(allocator.Natural)
		}
		if w.Churn == nil {
			continue
		}
		if len(w.Churn.Clients) == 0 {
			w.Churn.Clients = []Client{{Name: w.Name, Weight: 1}}
		}
		for j := range w.Churn.Clients {
			w.Churn.Clients[j].inherit(w)
		}
		w.Churn.complete(s.heapSize(w.Heap))
		w.Devices, w.Placement, w.Churn.Size, w.Churn.Lifetime = nil, Placement(allocator.Natural), nil, nil
	}
}

func nilIfEmpty[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func (c *Client) inherit(w *Workload) {
	if c.Devices == nil {
		c.Devices = slices.Clone(w.Devices)
	}
	c.Devices = nilIfEmpty(c.Devices) // none were inherited, or none are wanted
	if c.Placement == Placement(allocator.Natural) {
		c.Placement = w.Placement
	}
	if c.Size == nil && c.Picture == "" {
		c.Size = w.Churn.Size
	}
	if c.Lifetime == nil {
		c.Lifetime = w.Churn.Lifetime
	}
}

// checker finds the mistakes of a complete Spec that no single value shows, and
// makes the simulation's configuration on the way. Mistakes are placed by their
// path in the tree that the Spec was decoded from.
type checker struct {
	*strictyaml.Decoder
	root   *yaml.Node
	spec   *Spec
	traces map[int]*trace.Problem // by workload
	sizes  map[pictured]uint64
	others map[int][][]int // by workload: its clients in other heaps, as workloads.RetryConfig has them
	routed map[int]bool    // devices that are in an IOMMU group or have a pool of their own
}

func (c *checker) failAt(msg string, path ...any) { c.Fail(strictyaml.At(c.root, path...), msg) }

// check returns the configuration without sources; it is of use only if no
// mistake was found.
func (c *checker) check() sim.Config {
	s := c.spec
	if !nameSyntax.MatchString(s.Name) {
		c.failAt(badName(s.Name), "name")
	}
	if s.Page != 4*mem.KiB && s.Page != 16*mem.KiB && s.Page != 64*mem.KiB {
		c.failAt("page is "+s.Page.String()+", want 4KiB, 16KiB or 64KiB", "page")
	}
	cfg := sim.Config{Duration: s.Duration}
	memory := c.ranges(s.Memory, mem.RangeSet{mem.Everywhere}, "memory")
	if len(s.Memory) == 0 && (s.Machine == nil || s.Machine.Proc == "") {
		c.failAt(`missing key "memory"`)
	}
	c.machine(&cfg, memory)
	c.bounce(&cfg, memory)
	c.heaps(&cfg, memory)
	c.devices(&cfg)
	mistakes := c.Mistakes()
	c.iommus(&cfg)
	if c.Mistakes() == mistakes { // else rules may be taken to be about memory that are not
		c.compile(&cfg)
	}
	if c.Mistakes() == 0 {
		c.workloads(&cfg)
		c.processes(&cfg)
	}
	return cfg
}

// ranges checks the list of ranges at path: each whole, inside the given set
// and apart from the others. It returns their union.
func (c *checker) ranges(list []Range, inside mem.RangeSet, path ...any) mem.RangeSet {
	var whole []mem.Range
	var byBase []int // indices into list
	for i, r := range list {
		place := strictyaml.At(strictyaml.At(c.root, path...), i)
		switch {
		case r.Size == 0:
			c.Fail(strictyaml.At(place, "size"), "the range is empty")
		case r.Range().Empty():
			c.Fail(strictyaml.At(place, "size"), "the range ends beyond 64 bits")
		case !inside.Contains(r.Range()):
			c.Fail(place, r.Range().String()+" is not all memory")
		default:
			whole = append(whole, r.Range())
			byBase = append(byBase, i)
		}
	}
	slices.SortStableFunc(byBase, func(i, j int) int { return cmp.Compare(list[i].Base, list[j].Base) })
	for n := 1; n < len(byBase); n++ {
		before, this := byBase[n-1], byBase[n]
		if list[before].Range().Overlaps(list[this].Range()) {
			later := max(before, this)
			c.Fail(strictyaml.At(strictyaml.At(c.root, path...), later), list[later].Range().String()+" overlaps another range of the list")
		}
	}
	return mem.NewRangeSet(whole...)
}

func (c *checker) heaps(cfg *sim.Config, memory mem.RangeSet) {
	checkNames(c.Decoder, c.root, "heaps", len(c.spec.Heaps))
	if len(c.spec.Heaps) == 0 {
		c.failAt("no heap", "heaps")
	}
	var taken mem.RangeSet
	for i, h := range c.spec.Heaps {
		if h.Kind != Carveout {
			cfg.Heaps = append(cfg.Heaps, c.pageHeap(&c.spec.Heaps[i], strictyaml.At(c.root, "heaps", i)))
			continue
		}
		mistakes := c.Mistakes()
		switch place := strictyaml.At(c.root, "heaps", i); {
		case c.spec.Machine != nil && len(h.Arena) == 0:
			c.Fail(place, "a carveout of a machine with page frames needs an arena")
		case h.Allocator == "":
			c.Fail(place, "missing key \"allocator\"")
		case h.Aware && h.Guard > 0:
			c.Fail(strictyaml.At(place, "guard"), "an aware heap reserves what the devices of a buffer ask for, it needs no guard")
		case h.Area != "" || h.PoolSize != 0 || h.FreeDelay != 0:
			c.Fail(place, "area, pool_size and free_delay are for heaps of other kinds")
		}
		arena := c.ranges(h.Arena, memory, "heaps", i, "arena")
		if both := arena.Intersect(taken); len(both) > 0 {
			c.failAt("the arena shares "+both.String()+" with another heap", "heaps", i, "arena")
		}
		taken = taken.Union(arena)
		if c.Mistakes() == mistakes && (allocator.Config{Arena: arena, Granule: uint64(h.Granule)}).Usable().Size() == 0 {
			c.failAt("the arena holds no whole granule of "+h.Granule.String(), "heaps", i, "arena")
		}
		if h.Allocator != "" {
			c.allocator(h.Allocator, strictyaml.At(c.root, "heaps", i, "allocator"))
		}
		made := h.common()
		made.Arena, made.Granule, made.Allocator = arena, uint64(h.Granule), h.Allocator
		made.Placement, made.Aware = allocator.Dir(h.Placement), h.Aware
		cfg.Heaps = append(cfg.Heaps, made)
	}
}

func (c *checker) allocator(text string, place *yaml.Node) {
	_, _, err := allocator.Parse(text)
	if errors.Is(err, allocator.ErrUnknownStrategy) {
		c.FailNear(place, strictyaml.Clip(err.Error()), strings.SplitN(text, ":", 2)[0], allocator.Names())
	} else if err != nil {
		c.Fail(place, strictyaml.Clip(err.Error()))
	}
}

func (c *checker) workloads(cfg *sim.Config) {
	checkNames(c.Decoder, c.root, "workloads", len(c.spec.Workloads))
	if len(c.spec.Workloads) == 0 && len(c.spec.Processes) == 0 {
		c.failAt("no work", "workloads")
	}
	clients := map[string]bool{}
	for i := range c.spec.Workloads {
		w := &c.spec.Workloads[i]
		heap := c.heapNamed(cfg, w.Heap, strictyaml.At(c.root, "workloads", i, "heap"))
		input := sim.Input{Name: w.Name}
		take := func(client sim.Client, nameAt *yaml.Node) {
			switch {
			case !nameSyntax.MatchString(client.Name):
				c.Fail(nameAt, badName(client.Name))
			case clients[client.Name]:
				c.Fail(nameAt, "client name "+strictyaml.Quote(client.Name)+" is taken")
			}
			clients[client.Name] = true
			input.Clients = append(input.Clients, len(cfg.Clients))
			cfg.Clients = append(cfg.Clients, client)
		}
		add := func(client Client, heap int, devicesAt, nameAt, transfersAt *yaml.Node) {
			take(c.client(cfg, client, heap, devicesAt, transfersAt), nameAt)
		}
		place := strictyaml.At(c.root, "workloads", i)
		switch {
		case kinds(w) != 1:
			c.Fail(place, "want one of adversary, churn, generate and trace")
		case w.Adversary != nil:
			c.adversary(w.Adversary, &cfg.Heaps[heap], strictyaml.At(place, "adversary"))
			add(Client{Name: w.Name, Devices: w.Devices, Placement: w.Placement}, heap, strictyaml.At(place, "devices"), strictyaml.At(place, "name"), place)
		case w.Generate != nil:
			c.generate(cfg, w, place, func(client Client, heap string, heapAt, devicesAt, nameAt *yaml.Node) {
				add(client, c.heapNamed(cfg, heap, heapAt), devicesAt, nameAt, place)
			})
		case w.Trace != nil:
			c.trace(i, w.Trace, strictyaml.At(place, "trace"))
			add(Client{Name: w.Name, Devices: w.Devices, Placement: w.Placement}, heap, strictyaml.At(place, "devices"), strictyaml.At(place, "name"), place)
		default:
			for j, client := range w.Churn.Clients {
				own := strictyaml.At(place, "churn", "clients", j)
				devicesAt, nameAt := strictyaml.Child(own, "devices"), strictyaml.Child(own, "name")
				if devicesAt == nil {
					devicesAt = strictyaml.At(place, "devices")
				}
				if nameAt == nil {
					nameAt = strictyaml.At(place, "name")
				}
				add(client, heap, devicesAt, nameAt, strictyaml.At(own, "transfers"))
				if client.Picture != "" {
					c.picture(pictured{i, j}, client, cfg.Clients[len(cfg.Clients)-1].Plan, own)
				}
			}
			c.churn(cfg, i, &cfg.Heaps[heap], strictyaml.At(place, "churn"))
		}
		if w.OnFailure != nil {
			c.others[i] = c.onFailure(cfg, w, &input, place, take)
		}
		cfg.Inputs = append(cfg.Inputs, input)
	}
}

// kinds counts what a workload is; one is right.
func kinds(w *Workload) int {
	n := 0
	for _, is := range []bool{w.Churn != nil, w.Generate != nil, w.Trace != nil, w.Adversary != nil} {
		if is {
			n++
		}
	}
	return n
}

func (c *checker) adversary(a *Adversary, heap *sim.Heap, place *yaml.Node) {
	if heap.Kind != sim.Carveout {
		c.Fail(place, "an adversary looks at addresses, so its heap has to be a carveout")
		return
	}
	if _, err := workloads.NewAdversary(a.config(heap)); err != nil {
		c.Fail(place, strictyaml.Clip(err.Error()))
	}
}

// heapNamed returns the index of a heap, or 0 after a mistake.
func (c *checker) heapNamed(cfg *sim.Config, name string, place *yaml.Node) int {
	heap := slices.IndexFunc(cfg.Heaps, func(h sim.Heap) bool { return h.Name == name })
	if heap < 0 {
		c.FailNear(place, "unknown heap "+strictyaml.Quote(name), name, names(strictyaml.At(c.root, "heaps")))
		return 0
	}
	return heap
}

func (c *checker) churn(cfg *sim.Config, i int, heap *sim.Heap, place *yaml.Node) {
	w := &c.spec.Workloads[i]
	if cfg.Duration == 0 && w.Churn.Count == 0 {
		c.Fail(place, "has no end: give the scenario a duration or the churn a count")
	}
	mistakes, bad := c.Mistakes(), false
	c.pace(w.Churn, heap, place)
	for j, client := range w.Churn.Clients {
		own := strictyaml.At(place, "clients", j)
		if client.Weight < 0 {
			c.Fail(strictyaml.At(own, "weight"), "a weight must not be negative")
		}
		if client.Size == nil && client.Picture == "" {
			c.Fail(own, "client "+strictyaml.Quote(client.Name)+" has no size, and neither has its churn")
		}
		bad = bad || client.Picture != "" && c.sizes[pictured{i, j}] == 0
		if client.Lifetime == nil {
			c.Fail(own, "client "+strictyaml.Quote(client.Name)+" has no lifetime, and neither has its churn")
		}
	}
	if bad || c.Mistakes() > mistakes {
		return
	}
	if _, err := w.churnSource(c.spec.Seed, i, c.sizes); err != nil {
		c.Fail(place, strictyaml.Clip(err.Error()))
	}
}

// pictured is a client whose buffers hold pictures, by its indices.
type pictured struct{ workload, client int }

// picture notes the size of a client's pictures.
func (c *checker) picture(which pictured, client Client, plan *devices.Plan, place *yaml.Node) {
	at := strictyaml.Child(place, "picture")
	if client.Size != nil {
		c.Fail(at, "a client has a picture or a size, not both")
		return
	}
	picture, err := devices.ParsePicture(client.Picture)
	if err == nil && plan != nil {
		var layout devices.Layout
		layout, err = plan.Layout(picture)
		c.sizes[which] = layout.Payload
	}
	if err != nil {
		c.Fail(at, strictyaml.Clip(err.Error()))
	}
}

// trace reads the recorded file of workload i, or the head of one that is read
// as it is played. Its format is no longer open then.
func (c *checker) trace(i int, t *Trace, place *yaml.Node) {
	fail := func(err error) { c.Fail(strictyaml.At(place, "file"), strictyaml.Clip(err.Error())) }
	r, err := t.open()
	if err != nil {
		fail(err)
		return
	}
	r.Close()
	t.Format = TraceFormat(r.Format())
	if r.Format() == trace.MiniMalloc {
		c.traces[i] = r.Problem()
	} else if t.Order != TraceOrder(trace.FileOrder) {
		c.Fail(strictyaml.At(place, "order"), fmt.Sprintf("a %s trace has its order", t.Format))
	}
	if t.Strict {
		if err := t.complain(); err != nil {
			fail(err)
		}
	}
}

func (c *checker) client(cfg *sim.Config, client Client, heap int, place, transfersAt *yaml.Node) sim.Client {
	made := sim.Client{Name: client.Name, Heap: heap, Placement: allocator.Dir(client.Placement)}
	for i, name := range client.Devices {
		device := slices.IndexFunc(c.spec.Devices, func(d Device) bool { return d.Name == name })
		switch {
		case device < 0:
			c.FailNear(strictyaml.At(place, i), "unknown device "+strictyaml.Quote(name), name, names(strictyaml.At(c.root, "devices")))
		case slices.Contains(made.Devices, device):
			c.Fail(strictyaml.At(place, i), "device "+strictyaml.Quote(name)+" is there twice")
		default:
			made.Devices = append(made.Devices, device)
		}
	}
	made.Plan = c.merge(cfg, made.Devices, place)
	made.Unfenced = client.Unfenced
	for i, t := range client.Transfers {
		device := slices.IndexFunc(c.spec.Devices, func(d Device) bool { return d.Name == t.Device })
		if device < 0 || !slices.Contains(made.Devices, device) {
			c.FailNear(strictyaml.At(transfersAt, i, "device"), "client "+strictyaml.Quote(client.Name)+" has no device "+strictyaml.Quote(t.Device), t.Device, client.Devices)
			continue
		}
		made.Transfers = append(made.Transfers, sim.Transfer{Device: device, Access: program.Access(t.Access), Time: t.Time})
	}
	return made
}
