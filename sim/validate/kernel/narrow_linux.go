//go:build !amd64 && !arm64 && !riscv64

package kernel

import "context"

var errNarrow = &errUnobservable{"system calls are only made on machines of 64 bits", "dmasim kernel vm -- validate"}

func runProcess(string) error { return errNarrow }

func runLives(context.Context, *Options, *Result) error { return errNarrow }

func runCalls(context.Context, *Options, *Result) error { return errNarrow }
