package projections

import (
	"cmp"
	"fmt"
	"slices"

	"creditstream/events/journal"
)

// DamagedFile is a file of a journal's server that does not have commits any more as they were acknowledged; or, where Last
// is before First, that has something in front of First that no server wrote.
type DamagedFile struct {
	File    string `json:"file"`
	First   uint64 `json:"first"` // the first commit that cannot be read from it
	Last    uint64 `json:"last"`  // the last one in a row
	Problem string `json:"problem"`
	// Advice says what to do next.
	Advice string `json:"advice"`
}

// FoundFiles is what a journal's files had before a server was started on them to read it. A server changes what it cannot
// read, so that afterwards another file may look damaged, or more of it.
type FoundFiles struct {
	// Last is the last commit that could be read from them; 0: none.
	Last uint64
	// Damaged is what could not be read in front of it, in its order.
	Damaged []journal.FileDamage
}

// AddFound adds to the report of a journal that could not be opened what its files had.
func (r *Report) AddFound(found *FoundFiles) {
	files := newDamagedFiles(found)
	for _, f := range files.found {
		if f.First <= f.Last {
			r.Lost = max(r.Lost, found.Last-f.First+1)
		}
	}
	files.report(r, false, func(at Position, problem string) {
		if len(r.Faults) < maxFaults {
			r.Faults = append(r.Faults, Fault{Sequence: at.Sequence, Problem: problem})
		}
	})
}

// What to do about a damaged file: the backup is made of what the server has in memory, and fails when that is gone.
const (
	adviceRescue = "take a backup now, while the server still has these commits in memory: credits backup TO (it fails when it is too late). Then stop the server and restore the backup into a new directory: credits restore TO --data DIR"
	// adviceRestore is for what nobody has in memory.
	adviceRestore = "stop the server, keep a copy of its directory, and restore the newest backup into a new one: credits restore FROM --data DIR"
	// adviceLook is for what took nothing away, where nothing is lost otherwise.
	adviceLook = "no commit is lost; take a backup (credits backup TO), and find out what else writes to that directory"
)

// maxFiles bounds the places of files that are reported; all commits are counted.
const maxFiles = 100

// damagedFiles collects what the files of a journal have lost.
type damagedFiles struct {
	commits uint64
	files   []DamagedFile
	found   []journal.FileDamage // before a server was started
}

// newDamagedFiles begins with what was found; nil: nobody looked.
func newDamagedFiles(found *FoundFiles) damagedFiles {
	var d damagedFiles
	if found == nil {
		return d
	}
	for _, f := range found.Damaged {
		d.add(f)
	}
	d.found = found.Damaged
	return d
}

// audited takes up what an audit tells, unless it begins in what was found: all of that is the same damage, and what the
// server made of it.
func (d *damagedFiles) audited(f journal.FileDamage) {
	if !slices.ContainsFunc(d.found, func(known journal.FileDamage) bool {
		return known.First == f.First || known.First <= f.Last && f.First <= known.Last
	}) {
		d.add(f)
	}
}

// add takes up what comes next; of one file what follows on what is there already belongs to it.
func (d *damagedFiles) add(f journal.FileDamage) {
	d.commits += f.Last - f.First + 1
	if n := len(d.files); n > 0 && d.files[n-1].File == f.File && d.files[n-1].Last+1 == f.First && f.Last >= f.First && d.files[n-1].Last >= d.files[n-1].First {
		d.files[n-1].Last = f.Last
	} else if n < maxFiles {
		d.files = append(d.files, DamagedFile{File: f.File, First: f.First, Last: f.Last, Problem: f.Problem})
	}
}

// report says so, and what to do; served is whether a server has the journal open. It is called when all of the journal was read.
func (d *damagedFiles) report(r *Report, served bool, fault func(at Position, problem string)) {
	slices.SortStableFunc(d.files, func(a, b DamagedFile) int { return cmp.Compare(a.First, b.First) })
	r.Damaged, r.Files = d.commits, d.files
	for i := range r.Files {
		f := &r.Files[i]
		which := fmt.Sprintf("commit %d", f.First)
		if f.Last > f.First {
			which = fmt.Sprintf("commits %d to %d", f.First, f.Last)
		}
		says := fmt.Sprintf("%s cannot be read from %s: %s", which, f.File, f.Problem)
		switch {
		case f.Last < f.First:
			says = fmt.Sprintf("in front of commit %d, %s has what no server wrote: %s", f.First, f.File, f.Problem)
			if f.Advice = adviceLook; r.Lost > 0 { // by another damage, or by what follows on this one
				f.Advice = adviceRestore
			}
		case served && r.Lost == 0:
			says += "; the server still answers from its memory: what it forgets is lost, and its next start reads the disk"
			f.Advice = adviceRescue
		default:
			f.Advice = adviceRestore
		}
		fault(Position{Sequence: f.First}, says)
	}
}
