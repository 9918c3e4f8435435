package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// events.go is usage as CloudEvents: the same decoding, hash and answers for POST /events and for NATS.

// UsageType is the CloudEvents type of a use.
const UsageType = "creditstream.usage"

// maxEvents is how many events one batch may have.
const maxEvents = 10_000

func eventRoutes() []route {
	return []route{{
		id: "recordEvents", method: http.MethodPost, path: tenantPath + "/events", scope: credentials.Usage, often: true,
		summary: "Charge uses, as CloudEvents",
		detail: "One event in structured or binary content mode, or a batch (`application/cloudevents-batch+json`). " +
			"Each event is recorded or refused for itself; the results are in the order of the events.",
		request: []CloudEvent{}, requestMedia: "application/cloudevents-batch+json application/cloudevents+json", answer: EventResults{}, codes: []rules.Code{rules.CodeTooLarge}, handle: recordEvents,
	}}
}

// CloudEvent is a use as a CloudEvent (CloudEvents 1.0). Extension attributes are accepted and not kept.
type CloudEvent struct {
	SpecVersion string      `json:"specversion" enum:"1.0"`
	ID          string      `json:"id" maxLength:"255" doc:"The idempotency key."`
	Source      string      `json:"source" maxLength:"255"`
	Type        string      `json:"type" enum:"creditstream.usage"`
	Subject     string      `json:"subject" maxLength:"128" doc:"The account."`
	Time        string      `json:"time,omitempty" format:"date-time" doc:"When it happened; default now."`
	Data        UsageRecord `json:"data"`
}

// UsageRecord is the data of such an event.
type UsageRecord struct {
	Meter       string         `json:"meter" maxLength:"128"`
	Quantity    int64          `json:"quantity" minimum:"1" maximum:"1000000000000"`
	Description string         `json:"description,omitempty"`
	Attributes  map[string]any `json:"attributes,omitempty"`
}

// EventResults are what became of events, in their order.
type EventResults struct {
	Results []EventResult `json:"results"`
}

// EventResult is what became of one event. "unknown" stands for an outcome that is not known: send the
// event again.
type EventResult struct {
	Status    string `json:"status" enum:"recorded,refused,unknown"`
	Position  string `json:"position,omitempty"`
	Cost      string `json:"cost,omitempty"`
	Draws     []Draw `json:"draws,omitempty"`
	Remaining string `json:"remaining,omitempty"`
	Debt      string `json:"debt,omitempty"`
	Unpaid    string `json:"unpaid,omitempty"`
	Replayed  bool   `json:"replayed,omitempty"`
	Code      string `json:"code,omitempty"`
	Detail    string `json:"detail,omitempty"`
	Field     string `json:"field,omitempty"`
	BlockedBy string `json:"blocked_by,omitempty"`
	Short     string `json:"short,omitempty"`
	Renewal   string `json:"next_renewal,omitempty"`
	Contact   string `json:"contact,omitempty"`
	Pending   string `json:"pending_purchase,omitempty"`
}

func recordEvents(c *call) (reply, error) {
	text, err := c.text(maxBatch)
	if err != nil {
		return reply{}, err
	}
	work := usageWorks.Get().(*usageWork)
	defer work.release(c.ctx)
	if err := c.decodeByMode(work, text); err != nil {
		return reply{}, err
	}
	for i := range work.events {
		work.events[i].Request.Actor = c.principal.Actor
	}
	results := work.recordAll(c.ctx, c.tenant)
	if unknown := results.allUnknown(); unknown != nil {
		return reply{}, unknown
	}
	return ok(results)
}

// usageWork is what charging a batch takes. Its memory serves the next one: it is more than that of all else in a request.
type usageWork struct {
	events   []usageEvent
	requests []accounts.Request
}

var usageWorks = sync.Pool{New: func() any { return new(usageWork) }}

