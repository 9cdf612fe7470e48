package generator

import (
	"time"
)

// display is a screen with its compositor: a chain of buffers that are shown in
// turn, changes of mode, a cursor, a console, and planes that show what others
// draw.
type display struct {
	modes   []sides
	format  string
	buffers uint64
	change  string
	console string

	overlays, overlayBuffers uint64
	overlay                  []sides
	overlayFormat            string

	stay                 span
	shown, hidden        span
	connected, unplugged span
}

// The pools of a display, in the order of displayKind.
const (
	scanoutPool = iota
	cursorPool
	overlayPool
	consolePool
)

var displayKind = kind{
	name: "display", summary: "double or triple buffering, changes of mode, overlays, a cursor",
	pools: []Pool{
		{Name: "scanout", Meaning: "what the screen shows, in turn"},
		{Name: "cursor", Meaning: "the pointer, 64x64 ARGB8888"},
		{Name: "overlay", Meaning: "pictures on planes of their own, such as a video"},
		{Name: "console", Meaning: "the kernel's console, allocated once and kept"},
	},
	make: func() model { return &display{} },
}

const (
	newFirst = "new-first"
	oldFirst = "old-first"
	kept     = "kept"
	none     = "none"
)

// forever is a session that outlasts every simulation in question.
var forever = span{mean: 9999 * time.Hour}

func (d *display) bind(t *table) {
	t.sides(&d.modes, []sides{{1920, 1080}}, about{"modes", "px",
		"sides of the screen. Of several, it begins with the first, and each change of mode leads to another", ""})
	t.format(&d.format, "XRGB8888/64", about{"format", "", "format of what is shown, with what pitches are multiples of",
		"pitches of 64 bytes: i915, Rockchip; 256: amdgpu; 1: generic (dumb buffers of the drivers)"})
	t.integer(&d.buffers, 3, 1, 16, about{"buffers", "buffers", "2: double buffering; 3: triple buffering", ""})
	t.word(&d.change, newFirst, []string{newFirst, oldFirst}, about{"change", "",
		"whether a change of mode allocates the new buffers before it frees the old ones: a compositor shows the old ones until then", "atomic mode setting: a commit shows a new framebuffer, and then the old one is let go"})
	t.word(&d.console, kept, []string{kept, none}, about{"console", "", "whether the kernel keeps a framebuffer of the first mode for its console", "fbdev emulation (Linux, drm_fbdev_*.c)"})
	t.integer(&d.overlays, 1, 0, 8, about{"overlays", "planes", "planes that come and go independently of one another", ""})
	t.integer(&d.overlayBuffers, 3, 1, 16, about{"overlay_buffers", "buffers", "pictures of an overlay", ""})
	t.sides(&d.overlay, []sides{{1280, 720}}, about{"overlay", "px", "sides of an overlay; of several, each draws one", ""})
	t.format(&d.overlayFormat, "NV12/64", about{"overlay_format", "", "format of overlays", notations})
	t.span(&d.stay, 10*time.Minute, time.Millisecond, 1, about{"stay", "", "time from one change of mode to the next, where there are several", ""})
	t.span(&d.shown, time.Minute, shortestSession, 1, about{"shown", "", "time for which an overlay is shown", ""})
	t.span(&d.hidden, time.Minute, 0, 1, about{"hidden", "", "time for which it is not", ""})
	t.span(&d.connected, forever.mean, shortestSession, 0, about{"session", "", "time for which the screen is on", ""})
	t.span(&d.unplugged, 0, 0, 1, about{"pause", "", "time for which it is off, without buffers; 0: it is never", ""})
}

func (d *display) check() error { return nil }

const (
	cursorBytes = 64 * 64 * 4 // DRM_CAP_CURSOR_WIDTH where drivers do not say otherwise
)

func (d *display) most() []uint64 {
	first, second := uint64(0), uint64(0)
	for _, s := range d.modes {
		switch n := pictureSize(s, d.format); {
		case n > first:
			first, second = n, first
		case n > second:
			second = n
		}
	}
	if d.change == oldFirst {
		second = 0
	}
	console := uint64(0)
	if d.console == kept {
		console = pictureSize(d.modes[0], d.format)
	}
	return []uint64{
		d.buffers * (first + second), cursorBytes,
		d.overlays * d.overlayBuffers * largest(d.overlay, d.overlayFormat), console,
	}
}

func (d *display) actors() []actor {
	var list []actor
	if d.console == kept {
		list = append(list, actor{name: "console", instances: 1, busy: forever, begin: func(s *session) {
			s.allocate(consolePool, 1, pictureSize(d.modes[0], d.format), apart)
		}})
	}
	return append(list,
		actor{name: "screen", instances: 1, busy: d.connected, idle: d.unplugged, begin: d.begin, round: d.round},
		actor{name: "overlay", instances: int(d.overlays), busy: d.shown, idle: d.hidden, begin: func(s *session) {
			s.allocate(overlayPool, d.overlayBuffers, pictureSize(pick(s, "overlay", d.overlay), d.overlayFormat), apart)
		}})
}

func (d *display) begin(s *session) {
	s.note = 0
	s.kept[0] = s.allocate(scanoutPool, d.buffers, pictureSize(d.modes[0], d.format), apart)
	s.allocate(cursorPool, 1, cursorBytes, apart)
}

// round is a change of mode.
func (d *display) round(s *session, number uint64) bool {
	if len(d.modes) < 2 {
		return false
	}
	s.wait(s.span("stay", number, d.stay))
	s.note = (s.note + 1 + s.random("mode", number).IntN(len(d.modes)-1)) % len(d.modes)
	old, size := s.kept[0], pictureSize(d.modes[s.note], d.format)
	if d.change == oldFirst {
		s.free(old)
	}
	s.kept[0] = s.allocate(scanoutPool, d.buffers, size, apart)
	if d.change == newFirst {
		s.free(old)
	}
	return true
}
