package rules

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Diff tells in words what changes from one catalog to another, one setting a line, always in
// the same order: "sticker: 1 → 2 credits", "plan ai: allowance ai_quota 300 → 500", "pack
// pack-50 removed". It is empty exactly when the Source of both is the same. With a nil old it
// tells what the first catalog has.
func Diff(old, new *Catalog) []string {
	var before description
	if old != nil {
		before = describe(old)
	}
	after := describe(new)
	var lines []string
	for _, kind := range []string{"", "meter", "pool", withoutPlan, "plan", "pack", "top-up"} {
		subjects := maps.Clone(before[kind])
		if subjects == nil {
			subjects = map[string]settings{}
		}
		maps.Copy(subjects, after[kind])
		for _, name := range slices.Sorted(maps.Keys(subjects)) {
			lines = append(lines, diffSubject(strings.TrimSpace(kind+" "+name), before[kind][name], after[kind][name])...)
		}
	}
	return lines
}

// description is a catalog as words: kind of thing → its name → its settings.
type description map[string]map[string]settings

// settings are what can be said of one thing: name of a setting → its value.
type settings map[string]value

// value is one setting in words. Presence alone is the whole value of a member of a set.
type value struct {
	words string
	// unit follows both values of a change, as in "1 → 2 credits".
	unit string
	// member marks a setting that is there or not there, such as a meter of a plan.
	member bool
}

func diffSubject(subject string, before, after settings) []string {
	switch {
	case before == nil && (subject == "" || subject == withoutPlan):
		return nil // a first catalog always has these: its plans, pools and prices say enough
	case before == nil:
		return []string{subject + " added"}
	case after == nil:
		return []string{subject + " removed"}
	}
	all := maps.Clone(before)
	maps.Copy(all, after)
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		was, had := before[name]
		is, has := after[name]
		if was == is && had == has {
			continue
		}
		lines = append(lines, diffSetting(subject, name, was, is, had, has))
	}
	return lines
}

func diffSetting(subject, name string, was, is value, had, has bool) string {
	prefix := subject + ": " + name + " "
	switch {
	case subject == "":
		prefix = name + " "
	case name == priceSetting && strings.HasPrefix(subject, "meter "):
		prefix = strings.TrimPrefix(subject, "meter ") + ": "
	}
	switch {
	case was.member || is.member:
		return strings.TrimSuffix(prefix, " ") + presence(has)
	case !had:
		return prefix + withUnit(is) + " added"
	case !has:
		return prefix + withUnit(was) + " removed"
	case was.unit != is.unit:
		return prefix + withUnit(was) + " → " + withUnit(is)
	default:
		return prefix + was.words + " → " + withUnit(is)
	}
}

func presence(has bool) string {
	if has {
		return " added"
	}
	return " removed"
}

func withUnit(v value) string {
	switch {
	case v.unit == "":
		return v.words
	case v.words == "1" && v.unit == "credits":
		return "1 credit"
	default:
		return v.words + " " + v.unit
	}
}

const (
	// priceSetting is a meter's price: the line of its change names the meter alone.
	priceSetting = "price"
	withoutPlan  = "accounts without a plan"
)

func describe(c *Catalog) description {
	d := description{
		"":          {"": describeGeneral(c)},
		withoutPlan: {"": {}},
		"meter":     {}, "pool": {}, "plan": {}, "pack": {}, "top-up": {},
	}
	c.describePages(d[""][""])
	describePermissions(d[withoutPlan][""], c.NoPlan)
	for id, m := range c.Meters {
		d["meter"][id] = describeMeter(m, c.Scale)
	}
	for id, p := range c.Pools {
		d["pool"][id] = describePool(p, c.Scale)
	}
	for id, p := range c.Plans {
		d["plan"][id] = describePlan(p, c.Scale)
	}
	for id, p := range c.Packs {
		d["pack"][id] = settings{
			"name":        {words: strconv.Quote(p.Name)},
			"price":       {words: FormatMoney(p.Price), unit: p.Price.Currency},
			"credits":     {words: p.Credits.Format(c.Scale)},
			"pool":        {words: p.Pool},
			"pays within": {words: formatDuration(p.PaysWithin)},
		}
	}
	if t := c.TopUp; t != nil {
		d["top-up"][""] = settings{
			"pool":        {words: t.Pool},
			"rate":        {words: t.Rate.Format(c.Scale), unit: "credits per " + t.Currency},
			"least":       {words: FormatMoney(t.Min), unit: t.Currency},
			"most":        {words: FormatMoney(t.Max), unit: t.Currency},
			"pays within": {words: formatDuration(t.PaysWithin)},
		}
	}
	return d
}

