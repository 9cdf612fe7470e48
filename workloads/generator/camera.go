package generator

import (
	"time"

	"dmasim/mem"
	"dmasim/workloads/bufferlist"
)

// camera is a camera with its image signal processor: while it is on, raw pictures
// come from the sensor and become previews. What else there is depends on the mode.
type camera struct {
	mode          string
	instances     uint64
	sensor        []sides
	raw           string
	stream        []sides
	format        string
	preview       []sides
	previewFormat string

	rawBuffers, previewBuffers, videoBuffers uint64
	bitstreamBuffers, bitstream              uint64

	shot            span // between the beginnings of bursts
	work            span // until the frames of a burst are processed
	frames, bracket uint64
	jpeg            uint64

	busy, idle span
}

// The pools of a camera, in the order of cameraKind.
const (
	rawPool = iota
	previewPool
	videoPool
	bitstreamPool
	burstPool
	stillPool
)

var cameraKind = kind{
	name: "camera", summary: "previews, video, bursts of stills, HDR brackets",
	pools: []Pool{
		{Name: "raw", Meaning: "pictures from the sensor, in a ring"},
		{Name: "preview", Meaning: "pictures for the display"},
		{Name: "video", Meaning: "pictures for the encoder"},
		{Name: "bitstream", Meaning: "what the encoder writes"},
		{Name: "burst", Meaning: "raw pictures of a burst or a bracket, until they are processed"},
		{Name: "still", Meaning: "the processed picture and its compressed form"},
	},
	make: func() model { return &camera{} },
}

const (
	preview  = "preview"
	video    = "video"
	burst    = "burst"
	hdr      = "hdr"
	anything = "mixed"
)

// apart is the time between two frame buffers of a pool: REQBUFS and gralloc
// allocate a pool within milliseconds.
const apart = 200 * time.Microsecond

const (
	v4l2Min   = "V4L2 drivers want 2 to 4 buffers at least; 3 to 8 are usual"
	omxInput  = "encoders take 4 to 6 input buffers and 4 to 8 of 0.5 to 2 MiB for the bitstream"
	hdrPlus   = "2 to 8 raw frames: Hasinoff et al., Burst photography for high dynamic range and low-light imaging on mobile cameras, ACM TOG 35(6), 2016"
	csiPacked = "MIPI CSI-2 packing, V4L2_PIX_FMT_SRGGB10P: four pixels in five bytes"
	notations = "formats as in lists of buffers (workloads/bufferlist): FORMAT/STRIDE, FORMAT/STRIDExROWS or FORMAT/venus (Linux, venus/helpers.c)"
)

func (c *camera) bind(t *table) {
	t.word(&c.mode, video, []string{video, preview, burst, hdr, anything}, about{"mode", "",
		"what a session does: preview shows pictures; video encodes them too; burst takes many stills now and then; hdr takes brackets of several exposures; mixed draws one of these for each session", ""})
	t.integer(&c.instances, 1, 1, 16, about{"instances", "cameras", "cameras that work independently of one another", ""})
	t.sides(&c.sensor, []sides{{4032, 3024}}, about{"sensor", "px", "sides of the raw pictures; of several, each session draws one", "12 megapixels of 4:3"})
	t.format(&c.raw, "RAW10/64", about{"raw", "", "format of the raw pictures", csiPacked + "; " + notations})
	t.sides(&c.stream, []sides{{1920, 1080}}, about{"stream", "px", "sides of the encoded pictures; of several, each session draws one", ""})
	t.format(&c.format, "NV12/64x16", about{"format", "", "format of the encoded pictures, such as NV12/venus or P010/256x16 for HDR10", notations})
	t.sides(&c.preview, []sides{{1920, 1080}}, about{"preview", "px", "sides of the previews; of several, each session draws one", ""})
	t.format(&c.previewFormat, "NV12/64x16", about{"preview_format", "", "format of the previews", notations})
	t.integer(&c.rawBuffers, 4, 1, 64, about{"raw_buffers", "buffers", "raw pictures of a session", v4l2Min})
	t.integer(&c.previewBuffers, 4, 1, 64, about{"preview_buffers", "buffers", "previews of a session", v4l2Min})
	t.integer(&c.videoBuffers, 6, 1, 64, about{"video_buffers", "buffers", "pictures for the encoder", omxInput})
	t.integer(&c.bitstreamBuffers, 4, 1, 64, about{"bitstream_buffers", "buffers", "buffers that the encoder writes to", omxInput})
	t.size(&c.bitstream, mem.MiB, 4*mem.KiB, 64*mem.MiB, about{"bitstream", "", "size of such a buffer", omxInput})
	t.integer(&c.frames, 10, 1, 256, about{"burst_frames", "buffers", "raw pictures of a burst", "assumed"})
	t.integer(&c.bracket, 3, 2, 16, about{"bracket_frames", "buffers", "raw pictures of an HDR bracket", hdrPlus})
	t.size(&c.jpeg, 8*mem.MiB, 4*mem.KiB, 256*mem.MiB, about{"jpeg", "", "size of the buffer for a compressed still", "assumed: more than the largest file, whose size is not known before"})
	t.span(&c.shot, 15*time.Second, time.Millisecond, 1, about{"shot", "", "time from the end of one burst or bracket to the next", ""})
	t.span(&c.work, 1500*time.Millisecond, time.Millisecond, 0.5, about{"work", "", "time for which the pictures of a burst or a bracket are kept to be processed", ""})
	t.span(&c.busy, time.Minute, shortestSession, 1, about{"session", "", "time for which the camera is on", ""})
	t.span(&c.idle, 2*time.Minute, 0, 1, about{"pause", "", "time for which it is off; 0: the next session follows at once", ""})
}

