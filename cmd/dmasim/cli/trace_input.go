package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"dmasim/mem"
	"dmasim/workloads/trace"
	_ "dmasim/workloads/trace/parquet" // a format
)

// traceInput are the flags of the commands that read traces.
type traceInput struct {
	format string // "": told by the content
	heaps  []string
	page   mem.Size
	strict bool
}

func (o *traceInput) addFlags(flags *pflag.FlagSet, prefix string) {
	flags.StringVar(&o.format, "from", "", prefix+"`FORMAT` of the file, where its content does not tell")
	flags.StringArrayVar(&o.heaps, "heap", nil, prefix+"heap of the recording to take, by `NAME`; may be repeated")
	flags.TextVar(&o.page, "page", mem.Size(0), prefix+"page `SIZE` of the machine that was recorded, where it counts pages; 0B: what the trace says, else 4KiB")
	flags.BoolVar(&o.strict, "strict", false, prefix+"refuse a recording in which something is missing")
}

// open starts to read a file, or with - standard input.
func (o *traceInput) open(stdin io.Reader, path string, order trace.Order, tick time.Duration) (*trace.Reader, error) {
	formats := formatNames()
	if o.format != "" && !slices.Contains(formats, o.format) {
		return nil, fmt.Errorf("--from %q, want one of %s%s", o.format, strings.Join(formats, ", "), didYouMean(o.format, formats))
	}
	options := trace.Options{Format: trace.Format(o.format), Page: o.page, Heaps: o.heaps, Order: order, Tick: tick}
	if path == "-" {
		return trace.NewReader(stdin, "standard input", options)
	}
	return trace.Open(path, options)
}

func formatNames() []string {
	var names []string
	for _, f := range trace.Formats() {
		names = append(names, string(f))
	}
	return names
}

// summarise reads a trace that is to be played to its end, and checks it.
func (o *traceInput) summarise(stderr io.Writer, path string, r *trace.Reader) (*trace.Summary, error) {
	summary, err := trace.Summarise(r)
	if err != nil {
		return nil, err
	}
	if err := o.check(stderr, path, r.Heaps(), summary.Losses); err != nil {
		return nil, err
	}
	if summary.Requests == 0 {
		return nil, inFile(path, fmt.Errorf("the trace has no allocations that dmasim knows"))
	}
	return summary, nil
}

// check says what is missing in a trace that was read to its end, or refuses it.
// It also refuses one that is to be played and has several heaps of which none was
// chosen: what they have in common is for the user to say.
func (o *traceInput) check(stderr io.Writer, path string, heaps []string, losses trace.Losses) error {
	if err := o.checkHeaps(path, heaps); err != nil {
		return err
	}
	if len(o.heaps) == 0 && len(heaps) > 1 {
		return inFile(path, fmt.Errorf("the trace tells of the heaps %s: choose with --heap, which may be repeated", quotedList(heaps)))
	}
	return o.checkLosses(stderr, path, losses)
}

// checkHeaps refuses names of heaps that the trace does not have.
func (o *traceInput) checkHeaps(path string, heaps []string) error {
	for _, name := range o.heaps {
		if !slices.Contains(heaps, name) {
			return inFile(path, fmt.Errorf("no heap %q, the trace has %s%s", name, quotedList(heaps), didYouMean(name, heaps)))
		}
	}
	return nil
}

func (o *traceInput) checkLosses(stderr io.Writer, path string, losses trace.Losses) error {
	if !losses.Any() {
		return nil
	}
	text := strings.Join(losses.Texts(), "; ")
	if o.strict {
		return inFile(path, fmt.Errorf("not complete: %s", text))
	}
	fmt.Fprintf(stderr, "dmasim: %s: %s\n", path, text)
	return nil
}

// quotedList prints at most the first ten names.
func quotedList(names []string) string {
	const most = 10
	var quoted []string
	for _, name := range names[:min(len(names), most)] {
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	if rest := len(names) - most; rest > 0 {
		quoted = append(quoted, fmt.Sprintf("%d more", rest))
	}
	if len(quoted) == 0 {
		return "none"
	}
	return strings.Join(quoted, ", ")
}
