package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// tracefs is where the kernel's trace is, in the order in which to look.
var tracefs = []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}

// trace is the kernel's trace while some events are switched on.
type trace struct {
	folder string
	events []string
}

// startTrace clears the trace and switches events on.
func startTrace(events ...string) (*trace, error) {
	t := &trace{events: events}
	for _, folder := range tracefs {
		if _, err := os.Stat(filepath.Join(folder, "trace")); err == nil {
			t.folder = folder
			break
		}
	}
	if t.folder == "" {
		return nil, fmt.Errorf("no trace in %s: mount -t tracefs none %s", tracefs[0], tracefs[0])
	}
	if err := t.clear(); err != nil {
		return nil, err
	}
	for _, event := range events {
		if err := t.enable(event, "1"); err != nil {
			return nil, errors.Join(err, t.stop())
		}
	}
	return t, nil
}

func (t *trace) enable(event, on string) error {
	return os.WriteFile(filepath.Join(t.folder, "events", event, "enable"), []byte(on), 0)
}

// enlarge makes room for the events of large buffers, and only inside of a virtual
// machine: it stays.
func (t *trace) enlarge() error {
	const kilobytes = "4096" // of each CPU
	return os.WriteFile(filepath.Join(t.folder, "buffer_size_kb"), []byte(kilobytes), 0)
}

func (t *trace) clear() error { return os.WriteFile(filepath.Join(t.folder, "trace"), nil, 0) }

func (t *trace) read() (string, error) {
	text, err := os.ReadFile(filepath.Join(t.folder, "trace"))
	return string(text), err
}

// stop switches the events off.
func (t *trace) stop() error {
	var failed error
	for _, event := range t.events {
		failed = errors.Join(failed, t.enable(event, "0"))
	}
	return failed
}
