package intake_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/api"
	"creditstream/services/intake"
	"creditstream/services/internal/trial"
	"creditstream/services/rules"
)

// wall is a server with an intake and two tenants with an account "a" of 100 credits each.
type wall struct {
	*trial.Server
	t      *testing.T
	in     *intake.Intake
	tenant *accounts.Tenant
}

func newWall(t *testing.T) *wall {
	w := &wall{Server: trial.Start(t), t: t}
	for _, name := range []string{"shop", "other"} {
		tenant := w.Tenant(name, "tecpet")
		w.Do(tenant, "a", &rules.ImportAccount{
			PutAccount: rules.PutAccount{Plan: rules.Set("base")}, Lots: []rules.OpeningLot{{Pool: "purchased", Credits: 100_000_000}},
		})
	}
	w.tenant = w.Find("shop")
	w.start()
	t.Cleanup(func() { w.in.Stop() })
	return w
}

func (w *wall) start() {
	w.t.Helper()
	w.in = trial.Must(intake.Start(w.t.Context(), intake.Config{NATS: w.NATS, Accounts: w.Accounts, Decode: api.DecodeIntake}))(w.t)
}

// client is a feature service of a tenant, which knows only the bus.
func (w *wall) client(tenant string) jetstream.JetStream {
	w.t.Helper()
	nc := trial.Must(nats.Connect(w.Bus.Addr(), nats.Token(tenant)))(w.t)
	w.t.Cleanup(nc.Close)
	return trial.Must(jetstream.New(nc))(w.t)
}

func event(id, account, meter string, quantity int) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/test","type":"creditstream.usage","subject":%q,"data":{"meter":%q,"quantity":%d}}`, id, account, meter, quantity)
}

func (w *wall) publish(js jetstream.JetStream, tenant, body string) {
	w.t.Helper()
	trial.Must(js.Publish(w.t.Context(), intake.Subject(tenant), []byte(body)))(w.t)
}

// empty waits until nothing is left in the stream of what waits.
func (w *wall) empty() {
	w.t.Helper()
	stream := trial.Must(trial.Must(jetstream.New(w.NATS))(w.t).Stream(w.t.Context(), intake.StreamName))(w.t)
	trial.Eventually(w.t, "the intake is empty", func() bool { return trial.Must(stream.Info(w.t.Context()))(w.t).State.Msgs == 0 })
}

func (w *wall) refused(tenant string) []intake.Refused {
	w.t.Helper()
	list, next, err := w.in.Refused(w.t.Context(), tenant, 0, 100)
	if err != nil || next != 0 {
		w.t.Fatalf("list the refused: next %d: %v", next, err)
	}
	return list
}

func TestUsageIsRecordedOnceByItsID(t *testing.T) {
	w := newWall(t)
	js := w.client("shop")
	for range 3 {
		w.publish(js, "shop", event("e1", "a", "sticker", 2))
	}
	w.publish(js, "shop", "["+event("e2", "a", "sticker", 3)+","+event("e1", "a", "sticker", 2)+","+event("e2", "a", "sticker", 3)+"]")
	w.empty()
	if left := w.Remaining(w.tenant, "a"); left != "95" {
		t.Errorf("%s credits remain, want 95", left)
	}
	if n := len(w.refused("shop")); n != 0 {
		t.Errorf("%d are refused: %+v", n, w.refused("shop"))
	}
	// The same event through another door is the same event.
	decoded := trial.Must(api.DecodeIntake([]byte(event("e1", "a", "sticker", 2))))(t)
	if answer := w.tenant.Do(t.Context(), decoded[0].Request); answer.Err != nil || !answer.Replayed {
		t.Errorf("through another door: %+v", answer)
	}
	if left := w.Remaining(w.Find("other"), "a"); left != "100" {
		t.Errorf("another tenant's account has %s", left)
	}
}

// Usage that happened is on record also where nobody can pay for it.
func TestUsageBeyondTheCredits(t *testing.T) {
	w := newWall(t)
	w.publish(w.client("shop"), "shop", event("big", "a", "sticker", 130))
	w.empty()
	if left := w.Remaining(w.tenant, "a"); left != "0" {
		t.Errorf("%s credits remain", left)
	}
	for _, e := range w.Entries("shop") {
		if used, is := e.Facts[0].Event.(*credit.UsageRecorded); is {
			if used.Cost != 130_000_000 || used.Unpaid != 30_000_000 {
				t.Errorf("recorded %+v", used)
			}
			return
		}
	}
	t.Error("the usage is not in the journal")
}

