package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// actor is who asks for usage that came through the intake.
const actor = "intake"

// answerWithin bounds how long a batch waits for the journal; then it is parked.
const answerWithin = 30 * time.Second

// record carries out a batch of messages, each tenant's for itself.
func (in *Intake) record(ctx context.Context, batch []message) {
	byTenant := make(map[string][]message)
	for _, m := range batch {
		byTenant[m.tenant] = append(byTenant[m.tenant], m)
		in.processed[m.tenant] = max(in.processed[m.tenant], m.sequence)
		in.latest = max(in.latest, m.sequence)
	}
	left := make(map[string][]message)
	var mu sync.Mutex
	var wait sync.WaitGroup
	for tenant, messages := range byTenant {
		if len(in.parked[tenant]) > 0 {
			mu.Lock()
			left[tenant] = messages // its usage stays in order
			mu.Unlock()
			continue
		}
		wait.Go(func() {
			rest := in.recordTenant(ctx, tenant, messages)
			mu.Lock()
			defer mu.Unlock()
			left[tenant] = rest
		})
	}
	wait.Wait()
	for tenant, messages := range left {
		for _, m := range messages {
			in.parked[tenant] = append(in.parked[tenant], m.sequence)
		}
	}
}

// recordTenant records one tenant's messages in order and returns those, from the first whose outcome is
// unknown, that have to be tried again. Trying again what was recorded does no harm.
func (in *Intake) recordTenant(ctx context.Context, tenant string, messages []message) (left []message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin) // a stop waits for it
	defer cancel()
	t, err := in.cfg.Accounts.Tenant(tenant)
	if err != nil {
		return in.refuseAll(ctx, messages, &rules.Refusal{Code: "unknown_tenant", Detail: "there is no such tenant"})
	}
	var events []Event
	var of []int // the message of each event
	for i, m := range messages {
		decoded, err := in.cfg.Decode(m.body)
		if err != nil {
			decoded = []Event{{Fault: err, Raw: m.body}}
		}
		for range decoded {
			of = append(of, i)
		}
		events = append(events, decoded...)
	}
	for i, err := range carryOut(ctx, t, events) {
		m := &messages[of[i]]
		if err == nil {
			continue
		}
		if refusal := refusalOf(err); refusal != nil {
			err = in.refuse(ctx, tenant, fmt.Sprintf("%d.%d", m.sequence, indexOf(of, i)), events[i].Raw, refusal)
		}
		if err != nil {
			in.log.Warn("usage cannot be recorded at the moment; it waits", "tenant", tenant, "sequence", m.sequence, "error", err)
			return messages[of[i]:]
		}
	}
	return nil
}

// indexOf is the place of event i in its message.
func indexOf(of []int, i int) int { return i - slices.Index(of, of[i]) }

// carryOut asks for all events that are requests, and returns what became of each event.
func carryOut(ctx context.Context, t *accounts.Tenant, events []Event) []error {
	outcomes := make([]error, len(events))
	requests := make([]accounts.Request, 0, len(events))
	for i := range events {
		e := &events[i]
		if outcomes[i] = e.Fault; e.Fault != nil {
			continue
		}
		request := e.Request
		request.Actor = actor
		if use, ok := request.Command.(*rules.Use); ok {
			taken := *use
			taken.Intake = true
			request.Command = &taken
		}
		requests = append(requests, request)
	}
	answers := t.DoAll(ctx, requests)
	for i := range events {
		if events[i].Fault == nil {
			outcomes[i], answers = answers[0].Err, answers[1:]
		}
	}
	return outcomes
}

// refusalOf is the answer that an error is, or nil when it is a fault and the outcome unknown.
func refusalOf(err error) *rules.Refusal {
	var refusal *rules.Refusal
	var conflict *accounts.Conflict
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &conflict):
		return &rules.Refusal{Code: "idempotency_conflict", Field: "id", Detail: "this id was used before for other usage"}
	}
	return nil
}

// refuseAll refuses whole messages.
func (in *Intake) refuseAll(ctx context.Context, messages []message, refusal *rules.Refusal) (left []message) {
	for i, m := range messages {
		if err := in.refuse(ctx, m.tenant, fmt.Sprintf("%d.0", m.sequence), m.body, refusal); err != nil {
			in.log.Warn("refused usage cannot be listed at the moment; it waits", "tenant", m.tenant, "sequence", m.sequence, "error", err)
			return messages[i:]
		}
	}
	return nil
}

// retry tries what is parked, of each tenant its oldest.
func (in *Intake) retry(ctx context.Context) {
	for tenant, sequences := range in.parked {
		if ctx.Err() != nil {
			return // the next start finds them in the stream
		}
		var messages []message
		for size, i := 0, 0; i < min(len(sequences), maxTogether) && size < maxSize; i++ {
			m, err := in.waiting.GetMsg(ctx, sequences[i])
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				in.log.Error("a parked message is gone", "tenant", tenant, "sequence", sequences[i])
				m, err = &jetstream.RawStreamMsg{}, nil
			}
			if err != nil {
				in.log.Warn("parked usage cannot be read", "tenant", tenant, "error", err)
				break
			}
			messages = append(messages, message{sequence: sequences[i], tenant: tenant, body: m.Data})
			size += len(m.Data)
		}
		if len(messages) == 0 {
			continue
		}
		left := in.recordTenant(ctx, tenant, messages)
		if sequences = sequences[len(messages)-len(left):]; len(sequences) == 0 {
			delete(in.parked, tenant)
		} else {
			in.parked[tenant] = sequences
		}
	}
}
