//go:build !linux

package record

import (
	"context"
	"errors"
	"io"
)

// Record returns an error: only Linux has such a trace.
func Record(context.Context, Options, io.Writer, func()) (Summary, error) {
	return Summary{}, errors.ErrUnsupported
}
