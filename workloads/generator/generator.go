package generator

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"dmasim/internal/strictyaml"
	"dmasim/internal/suggest"
)

// Kind tells what a kind of generator does and takes.
type Kind struct {
	Name       string
	Summary    string
	Parameters []Parameter
	Pools      []Pool // all that it may have
}

// Pool is the buffers of a generator that serve one purpose: they have the same
// devices and come from the same heap.
type Pool struct {
	Name    string
	Meaning string
	// Most is the most bytes that the pool's buffers hold at one time, in all
	// instances together; 0: the pool is not used.
	Most uint64
}

// ErrUnknown is the error of names that no generator has.
var ErrUnknown = errors.New("unknown generator")

// model is a kind of generator with its parameters, which are its fields.
type model interface {
	// bind adds the parameters and sets the fields to their defaults.
	bind(*table)
	// check says what is wrong with values that are right by themselves.
	check() error
	// most returns the most bytes that each pool holds at one time, in the order
	// of the kind's pools.
	most() []uint64
	// actors returns who allocates. They are independent of one another.
	actors() []actor
}

type kind struct {
	name, summary string
	pools         []Pool
	make          func() model
}

var kinds = []kind{audioKind, cameraKind, decodeKind, displayKind, gpuKind, nicKind, npuKind, nvmeKind, usbKind}

// Kinds returns the generators, sorted by name, with the defaults of their
// parameters.
func Kinds() []Kind {
	var list []Kind
	for i := range kinds {
		k := &kinds[i]
		list = append(list, Kind{Name: k.name, Summary: k.summary, Parameters: newGenerator(k).Parameters(), Pools: slices.Clone(k.pools)})
	}
	return list
}

// Names returns the names of the generators, sorted.
func Names() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// Generator is a kind of generator with values for all its parameters.
type Generator struct {
	kind       *kind
	model      model
	parameters table
}

func newGenerator(k *kind) *Generator {
	g := &Generator{kind: k, model: k.make()}
	g.model.bind(&g.parameters)
	return g
}

// New returns the generator of that name with the defaults of its parameters. The
// error wraps ErrUnknown.
func New(name string) (*Generator, error) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return nil, fmt.Errorf("%w %s%s", ErrUnknown, strictyaml.Quote(name), suggest.DidYouMean(suggest.Nearest(name, Names())))
	}
	return newGenerator(&kinds[i]), nil
}

// Parse reads a generator as commands take it: its name, and behind a colon
// parameters with commas between, as in camera:mode=burst,burst_frames=8. The
// parameters fit together. The error wraps ErrUnknown or is a [*ValueError].
func Parse(text string) (*Generator, error) {
	name, list, hasList := strings.Cut(text, ":")
	g, err := New(name)
	if err != nil || !hasList {
		return g, err
	}
	set := map[string]bool{}
	for _, element := range strings.Split(list, ",") {
		key, value, found := strings.Cut(element, "=")
		switch {
		case !found:
			err = fmt.Errorf("%s: want key=value, not %s", name, strictyaml.Quote(element))
		case set[key]:
			err = g.fail(key, errors.New("is there twice"))
		default:
			err = g.Set(key, value)
		}
		if err != nil {
			return nil, err
		}
		set[key] = true
	}
	return g, g.Check()
}

// Name returns the name of the kind.
func (g *Generator) Name() string { return g.kind.name }

// Summary says what the generator makes.
func (g *Generator) Summary() string { return g.kind.summary }

// Parameters returns what the generator takes, with the defaults.
func (g *Generator) Parameters() []Parameter {
	var list []Parameter
	for _, p := range g.parameters {
		list = append(list, p.Parameter)
	}
	return list
}

// Value returns the value of a parameter as it is written; "" if there is none of
// that name.
func (g *Generator) Value(name string) string {
	if p, ok := g.parameters.find(name); ok {
		return p.text()
	}
	return ""
}

// Equal reports whether both are of one kind and have the same values.
func (g *Generator) Equal(other *Generator) bool {
	return g == other || g != nil && other != nil && g.kind == other.kind &&
		!slices.ContainsFunc(g.parameters, func(p parameter) bool { return p.text() != other.Value(p.Name) })
}

// Set sets a parameter to what text means. The error is a [*ValueError].
func (g *Generator) Set(name, text string) error {
	p, ok := g.parameters.find(name)
	if !ok {
		var names []string
		for _, p := range g.parameters {
			names = append(names, p.Name)
		}
		return g.fail(name, fmt.Errorf("%w%s", errUnknownParameter, suggest.DidYouMean(suggest.Nearest(name, names))))
	}
	if err := p.set(text); err != nil {
		return g.fail(name, err)
	}
	return nil
}

func (g *Generator) fail(parameter string, err error) error {
	return &ValueError{Generator: g.kind.name, Parameter: strictyaml.Clip(parameter), Err: err}
}

// Check says whether the values fit together. The error is a [*ValueError].
func (g *Generator) Check() error {
	err := g.model.check()
	var wrong *ValueError
	if errors.As(err, &wrong) {
		wrong.Generator = g.kind.name
	}
	return err
}

// wrong is the error of a parameter that does not go with others.
func wrong(parameter, format string, args ...any) error {
	return &ValueError{Parameter: parameter, Err: fmt.Errorf(format, args...)}
}

// Pools returns the pools that the generator uses as it is set, with the most bytes
// that each holds. Op.Client is the index into them.
func (g *Generator) Pools() []Pool {
	var list []Pool
	for i, most := range g.model.most() {
		if most > 0 {
			p := g.kind.pools[i]
			p.Most = most
			list = append(list, p)
		}
	}
	return list
}

// AllPools returns every pool that a generator of this kind may have.
func (g *Generator) AllPools() []Pool { return slices.Clone(g.kind.pools) }

// Most returns the most bytes that the generator's buffers hold at one time: the
// sum over the pools.
func (g *Generator) Most() uint64 {
	var sum uint64
	for _, most := range g.model.most() {
		sum += most
	}
	return sum
}
