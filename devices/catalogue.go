package devices

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"sync"
)

//go:embed catalogue/*.yaml
var catalogueFiles embed.FS

// catalogue holds the embedded devices by name. A broken file is a mistake in
// the program, not in its input, and found by a test.
var catalogue = sync.OnceValue(func() []Device {
	var all []Device
	paths, err := fs.Glob(catalogueFiles, "catalogue/*.yaml")
	if err != nil {
		panic(err)
	}
	for _, path := range paths {
		data, err := catalogueFiles.ReadFile(path)
		if err != nil {
			panic(err)
		}
		devices, err := Parse(path, data)
		if err != nil {
			panic(fmt.Errorf("embedded device catalogue: %w", err))
		}
		all = append(all, devices...)
	}
	slices.SortFunc(all, func(a, b Device) int { return cmp.Compare(a.Name, b.Name) })
	return all
})

// All returns the devices of the catalogue by name. They share their lists with
// the catalogue: replace a list, do not write into it.
func All() []Device { return slices.Clone(catalogue()) }

// Names returns the names of the catalogue's devices in order.
func Names() []string {
	all := catalogue()
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return names
}

// Lookup returns the catalogue's device of that name. Like All's, it shares its
// lists with the catalogue.
func Lookup(name string) (Device, bool) {
	all := catalogue()
	i, found := slices.BinarySearchFunc(all, name, func(d Device, name string) int { return cmp.Compare(d.Name, name) })
	if !found {
		return Device{}, false
	}
	return all[i], true
}
