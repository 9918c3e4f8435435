package model_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"pgregory.net/rapid"

	"creditstream/services/accounts"
	"creditstream/services/internal/model"
	"creditstream/services/node"
)

var beginning = time.Date(2026, 1, 29, 12, 0, 0, 0, time.UTC)

// programme is the catalog of the stories, in the words of the model.
func programme() *model.Catalog {
	const one = model.Unit
	return &model.Catalog{
		Meters: map[string]model.Meter{
			"video": {Price: one, Per: 1, Rounding: model.Exact},
			"image": {Price: one, Per: 2, Rounding: model.Exact},
			"page":  {Price: 3 * one, Per: 2, Rounding: model.Ceil},
			"call":  {Price: one, Per: 3, Rounding: model.Accumulate},
			"ping":  {Price: one / 2, Per: 1, Rounding: model.Exact, Free: true},
		},
		Pools: map[string]model.Pool{
			"quota":   {Priority: 5, Unit: "video", CycleEnd: true},
			"monthly": {Priority: 10, CycleEnd: true},
			"saved":   {Priority: 12, CycleEnd: true, RollUpTo: 20 * one},
			"left":    {Priority: 20, Meters: []string{"video", "image"}, Days: 20, Replace: 30},
			"right":   {Priority: 20, Meters: []string{"page", "video"}, Days: 30},
			"bought":  {Priority: 20, Days: 60, Replace: 10},
			"always":  {Priority: 40, Replace: 30},
		},
		Plans: map[string]model.Plan{
			"":      {},
			"free":  {Rank: 1, Meters: []string{"video"}, Allowances: map[string]int64{"monthly": 10 * one}},
			"empty": {Rank: 2, Paid: true, Meters: []string{"image"}},
			"basic": {Rank: 3, Paid: true, Meters: []string{"video", "image", "page", "call"}, Allowances: map[string]int64{"monthly": 50 * one, "quota": 8 * one, "saved": 15 * one}},
			"grand": {Rank: 4, Paid: true, Meters: []string{"video", "call", "page"}, Allowances: map[string]int64{"monthly": 90 * one}},
		},
		Pack: model.Pack{Credits: 40 * one, Pool: "bought", Within: 36 * time.Hour},
		Debt: 25 * one,
	}
}

// yaml writes a catalog as it is published.
func yaml(c *model.Catalog) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("name: Story\ntimezone: UTC\ncurrency: EUR\nscale: 2\nlate_window: 840h\ndebt: {limit: %s}\nmeters:", decimal(c.Debt))
	for name, m := range c.Meters {
		line("  %s: {price: %s, per: %d, rounding: %s, needs_plan: %v}", name, decimal(m.Price), m.Per, m.Rounding, !m.Free)
	}
	line("pools:")
	for name, p := range c.Pools {
		line("  %s:\n    priority: %d\n    reversal: %s", name, p.Priority, map[bool]string{true: "expire", false: fmt.Sprint(p.Replace, " days")}[p.Replace == 0])
		if p.Unit != "" {
			line("    unit: %s", p.Unit)
		}
		if p.Meters != nil {
			line("    meters: [%s]", strings.Join(p.Meters, ", "))
		}
		switch {
		case p.CycleEnd:
			line("    expires: cycle_end")
		case p.Days > 0:
			line("    expires: %d days", p.Days)
		default:
			line("    expires: never")
		}
		if p.RollUpTo > 0 {
			line("    rollover: {up_to: %s}", decimal(p.RollUpTo))
		}
	}
	line("without_plan: {purchase: true, grants: all}\nplans:")
	for name, p := range c.Plans {
		if name == "" {
			continue
		}
		line("  %s:\n    rank: %d\n    paid: %v\n    meters: [%s]", name, p.Rank, p.Paid, strings.Join(p.Meters, ", "))
		var granted []string
		for pool, amount := range p.Allowances {
			granted = append(granted, fmt.Sprintf("%s: %s", pool, decimal(amount)))
		}
		line("    allowances: {%s}", strings.Join(granted, ", "))
	}
	line("packs:\n  small: {price: 9.99, credits: %s, pool: %s, pays_within: %s}", decimal(c.Pack.Credits), c.Pack.Pool, "36h")
	return b.String()
}

