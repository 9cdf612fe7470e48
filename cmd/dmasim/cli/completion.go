package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/sim/scenario"
)

func newCompletionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print what lets a shell complete dmasim's command lines",
		Long: `Print a script for bash, zsh, fish or powershell that completes commands, flags,
and the names of scenarios, devices and strategies.`,
		Example: `  source <(dmasim completion bash)
  dmasim completion zsh > _dmasim
  dmasim completion fish > dmasim.fish`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return fmt.Errorf("unknown shell %q%s", args[0], didYouMean(args[0], shells))
		},
	}
}

// completeNames lets shells complete the names that a command takes.
func completeNames(cmd *cobra.Command) {
	completeFlag(cmd, "allocator", strategyNames())
	switch cmd.Name() {
	case "run", "compare", "explain":
		completeFlag(cmd, "device", devices.Names())
		fallthrough
	case "size":
		cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return scenario.Names(), cobra.ShellCompDirectiveDefault
		}
	}
}

func completeFlag(cmd *cobra.Command, flag string, names []string) {
	if cmd.Flags().Lookup(flag) == nil {
		return
	}
	// It fails for a flag that is not there, or twice for the same one.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
}

func strategyNames() []string {
	var names []string
	for _, spec := range allocator.Specs() {
		names = append(names, spec.Name)
	}
	return names
}
