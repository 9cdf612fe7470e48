package vm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dmasim/mem"
)

// Job is a command line of dmasim for a virtual machine.
type Job struct {
	Args []string // of dmasim, without its own name
	Dir  string   // in which it runs, an absolute path; the same inside
	// Inputs are files and folders of the host that the machine has too, at the
	// same absolute paths.
	Inputs []string
}

// jobFile is where the machine finds its Job.
const jobFile = "/dmasim-job.json"

// maxInputs bounds the files that are copied into a machine together, in bytes:
// they take its memory.
const maxInputs = 256 << 20

// Parameter on the kernel's command line says that the machine was started by this
// package, for nothing else, and may be ruined.
const Parameter = "dmasim.vm=1"

// NewJob makes a job of a command line. Every file and folder of the host that it
// names, and those in also, become inputs.
func NewJob(args, also []string) (*Job, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	job := &Job{Args: args, Dir: dir}
	for _, path := range also {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
	}
	for _, path := range append(paths(args), also...) {
		if _, err := os.Stat(path); err != nil {
			continue // a word that is no file, or a file to be written
		}
		absolute, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		if absolute == "/" {
			continue
		}
		job.Inputs = append(job.Inputs, absolute)
	}
	slices.Sort(job.Inputs)
	job.Inputs = slices.Compact(job.Inputs)
	return job, nil
}

// paths returns what may be paths among the words of a command line: words, and
// what follows the = of a flag.
func paths(args []string) []string {
	var list []string
	for _, word := range args {
		if strings.HasPrefix(word, "-") {
			_, value, found := strings.Cut(word, "=")
			if !found {
				continue
			}
			word = value
		}
		if word != "" {
			list = append(list, word)
		}
	}
	return list
}

// mayWrite reports whether a file that the command left in the machine belongs on
// the host: it lies in the folder in which the command ran, or under a path that
// the command line names.
func (j *Job) mayWrite(path string) bool {
	if within(path, j.Dir) {
		return true
	}
	for _, named := range paths(j.Args) {
		if filepath.IsAbs(named) && named != "/" && within(path, filepath.Clean(named)) {
			return true
		}
	}
	return false
}

// within reports whether a clean absolute path is folder or lies in it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}

// walkInputs calls visit with every regular file among the inputs, and every
// folder, once each.
func (j *Job) walkInputs(visit func(path string, info fs.FileInfo) error) error {
	seen := map[string]bool{}
	var total int64
	for _, input := range j.Inputs {
		err := filepath.WalkDir(input, func(path string, d fs.DirEntry, err error) error {
			if err != nil || seen[path] {
				return err
			}
			seen[path] = true
			info, err := os.Stat(path) // what a link points to
			if err != nil || !info.Mode().IsRegular() && !info.IsDir() {
				return err
			}
			if info.IsDir() != d.IsDir() {
				return nil // a link to a folder
			}
			if info.Mode().IsRegular() {
				if total += info.Size(); total > maxInputs {
					return errTooLarge
				}
			}
			return visit(path, info)
		})
		if errors.Is(err, errTooLarge) {
			return fmt.Errorf("%s: more than %v to copy into the virtual machine", input, mem.Size(maxInputs))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errTooLarge = errors.New("too large")
