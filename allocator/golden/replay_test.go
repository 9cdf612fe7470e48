package golden_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmasim/allocator/golden"
	"dmasim/internal/shareddata"
)

// TestRecordings replays every recording there is.
func TestRecordings(t *testing.T) {
	t.Run("testdata", func(t *testing.T) { replayAll(t, "testdata") })
	t.Run("shared", func(t *testing.T) { replayAll(t, shareddata.Path(t, "golden")) })
}

// readRecording reads a recording, which may be gzipped.
func readRecording(t *testing.T, file string) *golden.Recording {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var text io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		if text, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	rec, err := golden.Read(filepath.Base(file), text)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func replayAll(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.csv*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings in %s (%v)", dir, err)
	}
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), ".csv")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := readRecording(t, file)
			report, err := golden.Replay(rec)
			if err != nil {
				t.Fatal(err)
			}
			if d := report.First; d != nil {
				t.Fatalf("%d of %d rows agree; line %d: %s\nrecorded %s, free there %s\nmodel    %s, free there %s",
					report.Agreements, report.Operations, d.Row.Line, d.Row,
					d.Row.Result, d.RecordedFree, d.Model, d.ModelFree)
			}
			if report.Agreements+report.NotModelled != report.Operations || report.Operations == 0 {
				t.Fatalf("%d rows, %d agree, %d not modelled", report.Operations, report.Agreements, report.NotModelled)
			}
		})
	}
}
