package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"dmasim/devices"
	"dmasim/mem"
)

func newDevicesMergeCommand() *cobra.Command {
	var o mergeOptions
	cmd := &cobra.Command{
		Use:   "merge DEVICE...",
		Short: "Merge what devices that share a buffer demand of it",
		Long: `Merge what devices that share a buffer demand of it, and say which device each part
comes from. A DEVICE is an entry of the catalogue, or a file, which stands for all
devices in it.

Where no buffer suits all of them, two devices and two rules are named that exclude
each other, and the exit status is 1. With --size, --picture, --memory or --together,
so is a device to which that size, picture or memory does not do.`,
		Example: `  dmasim devices merge vc4-hvs vc4-binner
  dmasim devices merge mxsfb adreno-pitch --picture 1366x768:xrgb8888
  dmasim devices merge fimc-is-fw --size 10MiB --memory 0x41000000-0x45000000
  dmasim devices merge es1968 --together 64KiB,64KiB --memory 8MiB-9MiB`,
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return devices.Names(), cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.OutOrStdout(), args) },
	}
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print one object")
	cmd.Flags().StringVar(&o.iommu, "iommu", "", "the machine's IOMMU is `on`, or off even for devices that always have one")
	cmd.Flags().StringVar(&o.size, "size", "", "a buffer of this `size`, in bytes or like 2MiB")
	cmd.Flags().StringVar(&o.picture, "picture", "", "a buffer that holds a `picture`, such as 1920x1080:nv12")
	cmd.Flags().StringSliceVar(&o.memory, "memory", nil, "the `memory` there is: sizes or LO-HI, several with commas between them")
	cmd.Flags().StringSliceVar(&o.together, "together", nil, "buffers of these `sizes` that are in use together")
	return cmd
}

type mergeOptions struct {
	asJSON               bool
	iommu, size, picture string
	memory, together     []string
}

// mergedRow is the answer as programs read it.
type mergedRow struct {
	Devices  []string           `json:"devices"`
	Possible bool               `json:"possible"`
	Parts    []devices.PlanPart `json:"parts"`
	Buffer   *bufferRow         `json:"buffer,omitempty"`
	Layout   *devices.Layout    `json:"layout,omitempty"`
	Together []placeRow         `json:"together,omitempty"`
	Conflict *devices.Conflict  `json:"conflict,omitempty"`
}

// bufferRow is the buffer of a size: what it reserves, and the lowest place.
type bufferRow struct {
	Payload mem.Size `json:"payload"`
	Size    mem.Size `json:"size"`
	Lowest  mem.Addr `json:"lowest"`
}

type placeRow struct {
	Payload mem.Size `json:"payload"`
	Addr    mem.Addr `json:"addr"`
}

func (o *mergeOptions) run(w io.Writer, args []string) error {
	list, err := devicesNamed(args)
	if err != nil {
		return err
	}
	row := mergedRow{Devices: []string{}, Parts: []devices.PlanPart{}}
	for i := range list {
		switch o.iommu {
		case "":
		case "on":
			list[i].IOMMUOn = true
		case "off":
			list[i] = list[i].WithoutIOMMU()
		default:
			return fmt.Errorf("--iommu %q: want on or off", o.iommu)
		}
		row.Devices = append(row.Devices, list[i].Name)
	}
	memory := mem.RangeSet{mem.Everywhere}
	if len(o.memory) > 0 {
		if memory, err = parseMemory(o.memory); err != nil {
			return err
		}
		there := devices.Device{Name: "memory"}
		for _, r := range memory {
			there.Spans = append(there.Spans, devices.Span{Lo: mem.Addr(r.Lo), Hi: mem.Addr(r.Hi)})
		}
		list = append(list, there)
	}
	err = o.merge(&row, list, memory)
	if errors.As(err, &row.Conflict) {
		err = nil
	}
	if err != nil {
		return err
	}
	row.Possible = row.Conflict == nil
	if o.asJSON {
		err = printJSON(w, row)
	} else {
		err = printMerged(w, &row)
	}
	switch {
	case err != nil:
		return failedRun{err}
	case !row.Possible:
		return errNo
	}
	return nil
}

