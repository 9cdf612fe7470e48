package generator

import (
	"fmt"
	"slices"
)

// A decoded picture buffer holds the pictures that a decoder may refer to or has not
// shown yet. How many it has to have follows from the level, which says what a stream
// may demand, and the sides of the pictures.

// h264Level is a row of table A-1 of ITU-T H.264 (08/2021), annex A.3.1, in
// macroblocks of 16x16 pixels.
type h264Level struct {
	name string
	// frame is MaxFS, the most macroblocks of a picture, and buffer MaxDpbMbs, those
	// of all pictures of the buffer.
	frame, buffer uint64
}

var h264Levels = []h264Level{
	{"1", 99, 396}, {"1b", 99, 396}, {"1.1", 396, 900}, {"1.2", 396, 2376}, {"1.3", 396, 2376},
	{"2", 396, 2376}, {"2.1", 792, 4752}, {"2.2", 1620, 8100},
	{"3", 1620, 8100}, {"3.1", 3600, 18000}, {"3.2", 5120, 20480},
	{"4", 8192, 32768}, {"4.1", 8192, 32768}, {"4.2", 8704, 34816},
	{"5", 22080, 110400}, {"5.1", 36864, 184320}, {"5.2", 36864, 184320},
	{"6", 139264, 696320}, {"6.1", 139264, 696320}, {"6.2", 139264, 696320},
}

// lumaLevel is the most pixels of a picture of a level: MaxLumaPs of table A.8 of
// ITU-T H.265 (08/2021), MaxPicSize of annex A.3 of the AV1 specification, and the
// maximum luma picture size of annex A of the VP9 specification.
type lumaLevel struct {
	name   string
	pixels uint64
}

var hevcLevels = []lumaLevel{
	{"1", 36864}, {"2", 122880}, {"2.1", 245760}, {"3", 552960}, {"3.1", 983040},
	{"4", 2228224}, {"4.1", 2228224}, {"5", 8912896}, {"5.1", 8912896}, {"5.2", 8912896},
	{"6", 35651584}, {"6.1", 35651584}, {"6.2", 35651584},
}

var av1Levels = []lumaLevel{
	{"2", 147456}, {"2.1", 278784}, {"3", 665856}, {"3.1", 1065024},
	{"4", 2359296}, {"4.1", 2359296}, {"5", 8912896}, {"5.1", 8912896}, {"5.2", 8912896}, {"5.3", 8912896},
	{"6", 35651584}, {"6.1", 35651584}, {"6.2", 35651584}, {"6.3", 35651584},
}

var vp9Levels = []lumaLevel{
	{"1", 36864}, {"1.1", 73728}, {"2", 122880}, {"2.1", 245760}, {"3", 552960}, {"3.1", 983040},
	{"4", 2228224}, {"4.1", 2228224}, {"5", 8912896}, {"5.1", 8912896}, {"5.2", 8912896},
	{"6", 35651584}, {"6.1", 35651584}, {"6.2", 35651584},
}

const (
	// maxDpbFrames bounds the buffer of H.264 (A.3.1) and of H.265 (A.4.2).
	maxDpbFrames = 16
	// hevcPictures is maxDpbPicBuf of A.4.2 for all profiles but those of screen content.
	hevcPictures = 6
	// references is NUM_REF_FRAMES of AV1 (section 3) and VP9: reference slots.
	references = 8
)

func up(n, unit uint64) uint64 { return (n + unit - 1) / unit * unit }

// dpbFrames returns how many pictures of these sides the decoded picture buffer of a
// stream of this level has to hold, without the one that is being decoded. The error
// says that the level has no pictures so large, or that there is no such level.
func dpbFrames(codec, level string, s sides) (uint64, error) {
	pixels := s.width * s.height
	tooLarge := func(most uint64, unit string) error {
		return fmt.Errorf("%s of level %s has no pictures of %s: at most %d %s", codec, level, s, most, unit)
	}
	if codec == "h264" {
		for _, l := range h264Levels {
			if l.name != level {
				continue
			}
			blocks := up(s.width, 16) / 16 * (up(s.height, 16) / 16)
			if blocks > l.frame {
				return 0, tooLarge(l.frame, "macroblocks")
			}
			return min(l.buffer/blocks, maxDpbFrames), nil
		}
		return 0, fmt.Errorf("%s has no level %s", codec, level)
	}
	levels := map[string][]lumaLevel{"hevc": hevcLevels, "av1": av1Levels, "vp9": vp9Levels}[codec]
	i := slices.IndexFunc(levels, func(l lumaLevel) bool { return l.name == level })
	switch {
	case i < 0:
		return 0, fmt.Errorf("%s has no level %s", codec, level)
	case pixels > levels[i].pixels:
		return 0, tooLarge(levels[i].pixels, "pixels")
	case codec != "hevc":
		return references, nil
	}
	// H.265, A.4.2: smaller pictures may be more.
	switch most := levels[i].pixels; {
	case pixels <= most/4:
		return min(4*hevcPictures, maxDpbFrames), nil
	case pixels <= most/2:
		return min(2*hevcPictures, maxDpbFrames), nil
	case pixels <= most/4*3:
		return min(4*hevcPictures/3, maxDpbFrames), nil
	}
	return hevcPictures, nil
}

// levelNames returns the levels of all codecs, each once, in order.
func levelNames() []string {
	var names []string
	for _, l := range h264Levels {
		names = append(names, l.name)
	}
	for _, list := range [][]lumaLevel{vp9Levels, av1Levels, hevcLevels} {
		for _, l := range list {
			if !slices.Contains(names, l.name) {
				names = append(names, l.name)
			}
		}
	}
	slices.Sort(names)
	return names
}
