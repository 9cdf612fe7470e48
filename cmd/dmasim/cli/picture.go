package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"dmasim/sim/report"
)

// formats are those that figures are written in, as an option.
type formats []report.Format

// String implements pflag.Value.
func (f *formats) String() string {
	var words []string
	for _, format := range *f {
		words = append(words, string(format))
	}
	return strings.Join(words, ",")
}

// Type implements pflag.Value.
func (*formats) Type() string { return "LIST" }

// Set implements pflag.Value.
func (f *formats) Set(text string) error {
	list, err := report.ParseFormats(text)
	if err == nil {
		*f = list
	}
	return err
}

// addTo adds the option of commands that write figures to a directory.
func (f *formats) addTo(flags *pflag.FlagSet) {
	*f = formats{report.PNG, report.SVG}
	flags.Var(f, "format", "formats of the figures: some of png, svg and pdf")
}

// picture is a file that a command draws to, if it is told to.
type picture struct {
	path    string
	formats formats // in place of the one that the path ends in
}

// addFlags adds the options. what is what is drawn.
func (p *picture) addFlags(flags *pflag.FlagSet, what string) {
	flags.StringVar(&p.path, "picture", "", "draw "+what+" to `FILE`, .png, .svg or .pdf, with what it shows as .csv beside it")
	flags.Var(&p.formats, "format", "formats of the picture, in place of the one its name ends in")
}

// wanted reports whether there is to be a picture.
func (p *picture) wanted() bool { return p.path != "" }

// check refuses names of pictures that do not say what they are.
func (p *picture) check() error {
	ext := strings.TrimPrefix(filepath.Ext(p.path), ".")
	known := slices.Contains(report.Formats(), report.Format(ext))
	switch {
	case p.path == "" && p.formats != nil:
		return errors.New("--format is of a picture: say where with --picture FILE")
	case p.path != "" && !known && (ext != "" || p.formats == nil):
		return fmt.Errorf("--picture %s: want a name that ends in .png, .svg or .pdf", p.path)
	case p.formats == nil && known:
		p.formats = formats{report.Format(ext)}
	}
	if known {
		p.path = strings.TrimSuffix(p.path, "."+ext)
	}
	return nil
}

// files are the names of all pictures.
func (p *picture) files() string {
	var names []string
	for _, f := range p.formats {
		names = append(names, p.path+"."+string(f))
	}
	return strings.Join(names, ", ")
}

// write writes a figure, after check, and beside it what it shows.
func (p *picture) write(figure *report.Figure) error {
	var data bytes.Buffer
	if err := figure.Data.WriteCSV(&data); err != nil {
		return err
	}
	table := p.path + ".csv"
	if err := checkOwn(table, data.Bytes()); err != nil {
		return err
	}
	for _, format := range p.formats {
		file := p.path + "." + string(format)
		if err := writeWhole(file, func(w io.Writer) error { return figure.Write(w, format) }); err != nil {
			return failedRun{fmt.Errorf("write %s: %w", file, err)}
		}
	}
	if err := writeWhole(table, func(w io.Writer) error { _, err := w.Write(data.Bytes()); return err }); err != nil {
		return failedRun{fmt.Errorf("write %s: %w", table, err)}
	}
	return nil
}

// checkOwn refuses to replace a table of other columns, which is somebody else's.
func checkOwn(path string, table []byte) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return failedRun{err}
	}
	defer f.Close()
	columns, _, _ := bytes.Cut(table, []byte("\n"))
	there, _, _ := bufio.NewReaderSize(f, 1<<12).ReadLine()
	if !bytes.Equal(columns, there) {
		return fmt.Errorf("%s is there and does not belong to the picture: choose another name", path)
	}
	return nil
}
