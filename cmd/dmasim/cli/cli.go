// Package cli is the dmasim command line: one file per command, no model logic.
//
// A program of your own that adds a strategy registers it with
// allocator.Register and calls [Main]; it then has every command of dmasim.
//
// The rules of the interface: data go to stdout, everything else to stderr,
// each message in one line that begins "dmasim: ". Exit status 0 means done or
// yes, 1 that it ran and the answer is no, 2 a mistake in the command line or
// the input. Names are kebab-case. --json prints what a program can read.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dmasim/internal/suggest"
	"dmasim/sim/live/process"
	"dmasim/sim/result"
	"dmasim/sim/validate/kernel"
	"dmasim/sim/validate/vm"
)

// Exit statuses.
const (
	exitNo    = 1
	exitUsage = 2
)

// errNo ends a command that ran and whose answer is no; it prints nothing.
var errNo = errors.New("the answer is no")

// failedRun is an error of the world outside, not a mistake of the user: a full
// disk, an interrupt. It exits with 1.
type failedRun struct{ error }

func (e failedRun) Unwrap() error { return e.error }

// output is standard output. It remembers that it could not be written, which most
// commands do not look at.
type output struct {
	io.Writer
	failed error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		err = failedRun{err}
		o.failed = err
	}
	return n, err
}

// Main runs the command line and returns the exit status.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if vm.Init() {
		return 0
	}
	if status, is := process.Main(args); is {
		return status
	}
	if status, is := kernel.RunHelper(args); is {
		return status
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	out := &output{Writer: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = out.failed
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNo):
		return exitNo
	case errors.Is(err, context.Canceled):
		err = failedRun{errors.New("interrupted")}
	}
	if status := exitStatus(0); errors.As(err, &status) {
		return int(status)
	}
	fmt.Fprintf(stderr, "dmasim: %s\n", oneLine(err))
	if errors.As(err, new(failedRun)) {
		return exitNo
	}
	return exitUsage
}

// oneLine joins the lines of a message, such as cobra's suggestions.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// suggestFlag adds to the error about a flag that there is not the one that may be meant.
func suggestFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	near := suggest.Nearest(unknown.GetSpecifiedName(), names)
	if near == "" {
		return err
	}
	return fmt.Errorf("%w%s", err, suggest.DidYouMean("--"+near))
}

func newRootCommand() *cobra.Command {
	cobra.EnableCommandSorting = false
	root := &cobra.Command{
		Use:   "dmasim",
		Short: "Simulate device-constrained DMA allocation",
		Long: `dmasim answers: given this memory, these heaps, these devices and this work,
which allocator keeps serving, for how long, at what waste, and when it fails,
why?`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          wantCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(suggestFlag)
	addGroup(root, "Everyday:", newRunCommand(), newCompareCommand(), newExplainCommand(), newReportCommand(), newSizeCommand())
	addGroup(root, "What goes in:", newScenarioCommand(), newDevicesCommand(), newMachineCommand(), newWorkloadsCommand(), newTraceCommand(), newAllocatorsCommand())
	addGroup(root, "Scale and proof:", newSweepCommand(), newReproduceCommand(), newBenchCommand(), newPackCommand(), newConformCommand(), newValidateCommand(), newKernelCommand())
	root.AddCommand(newCompletionCommand(), newManCommand())
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", ".FlagUsagesWrapped 80 "))
	for _, c := range allCommands(root) {
		c.Long = fill(c.Long)
		completeNames(c)
	}
	return root
}

// addGroup adds commands that help lists together, in this order.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, c := range commands {
		c.GroupID = title
		root.AddCommand(c)
	}
}

// wantCommand is for commands that only hold others.
func wantCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	near := append(cmd.SuggestionsFor(args[0]), "")
	return fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), suggest.DidYouMean(near[0]))
}

// allCommands returns cmd and every command below it.
func allCommands(cmd *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		list = append(list, allCommands(c)...)
	}
	return list
}

// fill breaks the paragraphs of text anew, at most 80 characters wide. Those
// that are indented stay as they are.
func fill(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if !strings.HasPrefix(p, " ") {
			paragraphs[i] = strings.Join(wrap(p, 80), "\n")
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// version is what results say of the program that made them.
func version() string {
	m := result.NewManifest("", 0)
	text := m.Version
	if m.Revision != "" {
		text += " " + m.Revision
	}
	return fmt.Sprintf("%s %s %s/%s", text, m.Go, m.OS, m.Arch)
}

// printJSON writes v as indented JSON.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
