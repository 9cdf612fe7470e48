package browsertests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// place is a rectangle on the page.
type place struct{ X, Y, Width, Height float64 }

// surface returns where the map of a panel is, once it is in sight.
func (p *tab) surface(panel int) place {
	p.Helper()
	return value[place](p, fmt.Sprintf(`(() => {
		const s = document.querySelectorAll(".surface")[%d];
		s.scrollIntoView({ block: "center" });
		const r = s.getBoundingClientRect();
		return { X: r.x, Y: r.y, Width: r.width, Height: r.height };
	})()`, panel))
}

func (p *tab) focusMap() {
	p.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](`document.querySelector(".surface").focus()`))
}

func TestMapOfTwoVariants(t *testing.T) {
	p := open(t, reportOf(t, "cedar-256mib", ""), 1400, 1000)
	t.Logf("90409 buffers, %.1f MiB: ready after %s ms", float64(p.size)/(1<<20), value[string](p, "document.documentElement.dataset.ready"))

	if got := p.text("#details"); !strings.Contains(got, "decode asked heap main for 2.99MiB") || !strings.Contains(got, "The smallest changes") {
		t.Errorf("the first failure is not explained at first:\n%s", got)
	}
	p.shoot("cedar-light")

	t.Run("hover", func(t *testing.T) {
		r := p.surface(0)
		p.do(chromedp.MouseEvent(chromedp.MouseMoved, r.X+r.Width/2, r.Y+r.Height/2))
		p.until(`!document.getElementById("tip").hidden`)
		for _, want := range []string{"size", "lifetime", "address", "constraints", "heap"} {
			if got := p.text("#tip"); !strings.Contains(got, want) {
				t.Errorf("what is shown of a buffer has no %s:\n%s", want, got)
			}
		}
		p.do(chromedp.MouseEvent(chromedp.MouseMoved, 5, 5))
		p.until(`document.getElementById("tip").hidden`)
	})

	t.Run("the instant is the same on both sides, with keys and by dragging", func(t *testing.T) {
		p.focusMap()
		before := p.text(".scrub output")
		p.drawn(p.key(kb.ArrowRight))
		after := p.text(".scrub output")
		if before == after {
			t.Errorf("the instant stays at %s", before)
		}
		readouts := value[[]string](p, `[...document.querySelectorAll(".readout")].map((r) => r.textContent)`)
		for _, text := range readouts {
			if !strings.Contains(text, "of 1GiB reserved") || !strings.Contains(text, "buffers") {
				t.Errorf("readout %q", text)
			}
		}
		p.drawn(p.key(kb.End))
		if got := p.text(".scrub output"); got != "1h0m0s" {
			t.Errorf("the end is at %s", got)
		}
		if value[string](p, `document.querySelector("input[type=range]").getAttribute("aria-valuetext")`) != "1h0m0s" {
			t.Error("the slider does not say where it is")
		}
		p.until(`document.querySelector("[role=status]").textContent.includes("1h0m0s. A: others-low: ")`)
		p.drawn(p.key(kb.Home))
		if got := p.text(".scrub output"); got != "0ns" {
			t.Errorf("the beginning is at %s", got)
		}
		r := p.surface(0)
		p.drawn(chromedp.MouseClickXY(r.X+r.Width/2, r.Y+r.Height/2))
		if got := p.text(".scrub output"); got == "0ns" {
			t.Error("a click does not go to an instant")
		}
		if got := p.text("#details"); !strings.Contains(got, "lifetime") {
			t.Errorf("a click does not choose a buffer:\n%s", got)
		}
	})

	t.Run("zoom", func(t *testing.T) {
		p.focusMap()
		whole := value[string](p, `document.querySelector(".surface canvas").toDataURL()`)
		p.drawn(p.key("+"))
		p.drawn(p.key("+"))
		p.drawn(p.key("]"))
		if value[string](p, `document.querySelector(".surface canvas").toDataURL()`) == whole {
			t.Error("nothing is larger")
		}
		p.shoot("cedar-zoomed")
		p.drawn(p.key("0"))
		if value[string](p, `document.querySelector(".surface canvas").toDataURL()`) != whole {
			t.Error("not all is shown again")
		}
	})

	t.Run("buffers by arrows", func(t *testing.T) {
		p.focusMap()
		p.drawn(p.key(kb.ArrowUp))
		first := p.text("#details")
		p.drawn(p.key(kb.ArrowUp))
		if second := p.text("#details"); first == second || !strings.Contains(second, "lifetime") {
			t.Errorf("the next buffer is\n%s", second)
		}
		p.drawn(p.key("."))
		p.drawn(p.key(","))
	})

	t.Run("failures", func(t *testing.T) {
		p.drawn(chromedp.Click(chromedp.CSS(`[aria-label="Failed requests"] [role=option]:nth-child(3)`)))
		if got := p.text("#details"); !strings.Contains(got, "decode asked heap main") || !strings.Contains(got, "--failure 3") {
			t.Errorf("of a failure that is not explained:\n%s", got)
		}
		p.drawn(p.key(kb.ArrowUp))
		p.drawn(p.key(kb.ArrowUp))
		if got := p.text("#details"); !strings.Contains(got, "In the way") || !strings.Contains(got, "Who held memory") {
			t.Errorf("of a failure that is explained:\n%s", got)
		}
		if n := value[int](p, `document.querySelectorAll('[aria-label="Failed requests"] [aria-selected=true]').length`); n != 1 {
			t.Errorf("%d failures are chosen", n)
		}
		p.focusMap()
		p.drawn(p.key("n"))
		if got := p.text("#details"); !strings.Contains(got, "event") {
			t.Errorf("the next failure:\n%s", got)
		}
		r := p.surface(1)
		for x := 60.0; !strings.Contains(p.text("#details"), "display asked heap main"); x += 4 {
			if x > r.Width {
				t.Fatal("above the second map is no mark of its first failure")
			}
			p.do(chromedp.MouseClickXY(r.X+x, r.Y+9), chromedp.Evaluate[chromedp.Void](`new Promise(requestAnimationFrame)`, chromedp.EvalAwaitPromise))
		}
	})

	t.Run("a stop for the tab key each, in sight", func(t *testing.T) {
		p.do(chromedp.Evaluate[chromedp.Void](`document.querySelector(".key button:last-of-type").focus()`))
		var stops []string
		for range 14 {
			p.do(p.key(kb.Tab))
			stops = append(stops, value[string](p, `(() => { const e = document.activeElement; const s = getComputedStyle(e);
				return (e.getAttribute("aria-label") ?? e.textContent.trim().slice(0, 40)) + (e !== document.body && (s.outlineStyle === "none" || s.outlineWidth === "0px") ? " (invisible)" : ""); })()`))
		}
		all := strings.Join(stops, "; ")
		for _, want := range []string{"Memory map of others-low", "Memory map of others-high", "Instant", "Failed requests", "Buffers at this instant", "Details"} {
			if !strings.Contains(all, want) {
				t.Errorf("the tab key does not stop at %s: %s", want, all)
			}
		}
		if strings.Contains(all, "(invisible)") {
			t.Errorf("focus is not seen: %s", all)
		}
	})

	t.Run("one client alone", func(t *testing.T) {
		p.drawn(chromedp.Click(chromedp.CSS(`.key button:nth-child(2)`)))
		if value[string](p, `document.querySelector(".key button:nth-child(2)").getAttribute("aria-pressed")`) != "true" {
			t.Error("the button does not say that it is pressed")
		}
		p.drawn(chromedp.Click(chromedp.CSS(`.key button:nth-child(2)`)))
	})

	t.Run("dark and light", func(t *testing.T) {
		paper := func() string { return value[string](p, `getComputedStyle(document.body).backgroundColor`) }
		light := paper()
		p.scheme("dark")
		p.until(fmt.Sprintf(`getComputedStyle(document.body).backgroundColor !== %q`, light))
		p.until(`document.getElementById("theme").textContent === "Light"`)
		p.shoot("cedar-dark")
		p.do(chromedp.Click(chromedp.CSS("#theme")))
		if got := paper(); got != light {
			t.Errorf("the button makes it %s, want %s", got, light)
		}
		p.scheme("light")
		p.do(chromedp.Click(chromedp.CSS("#theme")))
		if got := paper(); got == light {
			t.Error("the button does not make it dark")
		}
		p.do(chromedp.Evaluate[chromedp.Void](`localStorage.clear()`))
	})
}

