package cli

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"dmasim/allocator/golden"
	"dmasim/mem"
)

func newConformCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "conform FILE|DIR ...",
		Short: "Replay recordings of the kernel's allocators against the models",
		Long: `Replay recordings of the kernel's own allocators (dmasim-golden/1, CSV, also
gzipped) and compare every answer with that of the exact model. Of a directory,
every *.csv and *.csv.gz below it is replayed.

After the first divergence the model goes its own way: it is still asked every
operation, and the agreements count those that it answers as recorded.

Exit status: 0 if every answer agrees, 1 if one does not, 2 if a recording is
malformed or cannot be read, whatever became of the others.`,
		Example: `  dmasim conform recordings/
  dmasim conform --json cma-00.csv iova-07.csv.gz`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("conform wants recordings: files or directories")
			}
			return conform(cmd, args, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an array of objects")
	return cmd
}

// Verdicts on a recording.
const (
	verdictAgrees      = "agrees"
	verdictDisagrees   = "disagrees"
	verdictMalformed   = "malformed"
	verdictNotModelled = "not-modelled"
)

// conformRow is what became of one recording, as programs read it.
type conformRow struct {
	File        string             `json:"file"`
	Allocator   string             `json:"allocator"`
	Mode        string             `json:"mode"`
	Verdict     string             `json:"verdict"`
	Operations  int                `json:"operations"`
	Agreements  int                `json:"agreements"`
	NotModelled int                `json:"not_modelled"`
	First       *conformDivergence `json:"first_divergence"`
	Error       string             `json:"error,omitempty"`
}

type conformDivergence struct {
	Line         int        `json:"line"`
	Operation    string     `json:"operation"`
	Recorded     string     `json:"recorded"`
	Model        string     `json:"model"`
	RecordedFree *freeRange `json:"free_around_recorded"` // null: no place, or one that is taken
	ModelFree    *freeRange `json:"free_around_model"`
}

// freeRange is [Lo, Hi) in the unit of the recording.
type freeRange struct {
	Lo mem.Addr `json:"lo"`
	Hi mem.Addr `json:"hi"`
}

func newFreeRange(r mem.Range) *freeRange {
	if r.Empty() {
		return nil
	}
	return &freeRange{mem.Addr(r.Lo), mem.Addr(r.Hi)}
}

func conform(cmd *cobra.Command, args []string, asJSON bool) error {
	rows := []conformRow{}
	for _, arg := range args {
		files, err := findRecordings(arg)
		if err != nil {
			rows = append(rows, unreadable(cmd.ErrOrStderr(), arg, err))
		}
		for _, file := range files {
			if err := cmd.Context().Err(); err != nil {
				return failedRun{err}
			}
			row, err := replayFile(file)
			if err != nil {
				row = unreadable(cmd.ErrOrStderr(), file, err)
			}
			rows = append(rows, row)
		}
	}
	write := printConform
	if asJSON {
		write = func(w io.Writer, rows []conformRow) error { return printJSON(w, rows) }
	}
	if err := write(cmd.OutOrStdout(), rows); err != nil {
		return failedRun{err}
	}
	count := countVerdicts(rows)
	switch {
	case count[verdictMalformed] > 0:
		return fmt.Errorf("%d of %d recordings cannot be replayed", count[verdictMalformed], len(rows))
	case count[verdictDisagrees] > 0:
		return errNo
	}
	return nil
}

func countVerdicts(rows []conformRow) map[string]int {
	count := map[string]int{}
	for _, row := range rows {
		count[row.Verdict]++
	}
	return count
}

// unreadable says what is wrong with a file at once, and returns its row.
func unreadable(stderr io.Writer, file string, err error) conformRow {
	row := conformRow{File: file, Verdict: verdictMalformed, Error: oneLine(err)}
	fmt.Fprintf(stderr, "dmasim: %s\n", row.Error)
	return row
}

// findRecordings returns path if it is a file, and otherwise the recordings
// below it, in order.
func findRecordings(path string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
		case file == path, strings.HasSuffix(file, ".csv"), strings.HasSuffix(file, ".csv.gz"):
			files = append(files, file)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: no *.csv below it", path)
	}
	return files, err
}

// replayFile reads and replays one recording.
func replayFile(file string) (conformRow, error) {
	rec, err := readRecording(file)
	if err != nil {
		return conformRow{}, err
	}
	report, err := golden.Replay(rec)
	if err != nil {
		return conformRow{}, err
	}
	row := conformRow{
		File: file, Allocator: report.Allocator, Mode: report.Mode, Verdict: verdictAgrees,
		Operations: report.Operations, Agreements: report.Agreements, NotModelled: report.NotModelled,
	}
	switch d := report.First; {
	case d != nil:
		row.Verdict = verdictDisagrees
		row.First = &conformDivergence{
			Line: d.Row.Line, Operation: d.Row.String(), Recorded: d.Row.Result, Model: d.Model,
			RecordedFree: newFreeRange(d.RecordedFree), ModelFree: newFreeRange(d.ModelFree),
		}
	case report.NotModelled > 0:
		row.Verdict = verdictNotModelled
	}
	return row, nil
}

func readRecording(file string) (*golden.Recording, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !strings.HasSuffix(file, ".gz") {
		return golden.Read(file, f)
	}
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return golden.Read(file, unzipped)
}

const conformColumns = "%10s  %10s  %-12s  %s\n"

// printConform prints a table, with the first divergence below its recording,
// and the totals; at most 80 columns.
func printConform(w io.Writer, rows []conformRow) error {
	var text strings.Builder
	fmt.Fprintf(&text, conformColumns, "operations", "agreements", "verdict", "recording")
	var operations, agreements int
	for _, row := range rows {
		operations += row.Operations
		agreements += row.Agreements
		fmt.Fprintf(&text, conformColumns, fmt.Sprint(row.Operations), fmt.Sprint(row.Agreements), row.Verdict, tail(row.File, 42))
		if row.NotModelled > 0 {
			fmt.Fprintf(&text, "  not modelled: %d operations\n", row.NotModelled)
		}
		if d := row.First; d != nil {
			fmt.Fprintf(&text, "  line %d: %s\n", d.Line, head(d.Operation, 60))
			from := commonPrefix(d.Recorded, d.Model)
			fmt.Fprintf(&text, "    recorded %s\n%s", window(d.Recorded, from, 66), describeFree(d.RecordedFree))
			fmt.Fprintf(&text, "    model    %s\n%s", window(d.Model, from, 66), describeFree(d.ModelFree))
		}
	}
	count := countVerdicts(rows)
	fmt.Fprintf(&text, "%10d  %10d  in %d recordings\n", operations, agreements, len(rows))
	fmt.Fprintf(&text, "%d agree, %d disagree, %d not modelled, %d malformed\n", count[verdictAgrees],
		count[verdictDisagrees], count[verdictNotModelled], count[verdictMalformed])
	_, err := io.WriteString(w, text.String())
	return err
}

func describeFree(r *freeRange) string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("             free there: [%s,%s)\n", r.Lo, r.Hi)
}

// commonPrefix returns the number of bytes that a and b share at their start.
func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// window returns width columns of text in which byte from is seen; answers are
// ASCII.
func window(text string, from, width int) string {
	if start := from - width/2; start > 0 && len(text) > width {
		text = "…" + text[min(start, len(text)-width)+1:]
	}
	return head(text, width)
}

// head cuts text to width columns at its end.
func head(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	return string(runes[:width-1]) + "…"
}

// tail cuts text to width columns at its start.
func tail(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	runes := []rune(text)
	return "…" + string(runes[len(runes)-width+1:])
}
