package rules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"creditstream/events/credit"
)

// Defaults of settings that a catalog leaves out. Source spells them out.
const (
	defaultScale      = 6
	defaultLateWindow = 35 * 24 * time.Hour
	defaultHold       = 15 * time.Minute
	defaultMaxHold    = time.Hour
	maxHold           = 24 * time.Hour
	defaultPaysWithin = 24 * time.Hour
	defaultViewFor    = 15
	// maxEntries bounds each of plans, pools, meters and packs.
	maxEntries = 500
)

// historyTypes are the types of a history line, which a catalog may give words of its own.
var historyTypes = []string{
	"purchase", "grant", "usage", "renewal", "expiry", "hold", "release", "reversal", "revocation",
	"refund", "adjustment", "repayment", "unpaid", "plan", "denied", "erasure",
}

// ParseCatalog reads a catalog in YAML or JSON and checks it wholly. The error is a
// *CatalogError that lists every problem. It never panics, whatever src is.
func ParseCatalog(src []byte) (*Catalog, error) {
	r := &reader{}
	root := r.document(src)
	if root == nil {
		return nil, r.err()
	}
	c := r.catalog(r.section("", root))
	if err := r.err(); err != nil {
		return nil, err
	}
	c.index()
	c.Source = c.canonical()
	if len(c.Source) > MaxCatalogBytes {
		r.add(0, "", "with every setting spelled out the catalog has %d bytes, at most %d are allowed", len(c.Source), MaxCatalogBytes)
		return nil, r.err()
	}
	return c, nil
}

// catalog reads all settings. What others refer to comes first: scale and currency, meters,
// pools, plans.
func (r *reader) catalog(s *section) *Catalog {
	c := &Catalog{
		Plans: map[string]*Plan{}, Pools: map[string]*Pool{}, Meters: map[string]*Meter{}, Packs: map[string]*Pack{},
		Name:     s.text("name", ""),
		Language: s.choice("language", "en", "en", "pt"),
		Scale:    s.integer("scale", defaultScale, 0, credit.MaxScale),
	}
	if c.Name == "" {
		s.missing("name", "what pages call the business")
	}
	r.scale = c.Scale
	c.Timezone, c.Location = s.zone("timezone")
	c.Currency = s.currencyCode("currency")
	r.currency = c.Currency

	s.entries("meters", func(id string, e *section) { c.Meters[id] = e.meter(id) })
	s.entries("pools", func(id string, e *section) { c.Pools[id] = e.pool(id, c) })
	s.entries("plans", func(id string, e *section) { c.Plans[id] = e.plan(id, c) })
	s.withoutPlan(c)
	s.entries("packs", func(id string, e *section) {
		pack := e.pack(id, c)
		c.Packs[id] = pack
		c.PackOrder = append(c.PackOrder, pack)
	})
	s.requireSome(c)
	if node := s.take("topup"); node != nil {
		c.TopUp = r.section("topup", node).topUp(c)
	}
	s.conditions(c)
	s.pages(c)
	s.done()

	c.PlanOrder = slices.Collect(maps.Values(c.Plans))
	c.PoolOrder = slices.Collect(maps.Values(c.Pools))
	c.MeterOrder = slices.Collect(maps.Values(c.Meters))
	return c
}

// requireSome refuses a catalog in which nothing could ever be spent.
func (s *section) requireSome(c *Catalog) {
	if len(c.Meters) == 0 {
		s.missing("meters", "{sticker: {price: 1}}")
	}
	if len(c.Pools) == 0 {
		s.missing("pools", "{purchased: {priority: 1, expires: 12 months}}")
	}
}

// conditions reads the settings that belong to no plan, pool, meter or pack.
func (s *section) conditions(c *Catalog) {
	c.PaymentMethod = PaymentMethod(s.choice("payment_method", string(PaymentMethodNone),
		string(PaymentMethodNone), string(PaymentMethodRequired)))
	c.Denials = s.flag("record_denials", false)
	c.LateWindow = s.duration("late_window", defaultLateWindow, 0, 366*24*time.Hour)
	c.Debt = s.debt("debt")
	kinds := []string{string(ApprovalOff), string(ApprovalPIN), string(ApprovalTOTP)}
	a := s.sub("approval")
	c.Approval = Approval{
		View:    ApprovalKind(a.choice("view", kinds[0], kinds...)),
		Buy:     ApprovalKind(a.choice("buy", kinds[0], kinds...)),
		ViewFor: time.Duration(a.integer("view_minutes", defaultViewFor, 1, 1440)) * time.Minute,
	}
	a.done()
	h := s.sub("holds")
	c.Holds.MaxTTL = h.duration("max_ttl", defaultMaxHold, time.Second, maxHold)
	c.Holds.TTL = h.duration("ttl", min(defaultHold, c.Holds.MaxTTL), time.Second, c.Holds.MaxTTL)
	h.done()
	alerts := s.sub("alerts")
	c.Alerts.LowBalance = alerts.amounts("low_balance")
	c.Alerts.ExpiringDays = alerts.integer("expiring_days", 0, 0, 366)
	alerts.done()
	words := s.sub("words")
	for _, kind := range historyTypes {
		if word := words.text(kind, ""); word != "" {
			if c.Words == nil {
				c.Words = map[string]string{}
			}
			c.Words[kind] = word
		}
	}
	words.done()
}

// sub reads a mapping that may be absent.
func (s *section) sub(name string) *section {
	node := s.take(name)
	if node == nil {
		node = &yaml.Node{Kind: yaml.MappingNode}
	}
	return s.section(s.at(name), node)
}