// What the documentation shows.
func TestPicture(t *testing.T) {
	p := open(t, reportOf(t, "cedar-256mib", ""), 1180, 900)
	p.drawn(chromedp.Click(chromedp.CSS(`[aria-label="Failed requests"] [role=option]:nth-child(1001)`)))
	if got := p.text("#details"); !strings.Contains(got, "display asked heap main") {
		t.Errorf("the first failure of the second variant:\n%s", got)
	}
	p.shootMap("report-map")
}

// The address of the page says what it shows, also where it says nonsense.
func TestAddress(t *testing.T) {
	path := reportOf(t, "cedar-256mib", "")
	p := open(t, path, 1180, 900)
	p.drawn(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll(".surface")[1].focus()`), p.key("n"))
	p.drawn(p.key("+"))
	p.until(`location.hash.includes("failure=1%3A0") && location.hash.includes("t0=")`)
	hash, canvas := value[string](p, "location.hash"), value[string](p, `document.querySelector(".surface canvas").toDataURL()`)

	p.do(chromedp.Navigate("about:blank"), chromedp.Navigate("file://"+path+hash))
	p.until(`document.documentElement.dataset.ready !== undefined`)
	if got := p.text("#details"); !strings.Contains(got, "display asked heap main") {
		t.Errorf("chosen is\n%s", got)
	}
	p.until(fmt.Sprintf(`document.querySelector(".surface canvas").toDataURL() === %q`, canvas))

	p.do(chromedp.Navigate("about:blank"), chromedp.Navigate("file://"+path+"#a=77&b=x&memory=none&t=-1e99&t0=x&t1=&a0=NaN&failure=1:9999"))
	p.until(`document.documentElement.dataset.ready !== undefined`)
	if got := p.text(".panel h3"); !strings.Contains(got, "others-low") {
		t.Errorf("first is %q", got)
	}
}

// On a phone nothing is wider than the screen, and in dark all of it is dark.
func TestPhone(t *testing.T) {
	for _, name := range []string{"cedar-256mib", "pin-all-ram"} {
		p := open(t, reportOf(t, name, ""), 390, 844)
		if got := value[int](p, `document.documentElement.scrollWidth`); got > 390 {
			t.Errorf("%s: the page is %d wide", name, got)
		}
		p.scheme("dark")
		p.shoot(name + "-phone")
	}
}

// Memory of a machine: what it held, and what page frames hold.
func TestMachine(t *testing.T) {
	p := open(t, reportOf(t, "pin-all-ram", ""), 1400, 1000)
	if got := p.text("#map"); !strings.Contains(got, "What RAM held") || !strings.Contains(got, "page cache") {
		t.Errorf("there is no picture of what RAM held:\n%s", got)
	}
	// Before the kill, not after.
	if got := p.text(".readout"); !strings.Contains(got, "94") || !strings.Contains(got, "MiB of 1GiB reserved") {
		t.Errorf("at the failure %q", got)
	}
	if got := p.text("#map details summary"); !strings.Contains(got, "What went wrong") {
		t.Errorf("incidents are behind %q", got)
	}
	p.shoot("pin-all-ram")
}

func TestCMAAndSpaces(t *testing.T) {
	p := open(t, reportOf(t, "bounce-stale-import", ""), 1400, 1000)
	if got := p.text("#map"); !strings.Contains(got, "Bounce buffers swiotlb") {
		t.Errorf("there is no picture of bounce buffers:\n%s", got)
	}
	p.drawn(chromedp.Evaluate[chromedp.Void](`(() => { const s = [...document.querySelectorAll(".bar select")].at(-1); s.value = "RAM"; s.dispatchEvent(new Event("change")); })()`))
	p.shoot("bounce-stale-import")

	p = open(t, reportOf(t, "cma-borrowed", ""), 1400, 1000)
	if got := p.text("#details"); !strings.Contains(got, "12MiB at 0x10000000") {
		t.Errorf("who is in the way:\n%s", got)
	}
	p.shoot("cma-borrowed")

	p = open(t, reportOf(t, "iova-exhausted", ""), 1400, 1000)
	if got := p.text("#map"); !strings.Contains(got, "I/O virtual addresses of gart") {
		t.Errorf("there is no picture of I/O virtual addresses:\n%s", got)
	}
	p.shoot("iova-exhausted")
}

func TestComparisonAndSweep(t *testing.T) {
	dir := t.TempDir()
	command(t, dir, "compare", "cedar-256mib", "-n", "2", "--out", "comparison")
	command(t, dir, "report", "comparison")
	p := open(t, filepath.Join(dir, "comparison", "report.html"), 1400, 1000)
	if got := p.text("main"); !strings.Contains(got, "Comparison") || !strings.Contains(got, "Replication 1") {
		t.Errorf("a comparison:\n%.2000s", got)
	}
	p.shoot("comparison")

	write(t, filepath.Join(dir, "sweep.yaml"), `
name: window
scenario: blocking-exact
replications: 2
parameters:
  - {name: seed, path: duration, values: [10s, 20s]}
`)
	command(t, dir, "sweep", "sweep.yaml", "--out", "sweep")
	command(t, dir, "report", "sweep")
	p = open(t, filepath.Join(dir, "sweep", "report.html"), 1400, 1000)
	if got := p.text("main"); !strings.Contains(got, "Points") || !strings.Contains(got, "there is none here") {
		t.Errorf("a sweep:\n%.2000s", got)
	}
	p.shoot("sweep")
}

func TestTwoResults(t *testing.T) {
	dir := t.TempDir()
	command(t, dir, "run", "pin-all-ram", "--out", "before")
	command(t, dir, "run", "same-with-limit", "--out", "after")
	command(t, dir, "report", "before", "after", "--out", "both.html")
	p := open(t, filepath.Join(dir, "both.html"), 1400, 1000)
	titles := value[[]string](p, `[...document.querySelectorAll(".panel h3")].map((h) => h.textContent)`)
	if len(titles) != 2 || !strings.HasPrefix(titles[0], "A: before: ") || !strings.HasPrefix(titles[1], "B: after: ") {
		t.Errorf("side by side are %q", titles)
	}
	p.shoot("two-results")
}

// What users write stays text.
func TestHostileNames(t *testing.T) {
	p := open(t, reportOf(t, "hostile.yaml", `
name: hostile
description: "</title></script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\"><b>bold"
duration: 1s
memory: [{base: 0x10000000, size: 64MiB}]
heaps: [{name: main, allocator: first-fit}]
workloads:
  - name: work
    heap: main
    churn: {every: {exponential: {mean: 10ms}}, size: {fixed: 700KiB}, lifetime: {fixed: 300ms}}
`), 1000, 800)
	if got := value[string](p, "document.title"); got != "hostile · dmasim" {
		t.Errorf("the title is %q", got)
	}
	if got := p.text("header"); !strings.Contains(got, "<b>bold") {
		t.Errorf("the description is %q", got)
	}
	if n := value[int](p, `document.querySelectorAll("b:not(.title b)").length`); n != 0 {
		t.Errorf("%d elements of the user", n)
	}
	if got := p.text(`[aria-label="Buffers at this instant"] [role=option]`); !strings.Contains(got, "work 700KiB") {
		t.Errorf("a buffer is %q", got)
	}
}

// churn is a scenario with so many buffers, of which about a thousand live at once.
func churn(count int) string {
	return fmt.Sprintf(`
name: churn
memory: [{base: 0x40000000, size: 1GiB}]
heaps: [{name: main, allocator: first-fit}]
workloads:
  - name: work
    heap: main
    churn:
      every: {exponential: {mean: 1ms}}
      count: %d
      clients:
        - {name: camera, size: {log_uniform: {min: 64KiB, max: 2MiB}}, lifetime: {exponential: {mean: 1s}}}
        - {name: gpu, weight: 2, size: {log_uniform: {min: 4KiB, max: 512KiB}}, lifetime: {exponential: {mean: 1s}}}
`, count)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// Many buffers open and can be walked through; how fast is logged.
func TestManyBuffers(t *testing.T) {
	for _, count := range []int{10_000, 200_000} {
		p := open(t, reportOf(t, "churn.yaml", churn(count)), 1400, 1000)
		ready := value[string](p, "document.documentElement.dataset.ready")
		p.focusMap()
		took := func(keys string) time.Duration {
			begin := time.Now()
			p.drawn(p.key(keys))
			return time.Since(begin).Round(time.Millisecond)
		}
		t.Logf("%d buffers, %.1f MiB: ready after %s ms; an instant further %v, zoomed %v, all of it %v", count, float64(p.size)/(1<<20), ready,
			took(kb.ArrowRight), took("+"), took("0"))
		if got := p.text(".readout"); !strings.Contains(got, "buffers") {
			t.Errorf("readout %q", got)
		}
		p.shoot(fmt.Sprintf("churn-%d", count))
	}
}

// A report of more buffers than it may have says so.
func TestLoss(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "churn.yaml"), churn(5000))
	command(t, dir, "run", "churn.yaml", "--out", "result")
	command(t, dir, "report", "result", "--buffers", "500")
	p := open(t, filepath.Join(dir, "result", "report.html"), 1400, 1000)
	if got := p.text(".panel .note"); !strings.Contains(got, "left out, the lightest") {
		t.Errorf("the note says %q", got)
	}
	p.shoot("loss")
}
