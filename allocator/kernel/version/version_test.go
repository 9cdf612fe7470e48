package version_test

import (
	"testing"

	"dmasim/allocator/kernel/version"
)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		want version.Version
		ok   bool
	}{
		"6.12":            {version.Version{Major: 6, Minor: 12}, true},
		"6.12.117":        {version.Version{Major: 6, Minor: 12}, true},
		"5.10.0-28-amd64": {version.Version{Major: 5, Minor: 10}, true},
		"6.13-rc1":        {version.Version{Major: 6, Minor: 13}, true},
		"6.6+":            {version.Version{Major: 6, Minor: 6}, true},
		"6":               {},
		"v6.12":           {},
		"6.12x":           {},
		"6.1234":          {},
		"":                {},
	}
	for text, test := range tests {
		got, err := version.Parse(text)
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("Parse(%q) = %v, %v, want %v, %v", text, got, err, test.want, test.ok)
		}
	}
}

func TestCompare(t *testing.T) {
	v := version.Version{Major: 5, Minor: 10}
	for _, newer := range []version.Version{{Major: 5, Minor: 11}, {Major: 6, Minor: 1}} {
		if v.Compare(newer) != -1 || newer.Compare(v) != 1 || !v.Before(newer.Major, newer.Minor) {
			t.Errorf("%v is not before %v", v, newer)
		}
	}
	if v.Compare(v) != 0 || v.Before(5, 10) {
		t.Errorf("%v is not the same as itself", v)
	}
}
