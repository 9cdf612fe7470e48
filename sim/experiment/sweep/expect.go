package sweep

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
	"gonum.org/v1/gonum/stat"

	"dmasim/internal/strictyaml"
	"dmasim/sim/experiment"
	"dmasim/sim/experiment/stats"
)

// ExpectFile is what is known from elsewhere of a metric, at some points.
type ExpectFile struct {
	// Source is where it is known from: a paper with its section, a proof, a program.
	Source string `yaml:"source"`
	Metric string `yaml:"metric"`
	// Above, if there, makes the metric the share of the runs in which it is above
	// this.
	Above *Quantity `yaml:"above,omitempty"`
	// Tolerance is how far the mean may be off beside what is chance, such as what was
	// rounded away.
	Tolerance float64         `yaml:"tolerance,omitempty"`
	Values    []ExpectedValue `yaml:"values"`
}

// ExpectedValue is what a metric should be at a point.
type ExpectedValue struct {
	At Where `yaml:"at"`
	// Minus is another point, whose value with the same seed is taken away.
	Minus *Where `yaml:"minus,omitempty"`
	// Value is what the mean should be, and Error the half-width of its own 95 %
	// interval, if it was measured. In place of a value, Sign says on which side of 0
	// the mean should be.
	Value *float64 `yaml:"value,omitempty"`
	Error float64  `yaml:"error,omitempty"`
	Sign  Sign     `yaml:"sign,omitempty"`
}

// Sign is positive or negative.
type Sign string

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Sign) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(s, "sign", text, []string{"positive", "negative"})
}

// Where names a point by its variant and the values of parameters; what is the same
// everywhere may be left out.
type Where struct{ node *yaml.Node }

// DecodeYAML implements strictyaml.NodeDecoder.
func (w *Where) DecodeYAML(d *strictyaml.Decoder, n *yaml.Node) {
	if d.Mapping(n) {
		w.node = n
	}
}

// expectation is an expected value with its points.
type expectation struct {
	*ExpectFile
	*ExpectedValue
	point, minus int // minus is -1 if nothing is taken away
}

// expect finds the points of what is expected.
func (e *Experiment) expect(d *strictyaml.Decoder, root *yaml.Node, files []ExpectFile) {
	for i := range files {
		f := &files[i]
		place := strictyaml.At(root, "expect", i)
		if f.Tolerance < 0 {
			d.Fail(strictyaml.At(place, "tolerance"), "a tolerance must not be negative")
		}
		for j := range f.Values {
			v := &f.Values[j]
			own := strictyaml.At(place, "values", j)
			if (v.Value == nil) == (v.Sign == "") {
				d.Fail(own, "want either value or sign")
			}
			if v.Error < 0 {
				d.Fail(strictyaml.At(own, "error"), "an error must not be negative")
			}
			x := expectation{ExpectFile: f, ExpectedValue: v, minus: -1}
			x.point = e.locate(d, v.At.node)
			if v.Minus != nil {
				x.minus = e.locate(d, v.Minus.node)
			}
			e.expected = append(e.expected, x)
		}
	}
}

// locate returns the point of which the variant and values are named.
func (e *Experiment) locate(d *strictyaml.Decoder, n *yaml.Node) int {
	if n == nil {
		return 0 // noted
	}
	known := []string{"variant"}
	for i := range e.Parameters {
		known = append(known, e.Parameters[i].Name)
	}
	found := make([]int, 0, e.points)
	for point := range e.points {
		found = append(found, point)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, text := n.Content[i], oneLine(n.Content[i+1])
		column := slices.Index(known, key.Value)
		if column < 0 {
			d.FailNear(key, "no parameter "+strictyaml.Quote(key.Value), key.Value, known)
			return 0
		}
		found = slices.DeleteFunc(found, func(point int) bool {
			c := e.Cell(point * e.Replications)
			return append([]string{c.Variant}, c.Values...)[column] != text
		})
		if len(found) == 0 {
			d.Fail(n.Content[i+1], fmt.Sprintf("no point has %s %s", key.Value, strictyaml.Quote(text)))
			return 0
		}
	}
	if len(found) > 1 {
		d.Fail(n, fmt.Sprintf("%d points are like this: name more of %s", len(found), strings.Join(known, ", ")))
	}
	return found[0]
}

// mostErrors is within how many standard errors a mean agrees with what is expected. Of 20
// runs, chance alone passes it once in 1,300 times; seeds are fixed.
const mostErrors = 4

