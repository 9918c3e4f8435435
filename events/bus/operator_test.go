package bus_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/bus"
)

func TestOperatorCannotMakeOthersWriteIntoAJournal(t *testing.T) {
	w := newTown(t, bus.Config{DevTenantless: true})
	testAttacks(t, w, w.login(t))
}

func TestOperatorAsksAndReadsEverything(t *testing.T) {
	w := newTown(t, bus.Config{DevTenantless: true})
	nc := w.login(t)
	for _, tenant := range []string{"acme", "umbra"} {
		answer, err := request(t, nc, "credits."+tenant+".check", "{}")
		if err != nil || string(answer.Data) != "answer to credits."+tenant+".check" {
			t.Errorf("the service of %s: %v", tenant, err)
		}
	}
	js := must(jetstream.New(nc))(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if ack, err := js.Publish(ctx, "intake.umbra.usage", []byte("{}")); err != nil || ack.Stream != "INTAKE" {
		t.Errorf("the intake: %+v, %v", ack, err)
	}
	if name, err := js.StreamNameBySubject(ctx, "journal.acme.0"); err != nil || name != "JOURNAL_acme_0" {
		t.Errorf("the stream of a journal: %q, %v", name, err)
	}
	stream := must(js.Stream(ctx, "JOURNAL_acme_0"))(t)
	if msg, err := stream.GetMsg(ctx, 2); err != nil || string(msg.Data) != "acme 2" {
		t.Errorf("one commit: %v", err)
	}
	ordered := must(stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{}))(t)
	msgs := must(ordered.Messages())(t)
	defer msgs.Stop()
	for want := range uint64(5) {
		msg := must(msgs.Next(jetstream.NextMaxWait(30 * time.Second)))(t)
		if meta := must(msg.Metadata())(t); meta.Sequence.Stream != want+1 || msg.Subject() != "journal.acme.0" {
			t.Errorf("read commit %d on %s, want %d", meta.Sequence.Stream, msg.Subject(), want+1)
		}
	}
	durable := must(stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "mine", AckPolicy: jetstream.AckExplicitPolicy}))(t)
	batch := must(durable.Fetch(2, jetstream.FetchMaxWait(30*time.Second)))(t)
	for msg := range batch.Messages() {
		if err := msg.DoubleAck(ctx); err != nil {
			t.Errorf("ack: %v", err)
		}
	}
	if info := must(durable.Info(ctx))(t); info.AckFloor.Stream != 2 {
		t.Errorf("acknowledged up to %d", info.AckFloor.Stream)
	}
	if err := stream.DeleteConsumer(ctx, "mine"); err != nil {
		t.Error(err)
	}
}

func TestSecretsAreNobodysToRead(t *testing.T) {
	for _, name := range []string{"CREDENTIALS", "PERSONAL"} {
		t.Run(name, func(t *testing.T) { nobodyReads(t, name) })
	}
}

func nobodyReads(t *testing.T, name string) {
	w := newTown(t, bus.Config{DevTenantless: true})
	must(w.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{"secrets.>"}}))(t)
	must(w.js.Publish(t.Context(), "secrets.key.1", []byte("secret")))(t)
	must(w.js.CreateConsumer(t.Context(), name, jetstream.ConsumerConfig{Durable: "known"}))(t)
	for who, nc := range map[string]*nats.Conn{"the operator": w.login(t), "a tenant": w.login(t, nats.Token("key-of-acme"))} {
		for subject, body := range map[string]string{
			"$JS.API.STREAM.MSG.GET." + name:                   `{"seq":1}`,
			"$JS.API.DIRECT.GET." + name:                       `{"seq":1}`,
			"$JS.API.CONSUMER.CREATE." + name:                  `{"stream_name":"` + name + `","config":{"ack_policy":"none"}}`,
			"$JS.API.CONSUMER.CREATE." + name + ".x":           `{"stream_name":"` + name + `","config":{"name":"x","ack_policy":"none"}}`,
			"$JS.API.CONSUMER.DURABLE.CREATE." + name + ".x":   `{"stream_name":"` + name + `","config":{"durable_name":"x"}}`,
			"$JS.API.CONSUMER.MSG.NEXT." + name + ".known":     `{"batch":1,"no_wait":true}`,
			"$JS.API.STREAM.SNAPSHOT." + name:                  `{"deliver_subject":"_INBOX.x"}`,
			"$JS.API.CONSUMER.CREATE." + name + ".y.secrets.>": `{"stream_name":"` + name + `","config":{"name":"y","filter_subject":"secrets.>"}}`,
		} {
			silent(t, nc, who, subject, body)
		}
	}
	// The subject is allowed, the stream in the text is another one.
	answer := must(request(t, w.login(t), "$JS.API.CONSUMER.CREATE.JOURNAL_acme_0.x",
		`{"stream_name":"`+name+`","config":{"name":"x","ack_policy":"none"}}`))(t)
	if !strings.Contains(string(answer.Data), `"error"`) {
		t.Errorf("made a consumer: %s", answer.Data)
	}
	stream := must(w.js.Stream(t.Context(), name))(t)
	if n := stream.CachedInfo().State.Consumers; n != 1 {
		t.Errorf("there are %d consumers of the credentials, one was made", n)
	}
}
