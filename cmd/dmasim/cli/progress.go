package cli

import (
	"io"
	"math"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"dmasim/sim"
)

// progressSteps is how finely the bar shows the simulated time of one variant.
const progressSteps = 500

// progress is one bar over all variants. It shows on a terminal and nowhere
// else, which the library sees to.
type progress struct {
	container *mpb.Progress
	bar       *mpb.Bar
}

func newProgress(stderr io.Writer, variants int) *progress {
	container := mpb.New(mpb.WithOutput(stderr), mpb.WithWidth(40))
	bar := container.AddBar(int64(variants)*progressSteps,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name("simulating ")),
		mpb.AppendDecorators(decor.Percentage(decor.WCSyncSpace), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO)))
	return &progress{container, bar}
}

// watch returns an observer that moves the bar by one simulation in all.
func (p *progress) watch(cfg sim.Config) []sim.Observer {
	return []sim.Observer{&runProgress{bar: p.bar, step: cfg.Duration / progressSteps}}
}

// finish completes the bar, whatever became of the variants, and waits until it
// is off the screen.
func (p *progress) finish() {
	p.bar.Abort(true)
	p.container.Wait()
}

// runProgress counts steps of simulated time.
type runProgress struct {
	bar  *mpb.Bar
	step time.Duration
	next time.Duration
}

func (v *runProgress) Advance(now time.Duration) {
	if v.step == 0 || now < v.next {
		return
	}
	steps := int((now-v.next)/v.step) + 1
	v.next += time.Duration(steps) * v.step
	v.bar.IncrBy(steps)
}

func (v *runProgress) Event(*sim.Event) {}

// Room implements sim.BulkObserver.
func (v *runProgress) Room() uint64 { return math.MaxUint64 }

// Changes implements sim.BulkObserver.
func (v *runProgress) Changes(int, []sim.Change) {}

// Due implements sim.Sampler.
func (v *runProgress) Due() time.Duration {
	if v.step == 0 {
		return math.MaxInt64
	}
	return v.next
}