// release gives back what a request took, unless ctx has ended: what was asked for may wait in the shard still.
func (w *usageWork) release(ctx context.Context) {
	if ctx.Err() == nil {
		clear(w.events)
		clear(w.requests)
		w.events, w.requests = w.events[:0], w.requests[:0]
		usageWorks.Put(w)
	}
}

// decodeByMode reads the body by the content mode of the CloudEvents HTTP binding (§3).
func (c *call) decodeByMode(w *usageWork, text []byte) (err error) {
	if c.r.Header.Get("Ce-Id") == "" {
		return w.decode(text)
	}
	media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil {
		media = ""
	}
	if strings.HasPrefix(media, "application/cloudevents") {
		return w.decode(text)
	}
	if media != "" && media != "application/json" && !strings.HasSuffix(media, "+json") {
		return invalid("datacontenttype", "the data has to be application/json")
	}
	data, err := parseValue(text)
	if err != nil {
		return err
	}
	envelope := object{{"data", data}}
	for _, name := range [...]string{"specversion", "id", "source", "type", "subject", "time"} {
		header := c.r.Header.Get("ce-" + name)
		if header == "" {
			continue
		}
		decoded, err := url.PathUnescape(header)
		if err != nil {
			return invalid(name, "the header ce-"+name+" is not percent-encoded as the CloudEvents binding says")
		}
		quoted, err := json.Marshal(decoded)
		if err != nil {
			return invalid(name, "the header ce-"+name+" is not text")
		}
		envelope = append(envelope, member{name, quoted})
	}
	w.events = append(w.events, readEvent(envelope))
	return nil
}

// decode reads events in structured mode.
func (w *usageWork) decode(text []byte) (err error) {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	w.events, err = d.decode(w.events, text)
	return err
}

// usageEvent is one event, decoded: a request, or why it is none.
type usageEvent struct {
	Request accounts.Request
	Fault   error
}

// decodeEvents reads one CloudEvent or an array of them. Only what is no JSON at all, or too much, is an
// error; a bad event is a fault of its own. What the requests hold does not point into text.
func decodeEvents(text []byte) ([]usageEvent, error) {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	return d.decode(nil, text)
}

// decode is decodeEvents that appends to dst.
func (d *decoder) decode(dst []usageEvent, text []byte) ([]usageEvent, error) {
	dst = slices.Grow(dst, min(1+len(text)/usualEvent, maxEvents))
	if events, plain := d.plain(dst, text); plain {
		return events, nil
	}
	return decodeAny(dst, text)
}

// decodeAny is decode for events that need not be plain ones.
func decodeAny(dst []usageEvent, text []byte) ([]usageEvent, error) {
	v, err := parseValue(text)
	if err != nil {
		return dst, err
	}
	switch {
	case v.isObject():
		return append(dst, readEvent(v.members())), nil
	case !v.isArray():
		return dst, invalid("", "a CloudEvent or an array of them is expected")
	}
	elements := v.elements()
	if len(elements) > maxEvents {
		return dst, &rules.Refusal{Code: rules.CodeTooLarge, Detail: fmt.Sprintf("a batch may have at most %d events, this has %d", maxEvents, len(elements))}
	}
	for _, e := range elements {
		if e.isObject() {
			dst = append(dst, readEvent(e.members()))
		} else {
			dst = append(dst, usageEvent{Fault: invalid("", "a CloudEvent is a JSON object")})
		}
	}
	return dst, nil
}

// usualEvent is about how many bytes an event has.
const usualEvent = 160

