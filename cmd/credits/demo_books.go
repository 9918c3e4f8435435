package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// books is what the check at the end found, over all tenants.
type books struct {
	PromisesKept   int    `json:"promises_kept"`
	PromisesBroken int    `json:"promises_broken"`
	Events         int    `json:"events"`       // in the journals
	Acknowledged   int    `json:"acknowledged"` // usages that were answered with "recorded"
	InJournal      int    `json:"in_journal"`   // of those
	Lost           int    `json:"lost"`
	Doubled        int    `json:"doubled"`
	Overdrawn      int    `json:"overdrawn"` // accounts below zero, and draws on lots that could not pay
	ViewsEqual     bool   `json:"views_equal"`
	Took           string `json:"took"`
}

// closeBooks reads the journals from their beginning and compares them with what was answered, and
// the views with a fold of the journals that the server makes anew.
func (d *demo) closeBooks(ctx context.Context) error {
	d.head("The books")
	var found books
	for _, s := range d.scenes {
		found.PromisesKept += s.kept
		found.PromisesBroken += s.broken
		if err := d.audit(ctx, s, &found); err != nil {
			return fmt.Errorf("audit %s: %w", s.tenant, err)
		}
	}
	report, err := verify(ctx, d.client, "", nil, func(step) {})
	if err != nil {
		return err
	}
	found.ViewsEqual = report.OK && report.views() > 0
	for _, book := range report.Journals {
		found.Overdrawn += int(book.Overdrawn)
	}
	took := time.Since(d.began).Round(100 * time.Millisecond)
	found.Took = took.String()
	if d.app.output == "json" {
		if err := d.app.printValue(found); err != nil {
			return err
		}
	}
	mark := marksFor(d.app.coloured(d.out))
	line := func(good bool, format string, args ...any) {
		m := mark.kept
		if !good {
			m = mark.broken
		}
		d.say("  %s %s", m, fmt.Sprintf(format, args...))
	}
	line(true, "%s events in the journals, read from the first to the last", count(found.Events))
	line(found.Lost == 0, "%s usages acknowledged, %s of them in the journal: lost %d", count(found.Acknowledged), count(found.InJournal), found.Lost)
	line(found.Doubled == 0, "charged more than once: doubled %d", found.Doubled)
	line(found.Overdrawn == 0, "accounts below zero, or lots that paid more than they had: overdrawn %d", found.Overdrawn)
	line(found.ViewsEqual, "%d views compared with a new fold of %d journals by other code, every hash checked: %s", report.views(), len(report.Journals), equalOr(found.ViewsEqual))
	line(found.PromisesBroken == 0, "%d promises of the three pages checked, %d broken", found.PromisesKept+found.PromisesBroken, found.PromisesBroken)
	d.say("\nDone in %s. Next: credits serve --dev --catalogs deploy/catalogs", took)
	if !found.sound() {
		return errors.New("the demo found something wrong: see the lines marked above")
	}
	return nil
}

func equalOr(equal bool) string {
	if equal {
		return "equal"
	}
	return "DIFFERENT, see credits verify"
}

func (b books) sound() bool {
	return b.PromisesBroken == 0 && b.Lost == 0 && b.Doubled == 0 && b.Overdrawn == 0 && b.ViewsEqual && b.Acknowledged > 0
}

// audit reads one tenant's journal as any consumer would and compares it with what was answered.
func (d *demo) audit(ctx context.Context, s *scene, found *books) error {
	charged := make(map[string]int)
	for line, err := range d.client.lines(ctx, request{method: http.MethodGet, path: tenantPath(s.tenant, "events")}) {
		if err != nil {
			return err
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("event %d of the journal: %w", found.Events+1, err)
		}
		found.Events++
		if strings.HasPrefix(e.Type, "creditstream.UsageRecorded.") {
			charged[e.Subject+"\x00"+e.EntryKey]++
		}
	}
	found.Acknowledged += len(s.acknowledged)
	for key := range s.acknowledged {
		if charged[key] == 0 {
			found.Lost++
		} else {
			found.InJournal++
		}
	}
	for _, times := range charged {
		if times > 1 {
			found.Doubled++
		}
	}
	all, err := d.allBalances(ctx, s.tenant)
	if err != nil {
		return err
	}
	for _, b := range all {
		if b.overdrawn() {
			found.Overdrawn++
		}
	}
	return nil
}

// overdrawn reports whether anything is owed, which none of the three catalogs allows.
func (b balance) overdrawn() bool {
	if strings.HasPrefix(b.Remaining, "-") || (b.Debt != "" && b.Debt != "0") {
		return true
	}
	for _, p := range b.Pools {
		if strings.HasPrefix(p.Remaining, "-") {
			return true
		}
	}
	return false
}
