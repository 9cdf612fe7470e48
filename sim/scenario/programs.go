package scenario

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"dmasim/devices"
	"dmasim/internal/strictyaml"
	"dmasim/sim"
	"dmasim/workloads/program"
)

// processes checks the processes and compiles their programs.
func (c *checker) processes(cfg *sim.Config) {
	checkNames(c.Decoder, c.root, "processes", len(c.spec.Processes))
	if len(c.spec.Processes) > 0 && c.spec.Machine == nil {
		c.failAt("processes need a machine", "processes")
		return
	}
	known := map[string]bool{}
	for i := range c.spec.Processes {
		known[c.spec.Processes[i].Name] = true
		addNames(known, c.spec.Processes[i].Program)
	}
	names := slices.Sorted(maps.Keys(known))
	c.processClients(cfg, names)
	for i := range c.spec.Processes {
		p := &c.spec.Processes[i]
		compiler := programCompiler{checker: c, cfg: cfg, processes: names, variables: map[string]program.Variable{}}
		steps := compiler.steps(p.Program, strictyaml.At(c.root, "processes", i, "program"))
		made := sim.Process{
			Name: p.Name, User: p.User, Groups: p.Groups, Descriptors: p.Descriptors,
			Anonymous: uint64(p.Anonymous), OOMScoreAdj: p.OOMScoreAdj, Start: p.Start,
		}
		if len(steps) > 0 {
			made.Program = program.Compile(steps, len(compiler.kinds))
		}
		cfg.Processes = append(cfg.Processes, made)
	}
}

// processClients adds a client for each name that a process may have: its
// requests are counted as that client's.
func (c *checker) processClients(cfg *sim.Config, names []string) {
	anywhere, err := devices.Merge()
	if err != nil {
		c.failAt(strictyaml.Clip(err.Error()), "processes")
		return
	}
	for _, name := range names {
		if slices.ContainsFunc(cfg.Clients, func(client sim.Client) bool { return client.Name == name }) {
			c.failAt("name "+strictyaml.Quote(name)+" is that of a workload's client, too", "processes")
		}
		cfg.Clients = append(cfg.Clients, sim.Client{Name: name, Heap: -1, Plan: anywhere})
	}
}

// addNames adds the names that processes get while they run.
func addNames(known map[string]bool, steps []Step) {
	for _, s := range steps {
		switch {
		case s.Fork != nil:
			known[s.Fork.Name] = true
			addNames(known, s.Fork.Program)
		case s.Repeat != nil:
			addNames(known, s.Repeat.Do)
		case s.Exec != "":
			known[s.Exec] = true
		}
	}
}

// programCompiler turns the steps of one process into those of package program:
// names become numbers.
type programCompiler struct {
	*checker
	cfg       *sim.Config
	processes []string // every name that a process may have
	variables map[string]program.Variable
	kinds     []variableKind // of the variables
}

// variableKind is what a variable holds, in words.
type variableKind string

const (
	aHeap        variableKind = "an open heap"
	aBuffer      variableKind = "a buffer's descriptor"
	aMapping     variableKind = "a mapping"
	anAttachment variableKind = "an attachment"
	aFence       variableKind = "a fence"
)

func (c *programCompiler) steps(list []Step, place *yaml.Node) []program.Step {
	var steps []program.Step
	for i := range list {
		at := strictyaml.At(place, i)
		if verbs := verbsOf(at); len(verbs) != 1 {
			c.Fail(at, "want one thing to do, not "+strings.Join(append(verbs, "nothing")[:max(len(verbs), 1)], " and "))
			continue
		}
		steps = append(steps, c.step(&list[i], at))
	}
	return steps
}

// verbsOf returns the keys of a step that say what to do.
func verbsOf(step *yaml.Node) []string {
	verbs := names(step)
	return slices.DeleteFunc(verbs, func(key string) bool { return key == "may_fail" })
}

