package golden_test

import (
	"fmt"
	"strings"

	"dmasim/allocator/golden"
)

// One answer of this recording is not what cma_alloc does: it takes the lowest
// place.
func ExampleReplay() {
	rec, err := golden.Read("wrong.csv", strings.NewReader(`# format=dmasim-golden/1
# allocator=cma
# mode=example
# unit=page
# base=0x40000
# size=0x40
# granule=1
# order_per_bit=0
# ops=2
op,id,size,align,lo,hi,flags,result
alloc,0,3,,,,,0x40000
alloc,1,4,4,,,,0x40010
`))
	if err != nil {
		panic(err)
	}
	report, err := golden.Replay(rec)
	if err != nil {
		panic(err)
	}
	d := report.First
	fmt.Printf("%d of %d rows agree\n", report.Agreements, report.Operations)
	fmt.Printf("line %d: %s\nrecorded %s, model %s, free %s\n", d.Row.Line, d.Row, d.Row.Result, d.Model, d.ModelFree)
	// Output:
	// 1 of 2 rows agree
	// line 12: alloc id=1 size=4 align=4
	// recorded 0x40010, model 0x40004, free [0x40003,0x40040)
}
