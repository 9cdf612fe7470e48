package scenario

import (
	"errors"
	"reflect"

	"dmasim/devices"
	"dmasim/sim"

	"go.yaml.in/yaml/v4"
)

// Device is a device of the catalogue, or one described here. Keys beside "use"
// replace those of the catalogue's entry.
type Device struct {
	// Entry of the device catalogue to start from.
	Use            string `yaml:"use,omitempty"`
	devices.Device `yaml:",inline"`
}

func (v *Device) decodeNode(d *decoder, n *yaml.Node) {
	use := child(n, "use")
	if use == nil {
		d.decodeStruct(n, reflect.ValueOf(v).Elem())
		return
	}
	var name string
	mistakes := len(d.errs)
	d.decode(use, reflect.ValueOf(&name).Elem())
	if len(d.errs) > mistakes {
		return
	}
	entry, ok := devices.Lookup(name)
	if !ok {
		d.failNear(use, "unknown catalogue entry "+quote(name), name, devices.Names())
		return
	}
	v.Device = entry
	d.decodeKeys(n, reflect.ValueOf(v).Elem())
	v.Use = ""
}

func (c *checker) devices(cfg *sim.Config) {
	c.checkNames(c.root, "devices", len(c.spec.Devices))
	for i := range c.spec.Devices {
		device := &c.spec.Devices[i].Device
		if _, _, err := device.Compile(); err != nil {
			place := at(c.root, "devices", i)
			var mistake *devices.FieldError
			if errors.As(err, &mistake) {
				place = at(place, mistake.Field, mistake.Index)
			}
			c.fail(place, clip(err.Error()))
		}
		cfg.Devices = append(cfg.Devices, *device)
	}
}

// merge returns what the devices demand together of a buffer.
func (c *checker) merge(cfg *sim.Config, list []int, place *yaml.Node) *devices.Plan {
	var sharing []devices.Device
	for _, i := range list {
		sharing = append(sharing, cfg.Devices[i])
	}
	plan, err := devices.Merge(sharing...)
	if err != nil {
		c.fail(place, clip(err.Error()))
	}
	return plan
}
