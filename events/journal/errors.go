package journal

import (
	"errors"
	"fmt"
)

// What can be wrong, for errors.Is. The errors that carry them name the journal
// and, where there is one, the sequence.
var (
	// ErrTooLarge: the body exceeds MaxBody. Nothing was sent.
	ErrTooLarge = errors.New("commit is too large")
	// ErrBusy: MaxPending appends are waiting for their ack. Nothing was sent.
	ErrBusy = errors.New("too many appends are in flight")
	// ErrFenced: another writer's commit holds the sequence. Whoever gets it has to
	// drop all state that came after its last ack, and open the journal again.
	ErrFenced = errors.New("another writer has appended")
	// ErrDamaged: commits that were there are gone, changed or unreadable.
	ErrDamaged = errors.New("journal is damaged")
	// ErrClosed: the journal or its connection was closed. For an append that was
	// in flight this means unknown: it may be in the journal.
	ErrClosed = errors.New("journal is closed")
	// ErrNotFound: the stream is not there, or no commit has that sequence yet.
	ErrNotFound = errors.New("not found")
	// ErrUnsafe: the stream's configuration could lose history.
	ErrUnsafe = errors.New("configuration could lose history")
	// ErrAnchorLost: the anchor file is absent or unreadable though the journal has
	// commits; with Config.AcceptLostAnchor it is made anew.
	ErrAnchorLost = errors.New("anchor is lost")

	// ErrAhead: a head lies beyond the journal's end.
	ErrAhead = errors.New("view is ahead of its journal")
	// ErrOtherJournal: a head belongs to a journal with another id.
	ErrOtherJournal = errors.New("view belongs to another journal")
	// ErrDiverged: the journal has another commit at the head's sequence.
	ErrDiverged = errors.New("view has diverged from its journal")
)

// At says which commit of a journal an error is about.
type At struct {
	Sequence uint64
	Err      error
}

// Error begins with the commit.
func (e *At) Error() string { return fmt.Sprintf("commit %d: %v", e.Sequence, e.Err) }

// Unwrap is the error without the place.
func (e *At) Unwrap() error { return e.Err }

// SequenceOf is the commit that an error of this package is about; 0 when it names none.
func SequenceOf(err error) uint64 {
	var at *At
	if errors.As(err, &at) {
		return at.Sequence
	}
	return 0
}
