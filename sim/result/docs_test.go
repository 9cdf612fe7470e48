package result

import (
	"os"
	"strings"
	"testing"

	"dmasim/sim"
)

// The page on metrics names every column of every table, and every kind of
// incident.
func TestMetricsPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for table, columns := range map[string][]string{
		"samples.csv": sampleColumns, "reaches.csv": reachColumns, "failures.csv": failureColumns,
		"map.csv": mapColumns, "spaces.csv": spaceColumns, "on_failure.csv": onFailureColumns, "incidents.csv": incidentColumns,
	} {
		row, _, _ := strings.Cut(page[strings.Index(page, "| `"+table+"`"):], "\n")
		for _, column := range columns {
			switch {
			case column == "variant", column == "heap", column == "time_s", column == "device", column == "space":
				continue // what a row is for
			case strings.HasPrefix(column, "failed_"):
				column = "failed_CAUSE"
			}
			if !strings.Contains(row, "`"+column+"`") {
				t.Errorf("docs/metrics.md: the row of %s lacks %s", table, column)
			}
		}
	}
	for _, kind := range sim.IncidentKinds() {
		if !strings.Contains(page, "`"+kind.String()+"`") {
			t.Errorf("docs/metrics.md lacks the incident %s", kind)
		}
	}
}
