package projections

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"creditstream/events/credit"

	"github.com/google/uuid"
)

// cloudEvent is an event of a commit as any language would read it.
type cloudEvent struct {
	SpecVersion  string          `json:"specversion"`
	ID           uuid.UUID       `json:"id"`
	Source       string          `json:"source"`
	Type         string          `json:"type"`
	Subject      string          `json:"subject"`
	Time         time.Time       `json:"time"`
	RecordedTime time.Time       `json:"recordedtime"`
	EntryKey     string          `json:"entrykey"`
	EntryHash    string          `json:"entryhash"`
	EntrySize    int             `json:"entrysize"`
	Actor        string          `json:"actor"`
	UsageSource  string          `json:"usagesource"`
	Data         json.RawMessage `json:"data"`
}

// ownDecoder reads commits for verification. It shares nothing with the codec that wrote them: a scanner of its own
// reads what is as it nearly always is, encoding/json all else.
type ownDecoder struct {
	words   words
	events  []cloudEvent // used again
	library bool         // all is for encoding/json: a test compares
}

func newOwnDecoder() *ownDecoder { return &ownDecoder{words: make(words)} }

func (o *ownDecoder) decode(body []byte) ([]credit.Entry, error) {
	clear(o.events)
	events, ok := o.words.events(body, o.events[:0])
	if o.events = events; !ok || o.library {
		events = nil
		if err := json.Unmarshal(body, &events); err != nil {
			return nil, err
		}
	}
	entries := make([]credit.Entry, 0, len(events))
	for i := 0; i < len(events); {
		size := max(1, events[i].EntrySize)
		if i+size > len(events) {
			return nil, fmt.Errorf("event %d: its entry has %d events, %d are left", i, size, len(events)-i)
		}
		entry, err := o.entry(events[i : i+size])
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
		entries = append(entries, entry)
		i += size
	}
	return entries, nil
}

func (o *ownDecoder) entry(events []cloudEvent) (credit.Entry, error) {
	first := &events[0]
	e := credit.Entry{Facts: make([]credit.Fact, 0, len(events)), Account: first.Subject, Key: first.EntryKey, Actor: first.Actor, Source: first.UsageSource, Recorded: first.RecordedTime.UTC()}
	if first.EntryHash != "" {
		hash, err := hex.DecodeString(first.EntryHash)
		if err != nil || len(hash) != len(e.Hash) {
			return e, fmt.Errorf("entryhash %q is none", first.EntryHash)
		}
		copy(e.Hash[:], hash)
	}
	for i := range events {
		ev := &events[i]
		if ev.Subject != e.Account || ev.EntryKey != e.Key || !ev.RecordedTime.Equal(e.Recorded) || ev.EntryHash != first.EntryHash {
			return e, fmt.Errorf("event %s is not of the entry that it stands in", ev.ID)
		}
		kind, data, err := credit.Upcast(ev.Type, ev.Data)
		if err != nil {
			return e, err
		}
		event := credit.New(kind)
		if event == nil || ev.SpecVersion != "1.0" {
			return e, fmt.Errorf("type %q is none that this program knows", ev.Type)
		}
		if event, err = o.event(event, data); err != nil {
			return e, fmt.Errorf("%s: %w", kind, err)
		}
		e.Facts = append(e.Facts, credit.Fact{ID: ev.ID, At: ev.Time.UTC(), Event: event, Raw: data})
	}
	return e, nil
}

// event reads the data of an event into an empty one of its kind.
func (o *ownDecoder) event(empty credit.Event, data []byte) (credit.Event, error) {
	if _, ok := empty.(*credit.UsageRecorded); ok && !o.library {
		if u := o.words.usage(data); u != nil {
			return u, nil
		}
	}
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	return empty, strict.Decode(empty)
}
