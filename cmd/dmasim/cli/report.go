package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"dmasim/mem"
	"dmasim/sim/report/page"
)

// reportName is the name of a report in the directory of its result.
const reportName = "report.html"

type reportOptions struct {
	out     string
	buffers int
	explain int
	asJSON  bool
}

func newReportOptions() reportOptions { return reportOptions{buffers: 500_000, explain: 12} }

func newReportCommand() *cobra.Command {
	o := newReportOptions()
	cmd := &cobra.Command{
		Use:   "report RESULT [RESULT2]",
		Short: "Make one HTML file of a result, with a map of memory to look into",
		Long: `Make one file of a result directory, or of two, that a browser shows without a
network: summary, tables and figures, and memory over time. In the map one can go to
any instant, look at any buffer, whose it is, how large, what it demands and how long
it lives, and at any failure, why it failed. Two variants, or two results, stand side
by side at the same instant. It works with the keyboard, in dark and in light.

A result has no single buffers. They are recorded while its scenario is run again,
which gives the same run; where it doesn't, because the program changed or a trace is
gone, the report says so, and the map shows the samples of the result. Of runs with
more than --buffers buffers in all, the lightest are left out (bytes times lifetime),
and the report says how many, and how heavy they can be at most.

Of each variant up to --explain failures are explained as by "dmasim explain": the
first of every client and cause, and others between. Of the others there are the
figures, and the command that explains them.

Of a comparison, the map shows the first replication; of a sweep there are the tables.

The file is ` + reportName + ` in the directory of the result; of two, in the current one.`,
		Example: `  dmasim report dmasim-out/cedar-256mib
  dmasim report dmasim-out/before dmasim-out/after --out difference.html`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return errors.New("report on what? give one result directory, or two to compare")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case o.buffers < 1:
				return errors.New("--buffers must be at least 1")
			case o.explain < 0:
				return errors.New("--explain must not be negative")
			}
			return o.run(cmd, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.out, "out", "o", "", "file to write (default "+reportName+" in RESULT; of two, here)")
	flags.IntVar(&o.buffers, "buffers", o.buffers, "buffers on the maps at most, or pieces of them where they have several")
	flags.IntVar(&o.explain, "explain", o.explain, "failures of each variant to explain")
	flags.BoolVar(&o.asJSON, "json", false, "print what was written as JSON")
	return cmd
}

// reported is what was written, for programs.
type reported struct {
	Report  string   `json:"report"`
	Bytes   mem.Size `json:"bytes"`
	Buffers int      `json:"buffers"` // on the maps
	LeftOut uint64   `json:"left_out"`
	Notes   []string `json:"notes"`
}

func (o *reportOptions) run(cmd *cobra.Command, dirs []string) error {
	out := o.out
	switch {
	case out == "" && len(dirs) == 1:
		out = filepath.Join(dirs[0], reportName)
	case out == "":
		out = reportName
	}
	if info, err := os.Stat(out); err == nil && info.IsDir() {
		return fmt.Errorf("--out %s is a directory; want a file", out)
	}
	done, err := o.write(cmd, out, dirs...)
	if err != nil {
		return err
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), done)
	}
	done.print(cmd.OutOrStdout())
	return nil
}

// write writes the report of results.
func (o *reportOptions) write(cmd *cobra.Command, out string, dirs ...string) (*reported, error) {
	content, err := o.gather(cmd, dirs)
	if err != nil {
		return nil, err
	}
	done := reported{Report: out, Notes: []string{}}
	counted := func(w io.Writer) error {
		counter := &countingWriter{w: w}
		err := page.Write(counter, content)
		done.Bytes = counter.n
		return err
	}
	if err := writeWhole(out, counted); err != nil {
		return nil, failedRun{fmt.Errorf("write %s: %w", out, err)}
	}
	for i := range content.Runs {
		r := &content.Runs[i]
		if r.Note != "" {
			done.Notes = append(done.Notes, r.Name+": "+r.Note)
		}
		if r.History != nil {
			done.Buffers += len(r.History.Buffers)
			done.LeftOut += r.History.LeftOut.Buffers
		}
	}
	return &done, nil
}

// print says what was written.
func (d *reported) print(w io.Writer) {
	text := fmt.Sprintf("report: %s (%s, %d buffers", d.Report, d.Bytes.Short(), d.Buffers)
	if d.LeftOut > 0 {
		text += fmt.Sprintf(", %d light ones left out", d.LeftOut)
	}
	fmt.Fprintln(w, text+")")
	for _, note := range d.Notes {
		printParagraphs(w, "", "", []string{"note: " + note})
	}
}

// countingWriter counts the bytes that go through it.
type countingWriter struct {
	w io.Writer
	n mem.Size
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += mem.Size(n)
	return n, err
}
