package dmesg

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"dmasim/allocator"
	"dmasim/mem"
)

const (
	exhausted = allocator.Exhausted
	limit     = allocator.Limit
)

// slotBytes is the size of a bounce buffer's unit, and maxSlots how many of them
// the largest mapping may take (IO_TLB_SIZE, IO_TLB_SEGSIZE; include/linux/swiotlb.h).
const (
	slotBytes = 2048
	maxSlots  = 128
)

var (
	bounceFull  = regexp.MustCompile(`^(.*?):? ?swiotlb buffer is full(?: \(sz: ?(\d+) bytes\))?(?:, total (\d+) \(slots\), used (\d+) \(slots\))?`)
	bounceSpace = regexp.MustCompile(`^(.*?):? ?DMA: Out of SW-IOMMU space for (\d+) bytes(?: at device (\S+))?`)
	beyondMask  = regexp.MustCompile(`^(.*?):? ?(?:swiotlb addr|DMA addr|overflow) (?:0x)?([0-9a-f]+)\+(\d+) (?:overflow \(mask|of DMA mask) ([0-9a-f]+),? bus limit ([0-9a-f]+)`)
	hwdevMask   = regexp.MustCompile(`hwdev DMA mask = 0x([0-9a-fA-F]+), dev_addr = 0x([0-9a-fA-F]+)`)
	iovaFailed  = regexp.MustCompile(`Allocating (\d+)-page iova for (.+?) failed`)
	noMask      = regexp.MustCompile(`(?i)^(.*?):? ?(?:no suitable DMA (?:available|mask)|no usable DMA (?:configuration|mask)|unable to set (?:\d+-bit )?DMA mask|failed to set (?:the )?DMA mask|DMA mask not set|\w+ unsupported memory larger than 4G|not a valid DMA mask|32-bit DMA not available)`)
	mapFailed   = regexp.MustCompile(`(?i)^(.*?):? ?(?:dma_map_(?:single|page|sg)\w*(?:\(\))? failed|DMA[- ]map(?:ping)? (?:error|failed)|failed to (?:DMA[- ])?map (?:DMA )?(?:buffer|memory|sg|skb|sgl?table)|(?:unable|failed) to map .{0,30}\bfor DMA)`)

	// driverFailed are what drivers say that they did not get, with the device, the
	// bytes where they tell, and its second form.
	driverFailed = []*regexp.Regexp{
		regexp.MustCompile(`^(.*?):? ?failed to allocate (?:buffer|memory|frame ?buffer) (?:with|of) size (\d+)`),
		regexp.MustCompile(`^(.*?):? ?dma[_ ]alloc(?:_coherent|_attrs|_contiguous)? of size (\d+) failed`),
		regexp.MustCompile(`^(.*?):? ?dma_alloc_\w+\(size=(\d+)\) failed`),
		regexp.MustCompile(`^swiotlb: coherent allocation failed for device (\S+) size=(\d+)`),
		regexp.MustCompile(`^(.*?):? ?swiotlb: coherent allocation failed,? size=(\d+)`),
		regexp.MustCompile(`^(.*?):? ?dma_alloc_\w+(?:\(\))? failed()`),
		regexp.MustCompile(`^(.*?):? ?Failed to allocate (?:memory )?for tile binning()`),
		regexp.MustCompile(`^(.*?):? ?vmalloc: allocation failure:? (\d+) bytes`),
		regexp.MustCompile(`^(.*?):? ?.{0,40}Failed to create \w+ buffer and dma mapping()`),
	}
	fromCMA    = regexp.MustCompile(`(?i)failed to allocate from CMA`)
	heapFailed = regexp.MustCompile(`(?i)^(.*?):? ?(?:dma-?_? ?(?:buf )?heap|dmabuf[- ]?heap|DMA_HEAP_IOCTL_ALLOC|/dev/dma_heap/\S+).{0,60}?(?:failure|failed|cannot allocate memory|permission denied|could not|unable)(.*)`)

	drmHeld = regexp.MustCompile(`\[drm\]\s+(?:(num|size) bos (allocated|used|cached): (\d+)(?:kb)?|(.+?):\s+(\d+)kb BOs \((\d+)\))`)
)

