package api

import (
	"net/http"
	"time"

	"creditstream/events/credit"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

func holdRoutes() []route {
	hold := accountPath + "/holds/{hold}"
	gone := []rules.Code{rules.CodeUnknownAccount, rules.CodeUnknownHold, rules.CodeHoldClosed, rules.CodeAccountClosed, codeConflict}
	return []route{
		{
			id: "placeHold", method: http.MethodPost, path: accountPath + "/holds", scope: credentials.Usage, key: keyRequired,
			summary: "Set credits aside before the work", detail: "Pool and price are fixed here. The hold is dead at `expires`.",
			request: HoldRequest{}, answer: HoldAnswer{}, status: http.StatusCreated, codes: usageCodes, handle: placeHold,
		},
		{
			id: "listHolds", method: http.MethodGet, path: accountPath + "/holds", scope: credentials.Read,
			summary: "The open holds of an account", query: listParams, answer: Holds{},
			codes: []rules.Code{rules.CodeUnknownAccount}, handle: listHolds,
		},
		{
			id: "captureHold", method: http.MethodPost, path: hold + "/capture", scope: credentials.Usage, key: keyRequired,
			summary: "Charge a hold and give back the rest", detail: "A quantity above the hold draws further; none is all that was held.",
			request: CaptureRequest{}, answer: CaptureAnswer{}, codes: gone, handle: captureHold,
		},
		{
			id: "releaseHold", method: http.MethodPost, path: hold + "/release", scope: credentials.Usage, key: keyOptional,
			summary: "Give a hold back", request: Nothing{}, answer: ReleaseAnswer{}, codes: gone, handle: releaseHold,
		},
	}
}

// Nothing is a body without fields; it may be left out.
type Nothing struct{}

// HoldRequest asks for credits to be set aside.
type HoldRequest struct {
	Meter       string         `json:"meter" maxLength:"128"`
	Quantity    int64          `json:"quantity" minimum:"1" maximum:"1000000000000"`
	TTL         string         `json:"ttl,omitempty" doc:"For how long, such as 15m; the catalog bounds it." example:"15m"`
	Description string         `json:"description,omitempty"`
	Attributes  map[string]any `json:"attributes,omitempty"`
}

// HoldAnswer is a hold that was placed.
type HoldAnswer struct {
	Hold      string    `json:"hold"`
	Cost      string    `json:"cost"`
	Draws     []Draw    `json:"draws"`
	Expires   time.Time `json:"expires"`
	Remaining string    `json:"remaining"`
	Position  string    `json:"position"`
	Replayed  bool      `json:"replayed"`
}

// CaptureRequest charges a hold.
type CaptureRequest struct {
	Quantity int64 `json:"quantity,omitempty" minimum:"1" maximum:"1000000000000"`
}

// CaptureAnswer is what became of a hold that was charged.
type CaptureAnswer struct {
	Status    string `json:"status" enum:"captured"`
	Hold      string `json:"hold"`
	Position  string `json:"position"`
	Cost      string `json:"cost"`
	Draws     []Draw `json:"draws" doc:"What paid: out of the hold, then beyond it."`
	Released  []Draw `json:"released" doc:"Given back to lots that live."`
	Expired   []Draw `json:"expired" doc:"Given back to lots that ended meanwhile: expired with them."`
	Remaining string `json:"remaining"`
	Debt      string `json:"debt,omitempty"`
	Unpaid    string `json:"unpaid,omitempty"`
	Replayed  bool   `json:"replayed"`
}

// ReleaseAnswer is what a hold gave back.
type ReleaseAnswer struct {
	Status   string `json:"status" enum:"released"`
	Hold     string `json:"hold"`
	Position string `json:"position"`
	Released []Draw `json:"released"`
	Expired  []Draw `json:"expired"`
	Replayed bool   `json:"replayed"`
}

// Holds are open holds, oldest first.
type Holds struct {
	Holds []OpenHold `json:"holds"`
	Next  string     `json:"next,omitempty"`
}

// OpenHold is one of them.
type OpenHold struct {
	Hold     string    `json:"hold"`
	Meter    string    `json:"meter"`
	Quantity int64     `json:"quantity"`
	Cost     string    `json:"cost"`
	Draws    []Draw    `json:"draws"`
	Placed   time.Time `json:"placed"`
	Expires  time.Time `json:"expires"`
}

func placeHold(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "meter", "quantity", "ttl", "description", "attributes")
	command := rules.PlaceHold{
		Meter: f.id("meter"), Quantity: f.quantity("quantity", true), TTL: f.duration("ttl"),
		Description: f.optional("description", maxText), Attributes: f.attributes("attributes"),
	}
	if err := f.err(); err != nil {
		return reply{}, err
	}
	answer, err := c.do(command, sent, "hold")
	if err != nil {
		return reply{}, err
	}
	placed, found := fact[*credit.HoldPlaced](&answer)
	if !found {
		return reply{}, missing("HoldPlaced")
	}
	return created(HoldAnswer{
		Hold: placed.Hold, Cost: placed.Cost.Format(c.scale()), Draws: drawsOf(placed.Draws, c.scale()), Expires: placed.Expires.UTC(),
		Remaining: placed.Remaining.Format(c.scale()), Position: c.position(&answer), Replayed: answer.Replayed,
	})
}

