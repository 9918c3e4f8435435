package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// repeatOld is how many of the older commands are repeated each time the books are closed; the newest are all.
const repeatOld = 300

// closeBooks asks the server again about everything in doubt and compares all that it says with the record.
// since is how many commands were acknowledged before this round.
func (d *driver) closeBooks(ctx context.Context, url string, since int, rng *rand.Rand, r *result) error {
	if err := d.awaitFed(ctx, url, since); err != nil {
		return err
	}
	for _, q := range d.record.doubtful() {
		d.send(ctx, url, q)
	}
	d.repeat(ctx, url, since, rng)
	if ctx.Err() != nil {
		return ctx.Err() // what was not answered then says nothing
	}
	before := *r
	d.compareAnswers(r)
	if err := d.compareJournal(ctx, url, r); err != nil {
		return err
	}
	if err := d.comparePurchases(ctx, url, r); err != nil {
		return err
	}
	if err := d.compareBalances(ctx, url, r); err != nil {
		return err
	}
	if err := d.compareAside(ctx, url, rng, r); err != nil {
		return err
	}
	wrong := r.Lost > before.Lost || r.Changed > before.Changed || r.Doubled > before.Doubled || r.Overdrawn > before.Overdrawn
	agrees, err := d.verify(ctx, url, r)
	if err == nil && wrong && agrees {
		r.Undetected++
	}
	return err
}

// repeat sends acknowledged commands again: those of this round, and some of before.
func (d *driver) repeat(ctx context.Context, url string, since int, rng *rand.Rand) {
	rec := d.record
	rec.mu.Lock()
	var again []request
	for _, id := range rec.order[since:] {
		again = append(again, rec.acked[id].request)
	}
	for range min(repeatOld, since) {
		again = append(again, rec.acked[rec.order[rng.IntN(since)]].request)
	}
	rec.mu.Unlock()
	again = slices.DeleteFunc(again, func(q request) bool { return q.Kind == fed }) // through the door it would be another request
	rng.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
	work := make(chan request)
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			for q := range work {
				if code := d.send(ctx, url, q); code != "" {
					rec.mu.Lock()
					rec.differs = append(rec.differs, fmt.Sprintf("%s %s of %s was acknowledged, and its repetition is not: %s", q.Kind, q.Key, q.Account, code))
					rec.mu.Unlock()
				}
			}
		})
	}
	for _, q := range again {
		work <- q
	}
	close(work)
	running.Wait()
}

// compareAnswers counts repetitions that were answered otherwise.
func (d *driver) compareAnswers(r *result) {
	d.record.mu.Lock()
	defer d.record.mu.Unlock()
	for _, words := range d.record.differs {
		r.Changed++
		r.problem("%s", words)
	}
	d.record.differs = nil
}

// line is what matters here of an event of the journal.
type line struct {
	Subject   string `json:"subject"`
	EntryKey  string `json:"entrykey"`
	EntrySize int    `json:"entrysize"`
}

// compareJournal reads the whole journal as any consumer would.
func (d *driver) compareJournal(ctx context.Context, url string, r *result) error {
	found, times, err := d.readJournal(ctx, url)
	if err != nil {
		return err
	}
	rec := d.record
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for id, n := range times {
		if n > 1 {
			r.Doubled++
			r.problem("%s is %d times in the journal", id, n)
		}
	}
	for _, id := range rec.order {
		if _, there := found[id]; !there {
			r.Lost++
			r.problem("%s was acknowledged and is not in the journal", id)
		}
	}
	for id, hash := range rec.entries {
		if now, there := found[id]; there && now != hash {
			r.Changed++
			r.problem("%s is not what it was in the journal", id)
		}
	}
	for id := range rec.unknown {
		if _, there := found[id]; there {
			r.problem("%s is in the journal, and its repetition was not answered", id)
		}
	}
	rec.entries = found
	return nil
}

// readJournal reads all entries: the hash of each by account and key, and how often it is there.
func (d *driver) readJournal(ctx context.Context, url string) (found map[string][32]byte, times map[string]int, err error) {
	a, err := d.ask(ctx, url, http.MethodGet, base+"/events", "", "")
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("%d %s", a.status, a.body)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the journal: %w", err)
	}
	return entriesOf(a.body)
}

// entriesOf groups events into entries: the hash of each by account and key, and how often it is there.
func entriesOf(events []byte) (found map[string][32]byte, times map[string]int, err error) {
	found, times = make(map[string][32]byte), make(map[string]int)
	lines := bufio.NewScanner(bytes.NewReader(events))
	lines.Buffer(nil, 1<<20)
	left := 0
	var id string
	var entry []byte
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, nil, fmt.Errorf("read an event of the journal: %w", err)
		}
		if left == 0 {
			id, entry, left = l.Subject+" "+l.EntryKey, nil, max(1, l.EntrySize)
		}
		entry = append(append(entry, lines.Bytes()...), '\n')
		if left--; left == 0 && l.EntryKey != "" {
			found[id] = sha256.Sum256(entry)
			times[id]++
		}
	}
	return found, times, lines.Err()
}

// comparePurchases asks for all purchases that were paid.
func (d *driver) comparePurchases(ctx context.Context, url string, r *result) error {
	d.record.mu.Lock()
	var paths []string
	for path := range d.record.bought {
		paths = append(paths, path)
	}
	d.record.mu.Unlock()
	for _, path := range paths {
		a, err := d.ask(ctx, url, http.MethodGet, path, "", "")
		if err != nil {
			return fmt.Errorf("ask for a purchase: %w", err)
		}
		var p struct{ Status string }
		if json.Unmarshal(a.body, &p) != nil || p.Status != "completed" {
			r.Lost++
			r.problem("%s was paid, and now it is %q (%d)", path, p.Status, a.status)
		}
	}
	return nil
}

// compareBalances looks for accounts below zero.
func (d *driver) compareBalances(ctx context.Context, url string, r *result) error {
	names, err := json.Marshal(map[string]any{"accounts": accountNames()})
	if err != nil {
		return err
	}
	a, err := d.ask(ctx, url, http.MethodPost, base+"/balances", "", string(names))
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("%d %s", a.status, a.body)
	}
	var all struct{ Balances []json.RawMessage }
	if err == nil {
		err = json.Unmarshal(a.body, &all)
	}
	if err != nil || len(all.Balances) != rich+poor {
		return fmt.Errorf("ask for %d balances, %d came: %w", rich+poor, len(all.Balances), err)
	}
	for _, text := range all.Balances {
		if strings.Contains(string(text), `"remaining":"-`) {
			r.Overdrawn++
			r.problem("below zero: %s", text)
		}
	}
	return nil
}

// verify has the server verify its journal and views, and reports whether it found nothing.
func (d *driver) verify(ctx context.Context, url string, r *result) (agrees bool, err error) {
	a, err := d.ask(ctx, url, http.MethodPost, "/v1/admin/verify", "", "")
	var report struct {
		OK       bool
		Journals []struct{ Lost, Doubled, Overdrawn int }
	}
	if err == nil {
		err = json.Unmarshal(a.body, &report)
	}
	if err != nil {
		return false, fmt.Errorf("verify: %w", err)
	}
	if report.OK {
		return true, nil
	}
	r.problem("the server's verification: %s", a.body)
	for _, j := range report.Journals {
		r.Lost += j.Lost
		r.Doubled += j.Doubled
		r.Overdrawn += j.Overdrawn
	}
	return false, nil
}
