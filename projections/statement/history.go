package statement

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/projections"
)

// View is the statement view of one journal. It may be read concurrently.
type View struct {
	*projections.View
}

// Of gives the view of one journal in a store its methods.
func Of(store *projections.Store, name projections.Name) (*View, error) {
	v, err := store.View(name, Version)
	if err != nil {
		return nil, err
	}
	return &View{View: v}, nil
}

// Query asks for a page of an account's history.
type Query struct {
	Account string
	// Cursor is where to go on: Page.Next of the page before, or empty for the newest lines.
	Cursor string
	// Limit is the most lines to return; 0 means 100.
	Limit int
	// Meter, Type and Pool, where not empty, are what lines have to be about.
	Meter string
	Type  Type
	Pool  string
	// From and To bound the lines' time, half-open; zero means unbounded.
	From, To time.Time
}

// Page is part of a history, newest line first.
type Page struct {
	Lines []Line
	// Next is the cursor of the following page; empty at the end. With filters a page may be short, or even
	// empty, before the end.
	Next string
}

// ErrCursor says that a cursor is none that this view gave out.
var ErrCursor = errors.New("cursor is not one of this history")

// pageScan bounds how many facts one page looks at, whatever the filters leave of them.
const pageScan = 20_000

// History returns a page of an account's history. It takes the same time wherever the page is.
func (v *View) History(q Query) (Page, error) {
	if err := v.Err(); err != nil {
		return Page{}, err
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	at, err := parseCursor(q.Cursor)
	if err != nil {
		return Page{}, err
	}
	own := projections.AppendText([]byte{tagFact}, q.Account)
	iter, err := v.Iter(own, append(slices.Clone(own), 0xff))
	if err != nil {
		return Page{}, err
	}
	page, err := read(iter, q, at, own)
	if err := errors.Join(err, iter.Close()); err != nil {
		return Page{}, fmt.Errorf("history of account %s of %s: %w", q.Account, v.Name(), err)
	}
	return page, nil
}

// cursor says that the page starts with the lines of fact n that come before line (all of them when line is
// negative), and goes on with earlier facts.
type cursor struct {
	n    uint64
	line int
}

func (c cursor) String() string {
	return strconv.FormatUint(c.n, 10) + "-" + strconv.Itoa(c.line)
}

func parseCursor(text string) (cursor, error) {
	if text == "" {
		return cursor{n: 1<<64 - 1, line: -1}, nil
	}
	fact, line, ok := strings.Cut(text, "-")
	n, err1 := strconv.ParseUint(fact, 10, 63)
	l, err2 := strconv.ParseUint(line, 10, 31)
	if !ok || err1 != nil || err2 != nil {
		return cursor{}, fmt.Errorf("%.40q: %w", text, ErrCursor)
	}
	return cursor{n, int(l)}, nil
}

func read(it *projections.Iter, q Query, at cursor, own []byte) (Page, error) {
	var page Page
	var decoder credit.Decoder
	valid := false
	if at.line < 0 {
		valid = it.Last()
	} else {
		valid = it.SeekLT(binary.BigEndian.AppendUint64(slices.Clone(own), at.n+1))
	}
	for scanned := 0; valid; scanned++ {
		key := it.Key()
		if len(key) != len(own)+8 {
			return page, errRecord
		}
		n := binary.BigEndian.Uint64(key[len(own):])
		if scanned == pageScan {
			page.Next = cursor{n + 1, 0}.String()
			return page, nil
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return page, err
		}
		var r Record
		if err := r.decode(n, value); err != nil {
			return page, fmt.Errorf("fact %d: %w", n, err)
		}
		// Nothing is recorded before it happened, so all that happened since From was recorded since.
		if !q.From.IsZero() && r.Recorded.Before(q.From) {
			return page, nil
		}
		before := -1
		if n == at.n {
			before = at.line
		}
		if full, err := page.take(q, &r, &decoder, before); full || err != nil {
			return page, err
		}
		valid = it.Prev()
	}
	return page, it.Error()
}

// take adds the lines of one fact that q asks for, last first, of those before the given one. It reports
// whether the page is full.
func (p *Page) take(q Query, r *Record, decoder *credit.Decoder, before int) (full bool, err error) {
	if r.types == 0 || !q.wants(r) {
		return false, nil
	}
	all, err := lines(r, decoder)
	if err != nil {
		return false, err
	}
	if before < 0 || before > len(all) {
		before = len(all)
	}
	remaining := r.Remaining
	for i := len(all) - 1; i >= 0; i-- {
		line := &all[i]
		line.Remaining = remaining
		remaining -= line.Credits
		if i >= before || !q.keeps(line) {
			continue
		}
		if len(p.Lines) == q.Limit {
			p.Next = cursor{r.N, i + 1}.String()
			return true, nil
		}
		p.Lines = append(p.Lines, *line)
	}
	return false, nil
}

// wants says, without decoding the fact, whether it may have lines that q asks for.
func (q *Query) wants(r *Record) bool {
	return (q.Meter == "" || q.Meter == r.meter) &&
		(q.Type == "" || r.types&bit(q.Type) != 0) &&
		(q.From.IsZero() || !r.Time.Before(q.From)) &&
		(q.To.IsZero() || r.Time.Before(q.To))
}

func (q *Query) keeps(l *Line) bool {
	return (q.Type == "" || q.Type == l.Type) &&
		(q.Meter == "" || q.Meter == l.Meter) &&
		(q.Pool == "" || slices.ContainsFunc(l.Draws, func(d credit.Draw) bool { return d.Pool == q.Pool }))
}

// Facts yields all facts of an account in the order of the journal, from the n-th on (1 is the first).
func (v *View) Facts(account string, from uint64) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		own := projections.AppendText([]byte{tagFact}, account)
		it, err := v.Iter(appendFact(nil, account, from), append(own, 0xff))
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() { _ = it.Close() }()
		var r Record
		for it.First(); it.Valid(); it.Next() {
			_, n, ok := cutNumbered(it.Key())
			value, err := it.ValueAndErr()
			if err == nil && !ok {
				err = errRecord
			}
			if err == nil {
				err = r.decode(n, value)
			}
			if !yield(&r, err) || err != nil {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(nil, fmt.Errorf("facts of account %s of %s: %w", account, v.Name(), err))
		}
	}
}

func cutNumbered(key []byte) (account string, n uint64, ok bool) {
	if len(key) == 0 {
		return "", 0, false
	}
	account, rest, ok := projections.CutText(key[1:])
	if !ok || len(rest) != 8 {
		return "", 0, false
	}
	return account, binary.BigEndian.Uint64(rest), true
}
