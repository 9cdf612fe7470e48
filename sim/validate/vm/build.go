package vm

import (
	"bufio"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// cmaConfig is what the small kernel has beyond the least that Linux builds with.
//
//go:embed cma.config
var cmaConfig string

// built returns the image of the kernel with CMA.
func (k *kernels) built(ctx context.Context) (string, error) {
	const name = "linux-source-6.12"
	config := fmt.Sprintf("%.8x", sha256.Sum256([]byte(cmaConfig)))
	if image := k.cached("cma-*-" + config); image != "" {
		return image, nil
	}
	_, version, err := newest(ctx, `^`+name+`$`)
	if err != nil {
		return "", err
	}
	return k.image(ctx, "cma-"+fileName(version)+"-"+config, func(ctx context.Context, scratch string) (string, error) {
		err := need(tool{"make", "make"}, tool{"gcc", "gcc"}, tool{"flex", "flex"}, tool{"bison", "bison"}, tool{"bc", "bc"},
			tool{"xz", "xz-utils"}, tool{"/usr/include/libelf.h", "libelf-dev"})
		if err != nil {
			return "", err
		}
		k.say("downloading %s %s", name, version)
		if err := unpack(ctx, name, scratch); err != nil {
			return "", err
		}
		if _, err := output(ctx, scratch, "tar", "xf", filepath.Join("usr", "src", name+".tar.xz")); err != nil {
			return "", err
		}
		return k.build(ctx, filepath.Join(scratch, name))
	})
}

// build configures and builds the kernel whose sources are in a folder.
func (k *kernels) build(ctx context.Context, sources string) (string, error) {
	fragment := filepath.Join(sources, "dmasim.config")
	if err := os.WriteFile(fragment, []byte(cmaConfig), 0o666); err != nil {
		return "", err
	}
	for _, step := range [][]string{
		{"make", "tinyconfig"},
		{filepath.Join("scripts", "kconfig", "merge_config.sh"), "-m", ".config", fragment},
		{"make", "olddefconfig"},
	} {
		if _, err := output(ctx, sources, step[0], step[1:]...); err != nil {
			return "", err
		}
	}
	if err := checkConfig(filepath.Join(sources, ".config")); err != nil {
		return "", err
	}
	k.say("building a kernel with CMA, once: some 10 to 20 minutes")
	cmd := exec.CommandContext(ctx, "make", fmt.Sprintf("-j%d", runtime.NumCPU()), "bzImage")
	cmd.Dir = sources
	// It ends with all that it started.
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return killGroup(cmd.Process) }
	complaints, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	steps, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	last := make(chan string)
	go func() {
		line := ""
		for lines := bufio.NewScanner(complaints); lines.Scan(); {
			line = lines.Text()
		}
		last <- line
	}()
	const between = 250
	for lines, n := bufio.NewScanner(steps), 1; lines.Scan(); n++ {
		if n%between == 0 {
			k.say("%d steps of about 1600 done", n)
		}
	}
	complaint := <-last
	if err := cmd.Wait(); err != nil {
		return "", errors.Join(ctx.Err(), fmt.Errorf("make bzImage: %w: %s", err, complaint))
	}
	return filepath.Join(sources, "arch", "x86", "boot", "bzImage"), nil
}

// checkConfig makes sure that a configuration has all that was asked for: options
// whose dependencies are missing are dropped silently.
func checkConfig(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	have := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		have[strings.TrimSpace(line)] = true
	}
	var missing []string
	for line := range strings.Lines(cmaConfig) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !have[line] {
			missing = append(missing, line)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the kernel can't be configured with %s", strings.Join(missing, ", "))
	}
	return nil
}
