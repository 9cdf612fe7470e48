package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	release "dmasim/allocator/kernel/version"
	"dmasim/devices"
	"dmasim/devices/machine"
	"dmasim/devices/machine/devicetree"
	"dmasim/devices/machine/probe"
	"dmasim/mem"
	"dmasim/sim/report"
	"dmasim/sim/scenario"
)

func newMachineCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "machine",
		Short: "Look at real machines, and make scenarios of them",
		Args:  wantCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMachineShowCommand(), newMachineImportCommand())
	return cmd
}

// machineSource is what a machine is read from.
const machineSource = `FILE is a device tree blob (.dtb, or a copy of /sys/firmware/fdt), or a folder with
copies of a machine's /proc/meminfo, zoneinfo, buddyinfo and, if they are there,
pagetypeinfo and iomem (made as root: others see only zeros there)`

// machineFlags say what a file leaves open.
type machineFlags struct {
	live, asJSON bool
	ram          []string
	kernel, arch string
	page         string
}

func (f *machineFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.live, "live", false, "read this very machine instead of a FILE")
	cmd.Flags().StringArrayVar(&f.ram, "ram", nil, "RAM of a blob's machine, `SIZE[@BASE]`, where firmware fills it in; may be repeated")
	cmd.Flags().StringVar(&f.kernel, "kernel", "", "Linux `release` whose rules place a blob's zones and pools (default "+release.Modelled.String()+")")
	cmd.Flags().StringVar(&f.arch, "arch", "", "`architecture`, where its CPUs don't tell: "+strings.Join(scenario.Arch("").Options(), ", "))
	cmd.Flags().StringVar(&f.page, "page", "", "`size` of a blob's pages: 4KiB (the default), 16KiB or 64KiB")
}

// args checks that there is either a file or --live.
func (f *machineFlags) args(cmd *cobra.Command, args []string) error {
	switch {
	case f.live && len(args) > 0:
		return errors.New("want a FILE or --live, not both")
	case !f.live && len(args) == 0:
		return errors.New("want a FILE, or --live for this machine")
	case len(args) > 1:
		return fmt.Errorf("want one FILE, not %d", len(args))
	}
	return nil
}

// options returns what the flags say of a blob's machine.
func (f *machineFlags) options() (o devicetree.Options, err error) {
	for _, text := range f.ram {
		bank, err := parseBank(text)
		if err != nil {
			return o, err
		}
		o.RAM = append(o.RAM, bank)
	}
	if f.kernel != "" {
		if o.Kernel, err = release.Parse(f.kernel); err != nil {
			return o, fmt.Errorf("--kernel: %w", err)
		}
	}
	if f.page != "" {
		if o.PageSize, err = mem.ParseSize(f.page); err != nil {
			return o, fmt.Errorf("--page: %w", err)
		}
	}
	if options := scenario.Arch("").Options(); f.arch != "" && !slices.Contains(options, f.arch) {
		return o, fmt.Errorf("--arch: unknown architecture %q%s", f.arch, didYouMean(f.arch, options))
	}
	o.Arch = machine.Arch(f.arch)
	return o, nil
}

// parseBank reads RAM as SIZE or SIZE@BASE.
func parseBank(text string) (devicetree.Bank, error) {
	size, base, found := strings.Cut(text, "@")
	bank := devicetree.Bank{HasBase: found}
	var err error
	if bank.Size, err = mem.ParseSize(size); err == nil && found {
		bank.Base, err = mem.ParseAddr(base)
	}
	if err != nil {
		return bank, fmt.Errorf("--ram %s: %w", text, err)
	}
	return bank, nil
}

// readTree reads a device tree blob.
func (f *machineFlags) readTree(file string, data []byte) (*machine.Description, error) {
	o, err := f.options()
	if err != nil {
		return nil, err
	}
	d, err := devicetree.Read(data, o)
	hint := ""
	switch {
	case errors.Is(err, devicetree.ErrNoRAM):
		hint = ": give it with --ram SIZE"
	case errors.Is(err, devicetree.ErrNoBase):
		hint = ": give it with --ram SIZE@BASE"
	case errors.Is(err, devicetree.ErrNoArch):
		hint = ": give it with --arch"
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w%s", file, err, hint)
	}
	return d, nil
}

// maxBlobFile is more than any blob has.
const maxBlobFile = 32 << 20

// readStart reads a file, or as much of it as is ever of use.
func readStart(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxBlobFile))
}