// readEvent reads the attributes that count; others are extensions.
func readEvent(o object) usageEvent {
	envelope := fields{object: o}
	request := accounts.Request{
		Key:     envelope.required("id", maxKey),
		Source:  envelope.required("source", maxKey),
		Account: envelope.required("subject", maxID),
	}
	if envelope.required("specversion", maxID) != "1.0" {
		envelope.refuse("specversion", `"1.0" is expected`)
	}
	if envelope.required("type", maxKey) != UsageType {
		envelope.refuse("type", UsageType+" is expected")
	}
	if envelope.has("data_base64") {
		envelope.refuse("data_base64", "the data has to be JSON")
	}
	at := envelope.time("time")
	data, _ := envelope.require("data")
	if envelope.fault == nil && !data.isObject() {
		envelope.refuse("data", "an object is expected")
	}
	if envelope.fault != nil {
		return usageEvent{Request: request, Fault: envelope.fault}
	}
	f := fieldsOf(data.members(), "data.", "meter", "quantity", "description", "attributes")
	request.Command = &rules.Use{
		Meter: f.id("meter"), Quantity: f.quantity("quantity", true), Time: at,
		Description: f.optional("description", maxText), Attributes: f.attributes("attributes"),
	}
	if f.fault != nil {
		return usageEvent{Request: request, Fault: f.fault}
	}
	request.Hash = contentHash(boundBy(o), "event")
	return usageEvent{Request: request}
}

// boundBy are the attributes that the content hash of an event covers: those that say what was used, and
// by whose word. A retry may carry other extensions.
func boundBy(o object) object {
	bound := make(object, 0, 4)
	for i := range o {
		switch o[i].name {
		case "source", "subject", "time", "data":
			bound = append(bound, o[i])
		}
	}
	return bound
}

// results are the answers to events, in their order; they write themselves as EventResults.
type results struct {
	answers []accounts.Answer
	scale   int
	one     [1]accounts.Answer
}

// recordAll carries out the events that are requests and gives each event its result.
func (w *usageWork) recordAll(ctx context.Context, tenant *accounts.Tenant) *results {
	out, events := &results{scale: scaleOf(tenant)}, w.events
	if len(events) == 1 && events[0].Fault == nil {
		out.one[0] = tenant.Do(ctx, events[0].Request)
		out.answers = out.one[:]
		return out
	}
	w.requests = slices.Grow(w.requests, len(events))
	for i := range events {
		if events[i].Fault == nil {
			w.requests = append(w.requests, events[i].Request)
		}
	}
	out.answers = withFaults(tenant.DoAll(ctx, w.requests), events)
	return out
}

// withFaults puts the faults of events, which were not asked for, among the answers to the others.
func withFaults(answers []accounts.Answer, events []usageEvent) []accounts.Answer {
	if len(answers) == len(events) {
		return answers
	}
	all := make([]accounts.Answer, len(events))
	for i := range events {
		if events[i].Fault != nil {
			all[i].Err = events[i].Fault
			continue
		}
		all[i], answers = answers[0], answers[1:]
	}
	return all
}

// allUnknown is the fault when the outcome of every event is unknown.
func (r *results) allUnknown() error {
	for i := range r.answers {
		if !isUnknown(r.answers[i].Err) {
			return nil
		}
	}
	if len(r.answers) == 0 {
		return nil
	}
	return r.answers[0].Err
}

func isUnknown(err error) bool {
	return err != nil && ProblemOf(err, 0).Code == string(codeUnavailable)
}

func (r *results) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"results":[`...)
	for i := range r.answers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendResult(dst, &r.answers[i], r.scale)
	}
	return append(dst, `]}`...)
}

// appendResult writes an EventResult.
func appendResult(dst []byte, answer *accounts.Answer, scale int) []byte {
	err := answer.Err
	if err == nil {
		var used recorded
		if used, err = recordedOf(answer, scale); err == nil {
			return used.appendJSON(dst)
		}
	}
	p := ProblemOf(err, scale)
	result := EventResult{
		Status: "refused", Code: p.Code, Detail: p.Detail, Field: p.Field, BlockedBy: p.BlockedBy, Short: p.Short,
		Contact: p.Contact, Pending: p.PendingPurchase,
	}
	if p.Code == string(codeUnavailable) {
		result.Status = "unknown"
	}
	if p.NextRenewal != nil {
		result.Renewal = formatTime(*p.NextRenewal)
	}
	var out bytes.Buffer
	if err := encode(&out, result); err != nil {
		panic("api: a result cannot be encoded: " + err.Error())
	}
	return append(dst, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
