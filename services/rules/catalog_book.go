package rules

import (
	"slices"
	"sort"
	"time"
)

// Book holds a tenant's published catalogs, in order. The zero Book is empty. A Book that is
// shared between goroutines is extended with With, which leaves the original as it was.
type Book struct {
	published []publication
}

type publication struct {
	at      time.Time
	catalog *Catalog
}

// Publish adds a catalog that is in force from at. A catalog that carries no Version gets the
// next one, in a copy. One whose Version the book already has changes nothing, because each
// shard of a tenant tells of the same publication. An at before the last publication counts as
// that instant: versions come into force in their order.
func (b *Book) Publish(at time.Time, c *Catalog) {
	var last uint32
	if n := len(b.published); n > 0 {
		last = b.published[n-1].catalog.Version
		if before := b.published[n-1].at; at.Before(before) {
			at = before
		}
	}
	if c.Version == 0 {
		numbered := *c
		numbered.Version = last + 1
		c = &numbered
	}
	if c.Version <= last {
		return
	}
	b.published = append(b.published, publication{at: at, catalog: c})
}

// With returns a book that also has the catalog, by the rules of Publish. The receiver may be
// nil and is not changed.
func (b *Book) With(at time.Time, c *Catalog) *Book {
	next := &Book{}
	if b != nil {
		next.published = slices.Clip(b.published)
	}
	next.Publish(at, c)
	return next
}

// At returns the catalog in force at t: the last one published at or before t. The first one
// also counts for everything before it, so that usage older than the tenant's first catalog has
// a price. It is nil when nothing was published.
func (b *Book) At(t time.Time) *Catalog {
	if b == nil || len(b.published) == 0 {
		return nil
	}
	after := sort.Search(len(b.published), func(i int) bool { return b.published[i].at.After(t) })
	return b.published[max(after-1, 0)].catalog
}

// Before returns the catalog that what falls due at t goes by: the last one published before t, and the
// first for everything up to it. What is due comes before whatever is decided at the same instant, a
// publication included, so that it makes no difference whether a sweep booked it before or after.
func (b *Book) Before(t time.Time) *Catalog { return b.At(t.Add(-1)) }

// Current returns the last catalog published, nil when there is none.
func (b *Book) Current() *Catalog {
	if b == nil || len(b.published) == 0 {
		return nil
	}
	return b.published[len(b.published)-1].catalog
}

// Version returns the catalog with that version, nil when there is none.
func (b *Book) Version(v uint32) *Catalog {
	if b == nil {
		return nil
	}
	i := sort.Search(len(b.published), func(i int) bool { return b.published[i].catalog.Version >= v })
	if i == len(b.published) || b.published[i].catalog.Version != v {
		return nil
	}
	return b.published[i].catalog
}
