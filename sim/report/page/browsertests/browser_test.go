package browsertests

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "folder for pictures of the pages")

// dmasim is the program, built once for all tests.
var dmasim string

// browser is where all tests open pages.
var browser context.Context

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dmasim-browsertests-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	dmasim = filepath.Join(dir, "dmasim")
	build := exec.Command("go", "build", "-o", dmasim, "./cmd/dmasim")
	build.Dir = "../../../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build dmasim: %v\n%s", err, out)
		return 1
	}
	path := chromium()
	if path == "" {
		return m.Run()
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.UserDataDir(filepath.Join(dir, "profile")))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	ctx, cancel := chromedp.NewContext(allocator)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "start %s: %v\n", path, err)
		return 1
	}
	browser = ctx
	return m.Run()
}

// chromium returns the path of the browser, or "".
func chromium() string {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	return ""
}

// command runs dmasim in a folder.
func command(t *testing.T, dir string, arguments ...string) {
	t.Helper()
	cmd := exec.Command(dmasim, arguments...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("dmasim %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
}

// reportOf runs a scenario, which is a name or the text of a file, and returns the path of its
// report.
func reportOf(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	if text != "" {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	command(t, dir, "run", name, "--out", "result")
	command(t, dir, "report", "result")
	return filepath.Join(dir, "result", "report.html")
}

// tab is an open page.
type tab struct {
	*testing.T
	ctx  context.Context
	size int64

	mu       sync.Mutex
	requests []string
	problems []string
}

// open opens a page in a window of that size, and waits until all of it is drawn. When the
// test ends, the page must have asked for nothing and complained of nothing.
func open(t *testing.T, path string, width, height int64) *tab {
	t.Helper()
	if browser == nil {
		t.Skip("no chromium: apt-get install --no-install-recommends chromium")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	p := &tab{T: t, ctx: ctx, size: info.Size()}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, p.note); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	p.do(chromedp.EmulateViewport(width, height), chromedp.Navigate("file://"+path))
	p.until(`document.documentElement.dataset.ready !== undefined || document.getElementById("loading")?.textContent.includes("cannot")`)
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, url := range p.requests {
			if url != "file://"+path && url != "about:blank" && !strings.HasPrefix(url, "data:") {
				t.Errorf("the page asks for %s", url)
			}
		}
		for _, text := range p.problems {
			t.Errorf("the browser says %s", text)
		}
	})
	return p
}

func (p *tab) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		p.problems = append(p.problems, fmt.Sprintf("%v: %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		p.problems = append(p.problems, fmt.Sprint(e.Type, ": ", e.Args))
	}
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.Fatal(err)
	}
}

// until waits for an expression to be true.
func (p *tab) until(expression string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression)); err != nil {
		p.Fatalf("%s: %v", expression, err)
	}
}

// value returns that of an expression.
func value[T any](p *tab, expression string) T {
	p.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.Fatalf("%s: %v", expression, err)
	}
	return v
}

// text returns the text of the first element that a selector finds.
func (p *tab) text(selector string) string {
	p.Helper()
	return value[string](p, fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// drawn does something and waits until the page is drawn again.
func (p *tab) drawn(steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	before := value[string](p, "document.documentElement.dataset.drawn")
	p.do(steps...)
	p.until(fmt.Sprintf("document.documentElement.dataset.drawn !== %q", before))
}

func (p *tab) key(keys string) chromedp.Action[chromedp.Void] { return chromedp.KeyEvent(keys) }

// scheme makes the system prefer dark or light.
func (p *tab) scheme(name string) {
	p.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
	if err != nil {
		p.Fatal(err)
	}
}

// shoot keeps a picture of the whole page, if pictures are wanted.
func (p *tab) shoot(name string) {
	p.Helper()
	if *screenshots == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	p.keep(name, png, err)
}

// shootMap keeps a picture of the map, as it is in the documentation.
func (p *tab) shootMap(name string) {
	p.Helper()
	if *screenshots == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.Screenshot(chromedp.CSS("#map")))
	p.keep(name, png, err)
}

func (p *tab) keep(name string, png []byte, err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o666); err != nil {
		p.Fatal(err)
	}
}
