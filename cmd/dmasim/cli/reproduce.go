package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dmasim/sim/report"
	"dmasim/sim/result"
)

func newReproduceCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reproduce RESULT",
		Short: "Run a result again and compare every byte",
		Long: `Run what a result directory holds again, from its resolved scenario and with its
options, and compare every file but host.json. The same program on the same
architecture gives the same bytes, for run, compare and sweep alike; another
version or architecture may not, and where they differ that is said. Nothing is
changed: the new result goes to a directory beside the old one that is removed
again.

Exit status 1 says that a file is not the same, which is the first by name, and
where.`,
		Example: "  dmasim run cedar-256mib --out result\n  dmasim reproduce result",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := reproduce(cmd, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), r)
			} else {
				err = r.print(cmd.OutOrStdout())
			}
			if err == nil && !r.Same {
				err = errNo
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the outcome as JSON")
	return cmd
}

// reproduction is what became of running a result again.
type reproduction struct {
	Result string      `json:"result"`
	Same   bool        `json:"same"`
	Files  int         `json:"files"`      // that were compared
	Unlike []string    `json:"unlike"`     // programs' properties that differ: what, then and now
	Differ []string    `json:"differ"`     // files
	First  *difference `json:"difference"` // of the first of them
}

// difference is where a file is not the same.
type difference struct {
	File string `json:"file"`
	What string `json:"what"`
	Was  string `json:"was,omitempty"`
	Is   string `json:"is,omitempty"`
}

// reproduce runs the result in dir again, beside it.
func reproduce(cmd *cobra.Command, dir string) (*reproduction, error) {
	m, err := result.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	place, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	again, err := os.MkdirTemp(filepath.Dir(place), "."+filepath.Base(place)+".reproduce-*")
	if err != nil {
		return nil, failedRun{err}
	}
	defer os.RemoveAll(again)
	defer os.RemoveAll(again + ".cells")
	if err := runAgain(cmd, m, dir, again); err != nil {
		return nil, err
	}
	now, err := result.ReadManifest(again)
	if err != nil {
		return nil, failedRun{err}
	}
	r := &reproduction{Result: dir, Files: len(m.Files), Unlike: unlike(m, now), Differ: []string{}}
	names := slices.Collect(maps.Keys(m.Files))
	for name := range now.Files {
		if _, both := m.Files[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		d, err := compareFiles(name, filepath.Join(dir, filepath.FromSlash(name)), filepath.Join(again, filepath.FromSlash(name)))
		if err != nil {
			return nil, failedRun{err}
		}
		if d == nil {
			continue
		}
		if r.First == nil {
			r.First = d
		}
		r.Differ = append(r.Differ, name)
	}
	r.Same = r.First == nil
	return r, nil
}

// runAgain does the command that made a result, with the results in again.
func runAgain(cmd *cobra.Command, m result.Manifest, dir, again string) error {
	var run *cobra.Command
	input := filepath.Join(dir, "scenario.yaml")
	switch m.Content {
	case "":
		run = newRunCommand()
	case "comparison":
		run = newCompareCommand()
	case "sweep":
		run, input = newSweepCommand(), dir
	default:
		return fmt.Errorf("%s holds a %s, which cannot be run again", dir, m.Content)
	}
	args := append([]string{input, "--out", again}, m.Options...)
	if formats := formatsOf(m); formats != "" {
		args = append(args, "--format", formats)
	}
	run.SetArgs(args)
	run.SetOut(io.Discard)
	run.SetErr(cmd.ErrOrStderr())
	run.SilenceUsage, run.SilenceErrors = true, true
	err := run.ExecuteContext(cmd.Context())
	switch {
	case errors.Is(err, errNo): // the answer was no before
		return nil
	case err != nil:
		return fmt.Errorf("run %s again: %w", dir, err)
	}
	return nil
}

// formatsOf are the formats of the figures of a result.
func formatsOf(m result.Manifest) string {
	var list []string
	for _, f := range report.Formats() {
		if slices.ContainsFunc(slices.Collect(maps.Keys(m.Files)), func(name string) bool {
			return strings.HasPrefix(name, "figures/") && strings.HasSuffix(name, "."+string(f))
		}) {
			list = append(list, string(f))
		}
	}
	return strings.Join(list, ",")
}

// unlike says in what the programs of two results differ.
func unlike(then, now result.Manifest) []string {
	list := []string{}
	for _, p := range []struct{ what, then, now string }{
		{"version", then.Version, now.Version},
		{"revision", then.Revision, now.Revision},
		{"Go", then.Go, now.Go},
		{"system", then.OS, now.OS},
		{"architecture", then.Arch, now.Arch},
	} {
		if p.then != p.now {
			list = append(list, fmt.Sprintf("%s was %s, is %s", p.what, orNone(p.then), orNone(p.now)))
		}
	}
	return list
}

func orNone(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}

// compareFiles returns where two files differ; nil where they don't.
func compareFiles(name, was, is string) (*difference, error) {
	before, err := os.ReadFile(was)
	if errors.Is(err, fs.ErrNotExist) {
		return &difference{File: name, What: "is there now and was not before"}, nil
	}
	if err != nil {
		return nil, err
	}
	after, err := os.ReadFile(is)
	if errors.Is(err, fs.ErrNotExist) {
		return &difference{File: name, What: "was there and is not written now"}, nil
	}
	if err != nil || bytes.Equal(before, after) {
		return nil, err
	}
	at := 0
	for at < min(len(before), len(after)) && before[at] == after[at] {
		at++
	}
	if !utf8.Valid(before) || !utf8.Valid(after) {
		return &difference{File: name, What: fmt.Sprintf("byte %d of %d and %d differs", at, len(before), len(after))}, nil
	}
	line := bytes.Count(before[:at], []byte("\n")) + 1
	return &difference{File: name, What: fmt.Sprintf("line %d differs", line), Was: lineAt(before, at), Is: lineAt(after, at)}, nil
}

// lineAt is the line of a text around a byte.
func lineAt(text []byte, at int) string {
	from := bytes.LastIndexByte(text[:at], '\n') + 1
	to := bytes.IndexByte(text[at:], '\n')
	if to < 0 {
		to = len(text) - at
	}
	return string(text[from : at+to])
}

func (r *reproduction) print(w io.Writer) error {
	var b strings.Builder
	switch {
	case r.Same:
		fmt.Fprintf(&b, "the same: %d files\n", r.Files)
	default:
		fmt.Fprintf(&b, "not the same: %d of %d files, first %s: %s\n", len(r.Differ), r.Files, r.First.File, r.First.What)
		if r.First.Was != "" || r.First.Is != "" {
			fmt.Fprintf(&b, "  was  %s\n  is   %s\n", clean(window(r.First.Was, commonPrefix(r.First.Was, r.First.Is), lineWidth-8)),
				clean(window(r.First.Is, commonPrefix(r.First.Was, r.First.Is), lineWidth-8)))
		}
	}
	if len(r.Unlike) > 0 {
		for _, line := range wrap("another program made the result, and may give other bytes: "+strings.Join(r.Unlike, "; "), lineWidth) {
			fmt.Fprintln(&b, line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// optionsOf are those of a command that its results depend on, as they were given,
// beside what the resolved scenario holds.
func optionsOf(flags *pflag.FlagSet, names ...string) []string {
	var list []string
	flags.Visit(func(f *pflag.Flag) {
		if slices.Contains(names, f.Name) {
			value := f.Value.String()
			if list, is := f.Value.(pflag.SliceValue); is {
				value = strings.Join(list.GetSlice(), ",")
			}
			list = append(list, "--"+f.Name+"="+value)
		}
	})
	return list
}