func captureHold(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "", "quantity")
	command := rules.CaptureHold{Hold: c.r.PathValue("hold"), Quantity: f.quantity("quantity", false)}
	if err := f.err(); err != nil {
		return reply{}, err
	}
	answer, err := c.do(command, sent, "capture", command.Hold)
	if err != nil {
		return reply{}, err
	}
	e, found := fact[*credit.HoldCaptured](&answer)
	if !found {
		return reply{}, missing("HoldCaptured")
	}
	scale := c.scale()
	return ok(CaptureAnswer{
		Status: "captured", Hold: e.Hold, Position: c.position(&answer), Cost: e.Cost.Format(scale),
		Draws: append(drawsOf(e.Draws, scale), drawsOf(e.Excess, scale)...), Released: drawsOf(e.Released, scale),
		Expired: drawsOf(e.Lapsed, scale), Remaining: e.Remaining.Format(scale), Debt: unlessZero(e.Debt, scale),
		Unpaid: unlessZero(e.Unpaid, scale), Replayed: answer.Replayed,
	})
}

func releaseHold(c *call) (reply, error) {
	sent, err := c.object()
	if err != nil {
		return reply{}, err
	}
	f := fieldsOf(sent, "")
	if err := f.err(); err != nil {
		return reply{}, err
	}
	command := rules.ReleaseHold{Hold: c.r.PathValue("hold")}
	answer, err := c.do(command, sent, "release", command.Hold)
	if err != nil {
		return reply{}, err
	}
	e, found := fact[*credit.HoldReleased](&answer)
	if !found {
		return reply{}, missing("HoldReleased")
	}
	return ok(ReleaseAnswer{
		Status: "released", Hold: e.Hold, Position: c.position(&answer), Released: drawsOf(e.Released, c.scale()),
		Expired: drawsOf(e.Lapsed, c.scale()), Replayed: answer.Replayed,
	})
}

func listHolds(c *call) (reply, error) {
	a, _, _, err := c.existing()
	if err != nil {
		return reply{}, err
	}
	page, next, err := pageOf(c, a.Holds(), func(h *credit.Hold) uint64 { return h.Ordinal })
	if err != nil {
		return reply{}, err
	}
	list := Holds{Holds: make([]OpenHold, len(page)), Next: next}
	for i, h := range page {
		list.Holds[i] = OpenHold{
			Hold: h.ID, Meter: h.Meter, Quantity: h.Quantity, Cost: h.Cost.Format(c.scale()), Draws: drawsOf(h.Draws, c.scale()),
			Placed: h.Placed.UTC(), Expires: h.Expires.UTC(),
		}
	}
	return ok(list)
}

func unlessZero(a credit.Amount, scale int) string {
	if a == 0 {
		return ""
	}
	return a.Format(scale)
}
