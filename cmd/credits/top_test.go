package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// What is charged while top watches is counted to its tenant, its type and its account; what was there before is not.
func TestTopCountsWhatHappensNow(t *testing.T) {
	p := program{t, map[string]string{"CREDITS_TENANT": "tecpet"}}
	p.serve(filepath.Join(t.TempDir(), "data"), "--dev", "--catalogs", "../../deploy/catalogs")
	p.must("account", "set", "clinic-7", "--plan", "ai")
	p.must("grant", "clinic-7", "50", "--pool", "purchased", "--reason", "test")
	p.must("usage", "clinic-7", "sticker", "1")

	ctx, cancel := context.WithCancelCause(t.Context()) // as a signal does
	defer cancel(nil)
	reader, writer := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, p.app(writer, io.Discard), []string{"top", "--interval", "100ms", "--output", "json"})
		writer.Close()
	}()
	readings := json.NewDecoder(reader)
	var r topReading
	if err := readings.Decode(&r); err != nil { // it watches
		t.Fatal(err)
	}
	for i := range 3 {
		p.must("usage", "clinic-7", "sticker", "1", "--idempotency-key", fmt.Sprint("seen-", i))
	}
	var events, charged, busy int64
	for charged < 3 {
		var next topReading
		if err := readings.Decode(&next); err != nil {
			t.Fatal(err)
		}
		events += next.Events
		for _, l := range next.Types {
			if l.Type == "UsageRecorded" {
				charged += l.Events
			}
		}
		for _, l := range next.Accounts {
			if l.Tenant == "tecpet" && l.Account == "clinic-7" {
				busy += l.Events
			}
		}
		r = next
	}
	if events != 3 || charged != 3 || busy != 3 {
		t.Errorf("3 charges were counted as %d events, %d charges, %d of the account", events, charged, busy)
	}
	if len(r.Views) == 0 || r.Tenants[0].Tenant != "tecpet" {
		t.Errorf("the reading shows %+v", r)
	}
	cancel(errors.New("interrupt signal received"))
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	if code := <-ended; code != exitOK {
		t.Errorf("top ends with %d when it is interrupted", code)
	}
}

func TestTopPrintsForPeople(t *testing.T) {
	r := topReading{Seconds: 2, Events: 5, Tenants: []topLine{{Tenant: "tecpet", Events: 5}}, Types: []topLine{{Type: "UsageRecorded", Events: 5}}, Accounts: []topLine{{Tenant: "tecpet", Account: "clinic-7", Events: 4}}}
	var page strings.Builder
	r.print(&page)
	for _, want := range []string{"2.5 events a second", "UsageRecorded", "clinic-7", "2.0"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%q is missing in\n%s", want, page.String())
		}
	}
}
