package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"creditstream/projections/usage"
	"creditstream/services/look"
	"creditstream/services/rules"
)

// The spans that consumption can be shown for, in days, and how many days a pace is taken from.
var spans = [...]int{7, 30, 90}

const paceDays = 14

// consumption is the page of what was used: by meter and day, and how long the rest lasts.
type consumption struct {
	look.Frame
	Base     string
	Self     string // this page's own address, for what is fetched anew
	Spans    []option
	Shown    []option // credits, or what the meters count
	Quantity bool
	Series   []string
	Rows     []dayRow
	Meters   []meterRow
	OnQuota  bool // something was paid by a quota
	Total    string
	Empty    bool
	Forecast *outlook
}

// dayRow is a day of the chart. Values are what is drawn, Texts what is read.
type dayRow struct {
	At     int64
	Day    string
	Values []value
}

type value struct{ Number, Text string }

// meterRow is what one meter used over the whole span.
type meterRow struct {
	Name, Quantity, Credits, Units, Class string
}

// outlook is the forecast in words.
type outlook struct {
	Title, Text, Wasted, Pace string
	How                       string
	Warn                      bool
}

func showConsumption(v *visit) error {
	values := v.r.URL.Query()
	span := spans[1]
	for _, n := range spans {
		if values.Get("days") == strconv.Itoa(n) {
			span = n
		}
	}
	today := dayOf(v.now, v.L.Zone)
	from := today.AddDate(0, 0, 1-span)
	view, err := v.usageView()
	if err != nil {
		return err
	}
	used, err := view.Usage(usage.Query{Account: v.account.ID(), From: from, To: today.AddDate(0, 0, 1)})
	if err != nil {
		return err
	}
	page := consumption{Frame: v.frame("usage.title"), Base: v.base, Total: v.names.amount(used.Credits), Empty: len(used.Groups) == 0}
	page.Charts = true
	page.Quantity = values.Get("show") == "quantity" || values.Get("show") == "" && used.Credits == 0
	page.choices(v, span)
	page.fill(v, used.Groups, from, span)
	if page.Forecast, err = v.outlook(view, today); err != nil {
		return err
	}
	return v.pages.Write(v.w, http.StatusOK, "usage", page)
}

// usageView is the account's usage, as far as was acknowledged when it was asked for.
func (v *visit) usageView() (*usage.View, error) {
	if err := v.settled(); err != nil {
		return nil, err
	}
	name, err := v.waitFor(usage.Fold{}.Name())
	if err != nil {
		return nil, err
	}
	return v.cfg.Usage(name)
}

// dayOf is the first instant of the day.
func dayOf(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, zone)
}

func (c *consumption) choices(v *visit, span int) {
	show := "credits"
	if c.Quantity {
		show = "quantity"
	}
	address := func(days int, show string) string {
		return v.base + "/usage?" + url.Values{"days": {strconv.Itoa(days)}, "show": {show}}.Encode()
	}
	for _, n := range spans {
		c.Spans = append(c.Spans, option{address(n, show), v.L.T("usage.days", v.L.Int(int64(n))), n == span})
	}
	for _, what := range [...]string{"credits", "quantity"} {
		c.Shown = append(c.Shown, option{address(span, what), v.L.T("usage.show_" + what), what == show})
	}
	c.Self = address(span, show)
}

