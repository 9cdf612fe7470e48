package generator_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/workloads"
	"dmasim/workloads/generator"
)

// play checks what always holds of a source, and returns the operations. refuse says
// which requests are refused.
func play(t testing.TB, g *generator.Generator, seed uint64, duration time.Duration, refuse func(n int, op workloads.Op, live uint64) bool) []workloads.Op {
	t.Helper()
	pools := g.Pools()
	type buffer struct {
		pool int
		size uint64
	}
	live, held := map[uint64]buffer{}, make([]uint64, len(pools))
	var total uint64
	var ops []workloads.Op
	var last *workloads.Outcome
	source := g.Source(seed, "w")
	names := uint64(0) // most at one time
	for n := 0; n < 1_500; n++ {
		op, ok := source.Next(last)
		if !ok || op.At >= duration {
			break
		}
		last = &workloads.Outcome{Op: op}
		if len(ops) > 0 && op.At < ops[len(ops)-1].At {
			t.Fatalf("operation %d is at %v, the one before at %v", n, op.At, ops[len(ops)-1].At)
		}
		ops = append(ops, op)
		b, alive := live[op.Buffer]
		if op.Kind == workloads.Free {
			if !alive {
				t.Fatalf("operation %d frees buffer %d, which is not live", n, op.Buffer)
			}
			delete(live, op.Buffer)
			held[b.pool] -= b.size
			total -= b.size
			continue
		}
		if alive {
			t.Fatalf("operation %d allocates buffer %d, which is live", n, op.Buffer)
		}
		if op.Size == 0 || op.Client < 0 || op.Client >= len(pools) {
			t.Fatalf("operation %d: %+v", n, op)
		}
		if refuse != nil && refuse(n, op, total) {
			last.Cause = allocator.Exhausted
			continue
		}
		live[op.Buffer] = buffer{op.Client, op.Size}
		held[op.Client] += op.Size
		total += op.Size
		names = max(names, uint64(len(live)))
		if held[op.Client] > pools[op.Client].Most {
			t.Fatalf("operation %d: pool %s holds %d bytes, more than %d", n, pools[op.Client].Name, held[op.Client], pools[op.Client].Most)
		}
		if op.Buffer >= names {
			t.Fatalf("operation %d: name %d, with %d buffers at most", n, op.Buffer, names)
		}
	}
	return ops
}

// some sets random parameters to random values. What does not fit together is left
// at its default.
func some(t *rapid.T, kind string) *generator.Generator {
	g, err := generator.New(kind)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range g.Parameters() {
		if rapid.IntRange(0, 2).Draw(t, "change "+p.Name) > 0 {
			continue
		}
		var text string
		switch p.Type {
		case generator.Integer:
			text = fmt.Sprint(rapid.IntRange(0, 9).Draw(t, p.Name))
		case generator.Number:
			text = fmt.Sprint(rapid.Float64Range(0, 3).Draw(t, p.Name))
		case generator.Size:
			text = fmt.Sprintf("%dKiB", rapid.IntRange(0, 300).Draw(t, p.Name))
		case generator.Duration:
			text = fmt.Sprintf("%dms", rapid.IntRange(0, 20_000).Draw(t, p.Name))
		case generator.Word:
			text = rapid.SampledFrom(p.Options).Draw(t, p.Name)
		case generator.Text:
			if p.Unit == "px" {
				text = rapid.SampledFrom([]string{"640x480", "1280x720 1920x1080", "1920x1080 640x480 176x144"}).Draw(t, p.Name)
			} else {
				text = rapid.SampledFrom([]string{"NV12", "P010/venus", "RAW12/16", "XRGB8888/256"}).Draw(t, p.Name)
			}
		}
		before := g.Value(p.Name)
		if g.Set(p.Name, text) != nil {
			continue // out of its range
		}
		if g.Check() != nil {
			if err := g.Set(p.Name, before); err != nil {
				t.Fatalf("%s: its own value %q: %v", p.Name, before, err)
			}
		}
	}
	return g
}

func TestSourcesAreConsistent(t *testing.T) {
	for _, kind := range generator.Names() {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				g, seed := some(rt, kind), rapid.Uint64().Draw(rt, "seed")
				budget := rapid.Uint64Range(0, 2).Draw(rt, "budget")
				play(t, g, seed, time.Hour, func(_ int, op workloads.Op, live uint64) bool {
					// All is served, or half of what is asked for at most.
					return budget == 2 && live+op.Size > g.Most()/2
				})
			})
		})
	}
}

