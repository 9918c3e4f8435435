package api

import (
	"net/http"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// usageCodes are why a use can be refused.
var usageCodes = []rules.Code{
	rules.CodeInsufficientCredits, rules.CodeMeterNotInPlan, rules.CodeUnknownAccount, rules.CodeUnknownMeter,
	rules.CodeAccountClosed, codeConflict, rules.CodeLateEvent,
}

func usageRoutes() []route {
	return []route{
		{
			id: "recordUsage", method: http.MethodPost, path: accountPath + "/usage", scope: credentials.Usage, key: keyRequired, often: true,
			summary: "Charge a use", detail: "The lots that pay are those of RULES.md, in burn order; the answer names them.",
			request: UsageRequest{}, answer: UsageAnswer{}, codes: usageCodes, handle: recordUsage,
		},
	}
}

// UsageRequest is a use of one meter.
type UsageRequest struct {
	Meter       string         `json:"meter" maxLength:"128"`
	Quantity    int64          `json:"quantity" minimum:"1" maximum:"1000000000000"`
	Time        string         `json:"time,omitempty" format:"date-time" doc:"When it happened; default now."`
	Description string         `json:"description,omitempty" doc:"At most 1 KiB, no personal data."`
	Attributes  map[string]any `json:"attributes,omitempty" doc:"At most 1 KiB, no personal data."`
}

func recordUsage(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	use, err := readUse(sent)
	if err != nil {
		return reply{}, err
	}
	answer, err := c.do(use, sent, "usage")
	if err != nil {
		return reply{}, err
	}
	return replyOf(recordedOf(&answer, c.scale()))
}

func readUse(sent object) (rules.Use, error) {
	f := fieldsOf(sent, "", "meter", "quantity", "time", "description", "attributes")
	use := rules.Use{
		Meter: f.id("meter"), Quantity: f.quantity("quantity", true), Time: f.time("time"),
		Description: f.optional("description", maxText), Attributes: f.attributes("attributes"),
	}
	return use, f.err()
}

// replyOf answers 200 with a body that could be made of an entry.
func replyOf[T any](body T, err error) (reply, error) {
	if err != nil {
		return reply{}, err
	}
	return ok(body)
}

// fact finds the event of one kind among the facts of an answer.
func fact[E credit.Event](answer *accounts.Answer) (event E, found bool) {
	for i := range answer.Facts {
		if e, ok := answer.Facts[i].Event.(E); ok {
			return e, true
		}
	}
	return event, false
}
