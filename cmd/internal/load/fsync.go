package load

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// probe measures what one durable kilobyte costs on a file system: append 1 KiB, fsync. It is the unit
// that all ratios are quoted in.
type probe struct {
	file  *os.File
	block [1024]byte
	took  []time.Duration
}

func newProbe(dir string) (*probe, error) {
	file, err := os.Create(filepath.Join(dir, "fsync.probe"))
	if err != nil {
		return nil, fmt.Errorf("measure fsync in %s: %w", dir, err)
	}
	return &probe{file: file}, nil
}

// run takes n measurements. Nothing else should use the disk meanwhile.
func (p *probe) run(n int) error {
	for range n {
		start := time.Now()
		if _, err := p.file.Write(p.block[:]); err != nil {
			return fmt.Errorf("measure fsync: %w", err)
		}
		if err := p.file.Sync(); err != nil {
			return fmt.Errorf("measure fsync: %w", err)
		}
		p.took = append(p.took, time.Since(start))
	}
	return nil
}

// median of all measurements so far.
func (p *probe) median() time.Duration {
	sorted := slices.Sorted(slices.Values(p.took))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}

func (p *probe) close() error {
	name := p.file.Name()
	if err := p.file.Close(); err != nil {
		return err
	}
	return os.Remove(name)
}