// readDMA reads failures to map, and what bounce buffers and IOMMUs say.
func (s *scanner) readDMA(message, time string) bool {
	switch {
	case strings.Contains(message, "swiotlb buffer is full"):
		m := bounceFull.FindStringSubmatch(message)
		f := s.add(SWIOTLB, time)
		f.Cause = cause(allocator.Bounce)
		f.Device = device(m[1])
		f.Bounce = &Bounce{SlotBytes: slotBytes}
		f.requestedBytes, _ = number(m[2])
		total, ok := number(m[3])
		used, counted := number(m[4])
		if ok && counted && total < 1<<32 {
			f.Bounce.TotalSlots, f.Bounce.UsedSlots = pages(total), pages(used)
			f.FreePages = pages((total - min(used, total)) * slotBytes / f.PageBytes)
		}
	case strings.Contains(message, "Out of SW-IOMMU space"):
		m := bounceSpace.FindStringSubmatch(message)
		if m == nil {
			return false
		}
		if f := s.last(SWIOTLB); f != nil {
			return true // it has been told
		}
		f := s.add(SWIOTLB, time)
		f.Cause = cause(allocator.Bounce)
		f.Bounce = &Bounce{SlotBytes: slotBytes}
		f.Device = device(m[1])
		if m[3] != "" {
			f.Device = device(m[3])
		}
		f.requestedBytes, _ = number(m[2])
	case strings.Contains(message, "bus limit"):
		m := beyondMask.FindStringSubmatch(message)
		if m == nil {
			return false
		}
		f := s.add(DMAMask, time)
		f.Cause = cause(allocator.Unreachable)
		f.Device = device(m[1])
		f.requestedBytes, _ = number(m[3])
		f.Address = &Address{At: address(m[2]), Bytes: mem.Size(f.requestedBytes), Mask: address(m[4]), BusLimit: address(m[5])}
	case strings.Contains(message, "hwdev DMA mask"):
		m := hwdevMask.FindStringSubmatch(message)
		if m == nil {
			return false
		}
		f := s.add(DMAMask, time)
		f.Cause = cause(allocator.Unreachable)
		f.Address = &Address{At: address(m[2]), Mask: address(m[1])}
	case strings.Contains(message, "-page iova for"):
		m := iovaFailed.FindStringSubmatch(message)
		if m == nil {
			return false
		}
		f := s.add(IOVA, time)
		f.Cause = cause(allocator.IOVA)
		f.Device = device(m[2])
		if n, ok := number(m[1]); ok {
			f.RequestedPages = pages(n)
		}
	default:
		return false
	}
	return true
}

// readDriver reads what drivers and programs say that they did not get. If the
// kernel said it just before, they add who asked.
func (s *scanner) readDriver(message, time string) bool {
	if s.readHeld(message) {
		return true
	}
	if !mentionsFailure(message) {
		return false
	}
	for _, pattern := range driverFailed {
		m := pattern.FindStringSubmatch(message)
		if m == nil {
			continue
		}
		bytes, _ := number(m[2])
		s.driverSays(device(m[1]), bytes, time)
		return true
	}
	if fromCMA.MatchString(message) {
		f := s.last(CMA, DMAAlloc)
		if f == nil || f.Objects != nil {
			f = s.add(CMA, time)
			f.Area = &Area{}
		}
		f.toCMA()
		s.bufferIO, s.heldLine = f, s.line
		return true
	}
	if m := heapFailed.FindStringSubmatch(message); m != nil {
		f := s.add(DMAHeap, time)
		f.Device = device(m[1])
		if strings.Contains(strings.ToLower(message), "permission denied") {
			f.Cause = cause(allocator.Permission)
		}
		return true
	}
	if m := noMask.FindStringSubmatch(message); m != nil {
		f := s.add(DMAMask, time)
		f.Cause = cause(allocator.Unreachable)
		f.Device = device(m[1])
		return true
	}
	if m := mapFailed.FindStringSubmatch(message); m != nil {
		if f := s.last(SWIOTLB, DMAMask, IOVA); f == nil {
			s.add(DMAMap, time).Device = device(m[1])
		}
		return true
	}
	return false
}

