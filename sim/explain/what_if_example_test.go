package explain_test

import (
	"context"
	"fmt"
	"time"

	"dmasim/devices"
	"dmasim/sim"
	"dmasim/sim/explain"
	"dmasim/sim/scenario"
)

// Whether Cedar would get a picture after ten seconds, and after thirty.
func ExampleWhatIf() {
	sc, err := scenario.Open("cedar-256mib")
	if err != nil {
		fmt.Println(err)
		return
	}
	v := sc.Variant("others-low")
	build := func() (sim.Config, error) { return v.Build(v.Spec.Seed) }
	cedar, _ := devices.Lookup("sunxi-cedar-a20")
	for _, at := range []time.Duration{10 * time.Second, 30 * time.Second} {
		e, err := explain.WhatIf(context.Background(), build, explain.Question{At: at, Devices: []devices.Device{cedar}, Payload: 3 << 20})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(at, e.Cause)
		for i := range e.InTheWay {
			fmt.Println(&e.InTheWay[i])
		}
	}
	// Output:
	// 10s none
	// 30s fragmented
	// camera: 2.99MiB at 0x442c4000, there since 17.581s
}