func (c *programCompiler) step(s *Step, at *yaml.Node) program.Step {
	verb := strictyaml.At(at, verbsOf(at)[0])
	step := program.Step{MayFail: s.MayFail, Of: program.NoVariable, As: program.NoVariable, With: program.NoVariable, Heap: -1, Device: -1, Area: -1}
	switch {
	case s.Open != nil:
		step.Verb = program.Open
		step.Heap = c.heap(s.Open.Heap, strictyaml.At(verb, "heap"))
		step.As = c.bind(s.Open.As, aHeap, strictyaml.At(verb, "as"))
	case s.Alloc != nil:
		step.Verb, step.Size, step.CloExec = program.Alloc, uint64(s.Alloc.Size), s.Alloc.CloseOnExec
		switch {
		case (s.Alloc.Heap == "") == (s.Alloc.From == ""):
			c.Fail(verb, "want either heap or from")
		case s.Alloc.Heap != "":
			step.Heap = c.heap(s.Alloc.Heap, strictyaml.At(verb, "heap"))
		default:
			step.Of = c.use(s.Alloc.From, strictyaml.At(verb, "from"), aHeap)
		}
		step.As = c.bind(s.Alloc.As, aBuffer, strictyaml.At(verb, "as"))
	case s.Dup != nil:
		step.Verb, step.CloExec = program.Dup, s.Dup.CloseOnExec
		step.Of = c.use(s.Dup.Of, strictyaml.At(verb, "of"), aBuffer, aFence, aHeap)
		step.As = c.bind(s.Dup.As, c.kindOf(step.Of), strictyaml.At(verb, "as"))
	case s.Mmap != nil:
		step.Verb = program.Mmap
		step.Of = c.use(s.Mmap.Of, strictyaml.At(verb, "of"), aBuffer)
		step.As = c.bind(s.Mmap.As, aMapping, strictyaml.At(verb, "as"))
	case s.Fork != nil:
		step.Verb, step.Name = program.Fork, s.Fork.Name
		if !nameSyntax.MatchString(s.Fork.Name) {
			c.Fail(strictyaml.At(verb, "name"), badName(s.Fork.Name))
		}
		step.Body = c.steps(s.Fork.Program, strictyaml.At(verb, "program"))
	case s.Exec != "":
		step.Verb, step.Name = program.Exec, s.Exec
		if !nameSyntax.MatchString(s.Exec) {
			c.Fail(verb, badName(s.Exec))
		}
	case s.Send != nil:
		step.Verb = program.Send
		step.Of = c.use(s.Send.Of, strictyaml.At(verb, "of"), aBuffer, aFence, aHeap)
		step.Process = c.process(s.Send.To, strictyaml.At(verb, "to"))
	case s.Receive != nil:
		step.Verb, step.CloExec = program.Receive, s.Receive.CloseOnExec
		step.As = c.bind(s.Receive.As, aBuffer, strictyaml.At(verb, "as"))
	case s.Attach != nil:
		step.Verb = program.Attach
		step.Of = c.use(s.Attach.Of, strictyaml.At(verb, "of"), aBuffer)
		step.Device = c.device(s.Attach.Device, strictyaml.At(verb, "device"))
		step.As = c.bind(s.Attach.As, anAttachment, strictyaml.At(verb, "as"))
	case s.DMA != nil:
		step.Verb, step.Access, step.Time = program.DMA, program.Access(s.DMA.Access), s.DMA.Time
		step.Size, step.Unfenced = uint64(s.DMA.Size), s.DMA.Unfenced
		step.Of = c.use(s.DMA.Of, strictyaml.At(verb, "of"), anAttachment)
		if s.DMA.After != "" {
			step.With = c.use(s.DMA.After, strictyaml.At(verb, "after"), aFence)
		}
		step.As = c.bind(s.DMA.As, aFence, strictyaml.At(verb, "as"))
	case s.ExportFences != nil:
		step.Verb, step.Access = program.ExportFences, program.Access(s.ExportFences.Access)
		step.Of = c.use(s.ExportFences.Of, strictyaml.At(verb, "of"), aBuffer)
		step.As = c.bind(s.ExportFences.As, aFence, strictyaml.At(verb, "as"))
	case s.ImportFences != nil:
		step.Verb, step.Access = program.ImportFences, program.Access(s.ImportFences.Access)
		step.Of = c.use(s.ImportFences.Of, strictyaml.At(verb, "of"), aBuffer)
		step.With = c.use(s.ImportFences.From, strictyaml.At(verb, "from"), aFence)
	case s.Wait != nil:
		step.Verb, step.Access, step.Time = program.Wait, program.Access(s.Wait.Access), s.Wait.AtMost
		step.Of = c.use(s.Wait.For, strictyaml.At(verb, "for"), aBuffer, aFence)
		if c.kindOf(step.Of) == aBuffer && step.Access == 0 {
			c.Fail(verb, `missing key "access": a reader waits for writers, a writer for all`)
		}
	case s.BeginCPUAccess != nil:
		step.Verb, step.Access = program.BeginCPUAccess, program.Access(s.BeginCPUAccess.Access)
		step.Of = c.use(s.BeginCPUAccess.Of, strictyaml.At(verb, "of"), aBuffer)
	case s.EndCPUAccess != nil:
		step.Verb, step.Access = program.EndCPUAccess, program.Access(s.EndCPUAccess.Access)
		step.Of = c.use(s.EndCPUAccess.Of, strictyaml.At(verb, "of"), aBuffer)
	case s.Grow != nil:
		c.amount(&step, program.Grow, s.Grow, verb)
	case s.Shrink != nil:
		c.amount(&step, program.Shrink, s.Shrink, verb)
	case s.Touch != nil:
		c.amount(&step, program.Touch, s.Touch, verb)
	case s.Pin != nil:
		step.Verb, step.Size, step.Time = program.Pin, uint64(s.Pin.Size), s.Pin.Time
		step.Area = c.area(s.Pin.Area, strictyaml.At(verb, "area"))
	case s.Sleep != 0:
		step.Verb, step.Time = program.Sleep, s.Sleep
	case s.Kill != "":
		step.Verb, step.Process = program.Kill, c.process(s.Kill, verb)
	case s.Repeat != nil:
		step.Verb, step.Count, step.Time = program.Repeat, s.Repeat.Count, s.Repeat.Every
		if len(s.Repeat.Do) == 0 {
			c.Fail(verb, "repeats nothing")
		}
		step.Body = c.steps(s.Repeat.Do, strictyaml.At(verb, "do"))
	case strictyaml.Child(at, "exit") != nil:
		step.Verb = program.Exit
		if !s.Exit {
			c.Fail(verb, "want exit: true, or no such step")
		}
	default:
		c.about(&step, s, verb)
	}
	return step
}

