package golden

import "errors"

// models makes the model of each allocator, by its name in the header. The
// error of a constructor is ErrNotModelled for a mode that is left out on
// purpose; any other says what is wrong with the header.
var models = map[string]func(Header) (Model, error){
	"cma":        newCMA,
	"drm_buddy":  newDRMBuddy,
	"drm_mm":     newDRMMM,
	"genalloc":   newGenalloc,
	"iova":       newIOVA,
	"page_alloc": newBuddy,
	"swiotlb":    newSwiotlb,
}

var errNoSuchOp = errors.New("the allocator has no such operation")
