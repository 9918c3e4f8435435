package faultfs

import "syscall"

// sync makes a file or directory durable, as far as the model promises, or fails and loses what it should have
// made durable.
func (d *Disk) sync(f *file) syscall.Errno {
	if errno := d.enter(OpSync, f); errno != 0 {
		if !d.frozen {
			for i := range f.pending {
				f.pending[i].lost = true
			}
		}
		return errno
	}
	d.counts.Syncs++
	kept := f.pending[:0]
	for _, w := range f.pending {
		if w.lost {
			kept = append(kept, w)
			continue
		}
		f.durable = w.onto(f.durable)
	}
	clear(f.pending[len(kept):])
	f.pending = kept
	d.syncNames(f)
	return 0
}

// syncNames writes the log of changes of names.
func (d *Disk) syncNames(f *file) {
	kept := d.log[:0]
	if d.model == Ordered {
		upTo := -1
		for i := range d.log {
			if d.log[i].concerns(f) {
				upTo = i
			}
		}
		for _, c := range d.log[:upTo+1] {
			c.commit()
		}
		kept = append(kept, d.log[upTo+1:]...)
	} else {
		for _, c := range d.log {
			if c.in(f) {
				c.commit()
			} else {
				kept = append(kept, c)
			}
		}
	}
	clear(d.log[len(kept):])
	d.log = kept
}

// concerns reports whether a change is about a file, or about the names in it.
func (c change) concerns(f *file) bool { return c.subject == f || c.in(f) }

// in reports whether a change is about the names in a directory.
func (c change) in(dir *file) bool {
	for _, e := range c.set {
		if e.dir == dir {
			return true
		}
	}
	return false
}

func (c change) commit() {
	for _, e := range c.set {
		if e.file == nil {
			delete(e.dir.durableNames, e.name)
		} else {
			e.dir.durableNames[e.name] = e.file
		}
	}
}
