package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"dmasim/devices/machine"
	"dmasim/devices/machine/probe"
)

// FromProbe returns a scenario of a machine as a probe found it, to start from:
// its memory, its heaps, the devices of its device tree where that is known (else
// nil), and a process that takes buffers. proc is where the copies of its /proc
// are, seen from the scenario's file. Comments say what of the machine is not as it
// is.
func FromProbe(r *probe.Report, proc string, tree *machine.Description) ([]byte, error) {
	if r.Memory == nil {
		return nil, errors.New("write scenario: nothing is known of the machine's memory")
	}
	d := newDraft("this-machine", "A machine as it was found.", r.Memory.PageSize,
		&Machine{Arch: archLike(r.Arch), PerCPULists: true, Proc: proc})
	d.Machine.Kernel = modelledKernel(r.Kernel, d.note)
	for _, a := range r.CMA {
		if a.Size == 0 {
			d.note("CMA area %s is left out: where it is can only be read as root, with debugfs mounted.", a.Name)
			continue
		}
		d.Machine.CMA = append(d.Machine.CMA, CMAArea{Name: nameLike(a.Name), Range: Range{a.Base, a.Size}})
	}
	d.Machine.Swiotlb = swiotlbLike(r, d.note)
	for _, h := range r.Heaps {
		mode, err := strconv.ParseUint(h.Mode, 8, 16)
		if err != nil {
			return nil, fmt.Errorf("write scenario: heap %s has mode %q", h.Name, h.Mode)
		}
		made := Heap{Name: nameLike(h.Name), Kind: SystemHeap, User: h.UID, Group: h.GID, Mode: Mode(mode)}
		if h.Name != "system" {
			area := slices.IndexFunc(d.Machine.CMA, func(a CMAArea) bool { return a.Name == made.Name })
			if area < 0 {
				d.note("Heap %s is left out: it is not known where its memory comes from.", h.Name)
				continue
			}
			made.Kind, made.Area = CMAHeap, made.Name
		}
		d.Heaps = append(d.Heaps, made)
	}
	if tree != nil {
		d.addDevices(tree)
	}
	var client Process
	if r.User != nil {
		client.User, client.Groups = r.User.UID, append([]uint32{r.User.GID}, r.User.Groups...)
	}
	if l := r.Descriptors; l != nil {
		client.Descriptors = int(max(1, min(l.Soft, 1<<20)))
	}
	for _, g := range r.Gaps {
		d.note("Not read: %s (%s: %s).", g.What, g.Path, g.Reason)
	}
	title := fmt.Sprintf("A machine with Linux %s and %s of memory.", cmp.Or(r.Kernel, "of unknown release"), r.Memory.Total.Short())
	return d.text(title, r.Memory.Total, client)
}

// archLike returns the architecture for what uname calls it. Where zones are known
// it decides nothing.
func archLike(uname string) Arch {
	return Arch(cmp.Or(probe.Architecture(uname), machine.AMD64))
}
