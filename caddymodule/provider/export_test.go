package provider

import (
	"maps"
	"slices"
)

// ReadModels is for tests of files that cannot be.
var ReadModels = readModels

// BuiltinModels lists the models of which something is known, by provider.
func BuiltinModels(c *Catalogue) map[string][]string {
	list := map[string][]string{}
	for name, p := range c.byName {
		list[name] = slices.Sorted(maps.Keys(p.builtin))
	}
	return list
}
