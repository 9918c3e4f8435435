package statement_test

import (
	"fmt"
	"testing"

	"creditstream/projections/internal/trial"
	"creditstream/projections/statement"
)

// BenchmarkPage reads pages of a hundred lines at the newest and at the oldest end of a history of a hundred
// thousand: both have to cost the same.
func BenchmarkPage(b *testing.B) {
	source := trial.Plain(1, 1)
	view := open(b)
	write(b, view, source.Journal(500, 200), 50)
	for _, cursor := range []string{"", "50000-1", "200-1"} {
		b.Run(fmt.Sprintf("from %q", cursor), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				page, err := view.History(statement.Query{Account: "account-000000", Cursor: cursor})
				if err != nil || len(page.Lines) != 100 {
					b.Fatal(len(page.Lines), err)
				}
			}
		})
	}
}

// BenchmarkRefold folds a hundred thousand facts for a balance of the past.
func BenchmarkRefold(b *testing.B) {
	source := trial.Plain(1, 1)
	view := open(b)
	write(b, view, source.Journal(500, 200), 50)
	for b.Loop() {
		if _, err := view.Refold("account-000000", source.Now(), statement.Known{}); err != nil {
			b.Fatal(err)
		}
	}
}
