package dmaheap

import (
	"embed"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// The recordings are those of one process of a virtual machine, with a named
// buffer that it has mapped, another with two descriptors, and a udmabuf. They are
// part of the test program, which so runs alone on a board.
//
//go:embed testdata/linux-6.12
var recordings embed.FS

func recording(t testing.TB, name string) string {
	t.Helper()
	text, err := recordings.ReadFile("testdata/linux-6.12/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var recordedBuffers = []BufferInfo{
	{Inode: 3, Size: 4096, Exporter: "udmabuf", References: 1},
	{Inode: 2, Size: 4096, Exporter: "system", References: 2},
	{Inode: 1, Size: 12443648, Exporter: "system", Name: "NV12 4K frame", References: 2},
}

func TestParseBufinfo(t *testing.T) {
	const head = "\nDma-buf Objects:\nsize    \tflags   \tmode    \tcount   \texp_name\tino     \tname\n"
	const row = "00004096\t00000002\t00080007\t00000001\tsystem\t00001093\t"
	for name, test := range map[string]struct {
		text string
		want []BufferInfo
		torn bool
	}{
		"recorded": {text: recording(t, "bufinfo"), want: recordedBuffers},
		"none":     {text: head + "\n\nTotal 0 objects, 0 bytes\n", want: []BufferInfo{}},
		"devices and fences": {
			text: head + row + "<none>\n\tkernel fence: i915 ring 17 signalled\n\tAttached Devices:\n\t1c0e000.video-codec\n\t0000:00:02.0\nTotal 2 devices attached\n\n" +
				"\nTotal 1 objects, 4096 bytes\n",
			want: []BufferInfo{{Inode: 1093, Size: 4096, Exporter: "system", References: 1, Devices: []string{"1c0e000.video-codec", "0000:00:02.0"}}},
		},
		"name with tab": {
			text: head + row + "a\tb\n\tAttached Devices:\nTotal 0 devices attached\n\n\nTotal 1 objects, 4096 bytes\n",
			want: []BufferInfo{{Inode: 1093, Size: 4096, Exporter: "system", References: 1, Name: "a\tb"}},
		},
		"no name (Linux 5.0)": {
			text: head + strings.TrimSuffix(row, "\t") + "\n\tAttached Devices:\nTotal 0 devices attached\n\n\nTotal 1 objects, 4096 bytes\n",
			want: []BufferInfo{{Inode: 1093, Size: 4096, Exporter: "system", References: 1}},
		},
		"name that forges a row": {text: head + row + "x\n1\t2\t3\t4\ta\t5\tb\n\nTotal 1 objects, 4096 bytes\n", torn: true},
		"torn":                   {text: head + row + "<none>\n", torn: true},
		"wrong sum":              {text: head + row + "<none>\n\nTotal 1 objects, 8192 bytes\n", torn: true},
		"empty":                  {torn: true},
	} {
		got, err := ParseBufinfo(strings.NewReader(test.text))
		if errors.Is(err, ErrTorn) != test.torn || err != nil && !test.torn {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestParseFdinfo(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want BufferInfo
	}{
		"named":     {recording(t, "fdinfo-6"), recordedBuffers[2]},
		"unnamed":   {recording(t, "fdinfo-7"), recordedBuffers[1]},
		"Linux 5.4": {"pos:\t0\nflags:\t02\nmnt_id:\t12\nsize:\t4096\ncount:\t1\nexp_name:\tion\n", BufferInfo{Size: 4096, References: 1, Exporter: "ion"}},
		"forged": {"ino:\t2\nsize:\t4096\ncount:\t1\nexp_name:\tsystem\nname:\tx\ncount:\t99\n",
			BufferInfo{Inode: 2, Size: 4096, References: 1, Exporter: "system", Name: "x"}},
	} {
		got, err := ParseFdinfo(strings.NewReader(test.text))
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	if _, err := ParseFdinfo(strings.NewReader("pos:\t0\nflags:\t02\nmnt_id:\t12\nino:\t5\n")); !errors.Is(err, ErrNoDMABuf) {
		t.Errorf("another file: %v", err)
	}
	if _, err := ParseFdinfo(strings.NewReader("size:\tmuch\nexp_name:\tsystem\n")); err == nil || err.Error() != `fdinfo:1: size "much" is no number` {
		t.Errorf("no number: %v", err)
	}
}

func TestParseMaps(t *testing.T) {
	got, err := ParseMaps(strings.NewReader(recording(t, "maps") +
		"7f0000000000-7f0000001000 rw-s 00000000 00:0b 9                          /dmabuf:\n" +
		"7f0000001000-7f0000002000 r--p 00000000 00:02 6                          /home/a /dmabuf:b\n"))
	if diff := cmp.Diff([]uint64{1, 9}, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := ParseMaps(strings.NewReader("0-1 rw-s 0 0:b x /dmabuf:\n")); err == nil {
		t.Error("x is no inode")
	}
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o444} }

func link(target string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
}

// closedTo is a file system in which some names may not be opened.
type closedTo struct {
	fstest.MapFS
	names []string
}

func (c closedTo) Open(name string) (fs.File, error) {
	for _, closed := range c.names {
		if name == closed {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
		}
	}
	return c.MapFS.Open(name)
}

func (c closedTo) ReadDir(name string) ([]fs.DirEntry, error) {
	if _, err := c.Open(name); err != nil {
		return nil, err
	}
	return c.MapFS.ReadDir(name)
}

// machine is one with two processes: one that holds all three buffers, the second
// with two descriptors, and one that only has the first one mapped.
func machine(t *testing.T) fstest.MapFS {
	return fstest.MapFS{
		"sys/kernel/debug/dma_buf/bufinfo": file(recording(t, "bufinfo")),
		"proc/self":                        link("7"),
		"proc/7/comm":                      file("server\n"),
		"proc/7/maps":                      file(recording(t, "maps")),
		"proc/7/fd/0":                      link("/dev/console"),
		"proc/7/fd/6":                      link("/dmabuf:NV12 4K frame"),
		"proc/7/fd/7":                      link("/dmabuf:"),
		"proc/7/fd/8":                      link("/dmabuf:"),
		"proc/7/fd/11":                     link("/dmabuf:"),
		"proc/7/fdinfo/6":                  file(recording(t, "fdinfo-6")),
		"proc/7/fdinfo/7":                  file(recording(t, "fdinfo-7")),
		"proc/7/fdinfo/8":                  file(recording(t, "fdinfo-7")),
		"proc/12/comm":                     file("viewer\n"),
		"proc/12/maps":                     file("7f0000000000-7f0000001000 rw-s 00000000 00:0b 1    /dmabuf:NV12 4K frame\n"),
		"proc/12/fd":                       {Mode: fs.ModeDir | 0o500},
	}
}

func TestReadAccounting(t *testing.T) {
	want := Accounting{Complete: true, Buffers: []BufferInfo{
		{Inode: 1, Size: 12443648, Exporter: "system", Name: "NV12 4K frame", References: 2,
			Holders: []Holder{{PID: 7, Command: "server", Descriptors: []int{6}, Mappings: 1}, {PID: 12, Command: "viewer", Mappings: 1}}},
		{Inode: 2, Size: 4096, Exporter: "system", References: 2, Holders: []Holder{{PID: 7, Command: "server", Descriptors: []int{7, 8}}}},
		// Descriptor 11 was closed between reading its link and its fdinfo.
		{Inode: 3, Size: 4096, Exporter: "udmabuf", References: 1},
	}}
	if diff := cmp.Diff(want, ReadAccounting(machine(t))); diff != "" {
		t.Error(diff)
	}
}

func TestReadAccountingWithoutPrivilege(t *testing.T) {
	root := closedTo{machine(t), []string{"sys/kernel/debug", bufinfoPath, "proc/12/fd"}}
	got := ReadAccounting(root)
	want := Accounting{
		Buffers: []BufferInfo{
			{Inode: 1, Size: 12443648, Exporter: "system", Name: "NV12 4K frame", References: 2,
				Holders: []Holder{{PID: 7, Command: "server", Descriptors: []int{6}, Mappings: 1}}},
			{Inode: 2, Size: 4096, Exporter: "system", References: 2, Holders: []Holder{{PID: 7, Command: "server", Descriptors: []int{7, 8}}}},
		},
		Gaps: []Gap{
			{"references and attached devices of all dma-bufs", "/sys/kernel/debug/dma_buf/bufinfo", "permission denied", "run as root, outside of containers"},
			{"sizes of all dma-bufs", "/sys/kernel/dmabuf/buffers", "file does not exist", "a kernel with CONFIG_DMABUF_SYSFS_STATS"},
			{"dma-bufs held by 1 of 2 processes", "/proc/PID/fd, fdinfo and maps", "permission denied", "run as root, outside of containers"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	root.names = []string{"proc"}
	if a := ReadAccounting(root); !a.Complete || len(a.Buffers) != 3 || len(a.Gaps) != 1 {
		t.Errorf("without proc: %+v", a)
	}
}

func TestReadStats(t *testing.T) {
	root := fstest.MapFS{
		"sys/kernel/dmabuf/buffers/17/exporter_name": file("reserved\n"),
		"sys/kernel/dmabuf/buffers/17/size":          file("1048576\n"),
		"sys/kernel/dmabuf/buffers/18":               {Mode: fs.ModeDir | 0o555}, // freed meanwhile
		"proc/1":                                     {Mode: fs.ModeDir | 0o555}, // a process that ended
	}
	want := []BufferInfo{{Inode: 17, Size: 1 << 20, Exporter: "reserved"}}
	got, err := ReadStats(root)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	a := ReadAccounting(root)
	if diff := cmp.Diff(want, a.Buffers); !a.Complete || diff != "" || len(a.Gaps) != 1 {
		t.Errorf("%+v\n%s", a, diff)
	}
	root["sys/kernel/dmabuf/buffers/x/size"] = file("1")
	if _, err := ReadStats(root); err == nil {
		t.Error("x is no number")
	}
}

func TestDebugfsRemedy(t *testing.T) {
	for want, root := range map[string]fs.FS{
		"as root: mount -t debugfs none /sys/kernel/debug": fstest.MapFS{"sys/kernel/debug": {Mode: fs.ModeDir | 0o700}},
		"a kernel with CONFIG_CMA_DEBUGFS":                 fstest.MapFS{"sys/kernel/debug/clk": {Mode: fs.ModeDir | 0o700}},
		"run as root, outside of containers":               closedTo{fstest.MapFS{}, []string{"sys/kernel/debug"}},
	} {
		if got := DebugfsRemedy(root, "CONFIG_CMA_DEBUGFS"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzParseBufinfo(f *testing.F) {
	f.Add(recording(f, "bufinfo"))
	f.Add("1\t2\t3\t4\ta\t5\nTotal 1 objects, 1 bytes\n")
	f.Add("1\t2\t3\t-4\ta\t5\tb\n\tAttached Devices:\n\tx\nTotal 1 objects, 1 bytes")
	f.Fuzz(func(t *testing.T, text string) {
		buffers, err := ParseBufinfo(strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "bufinfo:") {
				t.Fatalf("error %q does not name the file", err)
			}
			return
		}
		if buffers == nil || len(buffers) > strings.Count(text, "\n") {
			t.Fatalf("%d buffers in %d lines", len(buffers), strings.Count(text, "\n"))
		}
	})
}

func FuzzParseFdinfo(f *testing.F) {
	f.Add(recording(f, "fdinfo-6"))
	f.Add("exp_name:a\nname:b\nino:1")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseFdinfo(strings.NewReader(text))
		if err != nil && !strings.HasPrefix(err.Error(), "fdinfo:") {
			t.Fatalf("error %q does not name the file", err)
		}
		if err == nil && strings.Contains(b.Exporter+b.Name, "\n") {
			t.Fatalf("%+v has a line break", b)
		}
	})
}

func FuzzParseMaps(f *testing.F) {
	f.Add(recording(f, "maps"))
	f.Add("0-1 rw-s 0 0:b 18446744073709551615 /dmabuf:\n")
	f.Fuzz(func(t *testing.T, text string) {
		inodes, err := ParseMaps(strings.NewReader(text))
		if err != nil && !strings.HasPrefix(err.Error(), "maps:") {
			t.Fatalf("error %q does not name the file", err)
		}
		if len(inodes) > strings.Count(text, dmabufTarget) {
			t.Fatalf("%d dma-bufs", len(inodes))
		}
	})
}
