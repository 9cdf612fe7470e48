package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"dmasim/allocator/dmaheap"
	"dmasim/devices/machine"
	"dmasim/devices/machine/probe"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/report"
	"dmasim/sim/scenario"
	"dmasim/sim/validate/kernel"
)

func newKernelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kernel",
		Short: "Look at this machine's kernel, record it, or run another one",
		Args:  wantCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKernelProbeCommand())
	cmd.AddCommand(newKernelVMCommand())
	cmd.AddCommand(newKernelRecordCommand())
	return cmd
}

func newKernelProbeCommand() *cobra.Command {
	var asJSON bool
	var file string
	var drawn picture
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Show what this machine offers for DMA, and who holds dma-bufs",
		Long: `Show what this machine offers for DMA: dma-buf heaps and whether you may open them,
memory, zones and CMA areas, the dma-bufs that live and who holds them, bounce
buffers, IOMMU groups, limits. What cannot be read is listed with the reason and
what would help; as root, and with debugfs mounted, more can be.

It only reads: nothing is allocated and nothing of the system is changed.

--scenario writes a scenario of this very machine. Beside the new FILE it makes a
folder, FILE without its extension and with -proc, of copies of the files of /proc
that tell of memory. No file that exists is touched.`,
		Example: `  dmasim kernel probe
  sudo dmasim kernel probe --json > machine.json
  sudo dmasim kernel probe --scenario board.yaml && dmasim run board.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := drawn.check(); err != nil {
				return err
			}
			found := probe.Read(os.DirFS("/"))
			if drawn.wanted() {
				figure, ok := report.CMAAreas(found)
				if !ok {
					return failedRun{errors.New("no picture: the kernel tells of no CMA area")}
				}
				if err := drawn.write(&figure); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "dmasim: wrote %s\n", drawn.files())
			}
			if file != "" {
				if err := writeProbed(file, found, os.DirFS("/")); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "dmasim: wrote %s and %s\n", file, procFolder(file))
			}
			var err error
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), probed{found, kernel.Observable()})
			} else {
				err = printProbe(cmd.OutOrStdout(), &probed{found, kernel.Observable()})
			}
			if err != nil {
				return failedRun{err}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object")
	drawn.addFlags(cmd.Flags(), "what is taken of CMA areas, and who holds it,")
	cmd.Flags().StringVar(&file, "scenario", "", "write a scenario of this machine to the new `FILE`")
	return cmd
}

// procFolder is where the copies go that belong to a scenario.
func procFolder(file string) string {
	return strings.TrimSuffix(file, filepath.Ext(file)) + "-proc"
}

// writeProbed writes a scenario and its copies of /proc, both of which must not
// exist, and leaves nothing behind if it fails, or if such a machine can't be
// simulated. root is where the machine's device tree is; nil if there is none.
func writeProbed(file string, report *probe.Report, root fs.FS) (err error) {
	folder := procFolder(file)
	var tree *machine.Description
	if root != nil {
		tree = report.Tree(root)
	}
	text, err := scenario.FromProbe(report, filepath.Base(folder), tree)
	if err != nil {
		return failedRun{err}
	}
	if err := os.Mkdir(folder, 0o777); err != nil {
		return fmt.Errorf("write scenario: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(folder))
		}
	}()
	for _, name := range report.Proc.Names() {
		if err := os.WriteFile(filepath.Join(folder, name), report.Proc[name], 0o666); err != nil {
			return failedRun{fmt.Errorf("write scenario: %w", err)}
		}
	}
	if err := writeNew(file, string(text)); err != nil {
		return err
	}
	if err := startProbed(file); err != nil {
		hint := ""
		if len(report.Gaps) > 0 {
			hint = " (not all of it could be read; see dmasim kernel probe)"
		}
		return failedRun{errors.Join(fmt.Errorf("this machine cannot be simulated: %w%s", err, hint), os.Remove(file))}
	}
	return nil
}

// startProbed loads a scenario and puts its machine into the state of the
// beginning, which shows whether the copies agree with each other.
func startProbed(file string) error {
	s, err := scenario.Load(file)
	if err != nil {
		return err
	}
	cfg, err := s.Variants[0].Build(s.Variants[0].Spec.Seed)
	if err != nil {
		return err
	}
	_, err = sim.New(cfg)
	return err
}

// probed is what is known of this machine.
type probed struct {
	*probe.Report
	Validate kernel.Observability `json:"validate"`
}

// printProbe prints a report for people, 80 columns wide.
func printProbe(w io.Writer, p *probed) error {
	r := p.Report
	var b strings.Builder
	printField(&b, "kernel", strings.TrimSpace(cmp.Or(r.Kernel, "unknown")+" "+r.Arch))
	if u := r.User; u != nil {
		groups := []string{dmaheap.GroupName(u.GID)}
		for _, g := range u.Groups {
			if g != u.GID {
				groups = append(groups, dmaheap.GroupName(g))
			}
		}
		printField(&b, "user", fmt.Sprintf("%s, groups %s", dmaheap.UserName(u.UID), strings.Join(groups, ", ")))
	}
	if m := r.Memory; m != nil {
		printField(&b, "memory", fmt.Sprintf("%s, of which %s free and %s available; pages of %s; swap %s, of which %s free",
			m.Total.Short(), m.Free.Short(), m.Available.Short(), m.PageSize, m.SwapTotal.Short(), m.SwapFree.Short()))
	}
	if d := r.Descriptors; d != nil {
		printField(&b, "files", fmt.Sprintf("a process may have %s open, and raise that to %s; the system has %d open, of at most %d",
			limit(d.Soft), limit(d.Hard), d.Open, d.Most))
	}
	switch p := r.Bounce; {
	case p == nil:
	case p.Size == 0:
		printField(&b, "bounce", "no bounce buffers (swiotlb)")
	default:
		printField(&b, "bounce", fmt.Sprintf("%s of bounce buffers (swiotlb), of which %s used, %s at most", p.Size.Short(), p.Used.Short(), p.HighWater.Short()))
	}
	printIOMMU(&b, r.IOMMU)
	printField(&b, "validate", observable(p.Validate))
	printHeaps(&b, r.Heaps)
	printAreas(&b, r)
	printDMABufs(&b, &r.DMABufs)
	for _, warning := range r.Warnings {
		b.WriteString("\n")
		printWrapped(&b, "", "warning: "+warning)
	}
	if len(r.Gaps) > 0 {
		b.WriteString("\nCould not be read\n")
	}
	for _, g := range r.Gaps {
		printWrapped(&b, "  ", g.What)
		printWrapped(&b, "    ", fmt.Sprintf("%s: %s", g.Path, g.Reason))
		printWrapped(&b, "    ", "needs: "+g.Remedy)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// observable says what validate could compare here.
func observable(o kernel.Observability) string {
	text := "could compare nothing here"
	if len(o.Aspects) > 0 {
		text = "could compare here: " + strings.Join(o.Aspects, ", ")
	}
	var not []string
	for _, gap := range o.Gaps {
		not = append(not, gap.Aspect)
	}
	if len(not) > 0 {
		text += "; not: " + strings.Join(not, ", ") + " (dmasim validate tells why)"
	}
	return text
}

func printHeaps(b *strings.Builder, heaps []probe.Heap) {
	b.WriteString("\nHeaps\n")
	if len(heaps) == 0 {
		b.WriteString("  none\n")
	}
	for _, h := range heaps {
		may := "you may open it"
		if !h.MayOpen {
			may = "you may not open it"
		}
		fmt.Fprintf(b, "  %-24s  %s:%s %s, %s\n", head(clean(h.Name), 24), head(dmaheap.UserName(h.UID), 12), head(dmaheap.GroupName(h.GID), 12), h.Mode, may)
	}
}

func printAreas(b *strings.Builder, r *probe.Report) {
	if m := r.Memory; m != nil {
		b.WriteString("\n")
		rows := [][]string{{"Zones", "first", "behind last", "managed", "free", "largest block"}}
		for _, z := range m.Zones {
			rows = append(rows, []string{
				fmt.Sprintf("  node %d %s", z.Node, z.Name), z.Lo.String(), z.Hi.String(), z.Managed.Short(), z.Free.Short(), z.LargestFree.Short(),
			})
		}
		writeColumns(b, rows)
		fmt.Fprintf(b, "\nCMA: %s, of which %s free\n", m.CMATotal.Short(), m.CMAFree.Short())
	}
	if len(r.CMA) == 0 {
		return
	}
	rows := [][]string{{"  area", "base", "size", "used", "largest run"}}
	for _, a := range r.CMA {
		row := []string{"  " + head(clean(a.Name), 24), "unknown", "unknown", "unknown", "unknown"}
		if a.Size > 0 {
			row = []string{row[0], a.Base.String(), a.Size.Short(), a.Used.Short(), a.LargestFree.Short()}
		}
		rows = append(rows, row)
	}
	writeColumns(b, rows)
	for i := range r.CMA {
		if r.CMA[i].Size > 0 {
			printArea(b, r, &r.CMA[i])
		}
	}
}

// printArea prints the map of an area, and who holds it.
func printArea(b *strings.Builder, r *probe.Report, a *probe.CMAArea) {
	const indent = "    "
	of := mem.Range{Lo: uint64(a.Base), Hi: uint64(a.Base) + uint64(a.Size)}
	fmt.Fprintf(b, "  %s now (# taken, + in part, . free)\n%s%s\n", head(clean(a.Name), 24), indent, a.Taken.Bar(of, lineWidth-len(indent)))
	for _, h := range r.Holders(a) {
		text := fmt.Sprintf("%s in no dma-buf of this heap", h.Size.Short())
		if h.Name != "" {
			text = fmt.Sprintf("%s in %d dma-bufs, held by %s", h.Size.Short(), h.Buffers, h.Name)
		}
		printWrapped(b, indent, text)
	}
}

func printIOMMU(b *strings.Builder, groups []probe.Group) {
	count := map[string]int{}
	var types []string
	for _, g := range groups {
		kind := cmp.Or(g.Type, "unknown")
		if count[kind]++; count[kind] == 1 {
			types = append(types, kind)
		}
	}
	text := "no groups: devices reach memory untranslated"
	if len(groups) > 0 {
		var parts []string
		for _, kind := range types {
			parts = append(parts, fmt.Sprintf("%d %s", count[kind], kind))
		}
		text = "groups by type: " + strings.Join(parts, ", ")
	}
	printField(b, "IOMMU", text)
}

// mostBuffers is how many dma-bufs are printed for people.
const mostBuffers = 40

func printDMABufs(b *strings.Builder, a *probe.Accounting) {
	whole := ""
	if !a.Complete {
		whole = ", as far as can be seen"
	}
	if len(a.Buffers) == 0 {
		fmt.Fprintf(b, "\ndma-bufs: none%s\n", whole)
		return
	}
	fmt.Fprintf(b, "\ndma-bufs: %d of together %s%s\n", len(a.Buffers), a.Total.Short(), whole)
	rows := [][]string{{"  inode", "size", "references", "exporter", "name"}}
	for _, buffer := range a.Buffers[:min(len(a.Buffers), mostBuffers)] {
		rows = append(rows, []string{
			fmt.Sprintf("  %d", buffer.Inode), mem.Size(buffer.Size).Short(), fmt.Sprint(buffer.References), head(clean(buffer.Exporter), 16), head(clean(buffer.Name), 31),
		})
	}
	var table strings.Builder
	writeColumns(&table, rows)
	for i, line := range strings.SplitAfter(table.String(), "\n") {
		b.WriteString(line)
		if i == 0 || i >= len(rows) {
			continue
		}
		buffer := &a.Buffers[i-1]
		for _, h := range buffer.Holders {
			printWrapped(b, "      ", fmt.Sprintf("held by %s (%d): %d descriptors, %d mappings", clean(h.Command), h.PID, len(h.Descriptors), h.Mappings))
		}
		if len(buffer.Devices) > 0 {
			printWrapped(b, "      ", "attached: "+strings.Join(buffer.Devices, ", "))
		}
	}
	if rest := len(a.Buffers) - mostBuffers; rest > 0 {
		fmt.Fprintf(b, "  and %d more, see --json\n", rest)
	}
}

func printField(b *strings.Builder, key, text string) {
	for i, line := range wrap(clean(text), lineWidth-9) {
		if i > 0 {
			key = ""
		}
		fmt.Fprintf(b, "%-8s %s\n", key, head(line, lineWidth-9))
	}
}

func printWrapped(b *strings.Builder, indent, text string) {
	for i, line := range wrap(clean(text), lineWidth-len(indent)-2) {
		if i > 0 {
			line = "  " + line
		}
		b.WriteString(indent + head(line, lineWidth-len(indent)) + "\n")
	}
}

// clean replaces what would move the cursor: other programs choose names of
// dma-bufs and of themselves.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

func limit(n uint64) string {
	if n == math.MaxUint64 {
		return "any number"
	}
	return fmt.Sprint(n)
}
