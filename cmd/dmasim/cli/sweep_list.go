package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"dmasim/sim/experiment/sweep"
)

// listedSweep is an embedded experiment as programs read it.
type listedSweep struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Cells       int    `json:"cells"`
}

func newSweepListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the embedded experiments",
		Long:    `List the embedded experiments and what they show.`,
		Example: "  dmasim sweep list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list := []listedSweep{}
			for _, name := range sweep.Names() {
				e, err := sweep.Open(name)
				if err != nil {
					return err
				}
				list = append(list, listedSweep{name, e.Description, e.Cells()})
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			for _, row := range list {
				for i, line := range wrap(row.Description, lineWidth-28) {
					name := ""
					if i == 0 {
						name = row.Name
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%-26s  %s\n", name, line)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an array of experiments")
	return cmd
}
