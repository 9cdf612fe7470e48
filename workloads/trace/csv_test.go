package trace_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dmasim/workloads/trace"
)

const csvHeader = "time_ns,event,buffer,size,align,limit,address,heap\n"

var errCSV = errors.New("refused")

// slowCSV reads rows below csvHeader with the libraries, and tells whether all of
// them are right.
func slowCSV(text string) (events []trace.Event, err error) {
	live := map[uint64]trace.Event{}
	heaps := map[string]bool{}
	var now time.Duration
	for line := range strings.Lines(text) {
		row, ended := strings.CutSuffix(line, "\n")
		if row = strings.TrimSuffix(row, "\r"); !ended {
			return events, errCSV
		}
		if row == "" || row[0] == '#' {
			continue
		}
		if parts := strings.SplitN(row, ",", 8); len(parts) < 8 || strings.Contains(strings.Join(parts[:7], ""), `"`) {
			return events, errCSV // only the heap may be quoted
		}
		fields, err := csv.NewReader(strings.NewReader(row)).Read()
		if err != nil || len(fields) != 8 {
			return events, errCSV
		}
		var numbers [7]uint64
		for i, field := range fields[:7] {
			if i == 1 || field == "" && i > 2 {
				continue
			}
			if hex, ok := strings.CutPrefix(field, "0x"); ok && len(hex) <= 16 {
				numbers[i], err = strconv.ParseUint(hex, 16, 64)
			} else if numbers[i], err = strconv.ParseUint(field, 10, 64); len(field) > 20 {
				err = errCSV
			}
			if err != nil {
				return events, errCSV
			}
		}
		e := trace.Event{
			At: time.Duration(numbers[0]), Buffer: numbers[2], Size: numbers[3], Align: numbers[4], Limit: numbers[5],
			Addr: numbers[6], Placed: fields[6] != "", Heap: fields[7],
		}
		heaps[e.Heap] = true
		old, lives := live[e.Buffer]
		switch {
		case numbers[0] > math.MaxInt64, e.At < now, numbers[3] > math.MaxInt64, len(e.Heap) > 256, len(heaps) > 1<<12:
			return events, errCSV
		case fields[1] == "free":
			if !lives {
				return events, errCSV
			}
			delete(live, e.Buffer)
			e = trace.Event{At: e.At, Kind: free, Buffer: e.Buffer, Size: old.Size, Heap: old.Heap}
		case fields[1] != "alloc" && fields[1] != "failed", lives, e.Size == 0:
			return events, errCSV
		case fields[1] == "failed":
			e.Failed, e.Addr, e.Placed = true, 0, false
		default:
			live[e.Buffer] = e
		}
		now = e.At
		events = append(events, e)
	}
	return events, nil
}

// checkCSV compares the reader with the libraries.
func checkCSV(t interface{ Fatalf(string, ...any) }, text string) {
	for line := range strings.Lines(text) {
		if parts := strings.SplitN(line, ",", 8); len(line) >= 1<<16 || strings.ContainsRune(strings.TrimRight(line, "\r\n"), '\r') ||
			len(parts) == 8 && parts[7] != "" && parts[7][0] != '"' && strings.Contains(parts[7], `"`) {
			return // what the libraries take otherwise: carriage returns within a row; quotes within a bare name
		}
	}
	want, wantErr := slowCSV(text)
	events, _, err := readEvents(csvHeader+text, trace.Options{Format: trace.CSV})
	if d := cmp.Diff(want, events); d != "" || (err == nil) != (wantErr == nil) {
		t.Fatalf("%q: %v, want %v\n%s", text, err, wantErr, d)
	}
}

// TestCSVAgainstLibraries draws rows that are mostly right.
func TestCSVAgainstLibraries(t *testing.T) {
	numbers := []string{"", "0", "1", "2", "00000000000000000007", "12345678", "123456789", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "0x1F", "0x", "0xfffffffffffffffff", "-1", "+1", " 1", "1_0"}
	heaps := []string{"", "", "a", `"a"`, `"a,b"`, `"a""b"`, `""`, `"a`, `"a"b`, `a,b`, strings.Repeat("n", 256), strings.Repeat("n", 257)}
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		at := 0
		number := func(usual int, name string) string {
			if rapid.IntRange(0, 30).Draw(t, name+" odd") == 0 {
				return rapid.SampledFrom(numbers).Draw(t, name)
			}
			return strconv.Itoa(rapid.IntRange(1, usual).Draw(t, name))
		}
		for range rapid.IntRange(0, 30).Draw(t, "rows") {
			at += rapid.IntRange(0, 2).Draw(t, "step")
			fmt.Fprintf(&text, "%d,%s,%s,%s,%s,%s,%s,%s%s", at, rapid.SampledFrom([]string{"alloc", "free", "failed"}).Draw(t, "event"),
				number(4, "buffer"), number(1<<20, "size"), number(1<<12, "align"), number(1<<30, "limit"), number(1<<30, "address"),
				rapid.SampledFrom(heaps[:rapid.SampledFrom([]int{3, 7, 7, len(heaps)}).Draw(t, "oddness")]).Draw(t, "heap"),
				rapid.SampledFrom([]string{"\n", "\n", "\n", "\r\n", "\n\n", "\n# a comment\n"}).Draw(t, "end"))
		}
		checkCSV(t, text.String())
	})
}

func FuzzCSV(f *testing.F) {
	f.Add("0,alloc,1,5,4,9,0x3,\"a\"\"b\"\n2,free,1,,,,,\n3,failed,1,1,,,,\r\n")
	f.Add("0,alloc,18446744073709551615,9223372036854775807,,,,\n#\n\n0,free,18446744073709551615,,,,,a,b\n")
	f.Fuzz(func(t *testing.T, text string) { checkCSV(t, text) })
}