// Check is what runs say of something that is known from elsewhere.
type Check struct {
	Source string
	Metric string
	Unit   string
	Above  string // "" or what the metric is to be above, of which this is the share of runs
	// Point names the variant and the values that are not the same everywhere; where
	// another point was taken away, "a - b" where it has another value.
	Point string

	Sign      Sign    // "" if there is a Value
	Expected  float64 // unless there is a Sign
	Error     float64 // half-width of the interval of Expected
	Tolerance float64

	Runs int
	Ours stats.Interval
	// Off is how many standard errors our mean is off, NaN where there is none.
	Off    float64
	Agrees bool
}

// Expects reports whether the experiment says what should come of it.
func (e *Experiment) Expects() bool { return len(e.expected) > 0 }

// Checks compares the runs with what is expected. A mean agrees if it is off by no more
// than the tolerance and four standard errors, its own and those of what is expected
// together; a sign, if the mean is on that side of 0 by as much.
func (r *Results) Checks() []Check {
	e := r.Experiment
	var list []Check
	for _, x := range e.expected {
		c := Check{Source: x.Source, Metric: x.Metric, Point: e.describe(x.point, x.minus), Sign: x.Sign, Error: x.Error, Tolerance: x.Tolerance, Off: math.NaN()}
		if x.Value != nil {
			c.Expected = *x.Value
		}
		if x.Above != nil {
			c.Above = x.Above.unit.text(x.Above.value)
		}
		var values []float64
		values, c.Unit = r.expectedValues(&x)
		c.Runs, c.Ours = len(values), stats.Mean(values, experiment.Level)
		c.judge(values)
		list = append(list, c)
	}
	return list
}

// expectedValues are those of all runs that count.
func (r *Results) expectedValues(x *expectation) (values []float64, unit string) {
	of := func(point, replication int) (float64, bool) {
		o := r.Outcomes[point*r.Experiment.Replications+replication]
		if o == nil {
			return 0, false
		}
		i := slices.IndexFunc(o.Figures, func(f Figure) bool { return f.Metric == x.Metric })
		if i < 0 {
			return 0, false
		}
		unit = o.Figures[i].Unit
		return o.Figures[i].Value, true
	}
	for i := range r.Experiment.Replications {
		v, ok := of(x.point, i)
		if ok && x.minus >= 0 {
			var other float64
			other, ok = of(x.minus, i)
			v -= other
		}
		if !ok {
			continue
		}
		if x.Above != nil {
			limit := x.Above.value
			if unit == "s" {
				limit /= 1e9
			}
			if v > limit {
				v = 1
			} else {
				v = 0
			}
		}
		values = append(values, v)
	}
	if x.Above != nil {
		unit = "share"
	}
	return values, unit
}

// judge decides whether the runs agree.
func (c *Check) judge(values []float64) {
	if len(values) == 0 {
		return
	}
	mean, deviation := stat.MeanStdDev(values, nil)
	var own float64
	if len(values) > 1 {
		own = deviation / math.Sqrt(float64(len(values)))
	}
	spread := math.Hypot(own, c.Error/1.96)
	rounding := 1e-9 * math.Abs(c.Expected)
	switch c.Sign {
	case "positive":
		c.Off = mean / spread
		c.Agrees = mean > mostErrors*spread
	case "negative":
		c.Off = mean / spread
		c.Agrees = mean < -mostErrors*spread
	default:
		c.Agrees = math.Abs(mean-c.Expected) <= c.Tolerance+mostErrors*spread+rounding
		if spread > 0 {
			c.Off = (mean - c.Expected) / spread
		}
	}
}

// describe names a point by what is not the same everywhere, and what is taken away from
// it, if minus is not negative.
func (e *Experiment) describe(point, minus int) string {
	words := e.words(point)
	if minus >= 0 {
		for i, other := range e.words(minus) {
			if other != words[i] {
				words[i] += " - " + other
			}
		}
	}
	return strings.Join(words, ", ")
}

// short is the first word of a mapping, where that tells it from the other values.
func (p *Parameter) short(text string) string {
	key, _, is := strings.Cut(text, ":")
	if !is || !strings.HasPrefix(text, "{") {
		return text
	}
	for _, other := range p.Texts() {
		if other != text && strings.HasPrefix(other, key+":") {
			return text
		}
	}
	return key[1:]
}

func (e *Experiment) words(point int) []string {
	c := e.Cell(point * e.Replications)
	var words []string
	if len(e.variants) > 1 || len(e.Parameters) == 0 {
		words = append(words, c.Variant)
	}
	for i := range e.Parameters {
		p := &e.Parameters[i]
		text := p.short(c.Values[i])
		switch {
		case len(p.Texts()) == 1:
		case strings.HasSuffix(p.Paths[0], ".allocator"): // a name that says what it is
			words = append(words, text)
		default:
			words = append(words, p.Name+" "+text)
		}
	}
	return words
}
