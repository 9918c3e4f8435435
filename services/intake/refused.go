package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// refusedOnce is for how long an event that is refused again, after a crash, is not listed again. Beyond
// it the list may have it twice, which harms nobody: its id is recorded once.
const refusedOnce = 24 * time.Hour

// Refused is usage that was not recorded, and why.
type Refused struct {
	ID     uint64          `json:"-"`
	At     time.Time       `json:"-"`
	Code   rules.Code      `json:"code"`
	Detail string          `json:"detail"`
	Field  string          `json:"field,omitempty"`
	Event  json.RawMessage `json:"event,omitempty"` // as it was sent, when it is JSON
	Raw    []byte          `json:"raw,omitempty"`   // as it was sent, when it is not
}

func (r *Refused) sent() []byte {
	if r.Event != nil {
		return r.Event
	}
	return r.Raw
}

// ErrUnknownRefused says that the tenant has no refused usage of that id: it may have been recorded since.
var ErrUnknownRefused = errors.New("no such refused usage")

// refuse lists an event as refused. name tells it from every other of the stream.
func (in *Intake) refuse(ctx context.Context, tenant, name string, sent []byte, r *rules.Refusal) error {
	refused := Refused{Code: r.Code, Detail: r.Detail, Field: r.Field}
	if json.Valid(sent) {
		refused.Event = sent
	} else {
		refused.Raw = sent
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // six bytes for one could make more of it than the server takes
	if err := encoder.Encode(refused); err != nil {
		return fmt.Errorf("encode refused usage: %w", err)
	}
	message := nats.NewMsg(RefusedSubject(tenant))
	message.Data = body.Bytes()
	if _, err := in.js.PublishMsg(ctx, message, jetstream.WithMsgID(name)); err != nil {
		return fmt.Errorf("list refused usage: %w", err)
	}
	if err := in.cfg.SyncRefusedNames(); err != nil {
		return fmt.Errorf("list refused usage: %w", err)
	}
	return nil
}

// Refused lists up to limit refused events of a tenant, oldest first, behind the one with id after. next is
// what to give as after to go on, 0 at the end.
func (in *Intake) Refused(ctx context.Context, tenant string, after uint64, limit int) (list []Refused, next uint64, err error) {
	for len(list) <= limit {
		m, err := in.refused.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(RefusedSubject(tenant)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return list, 0, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%w: read refused usage of %s: %w", accounts.ErrUnavailable, tenant, err)
		}
		if len(list) == limit {
			break
		}
		refused, err := refusedOf(m)
		if err != nil {
			return nil, 0, err
		}
		list, after = append(list, refused), m.Sequence
	}
	return list, after, nil
}

func refusedOf(m *jetstream.RawStreamMsg) (Refused, error) {
	refused := Refused{ID: m.Sequence, At: m.Time}
	if err := json.Unmarshal(m.Data, &refused); err != nil {
		return Refused{}, fmt.Errorf("refused usage %d: %w", m.Sequence, err)
	}
	return refused, nil
}

// Resubmit carries out refused usage again and takes it off the list. Usage that is refused again stays
// listed as it was; the error is then the *rules.Refusal of now.
func (in *Intake) Resubmit(ctx context.Context, t *accounts.Tenant, id uint64) error {
	refused, err := in.find(ctx, t.Name(), id)
	if err != nil {
		return err
	}
	events, err := in.cfg.Decode(refused.sent())
	if err != nil {
		return err
	}
	for _, err := range carryOut(ctx, t, events) {
		if refusal := refusalOf(err); refusal != nil {
			return refusal
		}
		if err != nil {
			return err
		}
	}
	return in.Drop(ctx, t.Name(), id)
}

// Drop takes refused usage off the list for good.
func (in *Intake) Drop(ctx context.Context, tenant string, id uint64) error {
	if _, err := in.find(ctx, tenant, id); err != nil {
		return err
	}
	if err := in.refused.DeleteMsg(ctx, id); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("%w: take usage %d off the list of the refused: %w", accounts.ErrUnavailable, id, err)
	}
	return nil
}

func (in *Intake) find(ctx context.Context, tenant string, id uint64) (Refused, error) {
	m, err := in.refused.GetMsg(ctx, id, jetstream.WithGetMsgSubject(RefusedSubject(tenant)))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence != id:
		return Refused{}, ErrUnknownRefused
	case err != nil:
		return Refused{}, fmt.Errorf("%w: read refused usage: %w", accounts.ErrUnavailable, err)
	}
	return refusedOf(m)
}
