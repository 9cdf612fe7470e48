package result

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"dmasim/sim/metrics"
)

// Kind marks a manifest as that of a dmasim result, and Format is the number of
// the layout that this program writes and reads.
const (
	Kind   = "dmasim-result"
	Format = 3
)

// ErrNotResult says that a path is something else than a dmasim result.
var ErrNotResult = errors.New("not a dmasim result")

// ErrDamaged says that a result is not as it was written.
var ErrDamaged = errors.New("damaged result")

// Result is what a result directory holds, but for the figures.
type Result struct {
	Manifest Manifest
	Scenario []byte // the resolved scenario, as YAML
	Variants []Variant
	Host     Host
}

// Variant is one way to run the scenario, and what came of it.
type Variant struct {
	Name string
	Run  metrics.Run
}

// Manifest says what made a result and what belongs to it.
type Manifest struct {
	Kind     string `json:"kind"`
	Format   int    `json:"format"`
	Version  string `json:"dmasim_version"`
	Revision string `json:"dmasim_revision,omitempty"` // of the source, "+dirty" where it was changed
	Go       string `json:"go_version"`
	OS       string `json:"goos"`
	Arch     string `json:"goarch"`
	Content  string `json:"content,omitempty"` // "comparison" or "sweep"; "" is a run's
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	// Options of the command that made it, beside what the scenario holds, as the command
	// line takes them.
	Options []string          `json:"options,omitempty"`
	Files   map[string]string `json:"files"` // path → SHA-256 in hexadecimal; filled in by Write
}

// NewManifest returns the manifest of a run by this program.
func NewManifest(scenario string, seed uint64) Manifest {
	m := Manifest{
		Kind:     Kind,
		Format:   Format,
		Version:  "unknown",
		Go:       runtime.Version(),
		OS:       runtime.GOOS,
		Arch:     runtime.GOARCH,
		Scenario: scenario,
		Seed:     seed,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return m
	}
	if info.Main.Version != "" {
		m.Version = info.Main.Version
	}
	settings := make(map[string]string, len(info.Settings))
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	m.Revision = settings["vcs.revision"]
	if m.Revision != "" && settings["vcs.modified"] == "true" {
		m.Revision += "+dirty"
	}
	return m
}

// Host is what may differ between two equal runs.
type Host struct {
	CPUs        int       `json:"cpus"`
	Kernel      string    `json:"kernel,omitempty"` // its release, where the system tells
	Start       time.Time `json:"start"`
	WallSeconds float64   `json:"wall_seconds"`
}

// NewHost returns the facts about this machine and a run that began at start
// and took wall.
func NewHost(start time.Time, wall time.Duration) Host {
	h := Host{CPUs: runtime.NumCPU(), Start: start.UTC().Truncate(time.Second), WallSeconds: wall.Seconds()}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		h.Kernel = strings.TrimSpace(string(release))
	}
	return h
}
