package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"dmasim/devices"
)

func newDevicesCheckCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Check device files of your own",
		Long: `Check device files of your own: lists of devices with the keys of the catalogue. A
mistake is reported with its line and column. A device whose rules leave it no place
at all is a mistake as well.`,
		Example: "  dmasim devices check my-devices.yaml\n  dmasim devices merge my-devices.yaml sunxi-cedar-a20",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			rows := []deviceFileRow{}
			var failed error
			for _, file := range files {
				list, err := devices.ReadFile(file)
				row := deviceFileRow{File: file, OK: err == nil, Devices: []deviceRow{}}
				for i := range list {
					row.Devices = append(row.Devices, newDeviceRow(list[i]))
				}
				if err != nil {
					row.Error = deviceFlaw(err)
					if failed != nil {
						fmt.Fprintf(cmd.ErrOrStderr(), "dmasim: %s\n", oneLine(failed))
					}
					failed = err // Main reports the last one
				} else if !asJSON {
					printCheckedDevices(cmd, row)
				}
				rows = append(rows, row)
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), rows); err != nil {
					return failedRun{err}
				}
			}
			return failed
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an array of objects")
	return cmd
}

// deviceFileRow is a checked file as programs read it.
type deviceFileRow struct {
	File    string        `json:"file"`
	OK      bool          `json:"ok"`
	Devices []deviceRow   `json:"devices"`
	Error   *scenarioFlaw `json:"error,omitempty"`
}

func deviceFlaw(err error) *scenarioFlaw {
	var mistake *devices.FileError
	if errors.As(err, &mistake) {
		return &scenarioFlaw{mistake.Line, mistake.Column, mistake.Msg, mistake.Suggestion}
	}
	return &scenarioFlaw{Message: oneLine(err)}
}

func printCheckedDevices(cmd *cobra.Command, row deviceFileRow) {
	var names []string
	for i := range row.Devices {
		names = append(names, row.Devices[i].Name)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", row.File)
	for _, line := range wrap(strings.Join(names, ", "), lineWidth-2) {
		fmt.Fprintln(cmd.OutOrStdout(), "  "+line)
	}
}