func TestSameSeedSameWork(t *testing.T) {
	for _, kind := range generator.Names() {
		g, err := generator.New(kind)
		if err != nil {
			t.Fatal(err)
		}
		one, two, other := play(t, g, 1, time.Hour, nil), play(t, g, 1, time.Hour, nil), play(t, g, 2, time.Hour, nil)
		if fmt.Sprint(one) != fmt.Sprint(two) {
			t.Errorf("%s: the same seed gives other work", kind)
		}
		if fmt.Sprint(one) == fmt.Sprint(other) {
			t.Errorf("%s: another seed gives the same work", kind)
		}
		if len(one) < 10 {
			t.Errorf("%s: %d operations in an hour", kind, len(one))
		}
	}
}

// A session that is refused a buffer frees what it has, and the next begins when it
// would have begun anyway.
func TestRefusedSessionGivesBack(t *testing.T) {
	g, err := generator.Parse("decode:ladder=1280x720,session_cv=0,pause_cv=0,session=10s,pause=5s")
	if err != nil {
		t.Fatal(err)
	}
	served := play(t, g, 1, time.Minute, nil)
	refused := play(t, g, 1, time.Minute, func(n int, _ workloads.Op, _ uint64) bool { return n == 5 })
	first := served[0].At
	for i, op := range refused[:6] {
		if op != served[i] {
			t.Fatalf("operation %d is %+v, want %+v", i, op, served[i])
		}
	}
	for i, op := range refused[6:11] {
		if op.Kind != workloads.Free || op.Buffer != uint64(i) || op.At != served[5].At {
			t.Errorf("after the refusal: %+v", op)
		}
	}
	if next := refused[11]; next.Kind != workloads.Alloc || next.At != first+15*time.Second {
		t.Errorf("the next session begins with %+v, want %v", next, first+15*time.Second)
	}
}

// A burst that is refused is given up alone.
func TestRefusedBurstIsGivenUpAlone(t *testing.T) {
	g, err := generator.Parse("camera:mode=burst,session=1h,session_cv=0,pause=0s")
	if err != nil {
		t.Fatal(err)
	}
	const session, frames = 8, 12 // buffers that stay, and those of a burst
	ops := play(t, g, 1, time.Hour, func(n int, _ workloads.Op, _ uint64) bool { return n == session+3 })
	live := session + 3
	for i, op := range ops[session+4 : session+7] {
		if op.Kind != workloads.Free || op.Buffer != uint64(session+i) {
			t.Errorf("after the refusal: %+v", op)
		}
		live--
	}
	if live != session {
		t.Errorf("%d buffers are left", live)
	}
	for _, op := range ops[session+7 : session+7+frames] {
		if op.Kind != workloads.Alloc {
			t.Errorf("the next burst: %+v", op)
		}
	}
}

