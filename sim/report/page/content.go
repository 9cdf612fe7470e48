package page

import (
	"dmasim/devices"
	"dmasim/sim/explain"
	"dmasim/sim/history"
	"dmasim/sim/metrics"
)

// Content is what a page shows.
type Content struct {
	Title    string
	Subtitle string
	Facts    []Fact   // how it was made
	Texts    []string // sentences of the summary
	Tables   []Table
	Figures  []Figure
	Runs     []Run // with a map each; the first two are shown at first
}

// Fact is a name and a value.
type Fact struct{ Name, Value string }

// Table is a table of texts.
type Table struct {
	Title  string
	Note   string
	Head   []string
	Rows   [][]string
	Folded bool // shown when a reader asks for it
}

// Figure is a picture.
type Figure struct {
	Name string // without an ending, of which the text for those who don't see it is made
	Type string // image/png or image/svg+xml
	Data []byte
}

// Run is one variant, run once.
type Run struct {
	Name     string
	Metrics  *metrics.Run
	Clients  []Client                     // as in Metrics.Summary.Clients
	History  *history.Record              // nil: the map is that of the samples
	Note     string                       // what a reader of the map has to know
	Command  string                       // that explains a failure, without its number; "" if none does
	Explains map[int]*explain.Explanation // by place in Metrics.Failures
}

// Client is what is known of a client beside its totals.
type Client struct {
	Constraints []devices.PlanPart // what its devices demand of its buffers
}