func TestRefusedUsageIsListedAndSubmittedAgain(t *testing.T) {
	w := newWall(t)
	js := w.client("shop")
	w.publish(js, "shop", event("early", "b", "sticker", 1))
	w.publish(js, "shop", "not JSON")
	w.publish(js, "shop", "["+event("fine", "a", "sticker", 1)+`,{"id":"x"},`+event("fine", "a", "sticker", 2)+"]")
	w.publish(w.client("other"), "other", event("theirs", "nobody", "sticker", 1))
	w.empty()
	list := w.refused("shop")
	var got []string
	for _, r := range list {
		got = append(got, string(r.Code)+" "+r.Field)
	}
	if want := "[unknown_account  invalid  invalid source idempotency_conflict id]"; fmt.Sprint(got) != want {
		t.Fatalf("refused are %v, want %s", got, want)
	}
	if string(list[1].Raw) != "not JSON" || !json.Valid(list[0].Event) {
		t.Errorf("what was sent is not kept: %+v", list)
	}
	if n := len(w.refused("other")); n != 1 {
		t.Errorf("the other tenant has %d refused, want 1", n)
	}
	ctx := t.Context()
	var refusal *rules.Refusal
	if err := w.in.Resubmit(ctx, w.tenant, list[0].ID); !errors.As(err, &refusal) || refusal.Code != rules.CodeUnknownAccount {
		t.Errorf("submitted too early: %v", err)
	}
	w.Do(w.tenant, "b", &rules.ImportAccount{Lots: []rules.OpeningLot{{Pool: "purchased", Credits: 5_000_000}}})
	if err := w.in.Resubmit(ctx, w.Find("other"), list[0].ID); !errors.Is(err, intake.ErrUnknownRefused) {
		t.Errorf("another tenant submits it: %v", err)
	}
	if err := w.in.Resubmit(ctx, w.tenant, list[0].ID); err != nil {
		t.Error(err)
	}
	if left := w.Remaining(w.tenant, "b"); left != "4" {
		t.Errorf("%s credits remain, want 4", left)
	}
	if err := w.in.Resubmit(ctx, w.tenant, list[0].ID); !errors.Is(err, intake.ErrUnknownRefused) {
		t.Errorf("submitted twice: %v", err)
	}
	if err := w.in.Drop(ctx, "shop", list[1].ID); err != nil {
		t.Error(err)
	}
	if n := len(w.refused("shop")); n != 2 {
		t.Errorf("%d are listed, want 2", n)
	}
	page, next, err := w.in.Refused(ctx, "shop", 0, 1)
	if err != nil || len(page) != 1 || next != page[0].ID {
		t.Errorf("a page of one: %+v, next %d: %v", page, next, err)
	}
}

// What waits survives a restart; what was recorded and not deleted yet is recorded once.
func TestRestartWithUsageWaiting(t *testing.T) {
	w := newWall(t)
	js := w.client("shop")
	w.in.Stop()
	for i := range 20 {
		w.publish(js, "shop", event(fmt.Sprint("e", i), "a", "sticker", 1))
	}
	// Half of it is in the journal already, as after a crash before the deletion.
	for i := range 10 {
		decoded := trial.Must(api.DecodeIntake([]byte(event(fmt.Sprint("e", i), "a", "sticker", 1))))(t)
		if answer := w.tenant.Do(t.Context(), decoded[0].Request); answer.Err != nil {
			t.Fatal(answer.Err)
		}
	}
	w.Stop()
	w.Open()
	w.tenant = w.Find("shop")
	w.start()
	w.empty()
	if left := w.Remaining(w.tenant, "a"); left != "80" {
		t.Errorf("%s credits remain, want 80", left)
	}
}

// A tenant that cannot be written to keeps its usage waiting, and nobody else's.
func TestOneTenantIsUnavailable(t *testing.T) {
	w := newWall(t)
	w.tenant.Shards()[0].Stop()
	w.publish(w.client("shop"), "shop", event("stuck", "a", "sticker", 1))
	w.publish(w.client("other"), "other", event("free", "a", "sticker", 1))
	trial.Eventually(t, "the other tenant's usage is recorded", func() bool { return w.Remaining(w.Find("other"), "a") == "99" })
	w.in.Stop()
	w.Stop()
	w.Open()
	w.tenant = w.Find("shop")
	w.start()
	w.empty()
	if left := w.Remaining(w.tenant, "a"); left != "99" {
		t.Errorf("%s credits remain, want 99", left)
	}
	if left := w.Remaining(w.Find("other"), "a"); left != "99" {
		t.Errorf("the other tenant's usage was recorded again: %s", left)
	}
	if n := len(w.refused("shop")); n != 0 {
		t.Errorf("%d are refused", n)
	}
}

