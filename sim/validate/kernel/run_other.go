//go:build !linux

package kernel

import (
	"context"
	"runtime"

	"dmasim/allocator/dmaheap"
)

var groups = []group{{"cma", false, unsupported, need{}}, {"system", false, unsupported, need{}}, {"per-cpu", false, unsupported, need{}}, {"errno", false, unsupported, need{}}, {"life", false, unsupported, need{}}, {"exhaustion", false, unsupported, need{}}}

func runDevice(ctx context.Context, o *Options, r *Result) error { return unsupported(ctx, o, r) }

func runList(ctx context.Context, o *Options, r *Result) error { return unsupported(ctx, o, r) }

func unsupported(context.Context, *Options, *Result) error { return dmaheap.ErrUnsupported }

func release() string { return runtime.GOOS }

// RunHelper does the job of a helper process; there are none here.
func RunHelper([]string) (status int, is bool) { return 0, false }
