package rules

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"creditstream/events/credit"
)

func namesOf[V any](entries map[string]V) []string { return slices.Collect(maps.Keys(entries)) }

func (s *section) meter(id string) *Meter {
	m := &Meter{
		ID: id, Name: s.text("name", id), Description: s.text("description", ""), Units: s.text("units", ""),
		Price:     s.amount("price", "1"),
		Per:       int64(s.integer("per", 1, 1, MaxPer)),
		Rounding:  Rounding(s.choice("rounding", string(RoundExact), string(RoundExact), string(RoundCeil), string(RoundAccumulate))),
		NeedsPlan: s.flag("needs_plan", true),
	}
	if m.Rounding == RoundExact && m.Price%credit.Amount(m.Per) != 0 {
		s.add(s.value["price"].Line, s.at("price"),
			"%s per %d is not exact with %d decimals: use another price, a larger scale, or rounding: ceil or accumulate",
			m.Price.Format(s.scale), m.Per, s.scale)
	}
	return m
}

func (s *section) pool(id string, c *Catalog) *Pool {
	p := &Pool{
		ID: id, Name: s.text("name", id), Description: s.text("description", ""),
		Priority: s.requiredInteger("priority", "1", 0, 1000),
		Unit:     UnitCredit,
		pays:     map[string]bool{},
	}
	if node, ok := s.scalar("unit"); ok && node.Value != UnitCredit {
		p.Unit = node.Value
		p.pays[node.Value] = true
		s.known(node, s.at("unit"), "meter", append(namesOf(c.Meters), UnitCredit))
	}
	p.Meters, _ = s.names("meters", "meter", namesOf(c.Meters), true)
	node := s.value["meters"]
	switch {
	case node == nil || node.Value == "all":
		p.Meters = nil
	case !p.CountsCredits():
		s.add(node.Line, s.at("meters"), "a pool that counts units of %s pays only that meter: remove this setting", brief(p.Unit))
	case len(node.Content) == 0:
		s.add(node.Line, s.at("meters"), "is empty: list the meters that the pool pays, or write all")
	}
	for _, meter := range p.Meters {
		p.pays[meter] = true
	}
	p.Expiry = s.expiry("expires")
	p.Rollover = s.rollover("rollover", p)
	p.ReplaceDays = s.reversal("reversal", p.Expiry)
	return p
}

func (s *section) plan(id string, c *Catalog) *Plan {
	p := &Plan{
		ID: id, Name: s.text("name", id),
		Rank:     s.requiredInteger("rank", "1", 0, 1_000_000),
		Paid:     s.flag("paid", true),
		Purchase: s.flag("purchase", true),
		Contact:  s.text("contact", ""),
		Upgrade:  s.text("upgrade", ""),
	}
	meters, given := s.names("meters", "meter", namesOf(c.Meters), true)
	if !given {
		s.missing("meters", "all")
	}
	p.meters = setOf(meters)
	p.grants = s.grants(c, namesOf(c.Pools))
	s.allowances(p, c)
	return p
}

// withoutPlan reads the rules of accounts that have no plan: without them, they may not buy and
// are granted nothing.
func (s *section) withoutPlan(c *Catalog) {
	w := s.sub("without_plan")
	c.NoPlan = &Plan{
		Purchase: w.flag("purchase", false),
		Contact:  w.text("contact", ""),
		Upgrade:  w.text("upgrade", ""),
	}
	c.NoPlan.grants = w.grants(c, nil)
	w.done()
}

func (s *section) grants(c *Catalog, otherwise []string) map[string]bool {
	pools, given := s.names("grants", "pool", namesOf(c.Pools), true)
	if !given {
		pools = otherwise
	}
	return setOf(pools)
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// allowances reads what the plan grants each cycle. An allowance that none of the plan's meters
// can spend is a mistake that a customer would pay for.
func (s *section) allowances(p *Plan, c *Catalog) {
	list := s.sub("allowances")
	for _, key := range list.keys {
		list.asked = append(list.asked, key.Value)
		if !s.known(key, list.at(key.Value), "pool", namesOf(c.Pools)) {
			continue
		}
		node, pool := list.value[key.Value], c.Pools[key.Value]
		amount := s.amountOf(list.at(key.Value), node)
		s.wholeUnits(list.at(key.Value), node, pool, amount)
		p.Allowances = append(p.Allowances, Allowance{Pool: pool.ID, Amount: amount})
		spendable := slices.ContainsFunc(namesOf(c.Meters), func(meter string) bool {
			return pool.Pays(meter) && c.Usable(p, meter)
		})
		if !spendable {
			s.add(key.Line, list.at(key.Value), "no meter of plan %s is paid by pool %s: add one to the plan's meters or remove the allowance", p.ID, pool.ID)
		}
	}
	slices.SortFunc(p.Allowances, func(a, b Allowance) int { return cmp.Compare(a.Pool, b.Pool) })
}

func (s *section) pack(id string, c *Catalog) *Pack {
	return &Pack{
		ID: id, Name: s.text("name", id),
		Price:      s.price("price", "49.00"),
		Credits:    s.amount("credits", "50"),
		Pool:       s.soldPool(c),
		PaysWithin: s.paysWithin(),
	}
}

// soldPool reads the pool that bought credits go to. It has to count credits: a purchase's
// answer and the account's terms are in credits.
func (s *section) soldPool(c *Catalog) string {
	node, ok := s.scalar("pool")
	if !ok {
		if s.absent("pool") {
			s.missing("pool", "the pool that the credits go to")
		}
		return ""
	}
	if !s.known(node, s.at("pool"), "pool", namesOf(c.Pools)) {
		return ""
	}
	if pool := c.Pools[node.Value]; !pool.CountsCredits() {
		s.add(node.Line, s.at("pool"), "pool %s counts units of %s: only a pool that counts credits can be sold", pool.ID, brief(pool.Unit))
	}
	return node.Value
}

func (s *section) paysWithin() time.Duration {
	return s.duration("pays_within", defaultPaysWithin, time.Minute, 90*24*time.Hour)
}

func (s *section) topUp(c *Catalog) *TopUp {
	t := &TopUp{
		Pool:       s.soldPool(c),
		Currency:   c.Currency,
		Rate:       s.amount("rate", "80000"),
		Min:        s.price("min", "5.00"),
		Max:        s.price("max", "1000.00"),
		PaysWithin: s.paysWithin(),
	}
	s.done()
	if t.Currency == "" || t.Rate == 0 || t.Min.Minor == 0 || t.Max.Minor == 0 {
		return t
	}
	if t.Min.Minor > t.Max.Minor {
		s.add(s.value["min"].Line, s.at("min"), "%s is more than max, %s", FormatMoney(t.Min), FormatMoney(t.Max))
	}
	if _, rest, err := t.credits(1); err != nil || rest != 0 {
		s.add(s.value["rate"].Line, s.at("rate"), "%s per %s is not exact: the smallest coin would buy less than the smallest part of a credit (scale %d)",
			t.Rate.Format(s.scale), t.Currency, s.scale)
	}
	if _, _, err := t.credits(t.Max.Minor); err != nil {
		s.add(s.value["max"].Line, s.at("max"), "buys more credits than an account can hold: lower it")
	}
	return t
}
