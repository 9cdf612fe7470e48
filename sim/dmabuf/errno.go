package dmabuf

// Errno is the result of a system call.
type Errno uint8

// The results. The names are those of errno(3).
const (
	OK Errno = iota
	EBADF
	EINVAL
	ENODEV // mmap of a file that has none
	ENOENT
	ENOTTY // an ioctl that the file does not know
	EMFILE
	EBUSY
	EAGAIN // the call would wait
	ESRCH
	EOVERFLOW // mmap at an offset near 2^64
)

var errnoNames = [...]string{"OK", "EBADF", "EINVAL", "ENODEV", "ENOENT", "ENOTTY", "EMFILE", "EBUSY", "EAGAIN", "ESRCH", "EOVERFLOW"}

// String returns the name, such as "EBADF".
func (e Errno) String() string { return errnoNames[e] }
