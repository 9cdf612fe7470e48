package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"dmasim/allocator/dmaheap"
	"dmasim/allocator/kernel/version"
	"dmasim/mem"
	"dmasim/sim/validate"
)

// Options say what to validate.
type Options struct {
	Groups     []string // of [Groups]; none: all
	Operations int      // of each group; 0: each group's own number
	Seed       uint64
	List       []validate.Operation               // instead of groups
	Begin      func(group string, operations int) // told of every group that begins
	Device     string                             // that copies memory: "" or one of [Devices]; the groups are then its own
	Bits       uint8                              // of the addresses that it emits
}

// Result is a report, with the two maps of the CMA area where one was compared.
type Result struct {
	validate.Report
	ModelMap, KernelMap validate.Bitmap
}

// group is a set of aspects that are compared together.
type group struct {
	name   string
	onlyVM bool
	run    func(context.Context, *Options, *Result) error
	needs  need
}

// need is a file that has to be there, and what would make it be there. There may be
// none.
type need struct{ file, remedy string }

// Groups returns the names of the groups of aspects, in their order.
func Groups() []string {
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
	}
	return names
}

// EduBits is how many address bits QEMU's edu emits by default.
const EduBits = 28

// Devices returns the names of the devices whose transfers can be compared.
func Devices() []string { return []string{"edu"} }

// Run compares this machine's kernel with the model in every group that can be
// observed. What can't be is a gap in the report, with the reason. The error is a
// cancelled context, or a machine that fails in the middle.
func Run(ctx context.Context, o Options) (*Result, error) {
	r := &Result{Report: validate.Report{Kernel: release(), Complete: true, Aspects: []validate.Aspect{}, Gaps: []validate.Gap{}, Notes: []string{}}}
	run := groups
	asked := len(o.Groups) > 0 // by name
	switch {
	case o.Device != "":
		run, o.Groups, asked = []group{{name: o.Device, onlyVM: true, run: runDevice}}, nil, true
	case o.List != nil:
		run, o.Groups, asked = []group{{name: "sequence", onlyVM: true, run: runList}}, nil, true
	}
	for _, g := range run {
		if len(o.Groups) > 0 && !slices.Contains(o.Groups, g.name) {
			continue
		}
		err := g.permitted()
		if err == nil {
			err = g.run(ctx, &o, r)
		}
		if gap, ok := gapOf(g.name, err); ok {
			r.Gaps = append(r.Gaps, gap)
			r.Complete = r.Complete && !asked
		} else if err != nil {
			return r, err
		}
	}
	return r, nil
}

// Observability is what could be compared on a machine.
type Observability struct {
	Aspects []string       `json:"aspects"` // groups
	Gaps    []validate.Gap `json:"not_checked"`
}

// Observable returns which groups of aspects could be compared on this machine, and
// why others could not. It changes nothing.
func Observable() Observability {
	o := Observability{Aspects: []string{}, Gaps: []validate.Gap{}}
	for _, g := range groups {
		err := g.permitted()
		if gap, ok := gapOf(g.name, err); ok {
			o.Gaps = append(o.Gaps, gap)
		} else if err == nil {
			o.Aspects = append(o.Aspects, g.name)
		}
	}
	return o
}

// permitted returns why a group does not run on this machine.
func (g *group) permitted() error {
	if g.onlyVM && !InsideVM(os.DirFS("/")) {
		return ErrNotVM
	}
	if _, err := dmaheap.List(os.DirFS("/")); err != nil {
		return err
	}
	if v, err := version.Parse(release()); err != nil || v.Major != version.Modelled.Major || v.Minor != version.Modelled.Minor {
		return &errUnobservable{fmt.Sprintf("the kernel is %s, the model is of %s", release(), version.Modelled), "dmasim kernel vm -- validate"}
	}
	if g.needs.file != "" {
		if _, err := os.Stat(g.needs.file); errors.Is(err, fs.ErrNotExist) {
			return &errUnobservable{"no " + g.needs.file, g.needs.remedy}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// errUnobservable is something that this machine can't show.
type errUnobservable struct{ reason, remedy string }

func (e *errUnobservable) Error() string { return e.reason + ": " + e.remedy }

// gapOf returns what can't be compared because of err; false if err is another.
func gapOf(name string, err error) (validate.Gap, bool) {
	var unobservable *errUnobservable
	var permission *dmaheap.PermissionError
	gap := validate.Gap{Aspect: name}
	switch {
	case err == nil:
		return gap, false
	case errors.As(err, &unobservable):
		gap.Reason, gap.Remedy = unobservable.reason, unobservable.remedy
	case errors.As(err, &permission):
		gap.Reason, gap.Remedy = permission.Error(), permission.Remedy()
	case errors.Is(err, ErrNotVM):
		gap.Reason = "it could harm a host, so it only runs in a virtual machine"
		gap.Remedy = "dmasim kernel vm -- validate"
	case errors.Is(err, dmaheap.ErrUnsupported):
		gap.Reason = err.Error()
		gap.Remedy = "a kernel with CONFIG_DMABUF_HEAPS and its heaps, or dmasim kernel vm -- validate"
	case errors.Is(err, fs.ErrNotExist):
		gap.Reason = err.Error()
		gap.Remedy = "a kernel that has it: dmasim kernel vm, with --lane cma for CMA"
	case errors.Is(err, fs.ErrPermission):
		gap.Reason, gap.Remedy = err.Error(), "run as root, outside of containers"
	default:
		return gap, false
	}
	return gap, true
}

// TooMuchError is returned for operations that would bring the machine to the end of
// its memory, which is what the group exhaustion is for.
type TooMuchError struct {
	At              validate.Operation
	Most, Available mem.Size
}

func (e *TooMuchError) Error() string {
	return fmt.Sprintf("%s: buffers of the system heap would hold %s together, more than half of the %s that are available", e.At, e.Most.Short(), e.Available.Short())
}

// times returns a number of operations, or the default.
func (o *Options) times(usual int) int {
	if o.Operations > 0 {
		return o.Operations
	}
	return usual
}

// begin tells that a group begins.
func (o *Options) begin(name string, operations int) {
	if o.Begin != nil {
		o.Begin(name, operations)
	}
}
