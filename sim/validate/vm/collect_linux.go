package vm

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// stamp tells a file that was written again from the one before.
type stamp struct {
	size    int64
	changed time.Time
}

// snapshot returns the files that the command may change, before it runs.
func snapshot(job *Job) (map[string]stamp, error) {
	files := map[string]stamp{}
	err := walk(job, func(path string, info fs.FileInfo) error {
		files[path] = stamp{info.Size(), info.ModTime()}
		return nil
	})
	return files, err
}

// collect writes an archive of the files that the command made or changed, and of
// the folders that it made, if there are any.
func collect(job *Job, before map[string]stamp, to io.Writer) error {
	packed, err := gzip.NewWriterLevel(to, gzip.BestSpeed)
	if err != nil {
		return err
	}
	archive, any := tar.NewWriter(packed), false
	err = walk(job, func(path string, info fs.FileInfo) error {
		if was, is := before[path]; is && was == (stamp{info.Size(), info.ModTime()}) {
			return nil
		}
		any = true
		head := &tar.Header{Name: path, Typeflag: tar.TypeReg, Mode: int64(info.Mode().Perm()), Size: info.Size()}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := archive.WriteHeader(head); err != nil {
			return err
		}
		_, err = io.CopyN(archive, f, info.Size())
		return err
	})
	if err != nil || !any {
		return err
	}
	return errors.Join(archive.Close(), packed.Close())
}

// walk visits the regular files that belong on the host, on the first file system
// alone: others hold what Linux tells of itself.
func walk(job *Job, visit func(path string, info fs.FileInfo) error) error {
	root, err := os.Stat("/")
	if err != nil {
		return err
	}
	return filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case device(info) != device(root) && d.IsDir():
			return fs.SkipDir
		case !info.Mode().IsRegular() || !job.mayWrite(path):
			return nil
		}
		return visit(path, info)
	})
}
