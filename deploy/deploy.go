// Package deploy carries what a new installation starts with inside the binary: the catalogs of the
// three programmes. The files beside it (Dockerfile, compose.yaml, nats.conf, credits.service) place
// the binary somewhere; docs/OPERATIONS.md says when to use which.
//
// It imports nothing of ours.
package deploy

import (
	"embed"
	"fmt"
	"path"
	"strings"
)

//go:embed catalogs/*.yaml
var catalogs embed.FS

// Catalogs returns the catalogs shipped with the program, by the name of their tenant.
func Catalogs() (map[string][]byte, error) {
	entries, err := catalogs.ReadDir("catalogs")
	if err != nil {
		return nil, fmt.Errorf("list the shipped catalogs: %w", err)
	}
	sources := make(map[string][]byte, len(entries))
	for _, entry := range entries {
		source, err := catalogs.ReadFile(path.Join("catalogs", entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the shipped catalog %s: %w", entry.Name(), err)
		}
		sources[strings.TrimSuffix(entry.Name(), ".yaml")] = source
	}
	return sources, nil
}
