package rules

import (
	"testing"
	"time"
)

func TestBook(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var none *Book
	if none.At(start) != nil || none.Current() != nil || none.Version(1) != nil {
		t.Error("an empty book has a catalog")
	}
	first := none.With(start, parsed(t, small))
	second := first.With(start.Add(time.Hour), parsed(t, small))
	third := second.With(start.Add(time.Minute), parsed(t, small)) // published with a clock that was set back
	fourth := third.With(start.Add(2*time.Hour), parsed(t, small))
	same(t, "before the clock was set back", fourth.At(start.Add(30*time.Minute)).Version, 1)
	same(t, "the first book still ends", first.Current().Version, 1)
	same(t, "the second book still ends", second.Current().Version, 2)
	for _, test := range []struct {
		after time.Duration
		want  uint32
	}{{-time.Hour, 1}, {0, 1}, {time.Minute, 1}, {time.Hour - 1, 1}, {time.Hour, 3}, {48 * time.Hour, 3}} {
		same(t, "in force after "+test.after.String(), third.At(start.Add(test.after)).Version, test.want)
	}
	same(t, "between publications", second.At(start.Add(time.Hour-1)).Version, 1)
	for v := uint32(1); v <= 3; v++ {
		same(t, "version", third.Version(v).Version, v)
	}
	if third.Version(0) != nil || third.Version(4) != nil {
		t.Error("a version that was never published is found")
	}
}

func TestBookTakesEachVersionOnce(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	numbered := *parsed(t, small)
	numbered.Version = 4
	var book Book
	book.Publish(start, &numbered)
	book.Publish(start.Add(time.Second), &numbered) // another shard tells of it a little later
	same(t, "publications", len(book.published), 1)
	same(t, "version", book.Version(4), &numbered)
	unnumbered := parsed(t, small)
	book.Publish(start.Add(time.Second), unnumbered)
	same(t, "next version", book.Current().Version, 5)
	same(t, "the catalog given", unnumbered.Version, 0)
}

// Two books made from one must not see each other's catalogs.
func TestBooksDoNotShareWhatIsAdded(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	base := (*Book)(nil).With(start, parsed(t, small)).With(start, parsed(t, small)).With(start, parsed(t, small))
	one, other := parsed(t, small), parsed(t, small)
	one.Name, other.Name = "one", "other"
	a, b := base.With(start, one), base.With(start, other)
	same(t, "first branch", a.Current().Name, "one")
	same(t, "second branch", b.Current().Name, "other")
}

// What falls due at the very instant of a publication goes by the catalog before it, whether a sweep books
// it first or the publication is recorded first.
func TestWhatIsDueComesBeforeAPublicationAtTheSameInstant(t *testing.T) {
	first, second := &Catalog{}, &Catalog{}
	at := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	b := (&Book{}).With(at.AddDate(0, -1, 0), first).With(at, second)
	if b.At(at).Version != 2 || b.Before(at).Version != 1 || b.Before(at.Add(1)).Version != 2 {
		t.Errorf("at %d, before %d, before the next instant %d", b.At(at).Version, b.Before(at).Version, b.Before(at.Add(1)).Version)
	}
	if b.Before(at.AddDate(-1, 0, 0)).Version != 1 || (*Book)(nil).Before(at) != nil {
		t.Error("the first counts for all that came before it; no book has none")
	}
}
