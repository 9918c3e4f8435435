package faultfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Kept is how much of what was not synced a power cut leaves.
type Kept int

// The ways to lose power.
const (
	Nothing Kept = iota
	Some
	Everything
)

func (k Kept) String() string { return [...]string{"nothing", "some", "everything"}[k] }

// sector is the unit in which a write is torn, in bytes.
const sector = 512

// Cut freezes the disk and returns the one that is found after a power cut. rng decides what Some keeps.
func (d *Disk) Cut(kept Kept, rng *rand.Rand) *Disk {
	d.Freeze()
	d.mu.Lock()
	defer d.mu.Unlock()
	names := d.namesAfter(kept, rng)
	found := &Disk{model: d.model, last: d.last}
	c := cutting{old: d, found: found, kept: kept, rng: rng, names: names, files: make(map[*file]*file)}
	found.root = c.file(d.root)
	found.root.links = 1
	return found
}

// namesAfter is what the names of each directory mean after the cut.
func (d *Disk) namesAfter(kept Kept, rng *rand.Rand) map[*file]map[string]*file {
	names := make(map[*file]map[string]*file)
	of := func(dir *file) map[string]*file {
		if names[dir] == nil {
			names[dir] = maps.Clone(dir.durableNames)
		}
		return names[dir]
	}
	of(d.root)
	for _, c := range d.survivors(kept, rng) {
		for _, e := range c.set {
			if e.file == nil {
				delete(of(e.dir), e.name)
			} else {
				of(e.dir)[e.name] = e.file
			}
		}
	}
	return names
}

// survivors are the unsynced changes of names that the cut leaves: a prefix of the one log, or, by the letter
// of POSIX, of what happened in each directory.
func (d *Disk) survivors(kept Kept, rng *rand.Rand) []change {
	switch {
	case kept == Nothing || len(d.log) == 0:
		return nil
	case kept == Everything:
		return d.log
	case d.model == Ordered:
		return d.log[:rng.IntN(len(d.log)+1)]
	}
	left := make(map[*file]int) // how many more changes of a directory survive
	for _, c := range d.log {
		for _, e := range c.set {
			left[e.dir]++
		}
	}
	for _, dir := range slices.SortedFunc(maps.Keys(left), func(a, b *file) int { return int(a.number) - int(b.number) }) {
		left[dir] = rng.IntN(left[dir] + 1)
	}
	var some []change
	for _, c := range d.log {
		survives := true
		for _, e := range c.set {
			survives = survives && left[e.dir] > 0
		}
		for _, e := range c.set {
			if left[e.dir]--; !survives {
				left[e.dir] = 0
			}
		}
		if survives {
			some = append(some, c)
		}
	}
	return some
}

// cutting copies what survives.
type cutting struct {
	old, found *Disk
	kept       Kept
	rng        *rand.Rand
	names      map[*file]map[string]*file
	files      map[*file]*file
}

func (c *cutting) file(f *file) *file {
	if copied := c.files[f]; copied != nil {
		return copied
	}
	copied := &file{number: f.number, dir: f.dir, mode: f.mode, mtime: f.mtime}
	c.files[f] = copied
	c.found.used += perFile
	if !f.dir {
		copied.durable = c.content(f)
		copied.data = slices.Clone(copied.durable)
		c.found.used += int64(len(copied.data))
		return copied
	}
	names := c.names[f]
	if names == nil {
		names = f.durableNames
	}
	copied.names = make(map[string]*file, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		child := c.file(names[name])
		child.links++
		child.parent, child.name = copied, name
		copied.names[name] = child
	}
	copied.durableNames = maps.Clone(copied.names)
	return copied
}

// content is what a file has after the cut.
func (c *cutting) content(f *file) []byte {
	data := slices.Clone(f.durable)
	if c.kept == Nothing {
		return data
	}
	// A file that was appended to for long would lose nothing noticeable if each write had the same chance.
	survive := c.rng.IntN(101)
	for _, w := range f.pending {
		switch {
		case c.kept == Everything || c.rng.IntN(100) < survive:
			data = w.onto(data)
		case !w.truncate && c.rng.IntN(2) == 0:
			data = c.torn(w, data)
		}
	}
	if c.kept == Some && len(data) < len(f.data) && c.rng.IntN(4) == 0 {
		// The new length got to the disk, the content did not.
		data = write{at: int64(len(f.data)), truncate: true}.onto(data)
	}
	return data
}

// torn writes some of the sectors of a write: its beginning, its end, or any.
func (c *cutting) torn(w write, data []byte) []byte {
	sectors := (len(w.bytes) + sector - 1) / sector
	split, way := c.rng.IntN(sectors+1), c.rng.IntN(3)
	for i := range sectors {
		if way == 0 && i >= split || way == 1 && i < split || way == 2 && c.rng.IntN(2) == 0 {
			continue
		}
		from := i * sector
		part := write{at: w.at + int64(from), bytes: w.bytes[from:min(from+sector, len(w.bytes))]}
		data = part.onto(data)
	}
	return data
}