// merge fills in the row. The error is a *devices.Conflict if that is the answer.
func (o *mergeOptions) merge(row *mergedRow, list []devices.Device, memory mem.RangeSet) error {
	plan, err := devices.Merge(list...)
	if err != nil {
		return err
	}
	row.Parts = plan.Parts()
	if o.picture != "" {
		picture, err := devices.ParsePicture(o.picture)
		if err != nil {
			return err
		}
		layout, err := plan.Layout(picture)
		if err != nil {
			return err
		}
		row.Layout = &layout
	}
	if o.size != "" {
		size, err := mem.ParseSize(o.size)
		if err != nil {
			return err
		}
		if err := plan.Check(uint64(size)); err != nil {
			return err
		}
		request := plan.Request(uint64(size), 1)
		at, _ := request.Place(0, math.MaxUint64, false)
		row.Buffer = &bufferRow{size, mem.Size(request.Size), mem.Addr(at)}
	}
	if len(o.together) > 0 {
		payloads := make([]uint64, len(o.together))
		for i, text := range o.together {
			size, err := mem.ParseSize(text)
			if err != nil {
				return err
			}
			payloads[i] = uint64(size)
		}
		starts, err := plan.Together(payloads, 1, memory)
		if err != nil {
			return err
		}
		for i := range starts {
			row.Together = append(row.Together, placeRow{mem.Size(payloads[i]), mem.Addr(starts[i])})
		}
	}
	return nil
}

// devicesNamed returns the entries of the catalogue and the contents of files that
// the arguments name.
func devicesNamed(args []string) ([]devices.Device, error) {
	var list []devices.Device
	for _, arg := range args {
		if d, ok := devices.Lookup(arg); ok {
			list = append(list, d)
			continue
		}
		if _, err := os.Stat(arg); err != nil {
			if strings.ContainsAny(arg, "/.") {
				return nil, err
			}
			return nil, fmt.Errorf("unknown device %q%s", arg, didYouMean(arg, devices.Names()))
		}
		own, err := devices.ReadFile(arg)
		if err != nil {
			return nil, err
		}
		if len(own) == 0 {
			return nil, fmt.Errorf("%s holds no devices", arg)
		}
		list = append(list, own...)
	}
	return list, nil
}

// parseMemory reads windows.
func parseMemory(list []string) (mem.RangeSet, error) {
	var ranges []mem.Range
	for _, text := range list {
		r, err := parseWindow(text)
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	return mem.NewRangeSet(ranges...), nil
}

func printMerged(w io.Writer, row *mergedRow) error {
	var b strings.Builder
	if len(row.Parts) > 0 {
		b.WriteString("A buffer for all of them\n")
	} else if row.Possible {
		b.WriteString("They demand nothing of a buffer.\n")
	}
	for _, part := range row.Parts {
		printIndented(&b, part.Rule, part.Text)
		printIndented(&b, " ", "from "+strings.Join(part.From, ", "))
	}
	if row.Buffer != nil {
		fmt.Fprintf(&b, "\n%s take %s; the lowest place is %s.\n", row.Buffer.Payload, row.Buffer.Size, row.Buffer.Lowest)
	}
	if l := row.Layout; l != nil {
		b.WriteString("\nThe picture\n")
		for i, p := range l.Planes {
			fmt.Fprintf(&b, "  plane %d     at %d, %d lines of %d bytes\n", i, p.Offset, p.Lines, p.Stride)
		}
		fmt.Fprintf(&b, "  size        %d bytes: %d of planes, %d of padding, %d of rounding\n", l.Size, l.Bytes, l.Padding, l.Size-l.Bytes-l.Padding)
	}
	if len(row.Together) > 0 {
		b.WriteString("\nTogether\n")
		for _, p := range row.Together {
			fmt.Fprintf(&b, "  %-10s  at %s\n", p.Payload, p.Addr)
		}
	}
	if c := row.Conflict; c != nil {
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "No buffer suits all of them:\n")
		for i, name := range c.Devices {
			for j, line := range wrap(name+" wants "+c.Rules[i], lineWidth-2) {
				indent := "  "
				if j > 0 {
					indent = "    "
				}
				fmt.Fprintf(&b, "%s%s\n", indent, line)
			}
		}
		if len(c.Given) > 0 {
			for _, line := range wrap("given "+strings.Join(c.Given, ", "), lineWidth-2) {
				fmt.Fprintf(&b, "  %s\n", line)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
