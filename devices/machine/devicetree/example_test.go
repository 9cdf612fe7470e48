package devicetree_test

import (
	"fmt"
	"log"
	"os"

	"dmasim/devices/machine/devicetree"
)

// A board's blob tells where its memory is and what its devices reach of it.
func ExampleRead() {
	data, err := os.ReadFile("testdata/buses.dtb")
	if err != nil {
		log.Fatal(err)
	}
	board, err := devicetree.Read(data, devicetree.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("RAM", board.RAM)
	for _, zone := range board.Zones {
		fmt.Println("zone", zone.Name, zone.Ranges)
	}
	for _, bus := range board.Buses {
		fmt.Println("behind", bus.Path, bus.Reach)
	}
	// Output:
	// RAM [0x80000000,0xc0000000) ∪ [0x100000000,0x1c0000000)
	// zone DMA [0x80000000,0x90000000)
	// zone DMA32 [0x90000000,0xc0000000)
	// zone Normal [0x100000000,0x1c0000000)
	// behind /soc [0x80000000,0xc0000000)
	// behind /soc/interconnect@11000 [0x80000000,0x90000000)
	// behind / [0x80000000,0xc0000000) ∪ [0x100000000,0x1c0000000)
	// behind /pcie@3000 [0x80000000,0xc0000000) ∪ [0x100000000,0x180000000)
}
