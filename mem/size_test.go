package mem_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dmasim/mem"
)

func ExampleParseSize() {
	size, _ := mem.ParseSize("256MiB")
	fmt.Println(uint64(size), size, mem.Size(12441600), mem.Size(12441600).Short())
	_, err := mem.ParseSize("256MB")
	fmt.Println(err)
	// Output:
	// 268435456 256MiB 12150KiB 11.9MiB
	// size "256MB": unit "MB" is ambiguous, write MiB
}

func TestParseSize(t *testing.T) {
	tests := map[string]mem.Size{
		"0":                         0,
		"4096":                      4096,
		"4096B":                     4096,
		"0x1000":                    4096,
		"0X1000":                    4096,
		"4KiB":                      4096,
		"4 kib":                     4096,
		" 4KiB ":                    4096,
		"1.5GiB":                    3 << 29,
		".5KiB":                     512,
		"0.25KiB":                   256,
		"3.0625MiB":                 3211264,
		"16EiB":                     0, // does not fit
		"15.5EiB":                   31 << 59,
		"18446744073709551615":      math.MaxUint64,
		"0xffffffffffffffff":        math.MaxUint64,
		"18014398509481983KiB":      18014398509481983 << 10,
		"0.0009765625KiB":           1,
		"0.00000095367431640625MiB": 0, // more digits than are read
	}
	for text, want := range tests {
		got, err := mem.ParseSize(text)
		if want == 0 && text != "0" {
			if err == nil {
				t.Errorf("%q: got %d, want an error", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestParseSizeRefuses(t *testing.T) {
	tests := map[string]string{
		"":                     "want a number with a unit",
		"MiB":                  "want a number with a unit",
		"-1":                   "want a number with a unit",
		"+4KiB":                "want a number with a unit",
		"4MB":                  "write MiB",
		"4k":                   "write KiB",
		"4XiB":                 "unknown unit",
		"256MoB":               "unknown unit",
		"1,024":                "unknown unit",
		"0.1B":                 "not a whole number of bytes",
		"4.1KiB":               "not a whole number of bytes",
		"1.2.3KiB":             "not a whole number of bytes",
		"1.KiB":                "not a whole number of bytes",
		"99999999999GiB":       "does not fit",
		"18446744073709551616": "does not fit",
		"32EiB":                "does not fit",
		"99999999999.5GiB":     "does not fit",
		"0x":                   "not a hexadecimal number",
		"0x1ffffffffffffffff":  "not a hexadecimal number",
	}
	for text, want := range tests {
		if got, err := mem.ParseSize(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %d, %v; want an error with %q", text, got, err, want)
		}
	}
}

func TestShort(t *testing.T) {
	tests := map[mem.Size]string{
		0: "0B", 1: "1B", 1023: "1023B", 1024: "1KiB", 1536: "1.5KiB",
		12441600: "11.9MiB", 1023 * mem.KiB: "1023KiB", mem.MiB - 1: "1MiB", 999 * mem.KiB: "999KiB",
		100*mem.MiB - 1: "100MiB", 10*mem.MiB - 1: "10MiB", math.MaxUint64: "16EiB",
	}
	for size, want := range tests {
		if got := size.Short(); got != want {
			t.Errorf("%d: got %s, want %s", uint64(size), got, want)
		}
	}
}

func TestSizesReadBackAsPrinted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := mem.Size(rapid.Uint64().Draw(t, "size") << rapid.IntRange(0, 63).Draw(t, "shift"))
		if got, err := mem.ParseSize(want.String()); err != nil || got != want {
			t.Fatalf("%s: got %d, %v; want %d", want, got, err, want)
		}
		addr := mem.Addr(want)
		if got, err := mem.ParseAddr(addr.String()); err != nil || got != addr {
			t.Fatalf("%s: got %d, %v; want %d", addr, got, err, addr)
		}
		text, err := want.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var got mem.Size
		if err := got.UnmarshalJSON(text); err != nil || got != want {
			t.Fatalf("%s: got %d, %v; want %d", text, got, err, want)
		}
	})
}

func FuzzParseSize(f *testing.F) {
	for _, seed := range []string{"256MiB", "1.5GiB", "0x1000", "4MB", "99999999999GiB", ".", "-0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size, err := mem.ParseSize(text)
		if err != nil {
			return
		}
		if again, err := mem.ParseSize(size.String()); err != nil || again != size {
			t.Errorf("%q is %d, printed %s, read back %d, %v", text, size, size, again, err)
		}
	})
}
