package scenario

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/strictyaml"
	"dmasim/sim"
	"dmasim/workloads/trace"
)

// Scenario is a scenario file that was read and found right.
type Scenario struct {
	Name        string
	Description string
	Variants    []Variant // what to run; never empty
	Text        []byte    // of the file, as it was written

	base     Variant
	explicit bool // the file lists its variants
}

// Variant is one system and its work, complete.
type Variant struct {
	Name        string
	Description string
	Spec        Spec // no default is left open; for reading

	file   string
	root   *yaml.Node
	config sim.Config             // all but the sources
	traces map[int]*trace.Problem // by workload
	sizes  map[pictured]uint64
	others map[int][][]int // by workload, see checker
}

// onlyVariant is the name of the variant of a scenario that lists none.
const onlyVariant = "run"

// Load reads a scenario file. Mistakes in it are reported as an [*Error].
func Load(path string) (*Scenario, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load scenario: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limits.Bytes)+1))
	if err != nil {
		return nil, fmt.Errorf("load scenario: %w", err)
	}
	return Parse(path, data)
}

// Find loads the file of that path if there is one, else the embedded scenario
// of that name. The error of neither wraps fs.ErrNotExist. A folder of that name, such
// as one with the results of the scenario, is no file.
func Find(pathOrName string) (*Scenario, error) {
	info, err := os.Stat(pathOrName)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() && slices.Contains(Names(), pathOrName) {
		return Open(pathOrName)
	}
	return Load(pathOrName)
}

// Parse reads a scenario from data. file is its path: errors begin with it, and
// traces are looked for from its folder. Mistakes are reported as an [*Error].
func Parse(file string, data []byte) (*Scenario, error) {
	root, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	d := &strictyaml.Decoder{File: file}
	var written File
	d.Decode(root, &written)
	if err := d.Err(); err != nil {
		return nil, err
	}
	checkNames(d, root, "variants", len(written.Variants))
	if err := d.Err(); err != nil {
		return nil, err
	}

	base, err := newVariant(file, withoutVariants(root))
	if err != nil {
		return nil, err
	}
	s := &Scenario{Name: base.Spec.Name, Description: base.Spec.Description, Text: data, base: base, explicit: len(written.Variants) > 0}
	if !s.explicit {
		only := base
		only.Name = onlyVariant
		s.Variants = []Variant{only}
	}
	for _, o := range written.Variants {
		v, err := base.override(o)
		if err != nil {
			return nil, err
		}
		s.Variants = append(s.Variants, v)
	}
	hasHistograms := false
	histograms(root, func(*yaml.Node) { hasHistograms = true })
	if hasHistograms {
		// Results have them inside, so they may be too much where the scenario is not.
		if _, err := s.Resolved("."); err != nil {
			return nil, &Error{File: file, Line: 1, Column: 1, Msg: strictyaml.Clip("with its histograms the scenario is too large: " + err.Error())}
		}
	}
	return s, nil
}

// Variant returns the variant of that name, or nil.
func (s *Scenario) Variant(name string) *Variant {
	i := slices.IndexFunc(s.Variants, func(v Variant) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Variants[i]
}

// With returns the variant with one more value set: path as in a scenario's
// variants ("heaps.main.allocator"), text as it would stand in the file. The
// error is an [*Error] whose File is the setting where it is to blame.
func (v *Variant) With(path, text string) (Variant, error) {
	setting := strictyaml.Clip(path + "=" + text)
	value, err := parse(setting, []byte(text))
	if err != nil {
		return Variant{}, err
	}
	changed, err := v.WithAll([]Setting{{path, value}})
	var wrong *SettingError
	if errors.As(err, &wrong) {
		wrong.Err.File = setting
		return Variant{}, wrong.Err
	}
	return changed, err
}

// Setting is a value for what a path leads to.
type Setting struct {
	Path  string
	Value *yaml.Node
}

// SettingError is a mistake in one of the settings of [Variant.WithAll].
type SettingError struct {
	Index  int
	InPath bool   // the path is wrong, not the value
	Err    *Error // without a place
}

func (e *SettingError) Error() string { return e.Err.Error() }

// Unwrap returns the mistake.
func (e *SettingError) Unwrap() error { return e.Err }

// WithAll returns the variant with values set, one after the other, and checks it
// when all are. The error is a [*SettingError] where one of them is to blame, and
// else an [*Error].
func (v *Variant) WithAll(settings []Setting) (Variant, error) {
	root := v.root
	for i, s := range settings {
		// What is not in the file has lines below 0, in order, so that the first mistake
		// is that of the first wrong setting.
		mark := i - len(settings)
		var err error
		if root, err = override(v.file, root, s.Path, &yaml.Node{Line: mark, Column: pathColumn}, placed(s.Value, mark)); err != nil {
			return Variant{}, blameSetting(err, len(settings))
		}
	}
	changed, err := newVariant(v.file, root)
	changed.Name, changed.Description = v.Name, v.Description
	return changed, blameSetting(err, len(settings))
}

// pathColumn marks the path of a setting, where its value is at column 0.
const pathColumn = 1

// blameSetting makes a mistake at the mark of one of so many settings one of that
// setting.
func blameSetting(err error, settings int) error {
	var mistake *Error
	if !errors.As(err, &mistake) || mistake.Line >= 0 {
		return err
	}
	wrong := &SettingError{Index: mistake.Line + settings, InPath: mistake.Column == pathColumn, Err: mistake}
	mistake.Line, mistake.Column = 0, 0
	return wrong
}

// placed returns a copy of a tree, all at one line.
func placed(n *yaml.Node, line int) *yaml.Node {
	moved := *n
	moved.Line, moved.Column = line, 0
	moved.Content = make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		moved.Content[i] = placed(c, line)
	}
	return &moved
}

func (v *Variant) override(o Override) (Variant, error) {
	root := v.root
	if set := o.Set.node; set != nil {
		for i := 0; i+1 < len(set.Content); i += 2 {
			var err error
			root, err = override(v.file, root, set.Content[i].Value, set.Content[i], set.Content[i+1])
			if err != nil {
				return Variant{}, err
			}
		}
	}
	changed, err := newVariant(v.file, root)
	changed.Name, changed.Description = o.Name, o.Description
	return changed, err
}

// newVariant decodes, completes and checks what root says.
func newVariant(file string, root *yaml.Node) (Variant, error) {
	v := Variant{file: file, root: root}
	d := &strictyaml.Decoder{File: file}
	d.Decode(root, &v.Spec)
	if err := d.Err(); err != nil {
		return Variant{}, err
	}
	v.Spec.complete(filepath.Dir(file))
	v.traces, v.sizes, v.others = map[int]*trace.Problem{}, map[pictured]uint64{}, map[int][][]int{}
	c := checker{Decoder: d, root: root, spec: &v.Spec, traces: v.traces, sizes: v.sizes, others: v.others}
	v.config = c.check()
	if err := d.Err(); err != nil {
		return Variant{}, err
	}
	return v, nil
}

func withoutVariants(root *yaml.Node) *yaml.Node {
	i := strictyaml.KeyIndex(root, "variants")
	if i < 0 {
		return root
	}
	rest := *root
	rest.Content = slices.Concat(root.Content[:i], root.Content[i+2:])
	return &rest
}
