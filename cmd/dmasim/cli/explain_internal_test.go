package cli

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"dmasim/sim/result"
)

// TestOtherFailure: a run that does not arrive at the failure of the result says so.
func TestOtherFailure(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "result")
	var out bytes.Buffer
	if status := Main([]string{"run", "window-pollution", "--out", dir}, nil, &out, &out); status != 0 {
		t.Fatalf("run: %s", out.String())
	}
	res, err := result.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(){
		"another size": func() { res.Variants[0].Run.Failures[0].Free++ },
		"no failure":   func() { res.Variants[0].Run.Failures[0].Op++ },
	} {
		t.Run(name, func(t *testing.T) {
			change()
			if err := result.Write(context.Background(), dir, res); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			status := Main([]string{"explain", dir}, nil, &stdout, &stderr)
			if status != exitNo || stdout.Len() > 0 || !strings.Contains(stderr.String(), "run again, the scenario does not arrive at event 35") {
				t.Errorf("status %d: %s%s", status, &stdout, &stderr)
			}
		})
	}
}
