package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"dmasim/sim/scenario"
)

func newScenarioCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scenario",
		Short: "Start, check and describe scenario files",
		Args:  wantCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newScenarioListCommand(), newScenarioCheckCommand(), newScenarioInitCommand(), newScenarioSchemaCommand())
	return cmd
}

func newScenarioCheckCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Check scenario files and show what they hold",
		Long: `Check scenario files without running them. A mistake is reported with its line and
column. An argument that is no file names an embedded scenario: ` + strings.Join(scenario.Names(), ", ") + `.`,
		Example: "  dmasim scenario check my-scenario.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			return checkScenarios(cmd, files, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an array of objects")
	return cmd
}

// scenarioRow is a checked file as programs read it.
type scenarioRow struct {
	File      string        `json:"file"`
	OK        bool          `json:"ok"`
	Variants  []string      `json:"variants,omitempty"`
	Heaps     []string      `json:"heaps,omitempty"`
	Workloads []string      `json:"workloads,omitempty"`
	Processes []string      `json:"processes,omitempty"`
	Error     *scenarioFlaw `json:"error,omitempty"`
}

type scenarioFlaw struct {
	Line       int    `json:"line,omitempty"`
	Column     int    `json:"column,omitempty"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion,omitempty"`
}

func checkScenarios(cmd *cobra.Command, files []string, asJSON bool) error {
	rows := []scenarioRow{}
	var failed error
	for _, file := range files {
		s, err := scenario.Find(file)
		if err == nil {
			row := summarize(file, s)
			rows = append(rows, row)
			if !asJSON {
				printChecked(cmd.OutOrStdout(), row)
			}
			continue
		}
		rows = append(rows, scenarioRow{File: file, Error: flaw(err)})
		if failed != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "dmasim: %s\n", oneLine(failed))
		}
		failed = err // Main reports the last one
	}
	if asJSON {
		if err := printJSON(cmd.OutOrStdout(), rows); err != nil {
			return failedRun{err}
		}
	}
	return failed
}

func printChecked(w io.Writer, row scenarioRow) {
	fmt.Fprintf(w, "%s: ok\n", row.File)
	var parts []string
	for _, part := range []struct {
		what  string
		names []string
	}{{"variants", row.Variants}, {"heaps", row.Heaps}, {"workloads", row.Workloads}, {"processes", row.Processes}} {
		if len(part.names) > 0 {
			parts = append(parts, part.what+": "+strings.Join(part.names, ", "))
		}
	}
	for _, line := range wrap(strings.Join(parts, "; "), lineWidth-2) {
		fmt.Fprintln(w, "  "+line)
	}
}

func summarize(file string, s *scenario.Scenario) scenarioRow {
	row := scenarioRow{File: file, OK: true}
	for _, v := range s.Variants {
		row.Variants = append(row.Variants, v.Name)
	}
	spec := s.Variants[0].Spec
	for _, h := range spec.Heaps {
		row.Heaps = append(row.Heaps, h.Name)
	}
	for _, w := range spec.Workloads {
		row.Workloads = append(row.Workloads, w.Name)
	}
	for _, p := range spec.Processes {
		row.Processes = append(row.Processes, p.Name)
	}
	return row
}

func flaw(err error) *scenarioFlaw {
	var mistake *scenario.Error
	if errors.As(err, &mistake) {
		return &scenarioFlaw{mistake.Line, mistake.Column, mistake.Msg, mistake.Suggestion}
	}
	return &scenarioFlaw{Message: oneLine(err)}
}

func newScenarioListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the embedded scenarios and what they show",
		Example: "  dmasim scenario list",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return listScenarios(cmd.OutOrStdout(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an array of objects")
	return cmd
}

// embeddedRow is an embedded scenario as programs read it.
type embeddedRow struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Variants    []string `json:"variants"`
}

func listScenarios(w io.Writer, asJSON bool) error {
	rows := []embeddedRow{}
	for _, name := range scenario.Names() {
		s, err := scenario.Open(name)
		if err != nil {
			return err
		}
		rows = append(rows, embeddedRow{name, s.Description, summarize(name, s).Variants})
	}
	if asJSON {
		return printJSON(w, rows)
	}
	for _, r := range rows {
		for i, line := range wrap(r.Description, lineWidth-19) {
			name := ""
			if i == 0 {
				name = r.Name
			}
			fmt.Fprintf(w, "%-17s  %s\n", name, line)
		}
	}
	return nil
}

func newScenarioInitCommand() *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Print a commented scenario to start from, or write it to FILE",
		Long: `Print a commented scenario to start from, or write it to FILE, which must not exist.
It is right as it stands and can be run. With --from it is one of the embedded
scenarios (see dmasim scenario list).`,
		Example: "  dmasim scenario init my-scenario.yaml\n  dmasim scenario init --from pin-all-ram hog.yaml\n  dmasim run hog.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := scenario.Starter()
			if from != "" {
				embedded, err := scenario.Text(from)
				if err != nil {
					return err
				}
				text = string(embedded)
			}
			if len(args) == 1 {
				return writeNew(args[0], text)
			}
			if _, err := io.WriteString(cmd.OutOrStdout(), text); err != nil {
				return failedRun{err}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "name of an embedded scenario")
	return cmd
}

// writeNew writes a file that must not exist; it leaves none behind if it fails.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("write scenario: %w", err)
	}
	_, err = io.WriteString(f, text)
	if err = errors.Join(err, f.Close()); err != nil {
		return failedRun{fmt.Errorf("write scenario: %w", errors.Join(err, os.Remove(path)))}
	}
	return nil
}

func newScenarioSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of scenario files",
		Long: `Print the JSON Schema (draft 2020-12) of scenario files. An editor that knows YAML
completes and checks a scenario with it. Not every mistake can be told by a schema:
"scenario check" finds all.`,
		Example: "  dmasim scenario schema > dmasim.schema.json\n  # first line of a scenario: # yaml-language-server: $schema=dmasim.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := io.WriteString(cmd.OutOrStdout(), scenario.Schema()); err != nil {
				return failedRun{err}
			}
			return nil
		},
	}
}
