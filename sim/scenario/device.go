package scenario

import (
	"errors"

	"go.yaml.in/yaml/v4"

	"dmasim/devices"
	"dmasim/internal/strictyaml"
	"dmasim/sim"
)

// Device is a device of the catalogue, or one described here. Keys beside "use"
// replace those of the catalogue's entry: 0 and false lift a rule.
type Device struct {
	// Entry of the device catalogue to start from.
	Use            string `yaml:"use,omitempty"`
	devices.Device `yaml:",inline"`
}

// DecodeYAML implements strictyaml.NodeDecoder.
func (v *Device) DecodeYAML(d *strictyaml.Decoder, n *yaml.Node) {
	use := strictyaml.Child(n, "use")
	if use == nil {
		d.DecodeStruct(n, v)
		return
	}
	var name string
	mistakes := d.Mistakes()
	d.Decode(use, &name)
	if d.Mistakes() > mistakes {
		return
	}
	entry, ok := devices.Lookup(name)
	if !ok {
		d.FailNear(use, "unknown catalogue entry "+strictyaml.Quote(name), name, devices.Names())
		return
	}
	v.Device = entry
	d.DecodeKeys(n, v)
	v.Use = ""
}

func (c *checker) devices(cfg *sim.Config) {
	checkNames(c.Decoder, c.root, "devices", len(c.spec.Devices))
	for i := range c.spec.Devices {
		cfg.Devices = append(cfg.Devices, c.spec.Devices[i].Resolved())
	}
}

// compile compiles what devices demand: of memory, and behind an IOMMU of the addresses
// that they emit.
func (c *checker) compile(cfg *sim.Config) {
	try := func(number int, d *devices.Device) {
		_, _, err := d.Compile()
		if err == nil {
			return
		}
		place := strictyaml.At(c.root, "devices", number)
		var mistake *devices.FieldError
		if errors.As(err, &mistake) {
			place = strictyaml.At(place, mistake.Field, mistake.Index)
		}
		c.Fail(place, strictyaml.Clip(err.Error()))
	}
	for i := range cfg.Devices {
		try(i, &cfg.Devices[i])
	}
	for i := range cfg.IOMMUs {
		for _, m := range cfg.IOMMUs[i].Masters {
			if m.Emitted.Beyond == devices.Truncate {
				m.Emitted.Beyond = ""
			}
			try(m.Device, &m.Emitted)
		}
	}
}

// merge returns what the devices demand together of a buffer. Those whose drivers
// don't know what they reach demand nothing.
func (c *checker) merge(cfg *sim.Config, list []int, place *yaml.Node) *devices.Plan {
	var sharing []devices.Device
	for _, i := range list {
		if beyond := cfg.Devices[i].Beyond; beyond == "" || beyond == devices.Refuse {
			sharing = append(sharing, cfg.Devices[i])
		}
	}
	plan, err := devices.Merge(sharing...)
	if err != nil {
		c.Fail(place, strictyaml.Clip(err.Error()))
	}
	return plan
}
