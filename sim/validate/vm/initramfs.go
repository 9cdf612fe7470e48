package vm

import (
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/cavaliergopher/cpio"
)

// ErrDynamic is returned for a program that needs libraries, which the machine does
// not have.
var ErrDynamic = errors.New("dmasim is linked dynamically, and a virtual machine has no libraries; build it with CGO_ENABLED=0 go build ./cmd/dmasim")

// writeInitramfs writes the first file system of a machine: the program as /init,
// the job, and its inputs. Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
func writeInitramfs(to io.Writer, program string, job *Job) error {
	packed, err := gzip.NewWriterLevel(to, gzip.BestSpeed)
	if err != nil {
		return err
	}
	a := archive{to: cpio.NewWriter(packed), folders: map[string]bool{"/": true}}
	text, err := json.Marshal(job)
	if err != nil {
		return err
	}
	err = errors.Join(
		a.copy("/init", program, 0o755),
		a.file(jobFile, text),
		a.folder(job.Dir),
		job.walkInputs(func(path string, info fs.FileInfo) error {
			if info.IsDir() {
				return a.folder(path)
			}
			return a.copy(path, path, info.Mode().Perm())
		}),
	)
	return errors.Join(err, a.to.Close(), packed.Close())
}

// checkStatic returns [ErrDynamic] for a program that asks for a loader.
func checkStatic(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return ErrDynamic
		}
	}
	return nil
}

// archive is a cpio archive that makes the folders of its files.
type archive struct {
	to      *cpio.Writer
	folders map[string]bool
}

func (a *archive) folder(name string) error {
	if a.folders[name] {
		return nil
	}
	a.folders[name] = true
	if err := a.folder(path.Dir(name)); err != nil {
		return err
	}
	return a.to.WriteHeader(&cpio.Header{Name: name[1:], Mode: cpio.TypeDir | 0o755})
}

func (a *archive) file(name string, text []byte) error {
	if err := a.folder(path.Dir(name)); err != nil {
		return err
	}
	if err := a.to.WriteHeader(&cpio.Header{Name: name[1:], Mode: cpio.TypeReg | 0o644, Size: int64(len(text))}); err != nil {
		return err
	}
	_, err := a.to.Write(text)
	return err
}

// copy adds a file of the host.
func (a *archive) copy(name, from string, mode fs.FileMode) error {
	if err := a.folder(filepath.Dir(name)); err != nil {
		return err
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := a.to.WriteHeader(&cpio.Header{Name: name[1:], Mode: cpio.TypeReg | cpio.FileMode(mode), Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return err
	}
	_, err = io.CopyN(a.to, f, info.Size())
	return err
}
