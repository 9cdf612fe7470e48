package devices

import (
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v4"

	"dmasim/internal/strictyaml"
)

// FileError is a mistake in a device file: File, Line, Column (both from 1), Msg,
// the Suggestion of what was probably meant, if any, and how many More mistakes
// there are. Its message is file:line:column: what is wrong.
type FileError = strictyaml.Error

// fileLimits leave room for a thousand devices.
var fileLimits = strictyaml.Limits{Bytes: 1 << 20, Depth: 16, Nodes: 1 << 16}

// Parse reads a device file: a YAML list of devices with the keys of [Device],
// without anchors, aliases and tags. file is its name for messages. Every device
// is valid (see [Device.Validate]) and no two have the same name. The error is a
// [*FileError], for the first mistake.
func Parse(file string, data []byte) ([]Device, error) {
	return parse(file, data, (*Device).Validate)
}

// ReadFile reads the device file at path, as Parse does, and takes no device that
// could use nothing at all: its rules must leave it a place, and what it is behind
// must be in the catalogue.
func ReadFile(path string) ([]Device, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read device file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(fileLimits.Bytes)+1))
	if err != nil {
		return nil, fmt.Errorf("read device file %s: %w", path, err)
	}
	return parse(path, data, func(d *Device) error {
		_, err := d.compile()
		return err
	})
}

func parse(file string, data []byte, check func(*Device) error) ([]Device, error) {
	root, err := strictyaml.Parse(file, data, fileLimits)
	if root == nil {
		return nil, err
	}
	d := strictyaml.Decoder{File: file}
	var devices []Device
	if d.List(root, "a list of devices, each beginning with - name:") {
		d.Decode(root, &devices)
	}
	if d.Mistakes() == 0 {
		checkDevices(&d, root, devices, check)
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return devices, nil
}

func checkDevices(d *strictyaml.Decoder, root *yaml.Node, devices []Device, check func(*Device) error) {
	named := map[string]bool{}
	for i := range devices {
		name := devices[i].Name
		entry := root.Content[i]
		var wrong *FieldError
		switch err := check(&devices[i]); {
		case errors.As(err, &wrong):
			d.Fail(strictyaml.At(entry, wrong.Field, wrong.Index), wrong.Error())
		case err != nil:
			d.Fail(entry, strictyaml.Clip(err.Error()))
		case named[name]:
			d.Fail(strictyaml.At(entry, "name"), fmt.Sprintf("name %q is taken", name))
		}
		named[name] = true
	}
}
