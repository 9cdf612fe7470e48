package scenario_test

import (
	"strings"
	"testing"

	"dmasim/sim/scenario"
)

// hog is a machine with two processes that say a little of everything.
const hog = `name: hog
duration: 10s
memory: [{base: 0x0, size: 256MiB}, {base: 0x20000000, size: 16MiB}]
machine:
  kernel: 6.12
  swap: 64MiB
  cma: [{name: reserved, base: 0x4000000, size: 32MiB}]
heaps:
  - {name: system, kind: system, limit: 64MiB}
  - {name: reserved, kind: cma}
  - {name: carveout, arena: [{base: 0x20000000, size: 16MiB}], allocator: first-fit}
devices:
  - {name: camera}
processes:
  - name: server
    anonymous: 4MiB
    program:
      - open: {heap: system, as: heap}
      - alloc: {from: heap, size: 1MiB, as: frame}
      - mmap: {of: frame, as: view}
      - attach: {of: frame, device: camera, as: dma}
      - map: dma
      - dma: {of: dma, access: write, time: 5ms, as: done}
      - wait: {for: done, at_most: 10ms}
      - begin_cpu_access: {of: frame, access: read}
      - read: view
      - export_fences: {of: frame, access: write, as: fences}
      - import_fences: {of: frame, from: fences, access: read}
      - dma: {of: dma, access: read, time: 1ms, unfenced: true, after: fences}
      - fork:
          name: child
          program:
            - close: frame
            - exec: helper
      - send: {of: frame, to: client}
      - repeat:
          count: 2
          every: 1ms
          do:
            - {alloc: {heap: reserved, size: 4KiB, as: small}, may_fail: true}
      - kill: helper
      - exit: true
  - name: client
    program:
      - receive: {as: got}
      - close: got
`

func TestProgram(t *testing.T) {
	s, err := scenario.Parse("hog.yaml", []byte(hog))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := s.Variants[0].Build(1)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range cfg.Clients {
		names = append(names, c.Name)
	}
	if got, want := strings.Join(names, " "), "child client helper server"; got != want {
		t.Errorf("clients %s, want %s", got, want)
	}
	if len(cfg.Processes) != 2 || cfg.Processes[0].Program == nil || cfg.Machine.CMA[0].Name != "reserved" {
		t.Errorf("got %+v", cfg.Processes)
	}
	if n := len(cfg.Machine.Zones); n != 2 {
		t.Errorf("%d zones, want DMA and DMA32", n)
	}
	for _, z := range cfg.Machine.Zones {
		if z.Ranges.Hull().Hi > 0x20000000 {
			t.Errorf("zone %s has the carveout: %v", z.Name, z.Ranges)
		}
	}
	roundTrip(t, s)
}

// TestSystemMistakes: what is wrong in machines, heaps and programs is told with
// its place.
func TestSystemMistakes(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"old kernel", "kernel: 6.12", "kernel: 5.4", `5:11: dma-buf heaps of Linux 5.4 are not modelled, only those of 5.6 to 6.12`},
		{"no kernel", "kernel: 6.12", "kernel: six", `5:11: "six" is no kernel version, want one like 6.12`},
		{"unknown architecture", "kernel: 6.12", "arch: x86", `5:9: unknown architecture "x86", want x86-64, x86-32, arm64, arm or riscv64 (did you mean "x86-64"?)`},
		{"area off a pageblock", "base: 0x4000000, size: 32MiB", "base: 0x4001000, size: 32MiB", `7:9: area and size have to be multiples of 2MiB, a pageblock`},
		{"area outside memory", "base: 0x4000000, size: 32MiB", "base: 0xf000000, size: 32MiB", `7:9: [0xf000000,0x11000000) is not all memory`},
		{"unknown kind", "kind: cma", "kind: mca", `10:28: unknown heap kind "mca", want carveout, system, cma or pooled`},
		{"unknown area", "kind: cma", "kind: cma, area: reservd", `10:39: unknown CMA area "reservd" (did you mean "reserved"?)`},
		{"system heap with an arena", "kind: system,", "kind: system, allocator: first-fit,", `9:5: arena, allocator, placement and aware are for carveouts`},
		{"carveout without an arena", "arena: [{base: 0x20000000, size: 16MiB}], ", "", `11:5: a carveout of a machine with page frames needs an arena`},
		{"bad mode", "limit: 64MiB", "mode: 0999", `9:40: "0999" is no mode, want three octal digits such as 0660`},
		{"no verb", "map: dma", "may_fail: true", `22:9: want one thing to do, not nothing`},
		{"two verbs", "map: dma", "map: dma\n        unmap: dma", `22:9: want one thing to do, not map and unmap`},
		{"unknown verb", "map: dma", "mapp: dma", `22:9: unknown key "mapp" (did you mean "map"?)`},
		{"unknown variable", "read: view", "read: viev", `26:15: no step before binds "viev" (did you mean "view"?)`},
		{"variable of another kind", "read: view", "read: frame", `26:15: "frame" is a buffer's descriptor, want a mapping`},
		{"variable bound as another kind", "as: small}", "as: view}", `40:56: "view" already is a mapping, it cannot be a buffer's descriptor, too`},
		{"unknown process", "to: client", "to: clint", `35:31: unknown process "clint" (did you mean "client"?)`},
		{"unknown device", "device: camera, as", "device: kamera, as", `21:37: unknown device "kamera" (did you mean "camera"?)`},
		{"unknown heap", "heap: reserved, size", "heap: resrved, size", `40:30: unknown heap "resrved" (did you mean "reserved"?)`},
		{"heap and from", "from: heap, size", "from: heap, heap: system, size", `19:16: want either heap or from`},
		{"wait without access", "for: done, at_most: 10ms", "for: frame", `24:15: missing key "access": a reader waits for writers, a writer for all`},
		{"after no fence", "time: 5ms, as: done", "time: 5ms, after: frame", `23:57: "frame" is a buffer's descriptor, want a fence`},
		{"nothing to repeat", "do:\n            - {alloc: {heap: reserved, size: 4KiB, as: small}, may_fail: true}", "do: []", `37:11: repeats nothing`},
		{"exit that is none", "exit: true", "exit: false", `42:15: want exit: true, or no such step`},
		{"bad access", "access: write, time", "access: wirte, time", `23:32: unknown access "wirte", want read, write or read-write (did you mean "write"?)`},
		{"machine missing", "machine:\n  kernel: 6.12\n  swap: 64MiB\n  cma: [{name: reserved, base: 0x4000000, size: 32MiB}]\n", "", `5:26: a system heap needs a machine`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(hog, c.old, c.new, 1)
			if text == hog {
				t.Fatal("nothing was replaced")
			}
			_, err := scenario.Parse("s.yaml", []byte(text))
			if err == nil {
				t.Fatal("no mistake was found")
			}
			got := strings.TrimPrefix(err.Error(), "s.yaml:")
			if i := strings.LastIndex(got, " (and "); i > 0 {
				got = got[:i]
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
