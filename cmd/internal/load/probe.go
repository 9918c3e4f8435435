package load

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Probe measures what one durable kilobyte costs on a file system: append 1 KiB, fsync. It is the unit
// that all ratios are quoted in.
type Probe struct {
	file  *os.File
	block [1024]byte
	took  []time.Duration
}

// NewProbe makes its file in dir.
func NewProbe(dir string) (*Probe, error) {
	file, err := os.Create(filepath.Join(dir, "fsync.probe"))
	if err != nil {
		return nil, fmt.Errorf("measure fsync in %s: %w", dir, err)
	}
	return &Probe{file: file}, nil
}

// Run takes n measurements and returns their median. Nothing else should use the disk meanwhile.
func (p *Probe) Run(n int) (time.Duration, error) {
	first := len(p.took)
	for range n {
		start := time.Now()
		if _, err := p.file.Write(p.block[:]); err != nil {
			return 0, fmt.Errorf("measure fsync: %w", err)
		}
		if err := p.file.Sync(); err != nil {
			return 0, fmt.Errorf("measure fsync: %w", err)
		}
		p.took = append(p.took, time.Since(start))
	}
	return median(p.took[first:]), nil
}

// Median of all measurements so far.
func (p *Probe) Median() time.Duration { return median(p.took) }

func median(of []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}

// Close removes the file.
func (p *Probe) Close() error {
	name := p.file.Name()
	if err := p.file.Close(); err != nil {
		return err
	}
	return os.Remove(name)
}
