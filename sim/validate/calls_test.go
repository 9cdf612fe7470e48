package validate_test

import (
	"context"
	"strings"
	"testing"

	"dmasim/sim/validate"
)

// TestOddCalls looks for a table of different calls, of which the model knows all.
func TestOddCalls(t *testing.T) {
	list := validate.OddCalls()
	seen := map[string]bool{}
	failing := 0
	for _, c := range list {
		if text := c.String(); seen[text] {
			t.Errorf("%s: twice", text)
		} else {
			seen[text] = true
		}
		errno, err := validate.ModelCall(c)
		if err != nil {
			t.Error(err)
		}
		if errno != validate.OK {
			failing++
		}
	}
	if failing < 40 {
		t.Errorf("%d calls fail", failing)
	}
}

func TestCompareCallsFindsLies(t *testing.T) {
	list := validate.OddCalls()
	liar := func(c validate.OddCall) (validate.Errno, error) {
		if strings.Contains(c.Text, "O_APPEND") {
			return "EPERM", nil
		}
		return validate.ModelCall(c)
	}
	a, err := validate.CompareCalls(context.Background(), list, validate.ModelCall, liar)
	if err != nil || a.Agreements != len(list)-1 || a.First == nil || a.First.Kernel != "EPERM" || a.First.Model != "EINVAL" {
		t.Errorf("%v: %+v", err, a)
	}
}
