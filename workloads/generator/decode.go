package generator

import (
	"time"

	"dmasim/mem"
)

// decode is a video decoder with its players. Each instance plays one stream after
// the other; a stream may switch between resolutions, and then its whole pool is
// freed and allocated anew.
type decode struct {
	codec, level string
	ladder       []sides
	format       string
	instances    uint64

	queue, extra, grain uint64 // pictures
	motion              uint64 // bytes for each macroblock
	bitstreamBuffers    uint64
	bitstream           uint64
	firmware            uint64

	stay, busy, idle span
}

// The pools of a decoder, in the order of decodeKind.
const (
	picturePool = iota
	motionPool
	inputPool
	workPool
)

var decodeKind = kind{
	name: "decode", summary: "decoded picture buffers by codec and level, changes of resolution",
	pools: []Pool{
		{Name: "pictures", Meaning: "decoded pictures: what the stream refers to, and what waits for the display"},
		{Name: "motion", Meaning: "motion vectors, one buffer for each picture"},
		{Name: "bitstream", Meaning: "the compressed stream"},
		{Name: "work", Meaning: "memory of the decoder's firmware, as long as a stream plays"},
	},
	make: func() model { return &decode{} },
}

const dpbSource = "ITU-T H.264 table A-1 and A.3.1; H.265 A.4.2; AV1 and VP9: 8 reference slots"

func (d *decode) bind(t *table) {
	t.word(&d.codec, "h264", []string{"h264", "hevc", "av1", "vp9"}, about{"codec", "", "codec of the streams", ""})
	// Levels of all codecs; the codec decides which of them there are.
	t.word(&d.level, "4.1", levelNames(), about{"level", "",
		"level of the streams: it says how many pictures the decoder has to keep, beside the one it decodes", dpbSource})
	t.sides(&d.ladder, []sides{{1920, 1080}}, about{"ladder", "px",
		"sides of the pictures. Of several, a stream begins with one that is drawn, and switches to another, as adaptive streaming does", ""})
	t.format(&d.format, "NV12/64x16", about{"format", "", "format of the pictures, such as P010/256x16 for 10 bits or NV12/venus", notations})
	t.integer(&d.instances, 1, 1, 64, about{"instances", "streams", "streams that play at the same time at most", ""})
	t.integer(&d.queue, 3, 0, 16, about{"queue", "buffers", "pictures that wait for the display or are on it", "a compositor holds 2 to 3"})
	t.integer(&d.extra, 2, 0, 16, about{"extra", "buffers", "pictures that the player asks for beyond", "clients ask for 0 to 4"})
	t.integer(&d.grain, 0, 0, 16, about{"film_grain", "buffers", "pictures with film grain added (AV1), which are not referred to", "1 where the hardware writes both"})
	t.size(&d.motion, 0, 0, 4*mem.KiB, about{"motion", "", "motion vectors for each macroblock of 16x16 pixels of each picture; 0: within the picture or none", "64 bytes: Hantro G1 (Linux, hantro_h264.c)"})
	t.integer(&d.bitstreamBuffers, 4, 1, 64, about{"bitstream_buffers", "buffers", "buffers for the compressed stream", "4 to 8 of 0.5 to 2 MiB"})
	t.size(&d.bitstream, mem.MiB, 4*mem.KiB, 64*mem.MiB, about{"bitstream", "", "size of such a buffer", "4 to 8 of 0.5 to 2 MiB"})
	t.size(&d.firmware, 0, 0, 64*mem.MiB, about{"work", "", "memory for the firmware's context of a stream; 0: none", "assumed: differs between decoders"})
	t.span(&d.stay, 20*time.Second, time.Millisecond, 1, about{"switch", "", "time from one change of resolution to the next, where the ladder has several", ""})
	t.span(&d.busy, 3*time.Minute, shortestSession, 1, about{"session", "", "time for which a stream plays", ""})
	t.span(&d.idle, time.Minute, 0, 1, about{"pause", "", "time between two streams; 0: none", ""})
}

func (d *decode) check() error {
	for _, s := range d.ladder {
		if _, err := dpbFrames(d.codec, d.level, s); err != nil {
			return wrong("level", "%w", err)
		}
	}
	if d.grain > 0 && d.codec != "av1" {
		return wrong("film_grain", "only av1 has film grain, not %s", d.codec)
	}
	return nil
}

// pictures returns how many pictures a stream of these sides has: those of the
// decoded picture buffer, the one that is decoded, and those that wait.
func (d *decode) pictures(s sides) uint64 {
	frames, err := dpbFrames(d.codec, d.level, s)
	if err != nil {
		return 0 // never: check refuses such a ladder
	}
	return frames + 1 + d.queue + d.extra + d.grain
}

// vectors returns the bytes of a picture's motion vectors.
func (d *decode) vectors(s sides) uint64 {
	return up(s.width, 16) / 16 * (up(s.height, 16) / 16) * d.motion
}

func (d *decode) most() []uint64 {
	var pictures, motion uint64
	for _, s := range d.ladder {
		pictures = max(pictures, d.pictures(s)*pictureSize(s, d.format))
		motion = max(motion, d.pictures(s)*d.vectors(s))
	}
	n := d.instances
	return []uint64{n * pictures, n * motion, n * d.bitstreamBuffers * d.bitstream, n * d.firmware}
}

func (d *decode) actors() []actor {
	return []actor{{name: "stream", instances: int(d.instances), busy: d.busy, idle: d.idle, begin: d.begin, round: d.round}}
}

// resolution returns the index into the ladder that a stream has after a number of
// switches; each leads to another one.
func (d *decode) resolution(s *session, switches uint64) int {
	n := len(d.ladder)
	if switches == 0 {
		s.note = s.random("resolution", 0).IntN(n)
	} else {
		s.note = (s.note + 1 + s.random("resolution", switches).IntN(n-1)) % n
	}
	return s.note
}

func (d *decode) begin(s *session) {
	s.allocate(inputPool, d.bitstreamBuffers, d.bitstream, apart)
	s.allocate(workPool, 1, d.firmware, apart)
	d.pool(s, 0)
}

// pool allocates the pictures of a resolution.
func (d *decode) pool(s *session, switches uint64) {
	is := d.ladder[d.resolution(s, switches)]
	n := d.pictures(is)
	s.kept[0] = s.allocate(picturePool, n, pictureSize(is, d.format), apart)
	s.kept[1] = s.allocate(motionPool, n, d.vectors(is), apart/10)
}

// round is a switch to another resolution: the decoder stops, frees its pictures and
// allocates others (V4L2, "Dynamic Resolution Change" of stateful decoders).
func (d *decode) round(s *session, number uint64) bool {
	if len(d.ladder) < 2 {
		return false
	}
	s.wait(s.span("switch", number, d.stay))
	s.free(s.kept[0], s.kept[1])
	s.wait(time.Millisecond)
	d.pool(s, number+1)
	return true
}
