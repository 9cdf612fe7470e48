package cli

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmasim/mem"
	"dmasim/workloads/trace/record"
)

type recordOptions struct {
	record.Options
	out      string
	duration time.Duration
}

func newKernelRecordCommand() *cobra.Command {
	o := recordOptions{Options: record.Options{Events: record.DefaultEvents(), MaxSize: 256 * mem.MiB, Buffer: 8 * mem.MiB}}
	cmd := &cobra.Command{
		Use:   "record --out FILE [-- COMMAND…]",
		Short: "Record the kernel's trace of allocations",
		Long: `Record what the kernel traces of allocations: CMA, dma-buf heaps where it has events
for them, blocks of pages. It records until COMMAND ends, --duration is over, the
file has --max-size, or you press Ctrl-C, and writes the text of the trace, gzipped
if the name ends in .gz.

The trace is an instance of its own, which disturbs no other user, and is removed
at the end. What the kernel dropped because it came too fast is counted and said,
here and in the last lines of the file.

Exit status: that of COMMAND, if there is one; else 0, or 1 if the trace can't be
used or the file not written.`,
		Example: `  sudo dmasim kernel record --out cma.txt.gz --duration 10s
  sudo dmasim kernel record -o run.txt -- dmasim run my.yaml --backend kernel
  dmasim kernel vm --lane cma -- kernel record --out cma.txt -- \
    dmasim validate --aspect cma --operations 100`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.out, "out", "o", "", "`FILE` to write")
	flags.StringArrayVar(&o.Events, "event", o.Events, "`PATTERN` of events of tracefs; may be repeated")
	flags.Lookup("event").DefValue = strings.Join(o.Events, " ")
	flags.TextVar(&o.MaxSize, "max-size", o.MaxSize, "most text of events to write")
	flags.TextVar(&o.Buffer, "buffer", o.Buffer, "memory for events of each processor that were not read yet")
	flags.DurationVar(&o.duration, "duration", 0, "how long to record; 0s: until COMMAND or you end it")
	return cmd
}

func (o *recordOptions) run(cmd *cobra.Command, args []string) error {
	switch {
	case o.out == "":
		return errors.New("--out FILE is missing")
	case len(args) > 0 && cmd.ArgsLenAtDash() != 0:
		return fmt.Errorf("write -- before the command: dmasim kernel record --out %s -- %s", o.out, strings.Join(args, " "))
	case o.duration < 0:
		return fmt.Errorf("--duration %v: want 0 or more", o.duration)
	case o.Buffer < mem.KiB:
		return fmt.Errorf("--buffer %v: want 1KiB or more", o.Buffer)
	}
	var child *exec.Cmd
	if len(args) > 0 {
		program, err := lookProgram(args[0])
		if err != nil {
			return err
		}
		child = exec.Command(program, args[1:]...)
		child.Stdin, child.Stdout, child.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	if o.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	ended := make(chan error, 1)
	started := func() {
		if child == nil {
			return
		}
		if err := child.Start(); err != nil {
			ended <- err
			cancel()
			return
		}
		go func() {
			ended <- child.Wait()
			cancel()
		}()
	}
	summary, err := o.write(ctx, started)
	if child != nil && child.Process != nil {
		// It goes on where the recording ended first, and is waited for: an interrupt
		// at the terminal reached it as well.
		childErr := <-ended
		var exit *exec.ExitError
		switch {
		case err != nil:
		case errors.As(childErr, &exit):
			err = exitStatus(max(exit.ExitCode(), exitNo))
		case childErr != nil:
			err = failedRun{childErr}
		}
	} else if child != nil && err == nil {
		err = failedRun{<-ended}
	}
	if status := exitStatus(0); err != nil && !errors.As(err, &status) {
		return failedRun{err}
	}
	o.tell(cmd.ErrOrStderr(), &summary)
	return err
}

// lookProgram finds a program; dmasim is this one where there is no other.
func lookProgram(name string) (string, error) {
	program, err := exec.LookPath(name)
	if err != nil && name == "dmasim" {
		return os.Executable()
	}
	return program, err
}

// write records into a file.
func (o *recordOptions) write(ctx context.Context, started func()) (s record.Summary, err error) {
	err = writeWhole(o.out, func(to io.Writer) error {
		if !strings.EqualFold(filepath.Ext(o.out), ".gz") {
			s, err = record.Record(ctx, o.Options, to, started)
			return err
		}
		packed := gzip.NewWriter(to)
		s, err = record.Record(ctx, o.Options, packed, started)
		return errors.Join(err, packed.Close())
	})
	if err != nil {
		return s, fmt.Errorf("record: %w", err)
	}
	return s, nil
}

func (o *recordOptions) tell(to io.Writer, s *record.Summary) {
	for _, pattern := range s.Absent {
		fmt.Fprintf(to, "dmasim: no event of this kernel is %s\n", pattern)
	}
	fmt.Fprintf(to, "dmasim: recorded %v of text in %s\n", mem.Size(s.Bytes), o.out)
	if s.Full {
		fmt.Fprintf(to, "dmasim: ended early at --max-size %v\n", o.MaxSize)
	}
	if s.Lost > 0 {
		fmt.Fprintf(to, "dmasim: %d events were lost: give a larger --buffer or fewer events\n", s.Lost)
	}
}
