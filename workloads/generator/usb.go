package generator

import (
	"time"

	"dmasim/mem"
)

// usb is an xHCI controller: its own tables, contexts and rings of devices while they
// are plugged in, webcams while they stream, and disks while they are read.
type usb struct {
	scratchpads, devices, endpoints          uint64
	webcams, urbs, packets, packet           uint64
	disks, transfers, transfer               uint64
	plugged, unplugged, stream, off, reading span
	rest                                     span
}

// The pools of a controller, in the order of usbKind.
const (
	controllerPool = iota
	contextPool
	ringPool
	isochronousPool
	storagePool
)

var usbKind = kind{
	name: "usb", summary: "an xHCI controller, devices that come and go, webcams, disks",
	pools: []Pool{
		{Name: "controller", Meaning: "device table, command and event rings, scratchpad"},
		{Name: "contexts", Meaning: "contexts of a device, for input and output"},
		{Name: "rings", Meaning: "transfer rings of a device's endpoints"},
		{Name: "isochronous", Meaning: "packets of a webcam that streams"},
		{Name: "storage", Meaning: "transfers of a disk"},
	},
	make: func() model { return &usb{} },
}

const (
	xhciSegment  = 4096 // 256 TRBs of 16 bytes
	xhciSegments = 2    // of a ring
	xhciContext  = 2112 // 33 contexts of 64 bytes
	xhciTable    = 4096 // the device context base address array: 256 entries of 8 bytes, in a page
	xhciSource   = "Linux, drivers/usb/host/xhci-mem.c and xhci.h"
	uvcSource    = "Linux, drivers/media/usb/uvc/uvcvideo.h (UVC_URBS, UVC_MAX_PACKETS)"
)

func (u *usb) bind(t *table) {
	t.integer(&u.scratchpads, 8, 0, 1023, about{"scratchpads", "pages", "pages that the controller wants for itself", "up to 1023: xHCI specification 1.2, 5.3.4"})
	t.integer(&u.devices, 4, 0, 127, about{"devices", "devices", "ports where devices come and go", "a bus has at most 127"})
	t.integer(&u.endpoints, 4, 1, 31, about{"endpoints", "endpoints", "endpoints of a device, with a ring of two segments each", xhciSource})
	t.integer(&u.webcams, 1, 0, 16, about{"webcams", "webcams", "webcams", ""})
	t.integer(&u.urbs, 5, 1, 64, about{"urbs", "buffers", "requests of a webcam at the same time", uvcSource})
	t.integer(&u.packets, 32, 1, 128, about{"packets", "packets", "packets of such a request", uvcSource})
	t.integer(&u.packet, 3072, 1, 49152, about{"packet", "bytes", "bytes of a packet", "3 transactions of 1024 bytes in a microframe: USB 2.0, 5.6.3"})
	t.integer(&u.disks, 1, 0, 16, about{"disks", "disks", "disks", ""})
	t.integer(&u.transfers, 4, 1, 64, about{"transfers", "buffers", "transfers of a disk at the same time", "assumed"})
	t.size(&u.transfer, 120*mem.KiB, 512, 16*mem.MiB, about{"transfer", "", "size of a transfer", "240 sectors, 2048 from USB 3 on: Linux, drivers/usb/storage/scsiglue.c"})
	t.span(&u.plugged, 10*time.Minute, shortestSession, 1, about{"plugged", "", "time for which a device is plugged in", ""})
	t.span(&u.unplugged, 5*time.Minute, time.Millisecond, 1, about{"unplugged", "", "time until the next is", ""})
	t.span(&u.stream, 2*time.Minute, shortestSession, 1, about{"stream", "", "time for which a webcam streams", ""})
	t.span(&u.off, 5*time.Minute, time.Millisecond, 1, about{"off", "", "time for which it does not", ""})
	t.span(&u.reading, 50*time.Millisecond, shortestSession, 1, about{"busy", "", "time for which a disk's transfers last", ""})
	t.span(&u.rest, 500*time.Millisecond, time.Millisecond, 2, about{"rest", "", "time until the next", ""})
}

func (u *usb) check() error { return nil }

func (u *usb) most() []uint64 {
	return []uint64{
		xhciTable + 2*xhciSegments*xhciSegment + u.scratchpads*xhciSegment,
		u.devices * 2 * xhciContext, u.devices * u.endpoints * xhciSegments * xhciSegment,
		u.webcams * u.urbs * u.packets * u.packet, u.disks * u.transfers * u.transfer,
	}
}

func (u *usb) actors() []actor {
	return []actor{
		{name: "controller", instances: 1, busy: forever, begin: func(s *session) {
			s.allocate(controllerPool, 1, xhciTable, time.Microsecond)
			s.allocate(controllerPool, 2*xhciSegments+u.scratchpads, xhciSegment, time.Microsecond)
		}},
		{name: "device", instances: int(u.devices), busy: u.plugged, idle: u.unplugged, begin: func(s *session) {
			s.allocate(contextPool, 2, xhciContext, time.Microsecond)
			s.allocate(ringPool, u.endpoints*xhciSegments, xhciSegment, time.Microsecond)
		}},
		{name: "webcam", instances: int(u.webcams), busy: u.stream, idle: u.off, begin: func(s *session) {
			s.allocate(isochronousPool, u.urbs, u.packets*u.packet, apart)
		}},
		{name: "disk", instances: int(u.disks), busy: u.reading, idle: u.rest, begin: func(s *session) {
			s.allocate(storagePool, u.transfers, u.transfer, time.Microsecond)
		}},
	}
}