// about fills in a step whose only argument is a variable.
func (c *programCompiler) about(step *program.Step, s *Step, at *yaml.Node) {
	for _, simple := range []struct {
		variable string
		verb     program.Verb
		kinds    []variableKind
	}{
		{s.Close, program.Close, []variableKind{aBuffer, aFence, aHeap}},
		{s.Munmap, program.Munmap, []variableKind{aMapping}},
		{s.Map, program.MapDMA, []variableKind{anAttachment}},
		{s.Unmap, program.UnmapDMA, []variableKind{anAttachment}},
		{s.Detach, program.Detach, []variableKind{anAttachment}},
		{s.Read, program.Read, []variableKind{aMapping}},
		{s.Write, program.Write, []variableKind{aMapping}},
	} {
		if simple.variable != "" {
			step.Verb = simple.verb
			step.Of = c.use(simple.variable, at, simple.kinds...)
			return
		}
	}
	c.Fail(at, "want the name of a variable")
}

func (c *programCompiler) amount(step *program.Step, verb program.Verb, a *Amount, at *yaml.Node) {
	step.Verb, step.Memory, step.Size = verb, program.Memory(a.Memory), uint64(a.Size)
	if verb == program.Touch && step.Memory == program.Kernel {
		c.Fail(at, "kernel memory is always there, there is nothing to touch")
	}
}

// bind returns the number of a variable that a step binds; "" is none.
func (c *programCompiler) bind(name string, kind variableKind, at *yaml.Node) program.Variable {
	if name == "" {
		return program.NoVariable
	}
	if !nameSyntax.MatchString(name) {
		c.Fail(at, badName(name))
		return program.NoVariable
	}
	v, ok := c.variables[name]
	if !ok {
		v = program.Variable(len(c.kinds))
		c.variables[name] = v
		c.kinds = append(c.kinds, kind)
	} else if c.kinds[v] != kind {
		c.Fail(at, strictyaml.Quote(name)+" already is "+string(c.kinds[v])+", it cannot be "+string(kind)+", too")
	}
	return v
}

// use returns the number of a variable that an earlier step bound.
func (c *programCompiler) use(name string, at *yaml.Node, kinds ...variableKind) program.Variable {
	v, ok := c.variables[name]
	if !ok {
		c.FailNear(at, "no step before binds "+strictyaml.Quote(name), name, slices.Sorted(maps.Keys(c.variables)))
		return program.NoVariable
	}
	if !slices.Contains(kinds, c.kinds[v]) {
		c.Fail(at, strictyaml.Quote(name)+" is "+string(c.kinds[v])+", want "+string(kinds[0]))
	}
	return v
}

func (c *programCompiler) kindOf(v program.Variable) variableKind {
	if v == program.NoVariable {
		return aBuffer
	}
	return c.kinds[v]
}

func (c *programCompiler) heap(name string, at *yaml.Node) int32 {
	i := slices.IndexFunc(c.cfg.Heaps, func(h sim.Heap) bool { return h.Name == name })
	if i < 0 {
		c.FailNear(at, "unknown heap "+strictyaml.Quote(name), name, names(strictyaml.At(c.root, "heaps")))
	}
	return int32(i)
}

func (c *programCompiler) device(name string, at *yaml.Node) int32 {
	i := slices.IndexFunc(c.spec.Devices, func(d Device) bool { return d.Name == name })
	if i < 0 {
		c.FailNear(at, "unknown device "+strictyaml.Quote(name), name, names(strictyaml.At(c.root, "devices")))
	}
	return int32(i)
}

func (c *programCompiler) area(name string, at *yaml.Node) int32 {
	i := slices.IndexFunc(c.spec.Machine.CMA, func(a CMAArea) bool { return a.Name == name })
	if i < 0 {
		c.FailNear(at, "unknown CMA area "+strictyaml.Quote(name), name, names(strictyaml.At(c.root, "machine", "cma")))
	}
	return int32(i)
}

func (c *programCompiler) process(name string, at *yaml.Node) string {
	if !slices.Contains(c.processes, name) {
		c.FailNear(at, "unknown process "+strictyaml.Quote(name), name, c.processes)
	}
	return name
}