// A parked tenant goes on by itself once it can be written to: here its refused list was full.
func TestParkedUsageGoesOn(t *testing.T) {
	w := newWall(t)
	w.in.Stop()
	w.in = trial.Must(intake.Start(t.Context(), intake.Config{NATS: w.NATS, Accounts: w.Accounts, Decode: api.DecodeIntake, MaxRefused: 1}))(t)
	js := w.client("shop")
	for i := range 2 {
		w.publish(js, "shop", event(fmt.Sprint("bad", i), "nobody", "sticker", 1))
	}
	w.publish(js, "shop", event("good", "a", "sticker", 1))
	trial.Eventually(t, "one is refused", func() bool { return len(w.refused("shop")) == 1 })
	// Whether the good one is charged by now depends on which of the three were taken together.
	if err := w.in.Drop(t.Context(), "shop", w.refused("shop")[0].ID); err != nil {
		t.Fatal(err)
	}
	trial.Eventually(t, "the rest goes on", func() bool { return w.Remaining(w.tenant, "a") == "99" })
	w.empty()
	if list := w.refused("shop"); len(list) != 1 || !strings.Contains(string(list[0].Event), "bad1") {
		t.Errorf("refused are %+v", list)
	}
}

// What one tenant has parked keeps nothing of the others: their recorded usage would take up their room.
func TestParkedUsageKeepsNothingOfOthers(t *testing.T) {
	w := newWall(t)
	w.in.Stop()
	w.in = trial.Must(intake.Start(t.Context(), intake.Config{NATS: w.NATS, Accounts: w.Accounts, Decode: api.DecodeIntake, MaxRefused: 1}))(t)
	for i := range 3 {
		w.publish(w.client("shop"), "shop", event(fmt.Sprint("bad", i), "nobody", "sticker", 1))
		w.publish(w.client("other"), "other", event(fmt.Sprint("good", i), "a", "sticker", 1))
	}
	stream := trial.Must(trial.Must(jetstream.New(w.NATS))(t).Stream(t.Context(), intake.StreamName))(t)
	left := func() map[string]uint64 {
		return trial.Must(stream.Info(t.Context(), jetstream.WithSubjectFilter("intake.*.usage")))(t).State.Subjects
	}
	trial.Eventually(t, "what is recorded is deleted", func() bool { return left()[intake.Subject("other")] == 0 })
	trial.Eventually(t, "what is refused is deleted", func() bool { return left()[intake.Subject("shop")] == 2 })
	if left := w.Remaining(w.Find("other"), "a"); left != "97" {
		t.Errorf("the other tenant's account has %s", left)
	}
	for range 3 {
		trial.Eventually(t, "one is listed", func() bool { return len(w.refused("shop")) == 1 })
		if err := w.in.Drop(t.Context(), "shop", w.refused("shop")[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	w.empty()
}

func TestATenantPublishesIntoItsOwnIntakeOnly(t *testing.T) {
	w := newWall(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := w.client("shop").Publish(ctx, intake.Subject("other"), []byte(event("e", "a", "sticker", 1)), jetstream.WithRetryAttempts(0)); err == nil {
		t.Error("a tenant published into another's intake")
	}
	if left := w.Remaining(w.Find("other"), "a"); left != "100" {
		t.Errorf("the other tenant's account has %s", left)
	}
}

// Whatever was sent can be listed as refused: what cannot would keep its tenant's usage waiting for ever.
func TestLargeUsageIsRefused(t *testing.T) {
	w := newWall(t)
	js := w.client("shop")
	w.publish(js, "shop", event("large", "a", strings.Repeat("<", 3<<20), 1))
	w.publish(js, "shop", event("good", "a", "sticker", 1))
	trial.Eventually(t, "usage behind it is recorded", func() bool { return w.Remaining(w.tenant, "a") == "99" })
	if list := w.refused("shop"); len(list) != 1 || !strings.Contains(string(list[0].Event), `"large"`) {
		t.Errorf("%d are refused", len(list))
	}
}
