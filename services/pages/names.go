package pages

import (
	"strings"

	"creditstream/events/credit"
	"creditstream/services/look"
	"creditstream/services/rules"
)

// names calls things what the tenant's catalog calls them, in the reader's language where the catalog
// has it. What the catalog does not know any more keeps its id.
type names struct {
	catalog *rules.Catalog
	l       *look.Locale
}

func (n names) tenant() string { return n.catalog.Name }

// translated is a name in the reader's language, or what the catalog calls it itself.
func (n names) translated(of func(*rules.Translation) map[string]string, id, own string) string {
	if t := n.catalog.Translations[n.l.Code]; t != nil && of(t)[id] != "" {
		return of(t)[id]
	}
	return own
}

func (n names) meter(id string) string {
	if m := n.catalog.Meters[id]; m != nil && m.Name != "" {
		return n.translated(func(t *rules.Translation) map[string]string { return t.Meters }, id, m.Name)
	}
	return id
}

// units is what the things are called that a meter counts.
func (n names) units(id string) string {
	if m := n.catalog.Meters[id]; m != nil && m.Units != "" {
		return n.translated(func(t *rules.Translation) map[string]string { return t.Units }, id, m.Units)
	}
	return n.meter(id)
}

// unit is what an amount of a pool's unit is called.
func (n names) unit(unit string) string {
	if unit == "" || unit == rules.UnitCredit {
		return n.l.T("credits")
	}
	return n.units(unit)
}

func (n names) pool(id string) string {
	if p := n.catalog.Pools[id]; p != nil && p.Name != "" {
		return n.translated(func(t *rules.Translation) map[string]string { return t.Pools }, id, p.Name)
	}
	return id
}

func (n names) plan(id string) string {
	if id == "" {
		return n.l.T("plan.none")
	}
	if p := n.catalog.Plans[id]; p != nil && p.Name != "" {
		return n.translated(func(t *rules.Translation) map[string]string { return t.Plans }, id, p.Name)
	}
	return id
}

// contact is whom to ask, in the reader's language where the catalog has it.
func (n names) contact(plan, own string) string {
	return n.translated(func(t *rules.Translation) map[string]string { return t.Contacts }, plan, own)
}

func (n names) pack(p *rules.Pack) string {
	if p.Name != "" {
		return n.translated(func(t *rules.Translation) map[string]string { return t.Packs }, p.ID, p.Name)
	}
	return p.ID
}

// word is what a type of history line is called: by the catalog, if it speaks the reader's language.
func (n names) word(kind string) string {
	if word := n.catalog.Words[kind]; word != "" && n.catalog.Language == n.l.Code {
		return word
	}
	return n.translated(func(t *rules.Translation) map[string]string { return t.Words }, kind, n.l.T("type."+kind))
}

func (n names) amount(a credit.Amount) string { return n.l.Amount(a, n.catalog.Scale) }

// quantity is an amount with its unit: 2,500 credits, 300 services.
func (n names) quantity(a credit.Amount, unit string) string {
	if unit == "" || unit == rules.UnitCredit {
		return n.credits(a)
	}
	return n.amount(a) + " " + strings.ToLower(n.units(unit))
}

// rough is an amount of credits of which two decimals are enough, rounded down.
func (n names) rough(a credit.Amount) string {
	cent := credit.Amount(1)
	for range n.catalog.Scale - 2 {
		cent *= 10
	}
	return n.credits(a - a%cent)
}

// credits is an amount of credits in words: 1 credit, 2.5 credits.
func (n names) credits(a credit.Amount) string {
	many := int64(2)
	if a.Format(n.catalog.Scale) == "1" {
		many = 1
	}
	return n.l.N("n_credits", many, n.amount(a))
}
