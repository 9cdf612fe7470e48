package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"dmasim/devices"
	"dmasim/internal/suggest"
	"dmasim/mem"
)

func newDevicesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "Look up what real devices demand of memory",
		Long: `Look up what real devices demand of memory. A scenario names a device of the
catalogue with "use", and may replace any of its keys.`,
		Args: wantCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDevicesListCommand(), newDevicesShowCommand(), newDevicesCheckCommand(), newDevicesMergeCommand())
	return cmd
}

func newDevicesListCommand() *cobra.Command {
	var asJSON bool
	var class, search, memory string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the device catalogue",
		Long: `List the device catalogue. With several flags, a device must fit all of them.

--window asks which devices a buffer that may lie anywhere in some memory is not
for: it lists those that do not reach all of the window, in CPU-physical
addresses. A size means a window from address 0. Devices whose rules are about
another space than memory, such as a GPU's addresses, are left out.`,
		Example: `  dmasim devices list --class nic
  dmasim devices list --search broadcom
  dmasim devices list --window 4GiB
  dmasim devices list --window 0x40000000-0x80000000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if classes := deviceClasses(); class != "" && !slices.Contains(classes, class) {
				return fmt.Errorf("no devices of class %q%s", class, didYouMean(class, classes))
			}
			var window mem.Range
			if memory != "" {
				var err error
				if window, err = parseWindow(memory); err != nil {
					return err
				}
			}
			rows := []deviceRow{}
			for _, d := range devices.All() {
				if (class == "" || d.Class == class) && mentions(&d, search) && (memory == "" || misses(&d, window)) {
					rows = append(rows, newDeviceRow(d))
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), rows)
			}
			if len(rows) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "dmasim: no device fits all of the flags")
			}
			return printDevices(cmd.OutOrStdout(), rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an array of objects")
	cmd.Flags().StringVar(&class, "class", "", "list only devices of this `class`, such as nic")
	cmd.Flags().StringVar(&memory, "window", "", "list only devices that do not reach all of this `memory`: a size or LO-HI")
	cmd.Flags().StringVar(&search, "search", "", "list only devices whose name, description or rules mention this `text`")
	return cmd
}

func newDevicesShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a device's rules and where they come from",
		Long: `Show a device's rules in words, with the address space in which each holds, what of
them is assumed, and where they come from. A bar shows which memory it reaches.`,
		Example: "  dmasim devices show vc4-binner",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return devices.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			d, ok := devices.Lookup(args[0])
			if !ok {
				return fmt.Errorf("unknown device %q%s", args[0], didYouMean(args[0], devices.Names()))
			}
			row := newDeviceRow(d)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), row)
			}
			return printDevice(cmd.OutOrStdout(), &row)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object")
	return cmd
}

// deviceRow is a device as programs read it: its keys as in a device file, and
// each rule in words.
type deviceRow struct {
	devices.Device
	Rules []devices.Line `json:"rules"`
}

func newDeviceRow(d devices.Device) deviceRow { return deviceRow{d, d.Lines()} }

// deviceClasses returns the classes of the catalogue, each once.
func deviceClasses() []string {
	var classes []string
	for _, d := range devices.All() {
		classes = append(classes, d.Class)
	}
	slices.Sort(classes)
	return slices.Compact(classes)
}

// mentions reports whether text occurs in what the list or show prints of the
// device, upper and lower case being the same.
func mentions(d *devices.Device, text string) bool {
	said := []string{d.Name, d.Title, d.Class, d.Vendor, d.Notes}
	for _, line := range d.Lines() {
		said = append(said, line.Text)
	}
	return strings.Contains(strings.ToLower(strings.Join(said, "\n")), strings.ToLower(text))
}

// parseWindow reads memory as a size, from address 0, or as its first address
// and the one behind its last.
func parseWindow(text string) (mem.Range, error) {
	lo, hi, ok := strings.Cut(text, "-")
	if !ok {
		lo, hi = "0", text
	}
	var ends [2]mem.Addr
	for i, end := range []string{lo, hi} {
		addr, err := mem.ParseAddr(end)
		if err != nil {
			return mem.Range{}, fmt.Errorf("window %q: %w", text, err)
		}
		ends[i] = addr
	}
	window := mem.Range{Lo: uint64(ends[0]), Hi: uint64(ends[1])}
	if window.Empty() {
		return mem.Range{}, fmt.Errorf("window %q is empty", text)
	}
	return window, nil
}

// misses reports whether the device addresses memory, but not all of the window.
func misses(d *devices.Device, window mem.Range) bool {
	reach, _, err := d.Compile()
	return err == nil && !reach.Contains(window)
}

// didYouMean returns the end of a message that offers the option that word was
// probably meant to be; "" if none is near.
func didYouMean(word string, options []string) string {
	return suggest.DidYouMean(suggest.Nearest(word, options))
}

// lineWidth is the width of what is printed for people.
const lineWidth = 80

func printDevices(w io.Writer, rows []deviceRow) error {
	name, class := 0, 0
	for i := range rows {
		name, class = max(name, len(rows[i].Name)), max(class, len(rows[i].Class))
	}
	for i := range rows {
		d := &rows[i]
		line := fmt.Sprintf("%-*s  %-*s  %s", name, d.Name, class, d.Class, d.Title)
		if runes := []rune(line); len(runes) > lineWidth {
			line = string(runes[:lineWidth-1]) + "…"
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func printDevice(w io.Writer, d *deviceRow) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", d.Name, d.Title)
	fmt.Fprintf(&b, "class %s, vendor %s, scope %s, %s\n", d.Class, d.Vendor, d.Scope, d.Status)
	if _, _, err := d.Compile(); errors.Is(err, devices.ErrSpace) {
		fmt.Fprintf(&b, "Not for use in a scenario: %v\n", devices.ErrSpace)
	}
	drawReaches(&b, &d.Device)
	for _, part := range []struct {
		title    string
		enforced bool
	}{{"Rules", true}, {"Known, but not enforced", false}} {
		title := "\n" + part.title + "\n"
		for _, line := range d.Rules {
			if line.Enforced != part.enforced {
				continue
			}
			b.WriteString(title)
			title = ""
			text := line.Text
			if line.Space != "" {
				text += " [" + string(line.Space) + "]"
			}
			if line.Assumed {
				text += " (assumed)"
			}
			printIndented(&b, line.Rule, text)
		}
	}
	if d.Notes != "" {
		b.WriteString("\nNotes\n")
		printIndented(&b, "", d.Notes)
	}
	b.WriteString("\nSources\n")
	for _, source := range d.Source {
		printIndented(&b, "", source)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printIndented writes text behind a key, wrapped to the width of a line.
func printIndented(b *strings.Builder, key, text string) {
	indent := 2
	if key != "" {
		indent = 16
	}
	for i, line := range wrap(text, lineWidth-indent) {
		if i > 0 {
			key = ""
		}
		fmt.Fprintf(b, "%-*s%s\n", indent, strings.TrimRight("  "+key, " "), line)
	}
}
