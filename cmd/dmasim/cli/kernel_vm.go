package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dmasim/mem"
	"dmasim/sim/validate/vm"
)

// exitStatus ends a command with the status of another; it prints nothing.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

type vmOptions struct {
	lane    vm.Lane
	cma     string
	append  []string
	files   []string
	console bool
	machine vm.Machine
}

func newKernelVMCommand() *cobra.Command {
	o := vmOptions{lane: vm.Stock, machine: vm.Machine{Memory: 512 * mem.MiB}}
	cmd := &cobra.Command{
		Use:   "vm [flags] -- COMMAND…",
		Short: "Run a command of dmasim on another kernel, in a virtual machine",
		Long: `Boot a kernel in a virtual machine of QEMU, run a command of dmasim there, and bring
back what it prints, the files it leaves and its exit status. The machine has no
disk and no network; its only program is this very dmasim, which has to be linked
statically.

Lanes:

  stock  Debian's kernel 6.12: the system heap, udmabuf, debugfs
  cma    a small kernel built from Debian's sources of 6.12: CMA with its
         debugfs, heaps, udmabuf, statistics of dma-bufs

A kernel is downloaded, or built, when it is first used, and kept in the user's
cache.

Files and folders that COMMAND names are copied into the machine, to the same paths;
files that it leaves in its working folder, or under a path that COMMAND names, are
copied back. The processor is emulated, so times measured inside mean nothing.`,
		Example: `  dmasim kernel vm -- kernel probe
  dmasim kernel vm --lane cma --cma 16M -- kernel probe --json
  dmasim kernel vm --memory 192MiB --append loglevel=7 --console -- kernel probe`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.TextVar(&o.lane, "lane", o.lane, "kind of kernel: "+strings.Join(o.lane.Options(), " or "))
	flags.StringVar(&o.machine.Kernel, "kernel", "", "image `FILE` of a kernel of your own, in place of a lane's")
	flags.TextVar(&o.machine.Memory, "memory", o.machine.Memory, "RAM, in whole MiB")
	flags.StringVar(&o.cma, "cma", "", "`SIZE[@BASE]` of the CMA area, as the kernel reads it")
	flags.StringArrayVar(&o.append, "append", nil, "`ARGS` for the kernel's command line; may be repeated")
	flags.StringArrayVar(&o.machine.Devices, "device", []string{"edu"}, "`DEVICE` of QEMU; may be repeated")
	flags.StringArrayVar(&o.files, "file", nil, "copy this `FILE` or folder into the machine as well; may be repeated")
	flags.BoolVar(&o.machine.KVM, "kvm", false, "use the processor's virtualization")
	flags.BoolVar(&o.console, "console", false, "show what the kernel prints, on stderr")
	flags.DurationVar(&o.machine.Timeout, "timeout", 15*time.Minute, "end the machine after this time")
	return cmd
}

func (o *vmOptions) run(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return errors.New("no command to run: want dmasim kernel vm [flags] -- COMMAND…")
	case cmd.ArgsLenAtDash() != 0:
		return fmt.Errorf("write -- before the command: dmasim kernel vm [flags] -- %s", strings.Join(args, " "))
	case o.machine.Memory%mem.MiB != 0 || o.machine.Memory == 0:
		return fmt.Errorf("--memory %v: want whole MiB", o.machine.Memory)
	case o.machine.Timeout <= 0:
		return fmt.Errorf("--timeout %v: want more than 0", o.machine.Timeout)
	case o.cma != "" && o.lane != vm.CMA && o.machine.Kernel == "":
		return errors.New("--cma: the kernel of this lane has no CMA: add --lane cma")
	}
	job, err := vm.NewJob(args, o.files)
	if err != nil {
		return err
	}
	if err := vm.Ready(); err != nil {
		return failedRun{err}
	}
	m := o.machine
	if m.Kernel == "" {
		if m.Kernel, err = o.lane.Image(cmd.Context(), cmd.ErrOrStderr()); err != nil {
			return failedRun{fmt.Errorf("kernel of lane %s: %w", o.lane, err)}
		}
	}
	if o.cma != "" {
		m.Append = append(m.Append, "cma="+o.cma)
	}
	m.Append = append(m.Append, o.append...)
	if o.console {
		m.Console = cmd.ErrOrStderr()
	}
	status, err := vm.Run(cmd.Context(), &m, job, cmd.OutOrStdout(), cmd.ErrOrStderr())
	switch {
	case err != nil:
		return failedRun{err}
	case status != 0:
		return exitStatus(status)
	}
	return nil
}
