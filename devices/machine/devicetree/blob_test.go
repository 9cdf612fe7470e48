package devicetree_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/u-root/u-root/pkg/dt"

	"dmasim/devices/machine/devicetree"
	"dmasim/mem"
)

// patched returns a copy with a word set.
func patched(data []byte, offset int, word uint32) []byte {
	data = slices.Clone(data)
	binary.BigEndian.PutUint32(data[offset:], word)
	return data
}

// made returns a blob of the tree.
func made(t testing.TB, root *dt.Node) []byte {
	t.Helper()
	tree := dt.FDT{Header: dt.Header{Magic: dt.Magic, Version: 17, LastCompVersion: 16}, RootNode: root}
	var b bytes.Buffer
	if _, err := tree.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// nested returns a tree of that many levels.
func nested(levels int) *dt.Node {
	root := dt.NewNode("")
	for at := root; levels > 1; levels-- {
		child := dt.NewNode("level")
		at.Children = append(at.Children, child)
		at = child
	}
	return root
}

// TestMalformed has blobs with one thing wrong; the error names its offset.
func TestMalformed(t *testing.T) {
	whole := blob(t, "pools")
	structure := int(binary.BigEndian.Uint32(whole[8:]))
	// The first property of the root: its token is behind the root's token and name.
	first := structure + 8
	many := dt.NewNode("")
	for range 1<<15 + 1 {
		many.Children = append(many.Children, dt.NewNode("n"))
	}
	cells := dt.WithProperty(dt.PropertyU32("#address-cells", 1), dt.PropertyU32("#size-cells", 1))
	buses := dt.NewNode("", cells)
	for range 1<<8 + 1 {
		buses.Children = append(buses.Children, dt.NewNode("bus", dt.WithProperty(dt.PropertyU32Array("dma-ranges", []uint32{0, 0, 1}))))
	}
	regions := dt.NewNode("reserved-memory", cells, dt.WithProperty(dt.Property{Name: "ranges"}))
	for range 1<<8 + 1 {
		regions.Children = append(regions.Children, dt.NewNode("region"))
	}
	memory := func(reg ...uint32) *dt.Node {
		return dt.NewNode("memory", dt.WithProperty(dt.Property{Name: "device_type", Value: []byte("memory\x00")}, dt.PropertyU32Array("reg", reg)))
	}
	cpu := dt.NewNode("timer", dt.WithProperty(dt.Property{Name: "compatible", Value: []byte("arm,armv7-timer\x00")}))
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "not a device tree blob"},
		{"magic only", whole[:4], "offset 0x4: the blob ends within its header"},
		{"version", patched(whole, 0x14, 16), "offset 0x14: version 16"},
		{"cut off", whole[:len(whole)-1], "the blob is cut off"},
		{"huge", patched(whole, 4, 1<<31), "offset 0x4: a blob of 2147483648 bytes"},
		{"structure outside", patched(whole, 8, 0xfffffffc), "offset 0x8: the structure"},
		{"structure too long", patched(whole, 0x24, 0xfffffff0), "offset 0x8: the structure"},
		{"strings outside", patched(whole, 0x20, 0xffffffff), "offset 0xc: the block of strings"},
		{"reservations outside", patched(whole, 0x10, 0xfffffff8), "offset 0x10: the list of reserved memory"},
		{"property of 4 GiB", patched(whole, first+4, 0xffffffff), "a property of 4294967295 bytes where"},
		{"property without name", patched(whole, first+8, 0xffffff), "a property's name at 0xffffff of a block of strings"},
		{"token", patched(whole, first, 77), "0x4d is no token of a device tree, in node /"},
		{"end within", patched(whole, first, 9), "the tree ends within a node"},
		{"node ends twice", patched(whole, structure, 2), "a node ends that did not begin"},
		{"deep", made(t, nested(65)), "more than 64 levels of nodes, in node /level/level"},
		{"wide", made(t, many), "more than 32768 nodes"},
		{"long name", made(t, dt.NewNode("", dt.WithChildren(dt.NewNode(strings.Repeat("x", 1000))))), "a node whose name does not end within 255 characters"},
		{"many buses", made(t, buses), "node /bus: more than 256 buses"},
		{"many regions", made(t, dt.NewNode("", cells, dt.WithChildren(cpu, memory(0, 0x1000), regions))), "node /reserved-memory: 257 regions, at most 256 are read"},
		{"odd memory", made(t, dt.NewNode("", cells, dt.WithChildren(cpu, memory(0, 0x1000, 7)))), "node /memory: reg has 12 bytes, want a few entries of 1 and 1 cells"},
		{"no architecture", made(t, dt.NewNode("", cells, dt.WithChildren(memory(0, 0x1000)))), "it does not tell its architecture"},
		{"no cells", made(t, dt.NewNode("", dt.WithProperty(dt.PropertyU32("#size-cells", 1)))), "node /: #address-cells is missing"},
		{"cells", made(t, dt.NewNode("", dt.WithProperty(dt.PropertyU32("#address-cells", 7)))), "node /: #address-cells is 7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := devicetree.Read(test.data, devicetree.Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	if _, err := devicetree.Read([]byte("/dts-v1/;"), devicetree.Options{}); !errors.Is(err, devicetree.ErrNotBlob) {
		t.Errorf("error %v", err)
	}
}

