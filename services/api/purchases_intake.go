package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"creditstream/services/credentials"
	"creditstream/services/intake"
	"creditstream/services/rules"
)

func intakeRoutes() []route {
	return []route{
		{
			id: "listRefused", method: http.MethodGet, path: tenantPath + "/intake/refused", scope: credentials.Read,
			summary: "Usage that came through the intake and was refused, oldest first", query: listParams,
			answer: RefusedList{}, handle: listRefused,
		},
		{
			id: "resubmitRefused", method: http.MethodPost, path: tenantPath + "/intake/refused/{id}/resubmit", scope: credentials.Usage,
			summary: "Submit refused usage again", detail: "Recorded, it leaves the list; refused again, it stays.",
			answer: Resubmitted{}, codes: append([]rules.Code{codeNotFound, codeConflict}, usageCodes...), handle: resubmitRefused,
		},
		{
			id: "dropRefused", method: http.MethodDelete, path: tenantPath + "/intake/refused/{id}", scope: credentials.Admin,
			summary: "Take refused usage off the list for good", answer: Resubmitted{}, codes: []rules.Code{codeNotFound}, handle: dropRefused,
		},
	}
}

// RefusedList is a page of refused usage.
type RefusedList struct {
	Refused []RefusedUsage `json:"refused"`
	Next    string         `json:"next,omitempty"`
}

// RefusedUsage is one event that was refused.
type RefusedUsage struct {
	ID     string          `json:"id"`
	At     time.Time       `json:"at" doc:"When it was refused, by the server's clock."`
	Code   string          `json:"code"`
	Detail string          `json:"detail"`
	Field  string          `json:"field,omitempty"`
	Event  json.RawMessage `json:"event,omitempty" doc:"As it was sent, when it is JSON."`
	Raw    []byte          `json:"raw,omitempty" doc:"As it was sent, when it is not; base64."`
}

// Resubmitted says what became of it.
type Resubmitted struct {
	ID     string `json:"id"`
	Status string `json:"status" enum:"recorded,dropped"`
}

// DecodeIntake reads a message of the intake as POST /events reads its body.
func DecodeIntake(text []byte) ([]intake.Event, error) {
	v, err := parseValue(text)
	if err != nil {
		return nil, err
	}
	decoded, err := decodeEvents(text)
	if err != nil {
		return nil, err
	}
	raw := []value{v}
	if v.isArray() {
		raw = v.elements()
	}
	events := make([]intake.Event, len(decoded))
	for i, e := range decoded {
		events[i] = intake.Event{Request: e.Request, Fault: e.Fault, Raw: raw[i]}
	}
	return events, nil
}

func listRefused(c *call) (reply, error) {
	in, err := c.intake()
	if err != nil {
		return reply{}, err
	}
	limit, err := c.limit()
	if err != nil {
		return reply{}, err
	}
	after := uint64(0)
	if cursor := c.r.URL.Query().Get("cursor"); cursor != "" {
		if after, err = strconv.ParseUint(cursor, 10, 63); err != nil {
			return reply{}, badCursor()
		}
	}
	refused, next, err := in.Refused(c.ctx, c.tenant.Name(), after, limit)
	if err != nil {
		return reply{}, err
	}
	list := RefusedList{Refused: make([]RefusedUsage, len(refused))}
	if next > 0 {
		list.Next = strconv.FormatUint(next, 10)
	}
	for i, r := range refused {
		list.Refused[i] = RefusedUsage{
			ID: strconv.FormatUint(r.ID, 10), At: r.At.UTC(), Code: string(r.Code), Detail: r.Detail, Field: r.Field, Event: r.Event, Raw: r.Raw,
		}
	}
	return ok(list)
}

func resubmitRefused(c *call) (reply, error) { return onRefused(c, "recorded", (*call).resubmit) }

func dropRefused(c *call) (reply, error) { return onRefused(c, "dropped", (*call).drop) }

func (c *call) resubmit(in *intake.Intake, id uint64) error { return in.Resubmit(c.ctx, c.tenant, id) }

func (c *call) drop(in *intake.Intake, id uint64) error { return in.Drop(c.ctx, c.tenant.Name(), id) }

func onRefused(c *call, status string, act func(*call, *intake.Intake, uint64) error) (reply, error) {
	in, err := c.intake()
	if err != nil {
		return reply{}, err
	}
	name := c.r.PathValue("id")
	gone := &rules.Refusal{Code: codeNotFound, Detail: "there is no refused usage of this id: it may have been recorded since"}
	id, err := strconv.ParseUint(name, 10, 63)
	if err != nil {
		return reply{}, gone
	}
	switch err := act(c, in, id); {
	case errors.Is(err, intake.ErrUnknownRefused):
		return reply{}, gone
	case err != nil:
		return reply{}, err
	}
	return ok(Resubmitted{ID: name, Status: status})
}

func (c *call) intake() (*intake.Intake, error) {
	if c.cfg.Intake == nil {
		return nil, &rules.Refusal{Code: codeNotFound, Detail: "this server runs no intake"}
	}
	return c.cfg.Intake, nil
}