func (c *camera) check() error {
	return nil
}

// pictureSize is that of a picture whose format and sides are right.
func pictureSize(s sides, format string) uint64 {
	n, err := bufferlist.PictureSize(s.width, s.height, format)
	if err != nil {
		return 0 // never: format and sides were checked when they were set
	}
	return n
}

// largest returns the size of the largest picture of a list.
func largest(list []sides, format string) uint64 {
	var most uint64
	for _, s := range list {
		most = max(most, pictureSize(s, format))
	}
	return most
}

// does reports whether sessions of a mode may occur.
func (c *camera) does(mode string) bool { return c.mode == mode || c.mode == anything }

// stillFormat is that of a processed still.
const stillFormat = "NV12/64x16"

func (c *camera) most() []uint64 {
	var encoded, bits, burstFrames, stills uint64
	if c.does(video) {
		encoded, bits = c.videoBuffers*largest(c.stream, c.format), c.bitstreamBuffers*c.bitstream
	}
	if c.does(burst) {
		burstFrames = c.frames
	}
	if c.does(hdr) {
		burstFrames = max(burstFrames, c.bracket)
	}
	if burstFrames > 0 {
		stills = largest(c.sensor, stillFormat) + c.jpeg
	}
	raw := largest(c.sensor, c.raw)
	return []uint64{
		c.instances * c.rawBuffers * raw,
		c.instances * c.previewBuffers * largest(c.preview, c.previewFormat),
		c.instances * encoded, c.instances * bits,
		c.instances * burstFrames * raw, c.instances * stills,
	}
}

func (c *camera) actors() []actor {
	return []actor{{name: "session", instances: int(c.instances), busy: c.busy, idle: c.idle, begin: c.begin, round: c.round}}
}

// today returns the mode of a session and the sides of its raw pictures.
func (c *camera) today(s *session) (mode string, sensor sides) {
	mode = c.mode
	if mode == anything {
		mode = []string{preview, video, burst, hdr}[s.random("mode", 0).IntN(4)]
	}
	return mode, pick(s, "sensor", c.sensor)
}

// pick draws one of a list for a session.
func pick(s *session, purpose string, list []sides) sides {
	return list[s.random(purpose, 0).IntN(len(list))]
}

func (c *camera) begin(s *session) {
	mode, sensor := c.today(s)
	s.allocate(rawPool, c.rawBuffers, pictureSize(sensor, c.raw), apart)
	s.allocate(previewPool, c.previewBuffers, pictureSize(pick(s, "preview", c.preview), c.previewFormat), apart)
	if mode == video {
		s.allocate(videoPool, c.videoBuffers, pictureSize(pick(s, "stream", c.stream), c.format), apart)
		s.allocate(bitstreamPool, c.bitstreamBuffers, c.bitstream, apart)
	}
}

// round is a burst or a bracket, without which the session goes on.
func (c *camera) round(s *session, number uint64) bool {
	mode, sensor := c.today(s)
	frames := c.frames
	switch mode {
	case hdr:
		frames = c.bracket
	case burst:
	default:
		return false
	}
	s.wait(s.span("shot", number, c.shot))
	s.optional()
	raw := s.allocate(burstPool, frames, pictureSize(sensor, c.raw), apart)
	still := s.allocate(stillPool, 1, pictureSize(sensor, stillFormat), apart)
	jpeg := s.allocate(stillPool, 1, c.jpeg, apart)
	s.wait(s.span("work", number, c.work))
	s.free(raw, still, jpeg)
	return true
}
