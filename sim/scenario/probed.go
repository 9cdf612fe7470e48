package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"dmasim/allocator/kernel/version"
	"dmasim/devices/machine"
	"dmasim/devices/machine/probe"
	"dmasim/mem"
)

// FromProbe returns a scenario of a machine as a probe found it, to start from:
// its memory, its heaps, and a process that takes buffers until it has 64 MiB. proc
// is where the copies of its /proc are, seen from the scenario's file. Comments
// say what of the machine is not as it is.
func FromProbe(r *probe.Report, proc string) ([]byte, error) {
	if r.Memory == nil {
		return nil, errors.New("write scenario: nothing is known of the machine's memory")
	}
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	s := Spec{
		Name: "this-machine", Description: "A machine as dmasim kernel probe found it.",
		Seed: 1, Duration: 10 * time.Second, Page: r.Memory.PageSize,
		Machine: &Machine{Kernel: modelledKernel(r.Kernel, note), Arch: archLike(r.Arch), PerCPULists: true, Proc: proc},
	}
	for _, a := range r.CMA {
		if a.Size == 0 {
			note("CMA area %s is left out: where it is can only be read as root, with debugfs mounted.", a.Name)
			continue
		}
		s.Machine.CMA = append(s.Machine.CMA, CMAArea{Name: nameLike(a.Name), Range: Range{a.Base, a.Size}})
	}
	s.Machine.Swiotlb = swiotlbLike(r, note)
	for _, h := range r.Heaps {
		mode, err := strconv.ParseUint(h.Mode, 8, 16)
		if err != nil {
			return nil, fmt.Errorf("write scenario: heap %s has mode %q", h.Name, h.Mode)
		}
		made := Heap{Name: nameLike(h.Name), Kind: SystemHeap, User: h.UID, Group: h.GID, Mode: Mode(mode)}
		if h.Name != "system" {
			area := slices.IndexFunc(s.Machine.CMA, func(a CMAArea) bool { return a.Name == made.Name })
			if area < 0 {
				note("Heap %s is left out: it is not known where its memory comes from.", h.Name)
				continue
			}
			made.Kind, made.Area = CMAHeap, made.Name
		}
		s.Heaps = append(s.Heaps, made)
	}
	if len(s.Heaps) == 0 {
		note("No heap was found that can be simulated; Linux's system heap, open to everybody, stands in.")
		s.Heaps = []Heap{{Name: "system", Kind: SystemHeap, Mode: 0o666}}
	}
	client := Process{Name: "client", Descriptors: 1024, Start: time.Second, Program: []Step{{
		Repeat: &RepeatStep{Count: 64, Every: 10 * time.Millisecond, Do: []Step{{
			Alloc: &AllocStep{Heap: s.Heaps[0].Name, Size: mem.MiB, As: "buffer"},
		}}},
	}}}
	if r.User != nil {
		client.User, client.Groups = r.User.UID, append([]uint32{r.User.GID}, r.User.Groups...)
	}
	if d := r.Descriptors; d != nil {
		client.Descriptors = int(max(1, min(d.Soft, 1<<20)))
	}
	s.Processes = []Process{client}
	text, err := yaml.Dump(s)
	if err != nil {
		return nil, fmt.Errorf("write scenario: %w", err)
	}
	for _, g := range r.Gaps {
		note("Not read: %s (%s: %s).", g.What, g.Path, g.Reason)
	}
	var head strings.Builder
	fmt.Fprintf(&head, "# A machine with Linux %s and %s of memory.\n", cmp.Or(r.Kernel, "of unknown release"), r.Memory.Total.Short())
	for _, n := range notes {
		// A line break in a name must not end the comment.
		fmt.Fprintf(&head, "# %s\n", strings.Join(strings.Fields(n), " "))
	}
	return append([]byte(head.String()), text...), nil
}

// modelledKernel returns the release whose heaps are modelled that is nearest to
// that of the machine.
func modelledKernel(release string, note func(string, ...any)) version.Version {
	v, err := version.Parse(release)
	switch oldest := (version.Version{Major: 5, Minor: 6}); {
	case err != nil:
		note("The release of the kernel is not known; %s is simulated.", version.Modelled)
		return version.Modelled
	case v.Compare(version.Modelled) > 0:
		note("Linux %s is simulated, the latest release that is modelled.", version.Modelled)
		return version.Modelled
	case v.Compare(oldest) < 0:
		note("Linux %s is simulated, the first release with dma-buf heaps.", oldest)
		return oldest
	}
	return v
}

// archLike returns the architecture for what uname calls it. Where zones are known
// it decides nothing.
func archLike(uname string) Arch {
	switch {
	case uname == "aarch64":
		return Arch(machine.ARM64)
	case strings.HasPrefix(uname, "arm"):
		return Arch(machine.ARM)
	case uname == "riscv64":
		return Arch(machine.RISCV64)
	case len(uname) == 4 && uname[0] == 'i' && uname[2:] == "86":
		return Arch(machine.I386)
	}
	return Arch(machine.AMD64)
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// nameLike returns a name as scenarios take them for one of the kernel's, such as
// linux-cma for linux,cma.
func nameLike(kernels string) string {
	name := notInName.ReplaceAllString(kernels, "-")
	if !nameSyntax.MatchString(name) {
		name = "heap" + name
	}
	return name[:min(len(name), 63)]
}
