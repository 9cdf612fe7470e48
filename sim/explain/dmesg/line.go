package dmesg

import (
	"bufio"
	"errors"
	"io"
	"regexp"
	"strings"
)

// maxLine is how much of a line is looked at, in bytes. The kernel cuts its own
// lines at about 1 KiB.
const maxLine = 64 << 10

// lineReader reads lines of any length in bounded memory.
type lineReader struct {
	r    *bufio.Reader
	line []byte
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 32<<10)}
}

// next returns the next line without its end, cut at maxLine; io.EOF after the
// last.
func (l *lineReader) next() (string, error) {
	l.line = l.line[:0]
	any := false
	for {
		part, err := l.r.ReadSlice('\n')
		any = any || len(part) > 0
		l.line = append(l.line, part[:min(len(part), maxLine-len(l.line))]...)
		switch {
		case err == nil:
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && any:
		default:
			return "", err
		}
		return strings.TrimRight(string(l.line), "\r\n"), nil
	}
}

var (
	colours = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)
	uptime  = regexp.MustCompile(`^\[\s*(\d+\.\d+)[^\]]*\]`)
	// prefixes are what stands before a message, in any order and number.
	prefixes = regexp.MustCompile(`^(?:` + strings.Join([]string{
		`[>|*\s]+`,    // quoted
		`<\d{1,3}>`,   // level
		`\[[TC]\d+\]`, // thread or CPU
		`\[\s*[TC]\s*\d+\]`,
		`\[\w{3} \w{3}\s+\d+ \d\d:\d\d:\d\d \d{4}\]`,              // dmesg -T
		`\[\s*\d+:[^\]]*:\s*\d+\]`,                                // CPU, command and process, of Samsung
		`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*\s`,                  // ISO 8601
		`\w{3}\s+\d{1,2} \d\d:\d\d:\d\d\S*\s`,                     // syslog
		`\d\d-\d\d \d\d:\d\d:\d\d\.\d+\s+\d+\s+\d+ [VDIWEF]\s\s?`, // logcat
		`\d\d:\d\d:\d\d\S*\s`,
		`\S+ kernel(?:\[\d*\])?:`,
		`kernel(?:\[\d*\])?:`,
		`kern\s*:\s*\w+\s*:`, // dmesg -x
	}, `|`) + `)`)
)

// clean takes off what a message has around it, and returns the message with
// the time that stood before it.
func clean(line string) (message, time string) {
	if strings.IndexByte(line, 0x1b) >= 0 {
		line = colours.ReplaceAllString(line, "")
	}
	if strings.Contains(line, "&gt;") {
		line = strings.ReplaceAll(line, "&gt;", ">")
	}
	for range 32 {
		var cut int
		if m := uptime.FindStringSubmatch(line); m != nil {
			cut, time = len(m[0]), m[1]
		} else if cut = len(prefixes.FindString(line)); cut > 0 && time == "" {
			if p := strings.Trim(line[:cut], "[]> |*\t"); strings.Count(p, ":") >= 2 && strings.ContainsAny(p[:1], "0123456789ADFJMNOSTW") {
				time = p
			}
		}
		if cut == 0 {
			break
		}
		line = line[cut:]
	}
	return line, time
}

// number reads a decimal number; false if there is none, or if it is beyond
// what any memory holds. So sums and sizes in bytes fit.
func number(text string) (uint64, bool) {
	const most = 1 << 44
	var n uint64
	if text == "" || len(text) > 15 {
		return 0, false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, n <= most
}
