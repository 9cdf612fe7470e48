package generator_test

import (
	"fmt"
	"time"

	"dmasim/mem"
	"dmasim/workloads/generator"
)

func ExampleParse() {
	g, err := generator.Parse("decode:codec=h264,level=4.1,ladder=1920x1080")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range g.Pools() {
		fmt.Println(p.Name, "holds", mem.Size(p.Most).Short(), "at most:", p.Meaning)
	}
	_, err = generator.Parse("decode:codec=h264,level=3.1,ladder=1920x1080")
	fmt.Println(err)
	// Output:
	// pictures holds 29.9MiB at most: decoded pictures: what the stream refers to, and what waits for the display
	// bitstream holds 4MiB at most: the compressed stream
	// decode: level: h264 of level 3.1 has no pictures of 1920x1080: at most 3600 macroblocks
}

func ExampleGenerator_Measure() {
	g, err := generator.Parse("camera:mode=burst,pause=0s")
	if err != nil {
		fmt.Println(err)
		return
	}
	d := g.Measure(1, "camera", 10*time.Minute, 5)
	fmt.Println("at most", mem.Size(d.Peak).Short())
	for i, s := range d.Slices {
		fmt.Println(time.Duration(i)*2*time.Minute, mem.Size(s.Total).Short())
	}
	// Output:
	// at most 242MiB
	// 0s 242MiB
	// 2m0s 242MiB
	// 4m0s 242MiB
	// 6m0s 242MiB
	// 8m0s 242MiB
}