// One instance that always has all of its pools reaches what is documented as most.
func TestMostIsReached(t *testing.T) {
	for _, text := range []string{
		"audio:pause=0s,session=1s", "camera:mode=preview,pause=0s", "camera:pause=0s,stream=1280x720 1920x1080",
		"camera:mode=hdr,pause=0s", "decode:pause=0s", "decode:motion=64,ladder=640x480 1920x1080,switch=1s",
		"display:overlays=1,hidden=0s,modes=1280x720 1920x1080 640x480,stay=1s", "display:change=old-first,modes=640x480 1280x720,hidden=0s",
		"gpu:apps=1,pause=0s,turnover=0,textures=20,texture_min=512,texture_max=512,compressed=1",
		"nic:pause=0s,readers=1", "npu:pause=0s", "npu:network=resnet-50", "npu:network=u-net,rate=1", "npu:placing=arena",
		"nvme:pause=0s,workers=1,hmb=64MiB", "usb:devices=1",
	} {
		g, err := generator.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		d := g.Measure(1, "w", 20*time.Minute, 10)
		for _, p := range d.Pools {
			if p.Peak != p.Most {
				t.Errorf("%s: pool %s holds %d bytes at most, documented as %d", text, p.Name, p.Peak, p.Most)
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "unknown generator",
		"camrea":                          `unknown generator "camrea" (did you mean "camera"?)`,
		"camera:":                         "want key=value",
		"camera:mode":                     "want key=value",
		"camera:mode=vide":                `camera: mode: unknown mode "vide", want video`,
		"camera:moed=video":               `camera: moed: there is no such parameter (did you mean "mode"?)`,
		"camera:mode=video,mode=hdr":      "is there twice",
		"camera:raw_buffers=0":            "from 1 to 64",
		"camera:session=-1s":              "must not be negative",
		"camera:session=10":               "is not a time",
		"camera:jpeg=1MB":                 "MiB",
		"camera:format=NV21":              `unknown format "NV21"`,
		"camera:stream=1920x":             `picture "1920x"`,
		"camera:stream=20000x20000":       "at most 16384",
		"camera:session_cv=1e9":           "from 0 to 100",
		"decode:level=4,ladder=4x4 x":     `picture "x"`,
		"decode:level=9":                  `level "9"`,
		"decode:ladder=3840x2160":         "h264 of level 4.1 has no pictures of 3840x2160: at most 8192 macroblocks",
		"decode:codec=av1,level=1":        "av1 has no level 1",
		"decode:film_grain=1":             "only av1",
		"gpu:texture_min=100":             "power of two",
		"gpu:texture_min=4096":            "is less than texture_min",
		"npu:rate=1000":                   "latency: 40ms is longer than the 1ms",
		"audio:periods=1024,period=99999": "the ring has",
	} {
		_, err := generator.Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want an error with %q", text, err, want)
		}
		var value *generator.ValueError
		if err != nil && !errors.As(err, &value) && !errors.Is(err, generator.ErrUnknown) && !strings.Contains(err.Error(), "key=value") {
			t.Errorf("%q: %T", text, err)
		}
	}
}

// Values are written so that they can be read back, and every default is within its
// limits.
func TestValuesReadBack(t *testing.T) {
	for _, kind := range generator.Kinds() {
		if len(kind.Parameters) == 0 || len(kind.Pools) == 0 || kind.Summary == "" {
			t.Errorf("%+v", kind)
		}
		g, err := generator.New(kind.Name)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Check(); err != nil {
			t.Errorf("the defaults of %s: %v", kind.Name, err)
		}
		seen := map[string]bool{}
		for _, p := range kind.Parameters {
			if seen[p.Name] {
				t.Errorf("%s has two parameters %s", kind.Name, p.Name)
			}
			seen[p.Name] = true
			if p.Meaning == "" || g.Value(p.Name) != p.Default {
				t.Errorf("%s: %s is %q, by default %q: %q", kind.Name, p.Name, g.Value(p.Name), p.Default, p.Meaning)
			}
			if err := g.Set(p.Name, p.Default); err != nil || g.Value(p.Name) != p.Default {
				t.Errorf("%s: %s=%s: %v, became %s", kind.Name, p.Name, p.Default, err, g.Value(p.Name))
			}
			for _, limit := range []string{p.Min, p.Max} {
				if limit != "" && g.Set(p.Name, limit) != nil {
					t.Errorf("%s: %s=%s, its own limit, is refused", kind.Name, p.Name, limit)
				}
			}
		}
	}
}

func TestEqual(t *testing.T) {
	parse := func(text string) *generator.Generator {
		g, err := generator.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	one := parse("camera:mode=hdr,session=60s")
	for text, want := range map[string]bool{"camera:session=1m,mode=hdr": true, "camera:mode=hdr,session=61s": false, "audio": false} {
		if one.Equal(parse(text)) != want {
			t.Errorf("%s: want %v", text, want)
		}
	}
	if one.Equal(nil) || !(*generator.Generator)(nil).Equal(nil) {
		t.Error("nil equals a generator, or not itself")
	}
}

// FuzzParse holds parsers to their promise: no text makes them fail other than by an
// error, what they take is written back, and its work is consistent.
func FuzzParse(f *testing.F) {
	f.Add("camera:mode=burst,burst_frames=8,stream=1280x720 1920x1080,format=P010/256x16")
	f.Add("decode:codec=hevc,level=5.1,ladder=3840x2160,queue=3")
	f.Add("gpu:tiling=64k,compressed=0.5,turnover=1")
	f.Add("npu:network=u-net,rate=0.5,latency=1s,align=4KiB")
	f.Add("nvme:hmb=0x4000000,io=1.5MiB")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := generator.Parse(text)
		if err != nil {
			return
		}
		for _, p := range g.Parameters() {
			if err := g.Set(p.Name, g.Value(p.Name)); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
		source := g.Source(1, "w")
		live := map[uint64]bool{}
		for range 100 {
			op, ok := source.Next(nil)
			if !ok {
				break
			}
			if live[op.Buffer] == (op.Kind == workloads.Alloc) {
				t.Fatalf("%q: %+v", text, op)
			}
			live[op.Buffer] = op.Kind == workloads.Alloc
		}
	})
}
