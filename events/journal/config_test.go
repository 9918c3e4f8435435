package journal_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/bus"
	"creditstream/events/journal"
)

func TestOpenRefusesWhatCouldLoseHistory(t *testing.T) {
	nc := connect(t, startBus(t, bus.Config{}))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	sound := func(name journal.Name) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name.Stream(), Subjects: []string{name.Subject()}, Storage: jetstream.FileStorage,
			DenyDelete: true, DenyPurge: true,
			Metadata: map[string]string{
				"creditstream.journal": "6f0c1b8e-3c55-4b0b-9d3a-0a5e2f4c7d11",
				"creditstream.format":  "1", "creditstream.shards": "1",
			},
		}
	}
	for i, test := range []struct {
		names string
		spoil func(*jetstream.StreamConfig)
	}{
		{"", func(c *jetstream.StreamConfig) {}},
		{"storage", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }},
		{"retention", func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }},
		{"max_msgs", func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 }},
		{"max_bytes", func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 }},
		{"max_age", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }},
		{"max_msgs_per_subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject, c.Discard = 10, jetstream.DiscardOld }},
		{"max_msg_size", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 64 << 10 }},
		{"deny_delete", func(c *jetstream.StreamConfig) { c.DenyDelete = false }},
		{"deny_purge", func(c *jetstream.StreamConfig) { c.DenyPurge = false }},
		{"allow_rollup_hdrs", func(c *jetstream.StreamConfig) { c.AllowRollup, c.DenyPurge = true, false }},
		{"persist_mode", func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }},
		{"allow_msg_ttl", func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true }},
		{"allow_msg_schedules", func(c *jetstream.StreamConfig) { c.AllowMsgSchedules, c.AllowMsgTTL = true, true }},
		{"allow_atomic", func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = true }},
		{"no_ack", func(c *jetstream.StreamConfig) { c.NoAck = true }},
		{"mirror", func(c *jetstream.StreamConfig) { c.Subjects, c.Mirror = nil, &jetstream.StreamSource{Name: "X"} }},
		{"sources", func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "X"}} }},
		{"republish", func(c *jetstream.StreamConfig) {
			c.RePublish = &jetstream.RePublish{Source: c.Subjects[0], Destination: "elsewhere"}
		}},
		{"subject_transform", func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: c.Subjects[0], Destination: "elsewhere"}
		}},
		{"first_seq", func(c *jetstream.StreamConfig) { c.FirstSeq = 100 }},
		{"subjects", func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "other") }},
	} {
		t.Run(test.names, func(t *testing.T) {
			name := journal.Name{Tenant: "t" + strconv.Itoa(i)}
			cfg := sound(name)
			test.spoil(&cfg)
			if _, err := js.CreateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			_, err := tryOpen(t, nc, journal.Config{Name: name})
			if test.names == "" {
				if err != nil {
					t.Errorf("a sound stream: %v", err)
				}
				return
			}
			if !errors.Is(err, journal.ErrUnsafe) || !strings.Contains(err.Error(), test.names) {
				t.Errorf("opened with %s: %v", test.names, err)
			}
		})
	}
}

func TestOpenRefusesAnUnknownIdentity(t *testing.T) {
	nc := connect(t, startBus(t, bus.Config{}))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for i, meta := range []map[string]string{
		nil,
		{"creditstream.journal": "6f0c1b8e-3c55-4b0b-9d3a-0a5e2f4c7d11", "creditstream.format": "2", "creditstream.shards": "1"},
		{"creditstream.journal": "6f0c1b8e-3c55-4b0b-9d3a-0a5e2f4c7d11", "creditstream.format": "1", "creditstream.shards": "0"},
		{"creditstream.journal": "one", "creditstream.format": "1", "creditstream.shards": "1"},
	} {
		name := journal.Name{Tenant: "t" + strconv.Itoa(i)}
		cfg := jetstream.StreamConfig{
			Name: name.Stream(), Subjects: []string{name.Subject()}, DenyDelete: true, DenyPurge: true, Metadata: meta,
		}
		if _, err := js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if _, err := tryOpen(t, nc, journal.Config{Name: name}); err == nil {
			t.Errorf("opened with the metadata %v", meta)
		}
	}
}

func TestOpenRefusesImpossibleNames(t *testing.T) {
	nc := connect(t, startBus(t, bus.Config{}))
	for _, cfg := range []journal.Config{
		{Name: journal.Name{Tenant: ""}},
		{Name: journal.Name{Tenant: "Acme"}},
		{Name: journal.Name{Tenant: "acme.0"}},
		{Name: journal.Name{Tenant: "a>"}},
		{Name: journal.Name{Tenant: "acme", Shard: -1}},
		{Name: journal.Name{Tenant: "acme", Shard: 2}, Shards: 2},
	} {
		cfg.Create = true
		if j, err := journal.Open(t.Context(), nc, cfg); err == nil {
			j.Close()
			t.Errorf("opened %+v", cfg.Name)
		}
	}
}
