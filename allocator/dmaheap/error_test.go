package dmaheap

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

func TestPermissionErrorTellsWhatHelps(t *testing.T) {
	// Numbers that are nobody's, so that no name is printed.
	const user, group = 2_000_000_001, 2_000_000_002
	const file = "/dev/dma_heap/system"
	const (
		join   = "run as root, or join the group (usermod -aG 2000000002 USER, then log in again)"
		rule   = `run as root, or give it to a group by a udev rule: SUBSYSTEM=="dma_heap", KERNEL=="system", GROUP="video", MODE="0660"`
		beyond = "its mode allows it, so a container's device rules, a security module or a nodev mount does not: run outside of that"
	)
	stranger := identity{1000, []int{1000}}
	for _, test := range []struct {
		mode fs.FileMode
		gid  uint32
		who  identity
		want string
	}{
		{0o660, group, stranger, join},
		{0o660, 0, stranger, rule},
		{0o600, group, stranger, rule},
		{0o666, group, stranger, beyond},
		{0o600, group, identity{0, nil}, beyond},
		{0o660, group, identity{1000, []int{group}}, beyond},
		{0o600, group, identity{1000, []int{group}}, rule},
		{0o400, group, identity{user, nil}, beyond},
	} {
		err := &PermissionError{Path: file, Mode: test.mode, UID: user, GID: test.gid, Err: errors.New("permission denied")}
		if got := err.remedy(test.who); got != test.want {
			t.Errorf("%+v, mode %o:\ngot  %s\nwant %s", test.who, test.mode, got, test.want)
		}
	}
	err := &PermissionError{Path: "/dev/udmabuf", Mode: fs.ModeDevice | 0o660, UID: user, GID: group, Err: errors.New("permission denied")}
	want := "open /dev/udmabuf: permission denied: the file is 2000000001:2000000002 0660; "
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %s\nwant %s…", err, want)
	}
	if rule := err.udevRule(); rule != `KERNEL=="udmabuf", GROUP="video", MODE="0660"` {
		t.Errorf("udev rule %s", rule)
	}
}

func TestOpenWantsAName(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../null", "system/", "a\x00b"} {
		if _, err := Open(name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("open %q: %v", name, err)
		}
	}
}
