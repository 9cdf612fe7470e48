package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Edu is QEMU's teaching device, a PCI device that copies between memory and 4 KiB
// of its own. It drops the address bits beyond its mask, 28 bits by default. Source:
// QEMU 7.2, docs/specs/edu.txt and hw/misc/edu.c.
type Edu struct{ registers []byte }

// Of the device.
const (
	eduID       = 0x010000ed
	eduIDAt     = 0x00
	eduLive     = 0x04 // reads back inverted
	eduSource   = 0x80
	eduTarget   = 0x88
	eduCount    = 0x90
	eduCommand  = 0x98
	eduStart    = 1
	eduToMemory = 2
	eduBuffer   = 0x40000 // its own memory, as it addresses it
	eduSize     = 64      // copied by a transfer; QEMU 7.2 refuses a whole page
)

// eduPatience is how long a transfer may take; the device takes 100 ms.
const eduPatience = 10 * time.Second

// OpenEdu finds the device and switches it on. Its transfers ruin whatever they hit,
// so it only works inside of a virtual machine.
func OpenEdu() (*Edu, error) {
	if !InsideVM(os.DirFS("/")) {
		return nil, ErrNotVM
	}
	functions, err := filepath.Glob("/sys/bus/pci/devices/*")
	if err != nil {
		return nil, err
	}
	for _, folder := range functions {
		vendor, vendorErr := os.ReadFile(filepath.Join(folder, "vendor"))
		device, deviceErr := os.ReadFile(filepath.Join(folder, "device"))
		if err := errors.Join(vendorErr, deviceErr); err != nil {
			return nil, err
		}
		if strings.TrimSpace(string(vendor)) == "0x1234" && strings.TrimSpace(string(device)) == "0x11e8" {
			e, err := openEdu(folder)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", folder, err)
			}
			return e, nil
		}
	}
	return nil, &errUnobservable{"the machine has no edu device", "dmasim kernel vm -- validate --device edu"}
}

func openEdu(folder string) (*Edu, error) {
	if err := os.WriteFile(filepath.Join(folder, "enable"), []byte("1"), 0); err != nil {
		return nil, err
	}
	config, err := os.OpenFile(filepath.Join(folder, "config"), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer config.Close()
	const command, memoryAndMaster = 4, 6 // of the PCI header
	word := make([]byte, 2)
	if _, err := config.ReadAt(word, command); err != nil {
		return nil, err
	}
	word[0] |= memoryAndMaster
	if _, err := config.WriteAt(word, command); err != nil {
		return nil, err
	}
	resource, err := os.OpenFile(filepath.Join(folder, "resource0"), os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		return nil, err
	}
	defer resource.Close()
	info, err := resource.Stat()
	if err != nil {
		return nil, err
	}
	e := &Edu{}
	if e.registers, err = unix.Mmap(int(resource.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, err
	}
	const probe = 0x12345678
	atomic.StoreUint32(e.word(eduLive), probe)
	if id, live := atomic.LoadUint32(e.word(eduIDAt)), atomic.LoadUint32(e.word(eduLive)); id != eduID || live != ^uint32(probe) {
		return nil, errors.Join(fmt.Errorf("its registers read %#x and %#x, want %#x and %#x", id, live, eduID, ^uint32(probe)), e.Close())
	}
	return e, nil
}

// word and long are registers: the device tells accesses of 32 and of 64 bits apart.
func (e *Edu) word(at int) *uint32 { return (*uint32)(unsafe.Pointer(&e.registers[at])) }
func (e *Edu) long(at int) *uint64 { return (*uint64)(unsafe.Pointer(&e.registers[at])) }

// Fetch makes the device copy a page into its own memory.
func (e *Edu) Fetch(addr uint64) error { return e.transfer(addr, eduBuffer, eduStart) }

// Put makes the device copy its own memory to a page.
func (e *Edu) Put(addr uint64) error { return e.transfer(eduBuffer, addr, eduStart|eduToMemory) }

func (e *Edu) transfer(from, to, command uint64) error {
	atomic.StoreUint64(e.long(eduSource), from)
	atomic.StoreUint64(e.long(eduTarget), to)
	atomic.StoreUint64(e.long(eduCount), eduSize)
	atomic.StoreUint64(e.long(eduCommand), command)
	const between = time.Millisecond
	for waited := time.Duration(0); atomic.LoadUint64(e.long(eduCommand))&eduStart != 0; waited += between {
		if waited > eduPatience {
			return fmt.Errorf("edu: a transfer from %#x to %#x is not over after %v", from, to, eduPatience)
		}
		time.Sleep(between)
	}
	return nil
}

// Close lets go of the registers.
func (e *Edu) Close() error { return unix.Munmap(e.registers) }
