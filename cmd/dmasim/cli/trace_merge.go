package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmasim/workloads/trace"
)

type traceMergeOptions struct {
	convertOptions
	names   []string
	offsets []string
	rebase  bool
}

func newTraceMergeCommand() *cobra.Command {
	var o traceMergeOptions
	cmd := &cobra.Command{
		Use:   "merge TRACE TRACE… OUT",
		Short: "Write several traces as one, in the order of time",
		Long: `Write several traces as one, in the order of their times. Each is named after its
file, or by --name, and its heaps become NAME/HEAP; buffers of the same number stay
apart. --offset moves a trace's clock; --rebase lets each begin at 0 before that,
for traces of machines that started at different times. What is missing in any of
them is said.

--heap chooses heaps by their names in the traces. Formats are those of dmasim trace
convert; one trace may be -, standard input.`,
		Example: `  dmasim trace merge video.txt.gz camera.csv both.csv.gz
  dmasim trace merge a.txt b.txt both.csv --rebase --offset b=2.5s
  dmasim trace merge a.txt a.txt twice.csv --name one --name two`,
		Args: cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, args[:len(args)-1], args[len(args)-1])
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.names, "name", nil, "`NAME` of a trace, in the order of the traces; may be repeated")
	flags.StringArrayVar(&o.offsets, "offset", nil, "`NAME=TIME` that is added to the clock of the trace of that name; may be repeated")
	flags.BoolVar(&o.rebase, "rebase", false, "let the clock of each trace begin at 0")
	o.addFlags(flags)
	return cmd
}

func (o *traceMergeOptions) run(cmd *cobra.Command, from []string, to string) error {
	if len(o.names) > len(from) {
		return fmt.Errorf("%d times --name for %d traces", len(o.names), len(from))
	}
	parts := make([]trace.Part, len(from))
	index := map[string]int{}
	for i, path := range from {
		name := strings.TrimSuffix(filepath.Base(trace.Stem(path)), filepath.Ext(trace.Stem(path)))
		if path == "-" {
			name = "stdin"
		}
		if i < len(o.names) {
			name = o.names[i]
		}
		if _, taken := index[name]; taken || name == "" {
			return fmt.Errorf("two traces are called %q: give --name for each", name)
		}
		index[name] = i
		parts[i] = trace.Part{Name: name, Rebase: o.rebase}
	}
	for _, text := range o.offsets {
		name, at, _ := strings.Cut(text, "=")
		i, known := index[name]
		offset, err := time.ParseDuration(at)
		switch {
		case !known:
			return fmt.Errorf("--offset %q: no trace of that name%s", text, didYouMean(name, traceNames(parts)))
		case err != nil:
			return fmt.Errorf("--offset %q: want NAME=TIME like %s=1.5s", text, name)
		}
		parts[i].Offset = offset
	}
	var heaps []string
	for i, path := range from {
		r, err := o.input.open(cmd.InOrStdin(), path, trace.Order(o.order), o.unit)
		if err != nil {
			return err
		}
		defer r.Close()
		parts[i].Reader = r
	}
	return o.write(cmd, to, func(w trace.Writer) error {
		if err := trace.Merge(&interruptible{w, cmd.Context(), 0}, parts); err != nil {
			return err
		}
		for i, p := range parts {
			heaps = append(heaps, p.Reader.Heaps()...)
			if err := o.input.checkLosses(cmd.ErrOrStderr(), from[i], p.Reader.Losses()); err != nil {
				return err
			}
		}
		return o.input.checkHeaps(strings.Join(from, ", "), heaps)
	})
}

func traceNames(parts []trace.Part) []string {
	var names []string
	for _, p := range parts {
		names = append(names, p.Name)
	}
	return names
}