// onlyForBlobs fails if flags were given that only complete a blob.
func (f *machineFlags) onlyForBlobs(what string) error {
	if len(f.ram) > 0 || f.kernel != "" || f.page != "" || f.arch != "" {
		return fmt.Errorf("--ram, --kernel, --page and --arch are for device tree blobs: %s says itself what it has", what)
	}
	return nil
}

// describe reads the machine that the arguments name.
func (f *machineFlags) describe(args []string) (*machine.Description, error) {
	if f.live {
		if err := f.onlyForBlobs("this machine"); err != nil {
			return nil, err
		}
		d, err := probe.Describe(os.DirFS("/"))
		if err != nil {
			return nil, failedRun{err}
		}
		return d, nil
	}
	file := args[0]
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		if err := f.onlyForBlobs("/proc"); err != nil {
			return nil, err
		}
		state, err := machine.ReadProc(os.DirFS(file))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return state.Describe(), nil
	}
	if name := strings.TrimSuffix(filepath.Base(file), ".txt"); machine.IsFile(name) {
		if err := f.onlyForBlobs("/proc"); err != nil {
			return nil, err
		}
		opened, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer opened.Close()
		state, err := machine.ReadFile(name, opened)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return state.Describe(), nil
	}
	data, err := readStart(file)
	if err != nil {
		return nil, err
	}
	if !devicetree.IsBlob(data) {
		return nil, notMachine(file, data)
	}
	return f.readTree(file, data)
}

// notMachine is the error about a file that is nothing that is read.
func notMachine(file string, data []byte) error {
	if strings.Contains(string(data[:min(len(data), 4096)]), "/dts-v1/") {
		return fmt.Errorf("%s: the source of a device tree: compile it with dtc -I dts -O dtb", file)
	}
	return fmt.Errorf("%s: neither a device tree blob, which begins with d00dfeed, nor a file of /proc that is read (%s)",
		file, strings.Join(machine.Files, ", "))
}

func newMachineShowCommand() *cobra.Command {
	var flags machineFlags
	var drawn picture
	cmd := &cobra.Command{
		Use:   "show FILE|--live",
		Short: "Show a machine's memory, zones, pools, buses and what its devices reach",
		Long: `Show a machine's memory, zones, pools, buses and what its devices reach.

` + machineSource + `; or one of these files alone.

The zones of a blob's machine follow from the rules of its architecture and Linux
release; those of /proc are as the kernel counts them. Where Linux and the
Devicetree Specification read a blob differently, a warning says so, and Linux's
reading is shown.`,
		Example: `  dmasim machine show bcm2711-rpi-4-b.dtb --ram 4GiB
  dmasim machine show board.dtb --picture board.png
  cd /proc && sudo cp meminfo zoneinfo buddyinfo pagetypeinfo iomem ~/saved
  dmasim machine show ~/saved --json
  sudo dmasim machine show --live`,
		Args: flags.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := drawn.check(); err != nil {
				return err
			}
			d, err := flags.describe(args)
			if err != nil {
				return err
			}
			if drawn.wanted() {
				if err := drawMachine(&drawn, d); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "dmasim: wrote %s\n", drawn.files())
			}
			if flags.asJSON {
				err = printJSON(cmd.OutOrStdout(), d)
			} else {
				err = printMachine(cmd.OutOrStdout(), d)
			}
			if err != nil {
				return failedRun{err}
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&flags.asJSON, "json", false, "print one object")
	drawn.addFlags(cmd.Flags(), "the map of physical memory")
	return cmd
}

// drawMachine draws the map.
func drawMachine(to *picture, d *machine.Description) error {
	figure, err := report.PhysicalMap(d)
	if err != nil {
		return err
	}
	return to.write(figure)
}

func newMachineImportCommand() *cobra.Command {
	var flags machineFlags
	var out string
	cmd := &cobra.Command{
		Use:   "import FILE|--live",
		Short: "Make a scenario of a machine",
		Long: `Make a scenario of a machine, to start from: its memory, zones, CMA areas and pools,
heaps, and devices with what they reach, and a process that takes buffers. Comments
in it say what is not as it is.

` + machineSource + `.

A blob's scenario is printed, or written to the new file of --out. That of a
machine's /proc needs --out: it takes copies of the files along, in a folder beside
the new file, named like it with -proc at the end. No file that exists is touched.`,
		Example: `  dmasim machine import bcm2711-rpi-4-b.dtb --ram 4GiB --out pi4.yaml
  dmasim run pi4.yaml
  sudo dmasim machine import --live --out board.yaml`,
		Args: flags.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.importMachine(cmd.OutOrStdout(), out, args); err != nil {
				return err
			}
			if out != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "dmasim: wrote %s\n", out)
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&out, "out", "", "write the scenario to the new `FILE`")
	return cmd
}

