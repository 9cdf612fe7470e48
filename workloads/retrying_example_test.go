package workloads_test

import (
	"fmt"
	"time"

	"dmasim/allocator"
	"dmasim/workloads"
)

// A camera that wants a buffer tries a second heap, then waits for 2 ms, 4 ms and so on,
// and drops the frame after 10 ms.
func ExampleRetrying() {
	frame := &listed{ops: []workloads.Op{{Size: 3 << 20, Lifetime: time.Second}}}
	camera, err := workloads.NewRetrying(frame, workloads.RetryConfig{
		Name: "camera", Seed: 1, Fallbacks: [][]int{{1}},
		Retries: workloads.Unlimited, Backoff: workloads.Backoff{Initial: 2 * time.Millisecond, Factor: 2}, Deadline: 10 * time.Millisecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	camera.Watch(func(e workloads.Ending) {
		fmt.Printf("%v after %v and %d attempts\n", e.Fate, e.At-e.Asked, e.Attempts)
	})
	var last *workloads.Outcome
	for op, more := camera.Next(last); more; op, more = camera.Next(last) {
		fmt.Printf("%v: asks heap %d\n", op.At, op.Client)
		last = &workloads.Outcome{Op: op, Cause: allocator.Fragmented}
	}
	// Output:
	// 0s: asks heap 0
	// 0s: asks heap 1
	// 2ms: asks heap 0
	// 2ms: asks heap 1
	// 6ms: asks heap 0
	// 6ms: asks heap 1
	// too late after 10ms and 6 attempts
}