func (s *section) zone(name string) (string, *time.Location) {
	node, ok := s.scalar(name)
	if !ok {
		if s.value[name] == nil {
			s.missing(name, "America/Sao_Paulo")
		}
		return "", time.UTC
	}
	loc, err := LoadZone(node.Value)
	if err != nil {
		s.add(node.Line, s.at(name), "%v", err)
		return "", time.UTC
	}
	return node.Value, loc
}

func (s *section) currencyCode(name string) string {
	node, ok := s.scalar(name)
	if !ok {
		if s.value[name] == nil {
			s.missing(name, "USD")
		}
		return ""
	}
	if _, err := MinorDigits(node.Value); err != nil {
		s.add(node.Line, s.at(name), "%v", err)
		return ""
	}
	return node.Value
}

// debt reads “off” or a mapping with a limit.
func (s *section) debt(name string) Debt {
	node := s.take(name)
	if node == nil || node.Kind == yaml.ScalarNode && node.Value == "off" {
		return Debt{}
	}
	if node.Kind != yaml.MappingNode {
		s.add(node.Line, s.at(name), "must be off or {limit: 500}")
		return Debt{}
	}
	d := s.section(s.at(name), node)
	defer d.done()
	return Debt{Limit: d.amount("limit", "500")}
}

// amounts reads a list of positive amounts, highest first.
func (s *section) amounts(name string) []credit.Amount {
	node := s.take(name)
	if node == nil {
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		s.add(node.Line, s.at(name), "must be a list such as [100, 20]")
		return nil
	}
	if len(node.Content) > 10 {
		s.add(node.Line, s.at(name), "has %d amounts, at most 10 are allowed", len(node.Content))
		return nil
	}
	var list []credit.Amount
	for i, item := range node.Content {
		path := fmt.Sprintf("%s[%d]", s.at(name), i)
		amount := s.amountOf(path, item)
		if amount > 0 && slices.Contains(list, amount) {
			s.add(item.Line, path, "%s is listed twice", brief(item.Value))
		}
		list = append(list, amount)
	}
	slices.Sort(list)
	slices.Reverse(list)
	return list
}

var expiryPattern = regexp.MustCompile(`^([0-9]{1,5}) (month|day)s?$`)

// expiry reads when the lots of a pool end.
func (s *section) expiry(name string) Expiry {
	const forms = "12 months, 30 days, cycle_end, day_before_renewal or never"
	node, ok := s.scalar(name)
	if !ok {
		if s.value[name] == nil {
			s.missing(name, "12 months")
		}
		return Expiry{Kind: ExpireNever}
	}
	switch kind := ExpiryKind(node.Value); kind {
	case ExpireCycleEnd, ExpireDayBeforeRenewal, ExpireNever:
		return Expiry{Kind: kind}
	}
	m := expiryPattern.FindStringSubmatch(node.Value)
	if m == nil {
		s.add(node.Line, s.at(name), "%q is no way to expire: write %s", brief(node.Value), forms)
		return Expiry{Kind: ExpireNever}
	}
	n, _ := strconv.Atoi(m[1])
	e, most := Expiry{Kind: ExpireMonths, N: n}, maxMonths
	if m[2] == "day" {
		e, most = Expiry{Kind: ExpireDays, N: n}, maxDays
	}
	if n < 1 || n > most {
		s.add(node.Line, s.at(name), "%s is outside of 1 to %d %ss", node.Value, most, m[2])
	}
	return e
}

// rollover reads none, all, or a mapping with limits.
func (s *section) rollover(name string, p *Pool) Rollover {
	node := s.take(name)
	if node == nil || node.Kind == yaml.ScalarNode && node.Value == "none" {
		return Rollover{}
	}
	roll := Rollover{On: true}
	switch {
	case node.Kind == yaml.ScalarNode && node.Value == "all":
	case node.Kind == yaml.MappingNode:
		limits := s.section(s.at(name), node)
		if len(limits.keys) == 0 {
			limits.add(limits.line, limits.path, "names no limit: write up_to, cycles or both, or all")
		}
		if n := limits.take("up_to"); n != nil {
			roll.UpTo = limits.amountOf(limits.at("up_to"), n)
			limits.wholeUnits(limits.at("up_to"), n, p, roll.UpTo)
		}
		roll.Cycles = limits.integer("cycles", 0, 1, maxMonths)
		limits.done()
	default:
		s.add(node.Line, s.at(name), "must be none, all, or limits such as {up_to: 500, cycles: 2}")
	}
	if !p.Expiry.WithCycle() {
		s.add(node.Line, s.at(name), "only a pool that expires at cycle_end or day_before_renewal can roll over: remove it")
	}
	return roll
}

// reversal reads what becomes of credits that go back into a lot that has ended: 0 expires them.
func (s *section) reversal(name string, e Expiry) (replaceDays int) {
	node, ok := s.scalar(name)
	if !ok {
		if e.WithCycle() {
			return 0
		}
		return 30
	}
	if node.Value == "expire" {
		return 0
	}
	number, isDays := strings.CutSuffix(strings.TrimSuffix(node.Value, "s"), " day")
	n, err := strconv.Atoi(number)
	if !isDays || err != nil || n < 1 || n > maxDays {
		s.add(node.Line, s.at(name), "%q is neither expire nor a time such as 30 days", brief(node.Value))
	}
	return n
}
