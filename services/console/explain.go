package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"creditstream/services/api"
	"creditstream/services/explain"
	"creditstream/services/rules"
)

// explainPage answers "where did my credits go": a balance as the steps that lead to it, newest first, and what
// a use would come to. All of it is what the API derives; nothing is computed here.
type explainPage struct {
	*accountPage
	At, Known       string // the instants that were asked for; "" is now
	Meter, Quantity string // the use that was asked about
	faults          map[string]string
	Fault           string // about no field in particular

	Then       api.Balance
	Derivation *explain.Derivation
	Before     string // the address of the cycle before this one
	Check      *explain.Ask
}

// FaultOf is what is wrong with a field.
func (p *explainPage) FaultOf(field string) string { return p.faults[field] }

// Past reports whether the balance is one of then.
func (p *explainPage) Past() bool { return p.At != "" && p.faults["at"] == "" }

// explainLimit is how many facts a page of an explanation shows one by one.
const explainLimit = "50"

func (v *visit) explain() error {
	p, err := v.openAccount("Explain")
	if err != nil {
		return err
	}
	values := v.r.URL.Query()
	if values.Has("entry") {
		return v.explainEntry(p, values.Get("entry"))
	}
	p.Filter = pick(values, "at", "known_at", "cursor", "meter", "quantity")
	page := &explainPage{
		accountPage: p, faults: make(map[string]string),
		At: values.Get("at"), Known: values.Get("known_at"), Meter: values.Get("meter"), Quantity: values.Get("quantity"),
	}
	if err := v.derive(page); err != nil {
		return err
	}
	if page.Meter != "" {
		if err := v.explainUse(page); err != nil {
			return err
		}
	}
	return v.write(http.StatusOK, "explain", p.Account.Account+" · Explain", page)
}

// instants are the times of the page as the API takes them; what cannot be read is a fault of its field.
func (p *explainPage) instants() url.Values {
	ask := make(url.Values)
	for name, text := range map[string]string{"at": p.At, "known_at": p.Known} {
		if text == "" || p.faults[name] != "" {
			continue
		}
		at, err := parseInstant(text)
		if err != nil {
			p.faults[name] = "a day and a time are expected"
			continue
		}
		ask.Set(name, at.Format(time.RFC3339Nano))
	}
	return ask
}

// formInstant is how forms have an instant, in UTC: browsers leave out seconds that are zero.
const formInstant = "2006-01-02T15:04:05"

func parseInstant(text string) (at time.Time, err error) {
	if at, err = time.Parse(formInstant, text); err != nil {
		at, err = time.Parse("2006-01-02T15:04", text)
	}
	return at, err
}

// derive fills in the balance and its steps. An instant that the API refuses is said beside its field, and left
// out.
func (v *visit) derive(p *explainPage) error {
	for range 3 {
		ask := p.instants()
		ask.Set("limit", explainLimit)
		if cursor := p.Filter.Get("cursor"); cursor != "" {
			ask.Set("cursor", cursor)
		}
		var answer api.Explanation
		if err := v.ask(get(v.ofAccount("explain"), ask), &answer); err != nil {
			if !p.refused(err, ask, "at", "known_at") {
				return err
			}
			continue
		}
		p.Derivation = answer.Derivation
		slices.Reverse(p.Derivation.Steps)
		if answer.Balance != nil {
			p.Then = *answer.Balance
		} else if err := v.ask(get(v.ofAccount("balance"), p.instants()), &p.Then); err != nil {
			return err
		}
		if p.Derivation.Next == "" && p.Then.Cycle.From.After(p.Opened) {
			p.Before = "?at=" + url.QueryEscape(p.Then.Cycle.From.UTC().Add(-time.Millisecond).Format(formInstant+".000"))
		}
		return nil
	}
	return errNowhere
}

// refused notes a refusal that is about a field of the form; other errors it leaves to the caller.
func (p *explainPage) refused(err error, asked url.Values, fields ...string) bool {
	var r *refusal
	if !errors.As(err, &r) || !slices.Contains(fields, r.Field) || !asked.Has(r.Field) {
		return false
	}
	p.faults[r.Field] = r.Detail
	return true
}

// explainUse asks what a use would come to.
func (v *visit) explainUse(p *explainPage) error {
	ask := p.instants()
	ask.Set("meter", p.Meter)
	ask.Set("quantity", p.Quantity)
	if p.Quantity == "" {
		ask.Set("quantity", "1")
	}
	var answer api.Explanation
	if err := v.ask(get(v.ofAccount("explain"), ask), &answer); err != nil {
		var r *refusal
		if errors.As(err, &r) && (r.Status == http.StatusUnprocessableEntity || r.Code == string(rules.CodeUnknownMeter)) {
			p.faults["quantity"] = r.Detail
			return nil
		}
		return err
	}
	p.Check = answer.Check
	return nil
}

// entryPage is why one entry is what it is.
type entryPage struct {
	*accountPage
	At    string // its place in the journal
	Entry *explain.Entry
}

func (v *visit) explainEntry(p *accountPage, position string) error {
	var answer api.Explanation
	if err := v.ask(get(v.ofAccount("explain"), url.Values{"position": {position}}), &answer); err != nil {
		return err
	}
	return v.write(http.StatusOK, "explain-entry", p.Account.Account+" · Explain", &entryPage{p, position, answer.Entry})
}

// named is a term by which a step changed a pool.
type named struct{ Name, Change string }

// movedTerms are the terms of a pool that a step changed, but for what remains.
func movedTerms(t explain.Terms) (moved []named) {
	for _, term := range [...]named{{"total", t.Total}, {"used", t.Used}, {"held", t.Held}, {"expired", t.Expired}, {"revoked", t.Revoked}} {
		if term.Change != "" {
			moved = append(moved, term)
		}
	}
	return moved
}

// decides reports whether a fact chose among lots: then there is more to say about it.
func decides(event string) bool {
	return strings.HasPrefix(event, "Usage") || event == "HoldPlaced" || event == "HoldCaptured"
}
