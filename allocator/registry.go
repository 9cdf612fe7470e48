package allocator

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// Honours says which parts of a Request a strategy takes into account.
type Honours uint8

// What a strategy may honour.
const (
	HonoursAlign Honours = 1 << iota
	HonoursWindow
	HonoursBoundary
	HonoursDirection
	HonoursRule
	HonoursAll = HonoursAlign | HonoursWindow | HonoursBoundary | HonoursDirection | HonoursRule
)

// String lists what is honoured: "align, window".
func (h Honours) String() string {
	var names []string
	for i, name := range []string{"align", "window", "boundary", "direction", "rule"} {
		if h&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// Knowledge is what a strategy is told to choose a place by. Comparing one that
// knows more with one that knows less shows what the knowledge is worth, not
// which of them is better.
type Knowledge uint8

// What a strategy can know.
const (
	KnowsRequest   Knowledge = iota // the request alone, and what is live
	KnowsMix                        // Config.Windows, where requests to come can go
	KnowsLifetimes                  // when a block will be freed
)

// String returns "request", "device mix" or "lifetimes".
func (k Knowledge) String() string {
	switch k {
	case KnowsMix:
		return "device mix"
	case KnowsLifetimes:
		return "lifetimes"
	}
	return "request"
}

// Spec describes a strategy to the registry.
type Spec struct {
	Name    string // kebab-case, unique
	Summary string // one line: what it does and its cost
	Honours Honours
	Knows   Knowledge
	Params  []Param
	New     func(Config) (Strategy, error)
}

// Param is a parameter of a strategy: a whole number with a default and
// inclusive limits.
type Param struct {
	Name              string // kebab-case
	Summary           string
	Default, Min, Max uint64
}

// Params holds parameter values by name.
type Params map[string]uint64

// Errors of Parse and New, wrapped with the offending text.
var (
	ErrUnknownStrategy = errors.New("unknown allocator")
	ErrParam           = errors.New("bad allocator parameter")
)

var registry = struct {
	sync.RWMutex
	specs map[string]Spec
}{specs: map[string]Spec{}}

// Register makes a strategy available by its name to scenarios and commands.
// It panics if the name is taken or New is nil; call it from an init function.
func Register(spec Spec) {
	registry.Lock()
	defer registry.Unlock()
	if _, taken := registry.specs[spec.Name]; taken || spec.New == nil || spec.Name == "" {
		panic(fmt.Sprintf("allocator.Register(%q): name is empty or taken, or New is nil", spec.Name))
	}
	registry.specs[spec.Name] = spec
}

// Specs returns every registered strategy by name.
func Specs() []Spec {
	registry.RLock()
	defer registry.RUnlock()
	specs := make([]Spec, 0, len(registry.specs))
	for _, spec := range registry.specs {
		specs = append(specs, spec)
	}
	sort.Slice(specs, func(i, j int) bool { return specs[i].Name < specs[j].Name })
	return specs
}

// Names returns the registered names in order.
func Names() []string {
	specs := Specs()
	names := make([]string, len(specs))
	for i, spec := range specs {
		names[i] = spec.Name
	}
	return names
}

// Parse reads "name" or "name:key=value,key=value" and returns the strategy's
// description with complete parameters. The error wraps ErrUnknownStrategy or
// ErrParam.
func Parse(text string) (Spec, Params, error) {
	name, list, hasParams := strings.Cut(text, ":")
	registry.RLock()
	spec, ok := registry.specs[name]
	registry.RUnlock()
	if !ok {
		return Spec{}, nil, fmt.Errorf("%w %q", ErrUnknownStrategy, name)
	}
	params := Params{}
	for _, p := range spec.Params {
		params[p.Name] = p.Default
	}
	if !hasParams {
		return spec, params, nil
	}
	for _, pair := range strings.Split(list, ",") {
		key, value, found := strings.Cut(pair, "=")
		i := slices.IndexFunc(spec.Params, func(p Param) bool { return p.Name == key })
		if !found || i < 0 {
			return Spec{}, nil, fmt.Errorf("%w %q: %s takes %s", ErrParam, pair, name, spec.paramNames())
		}
		n, err := strconv.ParseUint(value, 0, 64)
		if p := spec.Params[i]; err != nil || n < p.Min || n > p.Max {
			return Spec{}, nil, fmt.Errorf("%w %q: want a whole number from %d to %d", ErrParam, pair, p.Min, p.Max)
		}
		params[key] = n
	}
	return spec, params, nil
}

func (s Spec) paramNames() string {
	if len(s.Params) == 0 {
		return "no parameters"
	}
	names := make([]string, len(s.Params))
	for i, p := range s.Params {
		names[i] = p.Name + "=N"
	}
	return strings.Join(names, ", ")
}

// New makes the strategy that text names; see [Parse]. cfg.Params is ignored.
func New(text string, cfg Config) (Strategy, error) {
	spec, params, err := Parse(text)
	if err != nil {
		return nil, err
	}
	if cfg.Usable().Size() == 0 {
		return nil, fmt.Errorf("allocator %s: arena %s holds no whole granule of %d bytes", spec.Name, cfg.Arena, max(cfg.Granule, 1))
	}
	cfg.Params = params
	s, err := spec.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("allocator %s: %w", spec.Name, err)
	}
	return s, nil
}
