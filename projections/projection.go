package projections

import (
	"creditstream/events/credit"
	"creditstream/events/journal"
)

// Name says which journal a view is a fold of: a tenant and one of its shards.
type Name = journal.Name

// Head is a place in a journal; a view's checkpoint is one.
type Head = journal.Head

// Fold is one kind of view: what it is called and how entries turn into records.
type Fold interface {
	// Name is the view's name, and that of its directory.
	Name() string
	// Version is raised when the records for the same entries change; views of another version are
	// built anew.
	Version() uint32
	// Begin starts to fold on from what v holds. The Work belongs to one goroutine.
	Begin(v *View) Work
	// Describe writes one record for people. key is without the view's prefix.
	Describe(key, value []byte) (name, content string)
}

// Work is a fold under way. What it keeps in memory it has to bound by itself. After an error, or a
// batch that was not committed, it is dropped.
type Work interface {
	// Apply folds one entry. It may write to b, or keep to itself until Flush. It keeps nothing of e but other texts: its
	// facts, and what a UsageRecorded consists of, are memory that is used again (credit.Slab). Events of other kinds
	// are never changed, and may be kept. The account and key of e, and the description and attributes of a
	// UsageRecorded, are parts of the commit, whose memory is used again as well: who keeps one copies it.
	Apply(b *Batch, at Position, e *credit.Entry) error
	// Full says that enough is kept for a batch: the larger, the more entries fall on one record, and the more
	// memory they take.
	Full() bool
	// Flush writes to b what Apply kept. The checkpoint is set and b committed after it.
	Flush(b *Batch) error
}

// Position is the place of an entry: its commit, and its index among the commit's entries from 0.
type Position struct {
	Sequence uint64
	Offset   uint32
}

// Commit is a commit of a journal with its entries decoded. Nobody changes it once it was handed on.
type Commit struct {
	Head    Head
	Entries []credit.Entry
	// Body is the commit as it stands in the journal; facts point into it.
	Body []byte
}
