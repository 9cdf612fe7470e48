package vm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"dmasim/internal/strictyaml"
)

// Lane is a kind of kernel.
type Lane string

// The lanes.
const (
	// Stock is the kernel of Debian's package linux-image-6.12…-amd64-unsigned: the
	// system heap, udmabuf, debugfs; no CMA.
	Stock Lane = "stock"
	// CMA is a small kernel built from Debian's package linux-source-6.12: CMA with
	// its debugfs, both heaps, udmabuf, the statistics of dma-bufs. Blocks may be
	// aligned to up to 2^12 pages.
	CMA Lane = "cma"
)

// Options returns the names of the lanes.
func (Lane) Options() []string { return []string{string(Stock), string(CMA)} }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Lane) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(l, "lane", text, l.Options())
}

// MarshalText implements encoding.TextMarshaler.
func (l Lane) MarshalText() ([]byte, error) { return []byte(l), nil }

// ErrNoPackage is returned where Debian's packages are not known.
var ErrNoPackage = errors.New("no such Debian package is known here; on Debian: apt-get update, with the security suite among the sources")

// Image returns the file of the lane's kernel: the newest in the user's cache, or
// else the newest of Debian, made now, which takes minutes. What goes on is told to
// log, a line each.
func (l Lane) Image(ctx context.Context, log io.Writer) (string, error) {
	if runtime.GOARCH != "amd64" {
		return "", fmt.Errorf("kernels for virtual machines are fetched for amd64 alone, this is %s: give a kernel of your own", runtime.GOARCH)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	k := kernels{cache: filepath.Join(cache, "dmasim", "kernels"), log: log}
	if l == CMA {
		return k.built(ctx)
	}
	return k.stock(ctx)
}

// kernels is a folder of images by name.
type kernels struct {
	cache string
	log   io.Writer
}

// image returns the image of a name, which make makes in a scratch folder if it is
// not there. Of several processes one makes it, and the others wait.
func (k *kernels) image(ctx context.Context, name string, make func(ctx context.Context, scratch string) (string, error)) (file string, err error) {
	file = filepath.Join(k.cache, name)
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(k.cache, 0o777); err != nil {
		return "", err
	}
	guard, err := os.OpenFile(filepath.Join(k.cache, name+".lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return "", err
	}
	defer guard.Close()
	if err := lock(guard); err != nil {
		return "", err
	}
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	scratch, err := os.MkdirTemp(k.cache, "scratch-*")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	made, err := make(ctx, scratch)
	if err != nil {
		return "", err
	}
	now := time.Now() // by which the newest is told; a package's files are as old as the package
	return file, errors.Join(os.Chtimes(made, now, now), os.Rename(made, file))
}

// say tells what goes on.
func (k *kernels) say(format string, arguments ...any) {
	fmt.Fprintf(k.log, "dmasim: "+format+"\n", arguments...)
}

// newest returns the name and version of the newest Debian package whose name
// matches a pattern of apt-cache search.
func newest(ctx context.Context, pattern string) (name, version string, err error) {
	if err := need(tool{"apt-get", "apt"}, tool{"dpkg-deb", "dpkg"}); err != nil {
		return "", "", err
	}
	found, err := output(ctx, "", "apt-cache", "search", "--names-only", pattern)
	if err != nil {
		return "", "", err
	}
	var names []string
	for line := range strings.Lines(found) {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	for _, candidate := range names {
		policy, err := output(ctx, "", "apt-cache", "policy", candidate)
		if err != nil {
			return "", "", err
		}
		for line := range strings.Lines(policy) {
			v, is := strings.CutPrefix(strings.TrimSpace(line), "Candidate: ")
			if is && v != "(none)" && (version == "" || exec.CommandContext(ctx, "dpkg", "--compare-versions", v, "gt", version).Run() == nil) {
				name, version = candidate, v
			}
		}
	}
	if name == "" {
		return "", "", fmt.Errorf("%s: %w", pattern, ErrNoPackage)
	}
	return name, version, nil
}

// unpack downloads a Debian package into a folder and unpacks it there.
func unpack(ctx context.Context, name, folder string) error {
	if _, err := output(ctx, folder, "apt-get", "download", "-o", "APT::Sandbox::User=root", name); err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(folder, "*.deb"))
	if err != nil || len(archives) != 1 {
		return errors.Join(fmt.Errorf("apt-get download %s left %d packages", name, len(archives)), err)
	}
	_, err = output(ctx, folder, "dpkg-deb", "-x", archives[0], folder)
	return err
}

// output runs a program in a folder and returns what it prints. The error holds the
// last line of its complaints.
func output(ctx context.Context, folder, program string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, arguments...)
	cmd.Dir = folder
	text, err := cmd.Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", fmt.Errorf("%s %s: %w: %s", program, strings.Join(arguments, " "), err, lines[len(lines)-1])
	}
	return string(text), err
}

// stock returns the image of a stock kernel.
func (k *kernels) stock(ctx context.Context) (string, error) {
	if image := k.cached("stock-*"); image != "" {
		return image, nil
	}
	name, version, err := newest(ctx, `^linux-image-6\.12\..*-amd64-unsigned$`)
	if err != nil {
		return "", err
	}
	return k.image(ctx, "stock-"+fileName(version), func(ctx context.Context, scratch string) (string, error) {
		k.say("downloading %s %s", name, version)
		if err := unpack(ctx, name, scratch); err != nil {
			return "", err
		}
		images, err := filepath.Glob(filepath.Join(scratch, "boot", "vmlinuz-*"))
		if err != nil || len(images) != 1 {
			return "", errors.Join(fmt.Errorf("%s has %d kernels", name, len(images)), err)
		}
		return images[0], nil
	})
}

// cached returns the newest image whose name matches a pattern, "" without any.
func (k *kernels) cached(pattern string) string {
	images, err := filepath.Glob(filepath.Join(k.cache, pattern))
	if err != nil {
		return ""
	}
	images = slices.DeleteFunc(images, func(file string) bool { return strings.HasSuffix(file, ".lock") })
	if len(images) == 0 {
		return ""
	}
	return slices.MaxFunc(images, func(a, b string) int { return cmp.Compare(modified(a), modified(b)) })
}

// modified returns when a file was written; the earliest time if there is none.
func modified(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return math.MinInt64
	}
	return info.ModTime().UnixNano()
}

// fileName makes a name of a file of a version.
func fileName(version string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == ':' {
			return '_'
		}
		return r
	}, version)
}
