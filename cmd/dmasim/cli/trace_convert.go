package cli

import (
	"context"
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
		Long: `Write a trace in another format. OUT is a file, compressed if its name ends in .gz
or .zst, or - for standard output.

` + traceFormats + `

Written are:

  csv         our own, with all that is known
  parquet     the same, as Parquet
  minimalloc  MiniMalloc's CSV, with nanoseconds as times
  chrome      JSON that Perfetto's user interface (https://ui.perfetto.dev) and
              chrome://tracing open: heaps as counters, buffers as slices,
              failed requests as instants

By default a name that ends in .json means chrome, .csv csv, and .parquet parquet. What is
missing in the trace, and what the format cannot express, is said.`,
		Example: `  dmasim trace convert cma.txt.gz cma.csv
  dmasim trace convert cma.txt.gz cma.json --heap reserved
  dmasim trace convert random.bin.gz - --to csv | head
  zcat trace.gz | dmasim trace convert - cma.parquet --from ftrace`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0], args[1], nil) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *convertOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.to, "to", "", "`FORMAT` to write: csv, parquet, minimalloc or chrome")
	flags.DurationVar(&o.unit, "unit", time.Microsecond, "time step of MiniMalloc's, time between two records of a placement trace or two pictures without times")
	flags.StringVar(&o.order, "order", string(trace.FileOrder), "order of buffers of MiniMalloc's that start together: file, or start-size (largest first)")
	o.input.addFlags(flags, "")
}

// run writes the trace through the writer that edit, if it is not nil, puts over
// that of the format.
func (o *convertOptions) run(cmd *cobra.Command, from, to string, edit func(trace.Writer) (trace.Writer, error)) error {
	r, err := o.input.open(cmd.InOrStdin(), from, trace.Order(o.order), o.unit)
	if err != nil {
		return err
	}
	defer r.Close()
	return o.write(cmd, to, func(w trace.Writer) error {
		if edit != nil {
			edited, err := edit(w)
			if err != nil {
				return err
			}
			w = edited
		}
		if err := copyTrace(&interruptible{w, cmd.Context(), 0}, r); err != nil {
			return err
		}
		if err := o.input.checkHeaps(from, r.Heaps()); err != nil {
			return err
		}
		return o.input.checkLosses(cmd.ErrOrStderr(), from, r.Losses())
	})
}

// write opens the output and calls fill with its writer, which fill closes. What
// the format could not express is said.
func (o *convertOptions) write(cmd *cobra.Command, to string, fill func(trace.Writer) error) error {
	format, err := o.outputFormat(to)
	if err != nil {
		return err
	}
	if o.unit <= 0 {
		return fmt.Errorf("--unit %v: want more than 0", o.unit)
	}
	var omitted []string
	write := func(to io.Writer) error {
		w, err := trace.NewWriter(outside{to}, format)
		if err != nil {
			return err
		}
		err = fill(w)
		omitted = w.Omitted()
		return err
	}
	if to == "-" {
		err = write(cmd.OutOrStdout())
	} else {
		err = writeWhole(to, func(w io.Writer) error { return compressed(w, to, write) })
	}
	if err == nil {
		for _, text := range omitted {
			fmt.Fprintf(cmd.ErrOrStderr(), "dmasim: %s: %s\n", to, text)
		}
	}
	return err
}

// outputFormat is that of the flag, or what the name of the file means.
func (o *convertOptions) outputFormat(to string) (string, error) {
	if o.to != "" {
		if !slices.Contains(trace.Outputs(), o.to) {
			return "", fmt.Errorf("--to %q, want one of %s%s", o.to, strings.Join(trace.Outputs(), ", "), didYouMean(o.to, trace.Outputs()))
		}
		return o.to, nil
	}
	switch strings.ToLower(filepath.Ext(trace.Stem(to))) {
	case ".json":
		return "chrome", nil
	case ".csv":
		return string(trace.CSV), nil
	case ".parquet":
		return string(trace.Parquet), nil
	}
	return "", fmt.Errorf("%s: the name does not say the format: give --to, one of %s", to, strings.Join(trace.Outputs(), ", "))
}

// outside marks errors of the world outside as such.
type outside struct{ io.Writer }

func (o outside) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		err = failedRun{err}
	}
	return n, err
}

// copyTrace writes all events and closes the writer.
func copyTrace(w trace.Writer, r *trace.Reader) error {
	var e trace.Event
	for r.Next(&e) {
		if err := w.Write(&e); err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	return w.Close(r.Losses())
}

// interruptible passes on a trace until the context ends.
type interruptible struct {
	trace.Writer
	ctx context.Context
	n   int
}

func (w *interruptible) Write(e *trace.Event) error {
	if w.n++; w.n%(1<<16) == 0 && w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	return w.Writer.Write(e)
}

// compressed writes what write writes, compressed if the name says so.
func compressed(w io.Writer, name string, write func(io.Writer) error) error {
	z, err := trace.Compress(w, name)
	if err != nil {
		return err
	}
	if err := write(z); err != nil {
		return err
	}
	return z.Close()
}