// TestEveryPrefix cuts a blob at every byte.
func TestEveryPrefix(t *testing.T) {
	whole := blob(t, "buses")
	for n := range whole {
		if _, err := devicetree.Read(whole[:n], devicetree.Options{}); err == nil {
			t.Errorf("the first %d bytes were read", n)
		}
	}
}

// TestCircle has interconnects that are each other's way to memory.
func TestCircle(t *testing.T) {
	bus := func(name string, own, other uint32, children ...*dt.Node) *dt.Node {
		return dt.NewNode(name, dt.WithProperty(
			dt.PropertyU32("phandle", own), dt.PropertyU32("interconnects", other), dt.PropertyU32("#interconnect-cells", 0),
			dt.Property{Name: "interconnect-names", Value: []byte("dma-mem\x00")},
			dt.Property{Name: "compatible", Value: []byte("bus\x00")},
			dt.PropertyU32Array("dma-ranges", []uint32{0, 0, 0x10000000}),
			dt.PropertyU32("#address-cells", 1), dt.PropertyU32("#size-cells", 1),
		), dt.WithChildren(children...))
	}
	usb := dt.NewNode("usb@1", dt.WithProperty(dt.PropertyU32Array("reg", []uint32{1, 1}), dt.Property{Name: "compatible", Value: []byte("usb\x00")}))
	root := dt.NewNode("", dt.WithProperty(dt.PropertyU32("#address-cells", 1), dt.PropertyU32("#size-cells", 1)),
		dt.WithChildren(bus("a@1", 1, 2, usb), bus("b@2", 2, 1)))
	d, err := devicetree.Read(made(t, root), devicetree.Options{
		Arch: "arm64", RAM: []devicetree.Bank{{Base: 0, HasBase: true, Size: 1 << 30}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !warned(d, "its transfers go in a circle") {
		t.Errorf("warnings %q", d.Warnings)
	}
}

// TestHostileMemory holds a blob that says the most to what it may cost.
func TestHostileMemory(t *testing.T) {
	whole := blob(t, "pools")
	structure := int(binary.BigEndian.Uint32(whole[8:]))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, hostile := range [][]byte{
		patched(whole, structure+12, 0x7fffffff), patched(whole, 0x20, 0x7fffffff), patched(whole, 4, 0x7fffffff), patched(whole, 0x24, 0x7fffffff),
	} {
		if _, err := devicetree.Read(hostile, devicetree.Options{}); err == nil {
			t.Error("it was read")
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%s were allocated", mem.Size(used))
	}
}

// FuzzRead holds what is read to what a description promises: no blob panics, and
// whatever one says, regions, zones and reaches are such as the rest of the program
// expects.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"buses", "pools", "readings"} {
		f.Add(blob(f, name), uint64(0))
		f.Add(blob(f, name), uint64(1<<30))
	}
	f.Fuzz(func(t *testing.T, data []byte, ram uint64) {
		holds(t, data, ram)
	})
}

// FuzzProperty is the same for trees that are well formed, one of whose properties
// says anything.
func FuzzProperty(f *testing.F) {
	names := []string{"buses", "pools", "readings"}
	for i := range names {
		f.Add(uint8(i), uint16(20), []byte{0, 0, 0, 1}, uint64(0))
		f.Add(uint8(i), uint16(7), []byte("memory\x00"), uint64(1<<30))
	}
	f.Fuzz(func(t *testing.T, tree uint8, which uint16, value []byte, ram uint64) {
		fdt, err := dt.ReadFDT(bytes.NewReader(blob(t, names[int(tree)%len(names)])))
		if err != nil {
			t.Fatal(err)
		}
		var properties []*dt.Property
		if err := fdt.RootNode.Walk(func(n *dt.Node) error {
			for i := range n.Properties {
				properties = append(properties, &n.Properties[i])
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		properties[int(which)%len(properties)].Value = value
		holds(t, made(t, fdt.RootNode), ram)
	})
}

// holds reads a blob, with RAM of so many bytes unless it is 0.
func holds(t *testing.T, data []byte, ram uint64) {
	t.Helper()
	o := devicetree.Options{}
	if ram > 0 {
		o.RAM = []devicetree.Bank{{Size: mem.Size(ram)}}
	}
	d, err := devicetree.Read(data, o)
	if err != nil {
		if text := err.Error(); strings.ContainsAny(text, "\n\x1b") || len(text) > 1000 {
			t.Fatalf("error %q", text)
		}
		return
	}
	if d.RAM.Size() == 0 {
		t.Fatal("no RAM")
	}
	for _, z := range d.Zones {
		if z.Ranges.Subtract(d.RAM).Size() > 0 || uint64(z.Managed) > z.Ranges.Size() {
			t.Fatalf("zone %+v of RAM %s", z, d.RAM)
		}
	}
	for _, r := range d.Regions {
		if r.Range.Empty() || r.Placed && !d.RAM.Contains(r.Range) {
			t.Fatalf("region %+v of RAM %s", r, d.RAM)
		}
	}
	for _, v := range d.Devices {
		if err := v.Validate(); err != nil {
			t.Fatal(err)
		}
		if v.Reach.Subtract(d.RAM).Size() > 0 {
			t.Fatalf("device %+v of RAM %s", v, d.RAM)
		}
	}
	again, err := devicetree.Read(data, o)
	if diff := cmp.Diff(d, again); err != nil || diff != "" {
		t.Fatalf("read again: %v\n%s", err, diff)
	}
}
