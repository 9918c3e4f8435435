package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/bus"
)

func TestDurabilitySaysWhatItCannotSee(t *testing.T) {
	s := start(t, bus.Config{})
	nc := must(s.Connect("client"))(t)
	defer nc.Close()
	js := must(jetstream.New(nc))(t)
	must(js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}))(t)

	warnings := must(bus.Durability(t.Context(), nc, "S"))(t)
	if len(warnings) != 2 || !strings.Contains(string(warnings[0]), "stream S has 1 replica") ||
		!strings.Contains(string(warnings[1]), "sync_interval: always") {
		t.Errorf("warnings: %q", warnings)
	}
	if _, err := bus.Durability(t.Context(), nc, "ABSENT"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("a stream that is not there: %v", err)
	}
}

func TestDurabilityNeedsJetStream(t *testing.T) {
	w := newTown(t, bus.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	if warnings, err := bus.Durability(ctx, w.login(t, nats.Token("key-of-acme"))); err == nil {
		t.Errorf("a tenant's account can keep journals: %q", warnings)
	}
}

func TestConnectGivesUpWithoutShowingThePassword(t *testing.T) {
	w := newTown(t, bus.Config{})
	host := strings.TrimPrefix(w.Addr(), "nats://")
	_, err := bus.Connect(t.Context(), "nats://user:secret-word@"+host, nil)
	if !errors.Is(err, nats.ErrAuthorization) || strings.Contains(err.Error(), "secret-word") {
		t.Errorf("with a wrong password: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = bus.Connect(ctx, "nats://user:secret-word@127.0.0.1:1", nil)
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "secret-word") {
		t.Errorf("to nobody: %v", err)
	}
	nc := must(bus.Connect(t.Context(), "nats://user:key-of-acme@"+host, nil))(t)
	nc.Close()
}

func TestAddressesAreShownWithoutCredentials(t *testing.T) {
	for url, want := range map[string]string{
		"nats://me:secret-word@a:4222":                     "nats://a:4222",
		"tls://me:secret@word@a:4222, nats://token@b:4222": "tls://a:4222,nats://b:4222",
		"me:secret-word@a":                                 "nats://a",
		"nats://a:4222":                                    "nats://a:4222",
	} {
		if got := bus.Redact(url); got != want {
			t.Errorf("%s is shown as %s", url, got)
		}
	}
	// What cannot be read is not tried for ever, nor shown.
	for _, url := range []string{"nats://me:secret-word%zz@a:4222", "nats://me:secret-word@a:port"} {
		if _, err := bus.Connect(t.Context(), url, nil); err == nil || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestMayPublishAsksForTheLogin(t *testing.T) {
	s := start(t, bus.Config{})
	writer, service := must(s.ConnectWriter("writer"))(t), must(s.Connect("service"))(t)
	defer writer.Close()
	defer service.Close()
	if may := must(bus.MayPublish(writer, "journal.probe"))(t); !may {
		t.Error("the writer may not")
	}
	if may := must(bus.MayPublish(service, "journal.probe"))(t); may {
		t.Error("a service may")
	}
}
