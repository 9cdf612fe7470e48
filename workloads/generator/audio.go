package generator

import (
	"time"

	"dmasim/mem"
)

// audio is sound streams: each has a ring of periods, and a table of its pieces,
// from the moment a program sets its parameters until it closes the device.
type audio struct {
	streams, channels, rate, sample uint64
	period, periods                 uint64
	table                           uint64
	busy, idle                      span
}

// The pools of a sound card, in the order of audioKind.
const (
	audioRingPool = iota
	audioTablePool
)

var audioKind = kind{
	name: "audio", summary: "the rings of PCM streams",
	pools: []Pool{
		{Name: "ring", Meaning: "the periods of a stream, played or recorded in turn"},
		{Name: "table", Meaning: "descriptors of the ring's pieces"},
	},
	make: func() model { return &audio{} },
}

func (a *audio) bind(t *table) {
	t.integer(&a.streams, 2, 1, 64, about{"streams", "streams", "streams at the same time at most: playback and capture of each program", ""})
	t.integer(&a.rate, 48000, 4000, 768000, about{"rate", "Hz", "frames per second; it says how long a period is, not how large", ""})
	t.integer(&a.channels, 2, 1, 64, about{"channels", "channels", "samples of a frame", ""})
	t.integer(&a.sample, 2, 1, 8, about{"sample", "bytes", "bytes of a sample: 2 for S16_LE, 4 for S32_LE and S24_LE", "ALSA PCM formats"})
	t.integer(&a.period, 1024, 16, 1<<20, about{"period", "frames", "frames of a period, after each of which there is an interrupt", "assumed: 21 ms at 48 kHz"})
	t.integer(&a.periods, 4, 2, 1024, about{"periods", "periods", "periods of a ring", "assumed"})
	t.size(&a.table, 4*mem.KiB, 0, 64*mem.KiB, about{"table", "", "descriptors of a stream: the buffer descriptor list of HD Audio; 0: none", "Linux, include/sound/hda_register.h (BDL_SIZE)"})
	t.span(&a.busy, 3*time.Minute, shortestSession, 1, about{"session", "", "time for which a stream is open", ""})
	t.span(&a.idle, time.Minute, 0, 1, about{"pause", "", "time until the next is; 0: none", ""})
}

// ringLimit is the most that Linux's HD Audio driver gives a stream.
const ringLimit = 32 * mem.MiB

func (a *audio) check() error {
	if n := a.ring(); n > uint64(ringLimit) {
		return wrong("periods", "the ring has %s, more than the %s that sound cards are given", mem.Size(n), ringLimit)
	}
	return nil
}

// ring returns the bytes of a ring, in whole pages, as snd_pcm_lib_malloc_pages has
// them.
func (a *audio) ring() uint64 { return up(a.period*a.periods*a.channels*a.sample, uint64(4*mem.KiB)) }

func (a *audio) most() []uint64 { return []uint64{a.streams * a.ring(), a.streams * a.table} }

func (a *audio) actors() []actor {
	return []actor{{name: "stream", instances: int(a.streams), busy: a.busy, idle: a.idle, begin: func(s *session) {
		s.allocate(audioRingPool, 1, a.ring(), apart)
		s.allocate(audioTablePool, 1, a.table, apart)
	}}}
}