func describeGeneral(c *Catalog) settings {
	order := make([]string, len(c.PackOrder))
	for i, p := range c.PackOrder {
		order[i] = p.ID
	}
	s := settings{
		"name":                      {words: strconv.Quote(c.Name)},
		"language":                  {words: c.Language},
		"time zone":                 {words: c.Timezone},
		"currency":                  {words: c.Currency},
		"scale":                     {words: fmt.Sprint(c.Scale)},
		"payment method":            {words: string(c.PaymentMethod)},
		"record of denials":         {words: fmt.Sprint(c.Denials)},
		"late window":               {words: formatDuration(c.LateWindow)},
		"debt":                      {words: c.Debt.words(c.Scale)},
		"approval to view":          {words: string(c.Approval.View)},
		"approval to buy":           {words: string(c.Approval.Buy)},
		"approval to view lasts":    {words: formatDuration(c.Approval.ViewFor)},
		"hold ttl":                  {words: formatDuration(c.Holds.TTL)},
		"longest hold ttl":          {words: formatDuration(c.Holds.MaxTTL)},
		"low balance alerts":        {words: "[" + joinAmounts(c.Alerts.LowBalance, c.Scale) + "]"},
		"days of warning of expiry": {words: fmt.Sprint(c.Alerts.ExpiringDays)},
		"order of packs":            {words: "[" + strings.Join(order, ", ") + "]"},
	}
	for kind, word := range c.Words {
		s["word for "+kind] = value{words: strconv.Quote(word)}
	}
	return s
}

func describeMeter(m *Meter, scale int) settings {
	price := value{words: m.Price.Format(scale), unit: "credits"}
	if m.Per != 1 {
		price.words += fmt.Sprintf(" per %d", m.Per)
	}
	return settings{
		priceSetting:  price,
		"name":        {words: strconv.Quote(m.Name)},
		"description": {words: strconv.Quote(m.Description)},
		"units":       {words: strconv.Quote(m.Units)},
		"rounding":    {words: string(m.Rounding)},
		"needs plan":  {words: fmt.Sprint(m.NeedsPlan)},
	}
}

func describePool(p *Pool, scale int) settings {
	s := settings{
		"name":        {words: strconv.Quote(p.Name)},
		"description": {words: strconv.Quote(p.Description)},
		"priority":    {words: fmt.Sprint(p.Priority)},
		"unit":        {words: p.Unit},
		"expires":     {words: p.Expiry.words()},
		"rollover":    {words: p.Rollover.words(scale)},
		"reversal":    {words: p.reversalWords()},
	}
	if p.Meters == nil && p.CountsCredits() {
		s["pays any meter"] = value{member: true}
	}
	for _, meter := range p.Meters {
		s["meter "+meter] = value{member: true}
	}
	return s
}

func describePlan(p *Plan, scale int) settings {
	s := settings{
		"name": {words: strconv.Quote(p.Name)},
		"rank": {words: fmt.Sprint(p.Rank)},
		"paid": {words: fmt.Sprint(p.Paid)},
	}
	for _, a := range p.Allowances {
		s["allowance "+a.Pool] = value{words: a.Amount.Format(scale)}
	}
	for meter := range p.meters {
		s["meter "+meter] = value{member: true}
	}
	describePermissions(s, p)
	return s
}

func describePermissions(s settings, p *Plan) {
	s["purchase"] = value{words: fmt.Sprint(p.Purchase)}
	s["contact"] = value{words: strconv.Quote(p.Contact)}
	s["upgrade"] = value{words: strconv.Quote(p.Upgrade)}
	for pool := range p.grants {
		s["grants to "+pool] = value{member: true}
	}
}

// Follows checks that the catalog may succeed old: what earlier amounts were counted in has to
// stay. The error is a *CatalogError. Any catalog may succeed nil.
func (c *Catalog) Follows(old *Catalog) error {
	if old == nil {
		return nil
	}
	var ps problems
	if c.Scale != old.Scale {
		ps.add(0, "scale", "must stay %d: every amount in the journal is counted with it", old.Scale)
	}
	for _, p := range c.PoolOrder {
		if was := old.Pools[p.ID]; was != nil && was.Unit != p.Unit {
			ps.add(0, "pools."+p.ID+".unit", "must stay %s, which its lots are counted in: use a new pool", was.Unit)
		}
	}
	return ps.err()
}
