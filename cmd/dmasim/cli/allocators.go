package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"dmasim/allocator"
)

func newAllocatorsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "allocators",
		Short: "List the placement strategies and their parameters",
		Long: `List the placement strategies. A scenario's heap names one as "best-fit", or with
parameters as "tlsf:second-level=16". "honours" are the parts of a request that a
strategy takes into account; the rest of a request does not reach it. It "knows" the
request alone, or also the device mix: where the clients of its heap can be served.`,
		Example: "  dmasim allocators --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), allocatorRows())
			}
			return printAllocators(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an array of objects")
	return cmd
}

// allocatorRow is a strategy as programs read it.
type allocatorRow struct {
	Name    string              `json:"name"`
	Summary string              `json:"summary"`
	Honours []string            `json:"honours"`
	Knows   string              `json:"knows"`
	Params  []allocatorParamRow `json:"params"`
}

type allocatorParamRow struct {
	Name    string `json:"name"`
	Summary string `json:"summary"`
	Default uint64 `json:"default"`
	Min     uint64 `json:"min"`
	Max     uint64 `json:"max"`
}

func allocatorRows() []allocatorRow {
	rows := []allocatorRow{}
	for _, spec := range allocator.Specs() {
		row := allocatorRow{
			Name: spec.Name, Summary: spec.Summary,
			Honours: strings.Split(spec.Honours.String(), ", "), Knows: spec.Knows.String(), Params: []allocatorParamRow{},
		}
		for _, p := range spec.Params {
			row.Params = append(row.Params, allocatorParamRow(p))
		}
		rows = append(rows, row)
	}
	return rows
}

func printAllocators(w io.Writer) error {
	for _, spec := range allocator.Specs() {
		fmt.Fprintf(w, "%s\n", spec.Name)
		for _, line := range wrap(spec.Summary, 76) {
			fmt.Fprintf(w, "    %s\n", line)
		}
		fmt.Fprintf(w, "    honours: %s\n    knows: %s\n", spec.Honours, spec.Knows)
		for _, p := range spec.Params {
			text := fmt.Sprintf("%s=N (%d to %d, default %d): %s", p.Name, p.Min, p.Max, p.Default, p.Summary)
			for _, line := range wrap(text, 76) {
				fmt.Fprintf(w, "    %s\n", line)
			}
		}
	}
	return nil
}

// wrap breaks text into lines of at most width characters at spaces.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
