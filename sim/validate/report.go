package validate

// Report is what a comparison of model and kernel found.
type Report struct {
	Kernel string `json:"kernel"` // release
	Agree  bool   `json:"agree"`  // something was compared, and all of it agreed
	// Complete says that all could be compared that was asked for by name. Without a
	// name, all is asked for that can be compared here.
	Complete bool     `json:"complete"`
	Aspects  []Aspect `json:"aspects"`
	Gaps     []Gap    `json:"not_checked"`
	Notes    []string `json:"notes"`
}

// Aspect is one thing in which model and kernel were compared.
type Aspect struct {
	Name       string      `json:"aspect"`
	Operations int         `json:"operations"`
	Agreements int         `json:"agreements"`
	First      *Divergence `json:"first_divergence"`
}

// Divergence is an operation of which model and kernel say different things.
type Divergence struct {
	Number    int    `json:"number"`         // of the operation, from 1
	Line      int    `json:"line,omitempty"` // in the file of operations
	Operation string `json:"operation"`
	Model     string `json:"model"`
	Kernel    string `json:"kernel"`
}

// Gap is an aspect that could not be compared.
type Gap struct {
	Aspect string `json:"aspect"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy"` // what would make it possible
}

// Add adds aspects, and keeps Agree right.
func (r *Report) Add(aspects ...Aspect) {
	r.Aspects = append(r.Aspects, aspects...)
	compared, agree := false, true
	for _, a := range r.Aspects {
		compared = compared || a.Operations > 0
		agree = agree && a.First == nil
	}
	r.Agree = compared && agree
}

// step is the operation that is being compared.
type step struct {
	number, line int
	operation    string
}

// compare counts one operation.
func (a *Aspect) compare(s step, model, kernel string) {
	a.Operations++
	if model == kernel {
		a.Agreements++
		return
	}
	if a.First == nil {
		a.First = &Divergence{Number: s.number, Line: s.line, Operation: s.operation, Model: model, Kernel: kernel}
	}
}

// Errno is the result of a system call by name, such as "ENOMEM".
type Errno string

// OK is the result of a call that succeeded.
const OK Errno = "ok"
