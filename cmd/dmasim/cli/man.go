package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages",
		Long: `Write a manual page for every command to DIR/man1, which is made if it is not
there. man reads them where DIR is one of its folders, or with -M.`,
		Example: `  dmasim man manual
  man -M manual dmasim-run
  sudo dmasim man /usr/local/share/man`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := filepath.Join(args[0], "man1")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return failedRun{fmt.Errorf("write manual pages: %w", err)}
			}
			for _, c := range allCommands(cmd.Root()) {
				if !c.IsAvailableCommand() {
					continue
				}
				page, err := manualPage(c)
				if err == nil {
					name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
					err = writeWhole(filepath.Join(dir, name), func(w io.Writer) error {
						_, err := w.Write(page)
						return err
					})
				}
				if err != nil {
					return failedRun{fmt.Errorf("write the manual page of %q: %w", c.CommandPath(), err)}
				}
			}
			return nil
		},
	}
}

// manualPage returns the page of a command, dated by the program's revision: the
// same program writes the same bytes.
func manualPage(cmd *cobra.Command) ([]byte, error) {
	date := time.Unix(0, 0).UTC()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				date = t
			}
		}
	}
	page := *cmd
	page.DisableAutoGenTag = true
	page.Long = keepIndented(cmd.Long)
	var text bytes.Buffer
	err := doc.GenMan(&page, &doc.GenManHeader{
		Section: "1",
		Date:    &date,
		Source:  "dmasim",
		Manual:  "dmasim",
	}, &text)
	return text.Bytes(), err
}

// keepIndented indents lines that are indented so far that Markdown, which the page is
// made from, leaves their breaks and columns alone.
func keepIndented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "  ") {
			lines[i] = "    " + line
		}
	}
	return strings.Join(lines, "\n")
}