// decimal writes hundredths as the interface does.
func decimal(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	s := fmt.Sprintf("%s%d.%02d", sign, n/100, n%100)
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(s, "0"), "0"), ".")
}

// told is one request that was carried out under a key.
type told struct {
	path, key, body string
	status          int
	answer          map[string]any
}

// story drives a node and the model side by side.
type story struct {
	*rapid.T
	cfg     node.Config
	node    *node.Node
	model   *model.World
	catalog *model.Catalog
	told    []told
	keys    int
	holds   []of // open or not, of either account
	uses    []of
	lots    []grantedLot
	bought  []of
}

// of is something of an account, by its name.
type of struct{ account, id, meter string }

type grantedLot struct {
	account, id string
	lot         *model.Lot
}

func (s *story) must(err error) {
	if err != nil {
		s.Fatalf("%v", err)
	}
}

func (s *story) start() {
	var err error
	s.cfg.TestClock = s.model.Now
	s.node, err = node.Start(s.Context(), s.cfg)
	s.must(err)
}

func (s *story) tenant() *accounts.Tenant {
	t, err := s.node.Accounts().Tenant("story")
	s.must(err)
	return t
}

func (s *story) key() string {
	s.keys++
	return fmt.Sprintf("k%d", s.keys)
}

func (s *story) account() string {
	return rapid.SampledFrom([]string{"a", "a", "a", "b"}).Draw(s.T, "account")
}

func (s *story) quantity() int64 { return rapid.Int64Range(1, 25).Draw(s.T, "quantity") }

func (s *story) meter(names ...string) string {
	if names == nil {
		names = []string{"video", "image", "page", "call", "ping"}
	}
	return rapid.SampledFrom(names).Draw(s.T, "meter")
}

// send does one request; a path that does not begin with a slash is the tenant's.
func (s *story) send(method, path, key, body string) (int, map[string]any) {
	if !strings.HasPrefix(path, "/") {
		path = "/v1/tenants/story/" + path
	}
	r, err := http.NewRequestWithContext(s.Context(), method, s.node.HTTP()+path, strings.NewReader(body))
	s.must(err)
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	response, err := http.DefaultClient.Do(r)
	s.must(err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	s.must(err)
	answer := make(map[string]any)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&answer); err != nil && len(text) > 0 {
		s.Fatalf("%s %s answers %s", method, path, text)
	}
	return response.StatusCode, answer
}

// post sends a command under a new key and compares how it was answered: with the code that the model
// expects, or carried out.
func (s *story) post(path, body, code string) map[string]any {
	return s.postAs(s.key(), path, body, code)
}

func (s *story) postAs(key, path, body, code string) map[string]any {
	status, answer := s.send(http.MethodPost, path, key, body)
	if got, _ := answer["code"].(string); got != code || (status < 300) != (code == "") {
		s.Fatalf("POST %s %s (%s) was answered %d %v; the model says %q", path, body, key, status, answer, code)
	}
	if code == "" {
		s.told = append(s.told, told{path, key, body, status, answer})
	}
	return answer
}

// same compares amounts in an answer with the model's.
func (s *story) same(answer map[string]any, name string, want int64) {
	got, _ := answer[name].(string)
	if got == "" {
		got = "0"
	}
	if got != decimal(want) {
		s.Fatalf("%s is %s, the model says %s: %v", name, got, decimal(want), answer)
	}
}

func (s *story) charged(answer map[string]any, want model.Answer) {
	s.same(answer, "cost", want.Cost)
	s.same(answer, "remaining", want.Remaining)
	s.same(answer, "debt", want.Debt)
	s.same(answer, "unpaid", want.Unpaid)
	s.drawn(answer, want)
}

func (s *story) drawn(answer map[string]any, want model.Answer) {
	draws, _ := answer["draws"].([]any)
	var got, wanted []string
	for _, d := range draws {
		d := d.(map[string]any)
		got = append(got, fmt.Sprint(d["pool"], " ", d["amount"]))
	}
	for _, d := range want.Draws {
		wanted = append(wanted, d.Pool+" "+decimal(d.Amount))
	}
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		s.Fatalf("drew %v, the model says %v: %v", got, wanted, answer)
	}
}
