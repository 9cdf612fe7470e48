package allocator

import "fmt"

// Cause says why a request could not be served, or a buffer not be mapped. The
// order of the constants is their order of precedence: the first that applies
// is the cause.
type Cause uint8

// The causes of a failed allocation, then those of a failed map.
const (
	None        Cause = iota
	Permission        // the caller may not use the heap
	Limit             // a limit on the heap, the process or the group would be passed
	Exhausted         // free in the arena < size
	WindowFull        // free in the arena >= size, free in reach < size
	Fragmented        // free in reach >= size, no run in reach that long
	Alignment         // a run is long enough, no aligned start in any
	Boundary          // an aligned start exists, each crosses a boundary
	RuleBroken        // boundaries could be kept, another rule of the device could not
	Segments          // enough pages, in too many pieces
	Busy              // a place, but its pages cannot be moved now
	Pinned            // a place, but its pages cannot be moved ever
	Policy            // a legal place existed, the strategy did not look there
	Unreachable       // placed where the device cannot reach
	IOVA              // no room in the device's IOVA space
	Bounce            // no bounce buffer of that size
	causes
)

// NumCauses is the number of causes, None included.
const NumCauses = int(causes)

var causeNames = [causes]string{
	"none", "permission", "limit", "exhausted", "window", "fragmented", "alignment", "boundary",
	"rule", "segments", "busy", "pinned", "policy", "unreachable", "iova", "bounce",
}

// String returns the name used in results, such as "window".
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return fmt.Sprintf("cause(%d)", uint8(c))
}

// Causes returns every cause but None, by precedence.
func Causes() []Cause {
	list := make([]Cause, 0, causes-1)
	for c := None + 1; c < causes; c++ {
		list = append(list, c)
	}
	return list
}

// MarshalText implements encoding.TextMarshaler.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Cause) UnmarshalText(text []byte) error {
	for i, name := range causeNames {
		if name == string(text) {
			*c = Cause(i)
			return nil
		}
	}
	return fmt.Errorf("unknown cause %q", text)
}
