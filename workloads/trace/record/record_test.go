package record

import (
	"bufio"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestLimited keeps whole lines, as many as fit, however they come.
func TestLimited(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.StringMatching(`[a-z]{0,9}`)).Draw(t, "lines")
		text := strings.Join(lines, "\n")
		limit := rapid.Uint64Range(0, 60).Draw(t, "limit")
		var out strings.Builder
		l := &limited{to: bufio.NewWriter(&out), left: limit}
		for rest := text; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "part")
			if _, err := l.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := l.to.Flush(); err != nil {
			t.Fatal(err)
		}
		want, all := "", true
		for _, line := range strings.SplitAfter(text, "\n") {
			if !strings.HasSuffix(line, "\n") {
				break
			}
			if uint64(len(want)+len(line)) > limit {
				all = false
				break
			}
			want += line
		}
		if out.String() != want || l.full == all || l.bytes != uint64(len(want)) {
			t.Fatalf("kept %q of %q within %d, full %t, want %q", out.String(), text, limit, l.full, want)
		}
	})
}

func TestLost(t *testing.T) {
	const stats = `entries: 129
overrun: 3
commit overrun: 1
bytes: 8008
oldest event ts:    12.345678
now ts:    99.000000
dropped events: 40
read events: 7
`
	if n, err := lost(strings.NewReader(stats)); n != 44 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, text := range []string{"", "overrun: 1\n", strings.Replace(stats, "40", "many", 1)} {
		if _, err := lost(strings.NewReader(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