// mentionsFailure is a quick look whether more is worth it.
func mentionsFailure(message string) bool {
	for _, word := range []string{"ail", "rror", "annot", "nable", "not ", "enied", "suitable", "unsupported", "No ", "no "} {
		if strings.Contains(message, word) {
			return true
		}
	}
	return false
}

// driverSays adds what a driver says to the failure that it is about, or makes
// one of it.
func (s *scanner) driverSays(name string, bytes uint64, time string) {
	for i := len(s.failures) - 1; i >= 0 && s.line-s.failures[i].Line <= 4*nearby; i-- {
		f := s.failures[i]
		if f.Kind == PageAlloc && f.Device == "" && (bytes == 0 || bytes <= 4096<<f.order && bytes > 2048<<f.order) {
			f.Device = name
			return
		}
		if s.line-f.Line > nearby {
			break
		}
		same := bytes == 0 || f.RequestedPages == nil && f.requestedBytes == 0 || f.requestedBytes == bytes
		for _, size := range []uint64{4 << 10, 16 << 10, 64 << 10} {
			same = same || f.RequestedPages != nil && (bytes+size-1)/size == *f.RequestedPages
		}
		if slices.Contains([]string{CMA, SWIOTLB, DMAMask, DMAAlloc}, f.Kind) && same && (f.Device == "" || bytes == 0 || f.Device == name || strings.HasSuffix(f.Device, " "+name)) {
			if f.Device == "" {
				f.Device = name
			}
			if f.requestedBytes == 0 {
				f.requestedBytes = bytes
			}
			return
		}
	}
	f := s.add(DMAAlloc, time)
	f.Device = name
	f.requestedBytes = bytes
	// Kernels before 4.10 do not print the failure itself, but what was busy.
	if s.busyTimes > 0 && s.line-s.busyLine <= nearby && bytes > 0 && (bytes+f.PageBytes-1)/f.PageBytes == s.busyCount {
		f.toCMA()
		f.errno, f.busyRanges = -16, s.busyTimes
		s.busyTimes = 0
	}
}

// toCMA makes the failure one of a contiguous memory area.
func (f *Failure) toCMA() {
	f.Kind = CMA
	if f.Area == nil {
		f.Area = &Area{}
	}
}

// readHeld reads what a DRM driver lists of its buffers after a failure
// (vc4_bo_stats_print).
func (s *scanner) readHeld(message string) bool {
	if s.bufferIO == nil || s.line-s.heldLine > 3 || !strings.Contains(message, "[drm]") {
		return false
	}
	m := drmHeld.FindStringSubmatch(message)
	if m == nil {
		return false
	}
	s.heldLine = s.line
	f := s.bufferIO
	if m[4] != "" {
		if what := shortText(m[4]); !strings.Contains(what, "purged") && len(f.Objects) < 16 {
			kB, _ := number(m[5])
			n, _ := number(m[6])
			f.Objects = append(f.Objects, Held{What: what, Bytes: mem.Size(kB << 10), Buffers: n})
		}
		return true
	}
	if m[2] != "allocated" { // used and cached are parts of that
		return true
	}
	if len(f.Objects) == 0 {
		f.Objects = append(f.Objects, Held{What: "buffers"})
	}
	n, _ := number(m[3])
	if m[1] == "num" {
		f.Objects[0].Buffers = n
	} else {
		f.Objects[0].Bytes = mem.Size(n << 10)
	}
	return true
}

// device returns the name of a device out of what stands before a message.
func device(text string) string {
	text = strings.TrimRight(shortText(text), " :")
	if i := strings.LastIndex(text, "ERROR"); i >= 0 {
		text = strings.Trim(text[i+5:], "*_ ")
	}
	if i := strings.LastIndex(text, "]"); i >= 0 && !strings.Contains(text, "[drm") {
		text = text[i+1:]
	}
	return strings.TrimSpace(text)
}

func address(hex string) mem.Addr {
	n, _ := strconv.ParseUint(hex, 16, 64)
	return mem.Addr(n)
}

func kilobytes(text string) mem.Size {
	n, _ := number(text)
	return mem.Size(n << 10)
}