// fill makes a row of each day and a column of each meter that was used.
func (c *consumption) fill(v *visit, groups []usage.Group, from time.Time, span int) {
	totals := make(map[string]usage.Total)
	days := make(map[string]map[string]usage.Total)
	var meters []string
	for _, g := range groups {
		if !slices.Contains(meters, g.Meter) {
			meters = append(meters, g.Meter)
		}
		sum := totals[g.Meter]
		sum.Quantity, sum.Credits, sum.Units = sum.Quantity+g.Quantity, sum.Credits+g.Credits, sum.Units+g.Units
		totals[g.Meter] = sum
		if days[g.Day.String()] == nil {
			days[g.Day.String()] = make(map[string]usage.Total)
		}
		days[g.Day.String()][g.Meter] = g.Total
	}
	slices.Sort(meters)
	for i, meter := range meters {
		t := totals[meter]
		row := meterRow{Name: v.names.meter(meter), Quantity: v.L.Int(t.Quantity), Credits: v.names.amount(t.Credits), Class: "c" + strconv.Itoa(i%6+1)}
		if t.Units != 0 {
			row.Units = v.names.quantity(t.Units, meter)
			c.OnQuota = true
		}
		c.Meters = append(c.Meters, row)
		c.Series = append(c.Series, row.Name)
	}
	for i := range span {
		day := from.AddDate(0, 0, i)
		row := dayRow{At: day.Add(12 * time.Hour).Unix(), Day: v.L.ShortDay(day)}
		for _, meter := range meters {
			t := days[day.Format(time.DateOnly)][meter]
			one := value{Number: t.Credits.Format(v.catalog.Scale), Text: v.names.amount(t.Credits)}
			if c.Quantity {
				one = value{Number: strconv.FormatInt(t.Quantity, 10), Text: v.L.Int(t.Quantity)}
			}
			row.Values = append(row.Values, one)
		}
		c.Rows = append(c.Rows, row)
	}
}

// outlook forecasts when credits run out: at the pace of the last full days, out of the lots in the order
// in which they are spent, each until its end.
func (v *visit) outlook(view *usage.View, today time.Time) (*outlook, error) {
	opened := dayOf(v.account.Opened(), v.L.Zone)
	days := int64(paceDays)
	if lived := int64(today.Sub(opened)/(24*time.Hour)) + 1; lived < days {
		days = lived // today counts for an account that is younger than the pace is long
		today = today.AddDate(0, 0, 1)
	}
	used, err := view.Usage(usage.Query{Account: v.account.ID(), From: today.AddDate(0, 0, -int(days)), To: today})
	if err != nil {
		return nil, err
	}
	balance := rules.BalanceOf(v.account, v.tenant.Books(), v.now)
	if used.Credits <= 0 || balance.Remaining == 0 {
		return nil, nil
	}
	until := time.Time{}
	plan := v.catalog.PlanOf(v.account.Plan())
	if plan != nil && slices.ContainsFunc(plan.Allowances, func(a rules.Allowance) bool { return v.countsCredits(a.Pool) }) {
		until = balance.Cycle.To // the renewal grants anew
	}
	f := project(supplies(&balance), used.Credits, days, v.now, until)
	daily, _, err := used.Credits.MulDiv(1, days)
	if err != nil {
		return nil, nil
	}
	o := &outlook{
		Pace: v.L.T("forecast.pace", v.names.rough(daily), v.L.Int(days)),
		How:  v.L.T("forecast.how", v.L.Int(days)),
	}
	switch {
	case f.Runs:
		o.Warn = f.Out.Sub(v.now) < 7*24*time.Hour
		o.Title = v.L.T("forecast.out", v.L.Day(f.Out))
		o.Text = v.L.T("forecast.out.text", v.L.Until(v.now, f.Out))
		if f.Out.Sub(v.now) < 24*time.Hour {
			o.Title, o.Text = v.L.T("forecast.today"), ""
		}
	case !until.IsZero():
		o.Title, o.Text = v.L.T("forecast.renewal"), v.L.T("forecast.renewal.text", v.L.Day(until))
	default:
		o.Title = v.L.T("forecast.year")
	}
	if f.Wasted > 0 {
		o.Wasted = v.L.T("forecast.wasted", v.names.rough(f.Wasted))
	}
	return o, nil
}

func (v *visit) countsCredits(pool string) bool {
	p := v.catalog.Pools[pool]
	return p != nil && p.CountsCredits()
}

// supplies are the lots that credits are spent from, in burn order.
func supplies(b *rules.Balance) []supply {
	var all []supply
	for i := range b.Pools {
		p := &b.Pools[i]
		if p.Unit != rules.UnitCredit || p.Remaining == 0 {
			continue
		}
		for _, l := range p.Lots {
			all = append(all, supply{amount: l.Remaining, ends: l.Ends})
		}
	}
	return all
}