func (f *machineFlags) importMachine(w io.Writer, out string, args []string) error {
	if f.live || isFolder(args[0]) {
		if err := f.onlyForBlobs("/proc"); err != nil {
			return err
		}
		if out == "" {
			return errors.New("want --out FILE: copies of /proc go beside it")
		}
		if f.live {
			return writeProbed(out, probe.Read(os.DirFS("/")), os.DirFS("/"))
		}
		r, err := probe.ReadCopies(os.DirFS(args[0]))
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		return writeProbed(out, r, nil)
	}
	data, err := readStart(args[0])
	if err != nil {
		return err
	}
	if name := filepath.Base(args[0]); machine.IsFile(name) {
		return fmt.Errorf("%s alone is no machine: want a folder with meminfo, zoneinfo and buddyinfo", args[0])
	}
	if !devicetree.IsBlob(data) {
		return notMachine(args[0], data)
	}
	d, err := f.readTree(args[0], data)
	if err != nil {
		return err
	}
	text, err := scenario.FromTree(d)
	if err != nil {
		return failedRun{err}
	}
	if out != "" {
		if err := writeNew(out, string(text)); err != nil {
			return err
		}
		if err := startProbed(out); err != nil {
			return failedRun{errors.Join(fmt.Errorf("this machine cannot be simulated: %w", err), os.Remove(out))}
		}
		return nil
	}
	if _, err := scenario.Parse("scenario", text); err != nil {
		return failedRun{fmt.Errorf("this machine cannot be simulated: %w", err)}
	}
	if _, err := w.Write(text); err != nil {
		return failedRun{err}
	}
	return nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// printMachine prints a machine for people, 80 columns wide.
func printMachine(w io.Writer, d *machine.Description) error {
	var b strings.Builder
	if d.Model != "" {
		printField(&b, "machine", d.Model)
	}
	if len(d.Compatible) > 0 {
		printField(&b, "names", strings.Join(d.Compatible, ", "))
	}
	if text := platformText(&d.Platform); text != "" {
		printField(&b, "platform", text)
	}
	if len(d.RAM) > 0 {
		text := mem.Size(d.RAM.Size()).Short() + " of RAM"
		if taken := d.Taken().Size(); taken > 0 {
			text += fmt.Sprintf(", %s kept from the page allocator", mem.Size(taken).Short())
		}
		printField(&b, "memory", text)
	}
	if m := d.Memory; m != nil {
		printField(&b, "in use", fmt.Sprintf("%s managed, of which %s free and %s available; swap %s, of which %s free; CMA %s",
			m.MemTotal.Short(), m.MemFree.Short(), m.MemAvailable.Short(), m.SwapTotal.Short(), m.SwapFree.Short(), m.CmaTotal.Short()))
	}
	printRanges(&b, "RAM", d.RAM)
	printZones(&b, d.Zones)
	printRegions(&b, d)
	printBuses(&b, d)
	printMachineDevices(&b, d)
	for i, warning := range d.Warnings {
		if i == 0 {
			b.WriteString("\n")
		}
		printWrapped(&b, "", "warning: "+warning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func platformText(p *machine.Platform) string {
	var parts []string
	if p.Arch != "" {
		parts = append(parts, string(p.Arch))
	}
	if p.Kernel.Major != 0 {
		parts = append(parts, "Linux "+p.Kernel.String())
	}
	if p.PageSize != 0 {
		parts = append(parts, "pages of "+p.PageSize.String())
	}
	if p.DMALimit != 0 {
		parts = append(parts, "DMA limit "+p.DMALimit.String())
	}
	return strings.Join(parts, ", ")
}

func printRanges(b *strings.Builder, title string, set mem.RangeSet) {
	if len(set) == 0 {
		return
	}
	b.WriteString("\n")
	rows := [][]string{{title, "first", "behind last", "size"}}
	for i, r := range set {
		rows = append(rows, []string{fmt.Sprintf("  bank %d", i), mem.Addr(r.Lo).String(), mem.Addr(r.Hi).String(), mem.Size(r.Size()).Short()})
	}
	writeColumns(b, rows)
}

func printZones(b *strings.Builder, zones []machine.ZoneMemory) {
	if len(zones) == 0 {
		return
	}
	counted := slices.ContainsFunc(zones, func(z machine.ZoneMemory) bool { return z.Free > 0 || z.LargestFree > 0 })
	b.WriteString("\n")
	rows := [][]string{{"Zones", "first", "behind last", "managed"}}
	if counted {
		rows[0] = append(rows[0], "free", "largest block")
	}
	for _, z := range zones {
		lo, hi, managed := "unknown", "unknown", "unknown"
		if len(z.Ranges) > 0 {
			hull := z.Ranges.Hull()
			lo, hi, managed = mem.Addr(hull.Lo).String(), mem.Addr(hull.Hi).String(), z.Managed.Short()
		}
		name := "  " + z.Name
		if z.Node > 0 {
			name = fmt.Sprintf("  node %d %s", z.Node, z.Name)
		}
		row := []string{name, lo, hi, managed}
		if counted {
			largest := "unknown"
			if z.LargestFree > 0 || z.Free == 0 {
				largest = z.LargestFree.Short()
			}
			row = append(row, z.Free.Short(), largest)
		}
		rows = append(rows, row)
	}
	writeColumns(b, rows)
}

func printRegions(b *strings.Builder, d *machine.Description) {
	if len(d.Regions) == 0 {
		return
	}
	b.WriteString("\n")
	rows := [][]string{{"Reserved memory and pools", "kind", "first", "size"}}
	for _, r := range d.Regions {
		kind := string(r.Kind)
		if r.Default {
			kind = "default " + kind
		}
		if r.Placed {
			kind = "placed " + kind
		}
		if !d.RAM.Contains(r.Range) && len(d.RAM) > 0 {
			kind += ", no RAM"
		}
		rows = append(rows, []string{
			"  " + head(clean(r.Name), 24), kind, mem.Addr(r.Range.Lo).String(), mem.Size(r.Range.Size()).Short(),
		})
	}
	writeColumns(b, rows)
	if slices.ContainsFunc(d.Regions, func(r machine.Region) bool { return r.Placed }) {
		b.WriteString("  placed: where Linux chooses the place, if nothing else is in the way\n")
	}
}

func printBuses(b *strings.Builder, d *machine.Description) {
	if len(d.Buses) == 0 {
		return
	}
	b.WriteString("\nBuses, and which RAM their devices reach\n")
	for _, bus := range d.Buses {
		reach := "devices reach"
		if bus.Devices == 1 {
			reach = "device reaches"
		}
		text := fmt.Sprintf("%s: %d %s %s", busName(bus.Path), bus.Devices, reach, reachText(bus.Reach, d.RAM))
		if len(bus.Reach) > 0 && !slices.Equal(bus.Reach, d.RAM) {
			text += ": " + bus.Reach.String()
		}
		printWrapped(b, "  ", text)
		for _, w := range bus.Windows {
			text := fmt.Sprintf("window: memory %s", w.Memory())
			if w.CPU != w.Bus {
				text += fmt.Sprintf(" is %s on the bus", w.OnBus())
			}
			printWrapped(b, "    ", text)
		}
	}
}

func busName(path string) string {
	if path == "/" {
		return "no dma-ranges"
	}
	return path
}

// reachText says how much of RAM is reached.
func reachText(reach, ram mem.RangeSet) string {
	switch {
	case slices.Equal(reach, ram):
		return "all of it"
	case len(reach) == 0:
		return "none of it"
	}
	return fmt.Sprintf("%s of %s", mem.Size(reach.Size()).Short(), mem.Size(ram.Size()).Short())
}

// printMachineDevices prints devices in groups that are alike.
func printMachineDevices(b *strings.Builder, d *machine.Description) {
	if len(d.Devices) == 0 {
		return
	}
	b.WriteString("\nDevices that do DMA, as far as the tree tells\n")
	var order []string
	groups := map[string][]string{}
	for i := range d.Devices {
		v := &d.Devices[i]
		group := "behind " + v.Bus
		if v.Bus == "/" {
			group = "without dma-ranges"
		}
		if v.IOMMU == devices.AlwaysIOMMU {
			group += ", by an IOMMU"
		}
		group += fmt.Sprintf(", %s, reach %s", v.Coherence, reachText(v.Reach, d.RAM))
		if groups[group] == nil {
			order = append(order, group)
		}
		name := v.Name
		if len(v.Pools) > 0 {
			name += " (" + strings.Join(v.Pools, ", ") + ")"
		}
		groups[group] = append(groups[group], name)
	}
	for _, group := range order {
		printWrapped(b, "  ", fmt.Sprintf("%s:", group))
		printWrapped(b, "    ", strings.Join(groups[group], ", "))
	}
}
