package cli

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dmasim/workloads/trace"
)

type convertOptions struct {
	input traceInput
	to    string
	unit  time.Duration
	order string
}

func newTraceConvertCommand() *cobra.Command {
	var o convertOptions
	cmd := &cobra.Command{
		Use:   "convert TRACE OUT",
		Short: "Write a trace in another format",
		Long: `Write a trace in another format. OUT is a file, gzipped if its name ends in .gz, or -
for standard output.

` + traceFormats + `

Written are:

  csv         our own, with all that is known
  minimalloc  MiniMalloc's CSV, with nanoseconds as times
  chrome      JSON that Perfetto's user interface (https://ui.perfetto.dev) and
              chrome://tracing open: heaps as counters, buffers as slices,
              failed requests as instants

By default a name that ends in .json means chrome, and .csv means csv. What is
missing in the trace, and what the format cannot express, is said.`,
		Example: `  dmasim trace convert cma.txt.gz cma.csv
  dmasim trace convert cma.txt.gz cma.json --heap reserved
  dmasim trace convert random.bin.gz - --to csv | head`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0], args[1], nil) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *convertOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.to, "to", "", "`FORMAT`: csv, minimalloc or chrome")
	flags.DurationVar(&o.unit, "unit", time.Microsecond, "time step of MiniMalloc's, time between two records of a placement trace or two pictures without times")
	flags.StringVar(&o.order, "order", string(trace.FileOrder), "order of buffers of MiniMalloc's that start together: file, or start-size (largest first)")
	o.input.addFlags(flags, "")
}

// run writes the trace through the writer that edit, if it is not nil, puts over
// that of the format.
func (o *convertOptions) run(cmd *cobra.Command, from, to string, edit func(trace.Writer) trace.Writer) error {
	format, err := o.format(to)
	if err != nil {
		return err
	}
	if o.unit <= 0 {
		return fmt.Errorf("--unit %v: want more than 0", o.unit)
	}
	r, err := trace.Open(from, trace.Options{
		Page: o.input.page, Heaps: o.input.heaps, Tick: o.unit, Order: trace.Order(o.order),
	})
	if err != nil {
		return err
	}
	defer r.Close()
	var omitted []string
	write := func(w io.Writer) (err error) {
		omitted, err = copyTrace(cmd.Context(), r, w, format, edit)
		if err != nil {
			return err
		}
		if err := o.input.checkHeaps(from, r.Heaps()); err != nil {
			return err
		}
		return o.input.checkLosses(cmd.ErrOrStderr(), from, r.Losses())
	}
	if to == "-" {
		err = write(cmd.OutOrStdout())
	} else {
		err = writeWhole(to, func(w io.Writer) error { return zipped(w, to, write) })
	}
	for _, text := range omitted {
		fmt.Fprintf(cmd.ErrOrStderr(), "dmasim: %s: %s\n", to, text)
	}
	if errors.Is(err, context.Canceled) {
		return failedRun{errors.New("interrupted")}
	}
	return err
}

// format is that of the flag, or what the name of the file means.
func (o *convertOptions) format(to string) (string, error) {
	if o.to != "" {
		if !slices.Contains(trace.Outputs(), o.to) {
			return "", fmt.Errorf("--to %q, want one of %s%s", o.to, strings.Join(trace.Outputs(), ", "), didYouMean(o.to, trace.Outputs()))
		}
		return o.to, nil
	}
	switch strings.ToLower(filepath.Ext(stem(to, ".gz"))) {
	case ".json":
		return "chrome", nil
	case ".csv":
		return string(trace.CSV), nil
	}
	return "", fmt.Errorf("%s: the name does not say the format: give --to, one of %s", to, strings.Join(trace.Outputs(), ", "))
}

// copyTrace writes all events and returns what the format can't express.
func copyTrace(ctx context.Context, r *trace.Reader, to io.Writer, format string, edit func(trace.Writer) trace.Writer) ([]string, error) {
	w, err := trace.NewWriter(to, format)
	if err != nil {
		return nil, err
	}
	if edit != nil {
		w = edit(w)
	}
	var e trace.Event
	for n := 0; r.Next(&e); n++ {
		if err := w.Write(&e); err != nil {
			return nil, failedRun{err}
		}
		if n%(1<<16) == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	if err := w.Close(r.Losses()); err != nil {
		return nil, failedRun{err}
	}
	return w.Omitted(), nil
}

// zipped writes what write writes, gzipped if the name says so.
func zipped(w io.Writer, name string, write func(io.Writer) error) error {
	if !strings.EqualFold(filepath.Ext(name), ".gz") {
		return write(w)
	}
	z := gzip.NewWriter(w)
	if err := write(z); err != nil {
		return err
	}
	return z.Close()
}
