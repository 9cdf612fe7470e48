package scenario_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/u-root/u-root/pkg/dt"

	"dmasim/devices/machine/devicetree"
	"dmasim/sim/scenario"
)

// FuzzFromTree holds scenarios of trees, one of whose properties says anything, to
// being right: whatever a board claims, its scenario is accepted.
func FuzzFromTree(f *testing.F) {
	names := []string{"buses", "pools"}
	for i := range names {
		f.Add(uint8(i), uint16(20), []byte{0, 0, 0, 1})
	}
	f.Fuzz(func(t *testing.T, tree uint8, which uint16, value []byte) {
		data, err := os.ReadFile(trees + names[int(tree)%len(names)] + ".dtb")
		if err != nil {
			t.Fatal(err)
		}
		fdt, err := dt.ReadFDT(bytes.NewReader(data))
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
		var b bytes.Buffer
		if _, err := fdt.Write(&b); err != nil {
			t.Fatal(err)
		}
		d, err := devicetree.Read(b.Bytes(), devicetree.Options{})
		if err != nil {
			return
		}
		text, err := scenario.FromTree(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := scenario.Parse("board.yaml", text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	})
}
