// Package eventtest holds files of Chrome's trace events to the format's rules, in
// tests: no viewer is at hand there.
package eventtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// Check reads a file whole, as a viewer would, and returns the first of the
// format's rules, or of ours, that it breaks: slices are balanced, times do not
// decrease, processes and threads are named before their events, counters have
// values.
func Check(r io.Reader) error {
	var file struct {
		Unit   string            `json:"displayTimeUnit"`
		Events []event           `json:"traceEvents"`
		Other  map[string]string `json:"otherData"`
	}
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("something follows the object: %v", err)
	}
	if file.Unit != "ns" && file.Unit != "ms" {
		return fmt.Errorf("displayTimeUnit %q", file.Unit)
	}
	c := checker{processes: map[int]bool{}, threads: map[track]bool{}, open: map[slice]event{}, inside: map[track]bool{}, last: math.Inf(-1)}
	for i := range file.Events {
		if err := c.event(&file.Events[i]); err != nil {
			return fmt.Errorf("event %d, %+v: %w", i, file.Events[i], err)
		}
	}
	for _, e := range c.open {
		return fmt.Errorf("slice %s %s %q never ends", e.Category, e.ID, e.Name)
	}
	for t := range c.inside {
		return fmt.Errorf("a slice of thread %v never ends", t)
	}
	return nil
}

// event is one as a viewer reads it.
type event struct {
	Phase    string         `json:"ph"`
	Process  *int           `json:"pid"`
	Thread   *int           `json:"tid"`
	Time     *float64       `json:"ts"`
	Name     string         `json:"name"`
	Category string         `json:"cat"`
	ID       string         `json:"id"`
	Scope    string         `json:"s"`
	Args     map[string]any `json:"args"`
}

// track is a thread of a process.
type track struct{ Process, Thread int }

type slice struct{ category, id string }

type checker struct {
	processes map[int]bool
	threads   map[track]bool
	open      map[slice]event
	inside    map[track]bool
	last      float64
}

func (c *checker) event(e *event) error {
	if e.Process == nil || e.Thread == nil || e.Time == nil {
		return errors.New("no pid, tid or ts")
	}
	on := track{*e.Process, *e.Thread}
	if e.Phase == "M" {
		return c.metadata(e, on)
	}
	switch {
	case !c.processes[on.Process]:
		return fmt.Errorf("process %d is not named", on.Process)
	case *e.Time < c.last:
		return fmt.Errorf("the time goes back from %v", c.last)
	case e.Name == "" && e.Phase != "E":
		return errors.New("no name")
	}
	c.last = *e.Time
	key := slice{e.Category, e.ID}
	begun, open := c.open[key]
	switch e.Phase {
	case "b":
		if open || e.ID == "" || e.Category == "" {
			return errors.New("begun twice, or without id or cat")
		}
		c.open[key] = *e
	case "e":
		if !open || begun.Name != e.Name || *begun.Process != *e.Process {
			return fmt.Errorf("ends what was not begun: %+v", begun)
		}
		delete(c.open, key)
	case "B", "E":
		if c.inside[on] == (e.Phase == "B") || !c.threads[on] {
			return errors.New("slices of a thread overlap, or it has no name")
		}
		c.inside[on] = true
		if e.Phase == "E" {
			delete(c.inside, on)
		}
	case "C":
		if len(e.Args) == 0 {
			return errors.New("a counter without values")
		}
		for _, v := range e.Args {
			if n, ok := v.(float64); !ok || n < 0 {
				return fmt.Errorf("a counter of %v", v)
			}
		}
	case "i":
		if e.Scope != "t" || !c.threads[on] {
			return fmt.Errorf("an instant of scope %q, on a thread that is named: %v", e.Scope, c.threads[on])
		}
	default:
		return errors.New("unknown phase")
	}
	return nil
}

func (c *checker) metadata(e *event, t track) error {
	switch name, _ := e.Args["name"].(string); e.Name {
	case "process_name":
		if name == "" || c.processes[t.Process] {
			return fmt.Errorf("a process named twice, or %q", name)
		}
		c.processes[t.Process] = true
	case "thread_name":
		if name == "" || c.threads[t] {
			return fmt.Errorf("a thread named twice, or %q", name)
		}
		c.threads[t] = true
	case "process_sort_index":
	default:
		return errors.New("unknown metadata")
	}
	return nil
}
