//go:build !linux

package kernel

import (
	"context"
	"runtime"

	"dmasim/allocator/dmaheap"
)

var groups = []group{{"cma", false, unsupported, ""}, {"system", false, unsupported, ""}, {"per-cpu", false, unsupported, ""}, {"errno", false, unsupported, ""}, {"life", false, unsupported, ""}, {"exhaustion", false, unsupported, ""}}

func runDevice(ctx context.Context, o *Options, r *Result) error { return unsupported(ctx, o, r) }

func runList(ctx context.Context, o *Options, r *Result) error { return unsupported(ctx, o, r) }

func unsupported(context.Context, *Options, *Result) error { return dmaheap.ErrUnsupported }

func release() string { return runtime.GOOS }

// RunHelper does the job of a helper process; there are none here.
func RunHelper([]string) (status int, is bool) { return 0, false }
