// Package version names releases of the Linux kernel, because what a machine
// does with the same request depends on them.
package version

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
)

// Version is a release of the kernel's main line, such as 6.12. Stable updates
// of a release are not told apart.
type Version struct{ Major, Minor int }

// Modelled is the release that the models describe where they don't say
// otherwise.
var Modelled = Version{6, 12}

var syntax = regexp.MustCompile(`^(\d{1,3})\.(\d{1,3})(?:[.+-].*)?$`)

// Parse reads a version as people and uname -r write it: 6.12, 6.12.117 or
// 5.10.0-28-amd64.
func Parse(text string) (Version, error) {
	part := syntax.FindStringSubmatch(text)
	if part == nil {
		return Version{}, fmt.Errorf("%q is no kernel version, want one like 6.12", text)
	}
	major, _ := strconv.Atoi(part[1])
	minor, _ := strconv.Atoi(part[2])
	return Version{major, minor}, nil
}

// Compare returns -1, 0 or +1 where v is older than, the same as or newer than
// w.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor))
}

// Before reports whether v is older than major.minor.
func (v Version) Before(major, minor int) bool { return v.Compare(Version{major, minor}) < 0 }

// String returns the version as major.minor.
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// MarshalText implements encoding.TextMarshaler.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Version) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}
