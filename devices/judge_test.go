package devices_test

import (
	"fmt"
	"testing"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/mem"
)

func TestJudge(t *testing.T) {
	tests := []struct {
		devices       []string
		addr, payload uint64
		part          allocator.Part
		want          string
	}{
		{nil, 0x1234, 5678, allocator.Kept, "usable"},
		{[]string{"sunxi-cedar-a10"}, 0x4ff00000, mib, allocator.Kept, "usable"},
		{
			[]string{"sunxi-cedar-a10"}, 0x50000000, mib, allocator.OutOfReach,
			"sunxi-cedar-a10 cannot reach [0x50000000,0x50100000): its reach is [0x40000000,0x50000000)",
		}, {
			[]string{"nvme-prp", "rtl8139"}, 4*gib - 8192, 8192, allocator.OutOfReach,
			"rtl8139 touches [0xffffe000,0x100000810), of which 2064B lie outside of its reach, [0x0,0x100000000)",
		}, {
			[]string{"nvme-prp"}, 0x1002, 512, allocator.Misaligned,
			"nvme-prp wants buffers at a multiple of 4B; address 0x1002 is none",
		}, {
			[]string{"vc4-hvs", "vc4-binner"}, 0x1f800000, 16 * mib, allocator.Crossing,
			"vc4-binner must not cross multiples of 256MiB; 16MiB from bus address 0xdf800000 cross 0xe0000000",
		}, {
			[]string{"tg3-4g"}, 4*gib - 1504, 1500, allocator.Crossing,
			"tg3-4g must not cross multiples of 4GiB; 1508B from address 0xfffffa20 cross 0x100000000",
		}, {
			[]string{"rtl8139"}, 1<<64 - 4096, 1 << 63, allocator.OutOfReach,
			"rtl8139 cannot reach [0xfffffffffffff000,0xffffffffffffffff): its reach is [0x0,0x100000000)",
		},
	}
	for _, test := range tests {
		verdict := merge(t, lookup(t, test.devices...)...).Judge(test.addr, test.payload)
		if verdict.String() != test.want || verdict.Part != test.part || verdict.Usable() != (test.part == allocator.Kept) {
			t.Errorf("%v at %#x: %s, %s\nwant %s", test.devices, test.addr, verdict.Part, verdict, test.want)
		}
	}
}

// TestJudgeWords: what a buffer is told that begins or ends where it may not.
func TestJudgeWords(t *testing.T) {
	line := devices.Boundaries{{Size: 0x10000, Exclusive: true}}
	tests := []struct {
		device        devices.Device
		addr, payload uint64
		want          string
	}{
		{devices.Device{ZeroBits: []uint8{3, 12}}, 0x1000, 1, "d wants bit 12 of an address to be 0; that of address 0x1000 is 1"},
		{devices.Device{ZeroBits: []uint8{3, 12}}, 0x2007, 1, "usable"},
		{devices.Device{Boundary: line}, 0x20000, 1, "d wants no buffer to begin at a multiple of 64KiB; address 0x20000 is one"},
		{devices.Device{Boundary: line}, 0x2ff00, 0x100, "d wants no buffer to end at a multiple of 64KiB; address 0x30000 is one"},
		{devices.Device{Boundary: line, Padding: 1}, 0x2ff00, 0xff, "d wants no buffer to end at a multiple of 64KiB; address 0x30000 is one"},
		{devices.Device{Boundary: line}, 0x2ff00, 0xff, "usable"},
		{devices.Device{Align: 2048, Origin: &devices.Origin{Base: 0x1100}}, 0x2000, 1, "d wants buffers at a multiple of 2KiB from 0x1100; address 0x2000 is none"},
		{devices.Device{Align: 2048, Origin: &devices.Origin{Base: 0x1100}}, 0x2100, 1, "usable"},
	}
	for _, test := range tests {
		test.device.Name = "d"
		if got := merge(t, test.device).Judge(test.addr, test.payload).String(); got != test.want {
			t.Errorf("%#x, %d bytes: %s\nwant %s", test.addr, test.payload, got, test.want)
		}
	}
}

func TestJudgeAcrossWindows(t *testing.T) {
	plan := merge(t, devices.Device{Name: "d", Translate: []devices.Translation{
		{CPU: 0, Bus: 0x10000, Size: 0x1000}, {CPU: 0x1000, Bus: 0x20000, Size: 0x1000},
	}})
	verdict := plan.Judge(0xf00, 0x200)
	if want := "d sees [0xf00,0x1100) in more than one piece on its bus"; verdict.String() != want || verdict.Device() != "d" {
		t.Errorf("%s: %s\nwant %s", verdict.Device(), verdict, want)
	}
}

func ExampleMerge() {
	display, _ := devices.Lookup("vc4-hvs")
	binner, _ := devices.Lookup("vc4-binner")
	plan, err := devices.Merge(display, binner)
	if err != nil {
		fmt.Println(err)
		return
	}
	request := plan.Request(16<<20, 4096)
	start, ok := request.Place(0x1fa00000, 0x30000000, false)
	fmt.Println(plan.Reach, mem.Addr(start), ok)

	card := devices.Device{Name: "card", Spans: []devices.Span{{Lo: 0x40000000, Size: 1 << 30}}}
	_, err = devices.Merge(display, card)
	fmt.Println(err)
	// Output:
	// [0x0,0x3f000000) 0x20000000 true
	// devices vc4-hvs and card cannot share a buffer: the first one's reach ([0x0,0x3f000000)) and the second one's reach ([0x40000000,0x80000000)) exclude each other
}

func BenchmarkPlan(b *testing.B) {
	plan := merge(b, lookup(b, "isa-8237-8bit", "rtl8139", "ipuv3-plane")...)
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			plan.Request(5000, 4096)
		}
	})
	b.Run("judge", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			plan.Judge(0xff000, 5000)
		}
	})
}
