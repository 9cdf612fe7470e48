package trace_test

import (
	"fmt"
	"os"
	"strings"

	"dmasim/mem"
	"dmasim/workloads/trace"
)

// What Linux 6.12 traces of two requests to a CMA area, the second of which
// fails, becomes our own CSV.
func ExampleReader() {
	const recording = `# tracer: nop
        v4l2-ctl-812     [001] .....   103.004521: cma_alloc_start: name=reserved count=3038 align=8
        v4l2-ctl-812     [001] .....   103.009034: cma_alloc_finish: name=reserved pfn=0x8c100 page=000000005b2f0e11 count=3038 align=8 errorno=0
        v4l2-ctl-812     [001] .....   103.104521: cma_alloc_start: name=reserved count=3038 align=8
        v4l2-ctl-812     [001] .....   103.109034: cma_alloc_finish: name=reserved pfn=0xffffffffffffffff page=0000000000000000 count=3038 align=8 errorno=-12
        v4l2-ctl-812     [001] .....   140.000077: cma_release: name=reserved pfn=0x8c100 page=000000005b2f0e11 count=3038
`
	r, err := trace.NewReader(strings.NewReader(recording), "recording", trace.Options{Page: 4 * mem.KiB})
	if err != nil {
		fmt.Println(err)
		return
	}
	w, err := trace.NewWriter(os.Stdout, "csv")
	if err != nil {
		fmt.Println(err)
		return
	}
	for e := (trace.Event{}); r.Next(&e); {
		if err := w.Write(&e); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := r.Err(); err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Close(r.Losses()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// time_ns,event,buffer,size,align,limit,address,heap
	// 103009034000,alloc,0,12443648,1048576,,0x8c100000,reserved
	// 103109034000,failed,1,12443648,1048576,,,reserved
	// 140000077000,free,0,12443648,,,,reserved
}

// A series of pictures of dma_buf/bufinfo, with the output of date +%s before
// each, tells what came and went.
func ExampleSummarise() {
	const pictures = `1764173745

Dma-buf Objects:
size    	flags   	mode    	count   	exp_name	ino     	name
12443648	00000002	00080007	00000002	system	00000001	<none>
	Attached Devices:
Total 0 devices attached


Total 1 objects, 12443648 bytes
1764173746

Dma-buf Objects:
size    	flags   	mode    	count   	exp_name	ino     	name


Total 0 objects, 0 bytes
`
	r, err := trace.NewReader(strings.NewReader(pictures), "pictures", trace.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := trace.Summarise(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Format, s.Requests, "request,", s.Frees, "free,", s.Last-s.First, "peak", s.Peak.Short(), "of", s.Heaps[0].Name)
	// Output: bufinfo 1 request, 1 free, 1s peak 11.9MiB of system
}
