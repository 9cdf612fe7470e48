package scenario_test

import (
	"reflect"
	"strings"
	"testing"

	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/scenario"
	"dmasim/workloads"
)

const generated = `name: generated
duration: 1m
memory: [{base: 0, size: 512MiB}]
heaps:
  - {name: main, allocator: first-fit, arena: [{base: 0, size: 256MiB}]}
  - {name: side, allocator: first-fit, arena: [{base: 256MiB, size: 256MiB}]}
devices: [{name: sensor}, {name: isp}]
workloads:
  - name: camera
    heap: main
    devices: [isp]
    placement: high
    generate:
      camera: {mode: preview, sensor: 1920x1080, raw_buffers: 2, pause: 1s, session_cv: 0.5}
      pools:
        - {name: raw, heap: side, devices: [sensor, isp], placement: low}
        - {name: burst, devices: []}
variants:
  - {name: preview}
  - name: burst
    set: {workloads.camera.generate.camera.mode: burst, workloads.camera.generate.pools.raw.heap: main}
`

// Pools become clients, in the order of the source's client numbers, with what they
// inherit from the workload.
func TestGenerate(t *testing.T) {
	s := parse(t, generated)
	type client struct {
		name, heap string
		devices    []int
	}
	for i, want := range [][]client{
		{{"camera-raw", "side", []int{0, 1}}, {"camera-preview", "main", []int{1}}},
		{{"camera-raw", "main", []int{0, 1}}, {"camera-preview", "main", []int{1}}, {"camera-burst", "main", nil}, {"camera-still", "main", []int{1}}},
	} {
		cfg, err := s.Variants[i].Build(1)
		if err != nil {
			t.Fatal(err)
		}
		var got []client
		for _, c := range cfg.Clients {
			got = append(got, client{c.Name, cfg.Heaps[c.Heap].Name, c.Devices})
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("variant %s: %v, want %v", s.Variants[i].Name, got, want)
		}
		op, ok := cfg.Inputs[0].Source.Next(nil)
		if !ok || op.Kind != workloads.Alloc || op.Client != 0 || mem.Size(op.Size) != 2432*1080 { // 1920 pixels of 10 bits are 2400 bytes
			t.Errorf("variant %s begins with %+v", s.Variants[i].Name, op)
		}
		if _, err := sim.New(cfg); err != nil {
			t.Error(err)
		}
	}
	if !s.Variants[0].Random() {
		t.Error("a run does not depend on its seed")
	}
	resolved, err := s.Resolved(".")
	if err != nil {
		t.Fatal(err)
	}
	again := parse(t, string(resolved))
	for i := range s.Variants {
		one, two := s.Variants[i].Spec.Workloads[0].Generate, again.Variants[i].Spec.Workloads[0].Generate
		if !reflect.DeepEqual(one.Pools, two.Pools) {
			t.Errorf("pools became %v, were %v", two.Pools, one.Pools)
		}
		for _, p := range one.Parameters() {
			if one.Value(p.Name) != two.Value(p.Name) {
				t.Errorf("%s became %s, was %s", p.Name, two.Value(p.Name), one.Value(p.Name))
			}
		}
	}
}

func TestGenerateMistakes(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"camera: {mode", "camrea: {mode", `14:7: unknown generator "camrea" (did you mean "camera"?)`},
		{"mode: preview", "mode: previw", `14:22: mode: unknown mode "previw", want video, preview, burst, hdr or mixed (did you mean "preview"?)`},
		{"raw_buffers: 2", "raw_bufers: 2", `14:50: unknown key "raw_bufers" (did you mean "raw_buffers"?)`},
		{"raw_buffers: 2", "raw_buffers: 0", `14:63: raw_buffers: want a whole number from 1 to 64, not "0"`},
		{"raw_buffers: 2", `raw_buffers: "2"`, `14:63: want a number, not "2"`},
		{"raw_buffers: 2", `raw_buffers: [2]`, `14:63: want one value, not a list`},
		{"pause: 1s", "pause: 1", `14:73: pause: "1" is not a time; write 16.6ms, 2s or 10m`},
		{"name: raw, heap: side", "name: row, heap: side", `16:18: a camera has no pool "row" (did you mean "raw"?)`},
		{"name: raw, heap: side", "name: raw, heap: sides", `16:29: unknown heap "sides" (did you mean "side"?)`},
		{"[sensor, isp]", "[sensr, isp]", `16:45: unknown device "sensr" (did you mean "sensor"?)`},
		{"name: burst, devices", "name: raw, devices", `17:18: pool "raw" is there twice`},
		{"heap: main\n    devices", "heap: mian\n    devices", `10:11: unknown heap "mian" (did you mean "main"?)`},
		{"      pools:", "      audio: {}\n      pools:", `15:7: one generator is enough: camera is there already`},
		{"      camera: {mode: preview, sensor: 1920x1080, raw_buffers: 2, pause: 1s, session_cv: 0.5}\n", "", `14:7: want a generator, like {camera: {mode: video}}`},
		{"duration: 1m\n", "", `13:7: has no end: give the scenario a duration`},
		{"camera: {mode: preview, sensor: 1920x1080, raw_buffers: 2, pause: 1s, session_cv: 0.5}", "decode: {level: 3.1}", `14:23: level: h264 of level 3.1 has no pictures of 1920x1080: at most 3600 macroblocks`},
	} {
		text := strings.Replace(generated, c.old, c.new, 1)
		if text == generated {
			t.Fatalf("the scenario does not hold %q", c.old)
		}
		_, err := scenario.Parse("s.yaml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), "s.yaml:"+c.want) {
			t.Errorf("%s:\ngot  %v\nwant s.yaml:%s", c.new, err, c.want)
		}
	}
}
