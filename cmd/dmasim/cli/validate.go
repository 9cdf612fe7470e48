package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"dmasim/internal/suggest"
	"dmasim/sim/validate"
	"dmasim/sim/validate/kernel"
)

type validateOptions struct {
	kernel.Options
	ops     string
	picture string
	device  string
	asJSON  bool
}

func newValidateCommand() *cobra.Command {
	var o validateOptions
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Compare the model with a running kernel, operation by operation",
		Long: `Do the same operations on the model and on the running kernel, and compare the two
after each. Groups of aspects, of which --aspect chooses some:

  cma         a CMA area with its heap: result, bitmap, counters, free list
  system      the system heap: result, blocks of pages of each request, zone,
              type, free counts of each order, blocks given back, pinned bytes
  per-cpu     the CPU's lists in front of a zone: when they are refilled and
              trimmed, and by how much
  errno       what bad and odd system calls return
  life        random programs of processes that share buffers: results, which
              buffers live, references
  exhaustion  how much a process can pin before somebody is killed for it

All but errno run only in a virtual machine that dmasim started, since they could
harm a host or be disturbed by it: dmasim kernel vm -- validate.

--ops runs a file instead, one operation a line: "h ID BYTES" and "s ID BYTES"
allocate a buffer from the CMA heap and from the system heap, "f ID" closes it, "d
PAGES" and "F PAGES" allocate and free through debugfs, "#" begins a comment. Where
there is no CMA area, its operations are not done; the others are.

--device compares a device instead: QEMU's edu reaches the first 256 MiB, or what
its mask of address bits says, and beyond that hits somebody else's memory. Of 400
buffers of the system heap it is compared whether the device can use them, and if
not, whose memory it reads and writes instead.

Exit status: 0 if all that was asked for was compared and agrees, 1 if not, 2 for a
mistake in the command line or the file. What can't be observed here is listed as
not checked. By --aspect, --ops and --device it was asked for, so that the status is
1; else all is asked for that can be observed here, but at least something.`,
		Example: `  dmasim kernel vm --memory 320MiB -- validate --aspect errno,life,exhaustion
  dmasim kernel vm --memory 640MiB -- validate --device edu
  dmasim kernel vm --lane cma --cma 28M@100M -- validate --aspect cma \
    --operations 3500
  dmasim kernel vm --lane cma -- validate --ops sequence.txt --picture maps.png
  dmasim kernel vm -- validate --ops system.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.Groups, "aspect", nil, "compare this `GROUP` (cma, system, per-cpu, errno, life, exhaustion)")
	flags.IntVar(&o.Operations, "operations", 0, "number of random operations, or programs, of each group (default: each its own)")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of random operations")
	flags.StringVar(&o.device, "device", "", "compare the transfers of this `DEVICE`: edu, or edu:bits=N for one that emits N address bits (default 28)")
	flags.StringVar(&o.ops, "ops", "", "run the operations in `FILE`")
	flags.StringVar(&o.picture, "picture", "", "draw the maps of the CMA area, model and kernel, to the PNG `FILE`")
	flags.BoolVar(&o.asJSON, "json", false, "print one object")
	return cmd
}

func (o *validateOptions) run(cmd *cobra.Command) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	o.Begin = func(group string, operations int) {
		fmt.Fprintf(cmd.ErrOrStderr(), "dmasim: comparing %s: %d operations\n", group, operations)
	}
	result, err := kernel.Run(cmd.Context(), o.Options)
	if much := new(kernel.TooMuchError); errors.As(err, &much) {
		return fmt.Errorf("%s:%d:1: %w", o.ops, much.At.Line, err)
	}
	if err != nil {
		return failedRun{fmt.Errorf("validate: %w", err)}
	}
	if o.picture != "" && result.ModelMap != nil {
		if err := writePicture(o.picture, result.ModelMap, result.KernelMap); err != nil {
			return failedRun{err}
		}
	}
	if o.asJSON {
		err = printJSON(cmd.OutOrStdout(), result.Report)
	} else {
		err = printValidation(cmd.OutOrStdout(), result)
	}
	switch {
	case err != nil:
		return failedRun{err}
	case !result.Agree || !result.Complete:
		return errNo
	}
	return nil
}

// check finds mistakes in the command line, and reads the file of operations.
func (o *validateOptions) check(cmd *cobra.Command) error {
	for _, name := range o.Groups {
		if !slices.Contains(kernel.Groups(), name) {
			return fmt.Errorf("--aspect %q: want one of %s%s", name, strings.Join(kernel.Groups(), ", "), suggest.DidYouMean(suggest.Nearest(name, kernel.Groups())))
		}
	}
	if cmd.Flags().Changed("operations") && (o.Operations < 1 || o.Operations > validate.MaxOperations) {
		return fmt.Errorf("--operations %d: want 1 to %d", o.Operations, validate.MaxOperations)
	}
	if o.device != "" {
		if len(o.Groups) > 0 || o.ops != "" {
			return errors.New("--device is a comparison of its own: leave out --aspect and --ops")
		}
		if err := o.parseDevice(); err != nil {
			return err
		}
	}
	if o.ops == "" {
		return nil
	}
	for _, name := range o.Groups {
		if name != "cma" && name != "system" {
			return errors.New("--ops is for the aspects cma and system alone")
		}
	}
	if cmd.Flags().Changed("operations") {
		return errors.New("--ops says what to do: leave out --operations")
	}
	f, err := os.Open(o.ops)
	if err != nil {
		return err
	}
	defer f.Close()
	o.List, err = validate.ReadOperations(o.ops, f)
	return err
}

// parseDevice reads --device.
func (o *validateOptions) parseDevice() error {
	name, parameter, hasParameter := strings.Cut(o.device, ":")
	if !slices.Contains(kernel.Devices(), name) {
		return fmt.Errorf("--device %q: want %s", name, strings.Join(kernel.Devices(), " or "))
	}
	o.Device, o.Bits = name, kernel.EduBits
	if !hasParameter {
		return nil
	}
	const least, most = 24, 40
	text, is := strings.CutPrefix(parameter, "bits=")
	bits, err := strconv.ParseUint(text, 10, 8)
	if !is || err != nil || bits < least || bits > most {
		return fmt.Errorf("--device %q: want %s:bits=N with N from %d to %d", o.device, name, least, most)
	}
	o.Bits = uint8(bits)
	return nil
}

// writePicture draws both maps.
func writePicture(file string, model, kernel validate.Bitmap) error {
	err := writeWhole(file, func(w io.Writer) error { return validate.WritePNG(w, model, kernel) })
	if err != nil {
		return fmt.Errorf("write picture: %w", err)
	}
	return nil
}

func printValidation(w io.Writer, r *kernel.Result) error {
	var b strings.Builder
	printField(&b, "kernel", r.Kernel)
	if len(r.Aspects) > 0 {
		rows := [][]string{{"aspect", "operations", "agreements", "verdict"}}
		for _, a := range r.Aspects {
			verdict := "agrees"
			if a.First != nil {
				verdict = "disagrees"
			}
			rows = append(rows, []string{a.Name, fmt.Sprint(a.Operations), fmt.Sprint(a.Agreements), verdict})
		}
		b.WriteString("\n")
		writeColumns(&b, rows)
	}
	for _, a := range r.Aspects {
		if d := a.First; d != nil {
			where := fmt.Sprintf("operation %d", d.Number)
			if d.Line > 0 {
				where += fmt.Sprintf(" (line %d)", d.Line)
			}
			fmt.Fprintf(&b, "\nFirst divergence of %s: %s\n", a.Name, where)
			printWrapped(&b, "  ", d.Operation)
			from := commonPrefix(d.Model, d.Kernel)
			fmt.Fprintf(&b, "  model   %s\n  kernel  %s\n", clean(window(d.Model, from, lineWidth-10)), clean(window(d.Kernel, from, lineWidth-10)))
		}
	}
	if text := validate.Text(r.ModelMap, r.KernelMap, lineWidth-8); text != "" {
		b.WriteString("\nMaps of the CMA area (# taken, + in part, . free)\n" + text)
	}
	if len(r.Gaps) > 0 {
		b.WriteString("\nNot checked\n")
	}
	for _, g := range r.Gaps {
		printWrapped(&b, "  ", g.Aspect+": "+g.Reason)
		printWrapped(&b, "    ", "needs: "+g.Remedy)
	}
	if len(r.Notes) > 0 {
		b.WriteString("\n")
	}
	for _, n := range r.Notes {
		printWrapped(&b, "", n)
	}
	verdict := "model and kernel agree in all that was checked"
	switch {
	case len(r.Aspects) == 0:
		verdict = "nothing could be checked"
	case !r.Agree:
		verdict = "model and kernel disagree"
	case !r.Complete:
		verdict = "model and kernel agree in what was checked, not all that was asked for"
	}
	fmt.Fprintf(&b, "\n%s\n", verdict)
	_, err := io.WriteString(w, b.String())
	return err
}
