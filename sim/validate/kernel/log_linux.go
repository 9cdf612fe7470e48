package kernel

import (
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// log reads the kernel's log, one record at a time (/dev/kmsg).
type log struct{ fd int }

func openLog() (*log, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	l := &log{fd}
	return l, l.skip()
}

func (l *log) close() error { return unix.Close(l.fd) }

// skip leaves out what was logged so far.
func (l *log) skip() error {
	_, err := unix.Seek(l.fd, 0, io.SeekEnd)
	return err
}

// lines returns what was logged since, without times and levels.
func (l *log) lines() ([]string, error) {
	var lines []string
	record := make([]byte, 8192)
	for {
		n, err := unix.Read(l.fd, record)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return lines, nil
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.EINTR): // overwritten meanwhile
			continue
		case err != nil:
			return lines, err
		}
		// level,number,time,flags;text, then lines of keys that begin with a blank.
		_, text, _ := strings.Cut(string(record[:n]), ";")
		text, _, _ = strings.Cut(text, "\n")
		lines = append(lines, strings.Split(text, `\x0a`)...) // the record's own line breaks
	}
}

// freeList returns what the latest failure of CMA logged of its area. A long list
// goes over several records.
func (l *log) freeList() (string, error) {
	const head, end = "number of available pages: ", " total pages"
	lines, err := l.lines()
	list, open := "", false
	for _, line := range lines {
		if _, text, found := strings.Cut(line, head); found {
			list, open = text, true
		} else if open {
			list += line
		}
		open = open && !strings.HasSuffix(list, end)
	}
	return list, err
}
