package console

import (
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"creditstream/projections"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/look"
	"creditstream/services/rules"
)

// page is what every template gets; Data is the page's own.
type page struct {
	Title    string
	L        *look.Locale
	Path     string // of the request
	Who      credentials.Principal
	SignedIn bool
	Dev      bool
	Server   []link // the operator's pages
	Sections []link // the tenant's pages
	Tenant   string
	Tenants  []string // to choose from, for the operator
	Charts   bool
	Data     any
}

// link is one place in the navigation.
type link struct {
	Name, Path, Icon string
	Current          bool
}

// Can reports whether the key has a scope, by its name in the API.
func (p *page) Can(name string) bool {
	scopes, err := credentials.ParseScopes(name)
	return err == nil && p.Who.Scopes&scopes == scopes
}

// May reports whether the key may grant and revoke: that takes a person.
func (p *page) May() bool { return p.Can("grant") && p.Who.Person }

// Base is the path of the tenant's pages.
func (p *page) Base() string { return home + "/t/" + p.Tenant }

func (v *visit) page(title string, data any) *page {
	p := &page{
		Title: title, Path: v.r.URL.Path, Who: v.who, SignedIn: v.who.Scopes != 0, Dev: v.cfg.Dev, Data: data,
		L: v.cfg.Look.Locale(look.Languages()[0], time.UTC, nil), Charts: title == overviewTitle,
	}
	if v.who.IsOperator() && v.who.Can(credentials.Admin) {
		p.Server = []link{
			{Name: overviewTitle, Path: home + "/overview", Icon: "chart"}, {Name: "Tenants", Path: home + "/tenants", Icon: "people"},
			{Name: "Projections", Path: home + "/views", Icon: "layers"}, {Name: "Verify", Path: home + "/verify", Icon: "shield"},
			{Name: "Health", Path: home + "/health", Icon: "pulse"}, {Name: "API keys", Path: home + "/keys", Icon: "key"},
		}
	}
	v.placeTenant(p)
	for _, list := range [][]link{p.Server, p.Sections} {
		for i := range list {
			list[i].Current = p.Path == list[i].Path || strings.HasPrefix(p.Path, list[i].Path+"/")
		}
	}
	return p
}

// placeTenant says which tenant the page is about: that of the path, or the only one of the key.
func (v *visit) placeTenant(p *page) {
	p.Tenant = v.who.Tenant
	if v.tenant != nil {
		p.Tenant = v.tenant.Name()
	}
	if !v.who.Can(credentials.Read) {
		return
	}
	if v.who.IsOperator() {
		all := v.cfg.Accounts.Tenants()
		for _, t := range all[:min(len(all), maxTenants)] {
			p.Tenants = append(p.Tenants, t.Name())
		}
	}
	if p.Tenant == "" {
		return
	}
	p.Sections = []link{
		{Name: "Accounts", Path: p.Base() + "/accounts", Icon: "wallet"}, {Name: "Journal", Path: p.Base() + "/journal", Icon: "list"},
		{Name: "Catalog", Path: p.Base() + "/catalog", Icon: "book"},
	}
}

// maxTenants bounds how many tenants the chooser offers; /admin/tenants lists all.
const maxTenants = 200

// write sends a page, or, where a dialog asked, the part of it that the dialog shows.
func (v *visit) write(status int, name, title string, data any) error {
	return v.pages.Write(v.w, status, name, v.page(title, data))
}

// dialog sends a question: as a part for the dialog of the page it was asked on, or as a page of its own.
func (v *visit) dialog(status int, name, title string, data any) error {
	if v.isPart() {
		name += "-part"
	}
	return v.write(status, name, title, data)
}

// isPart reports whether a script asks for a part of a page.
func (v *visit) isPart() bool { return v.r.Header.Get("HX-Request") == "true" }

// goTo sends the browser on, also out of a dialog.
func (v *visit) goTo(path string) error {
	if v.isPart() {
		v.w.Header().Set("HX-Redirect", path)
		v.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// form reads a form of at most limit bytes.
func (v *visit) form(limit int64) (url.Values, error) {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, limit)
	if err := v.r.ParseForm(); err != nil {
		var over *http.MaxBytesError
		if errors.As(err, &over) {
			return nil, &rules.Refusal{Code: rules.CodeTooLarge, Detail: fmt.Sprintf("a form may have at most %d bytes", limit)}
		}
		return nil, &rules.Refusal{Code: rules.CodeInvalid, Detail: "the form could not be read"}
	}
	return v.r.PostForm, nil
}

func functions() template.FuncMap {
	return template.FuncMap{
		"glyph": glyph, "bytes": bytesOf, "count": count, "took": took, "when": when, "day": day, "ago": ago, "minus": minus, "trim": trimmed,
		"path": pathOf, "query": queryOf, "kind": shortKind, "tone": toneOf, "commit": commitPath, "short": short, "share": share,
		"signed": signed, "amount": amount, "add": func(a, b int) int { return a + b }, "word": word, "plural": plural, "list": list, "without": without, "parts": func(s string) []string { return strings.Split(s, ",") }, "dayIn": dayIn, "instant": instant, "size": sizeOf,
		"faults": faultsOf, "moved": movedTerms, "decides": decides, "lineTypes": func() []string { return lineTypes },
	}
}

// The functions below write what pages show. Times are in UTC: operators compare them with logs.

func when(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func day(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02")
}

// instant is a time of the API's for people.
func instant(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return when(t)
}

// dayIn is the day in a time zone, where cycles begin and end.
func dayIn(zone string, t time.Time) string {
	place, err := time.LoadLocation(zone)
	if err != nil || t.IsZero() {
		return day(t)
	}
	return t.In(place).Format(time.DateOnly)
}

// sizeOf is what a view has on disk; what was written since the last flush is not there yet.
func sizeOf(n uint64) string {
	if n == 0 {
		return "in memory"
	}
	return bytesOf(n)
}

func ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return "never"
	case d < time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	default:
		return fmt.Sprintf("%d days ago", d/(24*time.Hour))
	}
}

func bytesOf(n uint64) string {
	units := [...]string{"B", "KB", "MB", "GB", "TB", "PB"}
	whole, unit, tenths := n, 0, uint64(0)
	for whole >= 1000 && unit < len(units)-1 {
		whole, tenths, unit = whole/1000, whole%1000/100, unit+1
	}
	if unit == 0 || whole >= 100 {
		return fmt.Sprintf("%d %s", whole, units[unit])
	}
	return fmt.Sprintf("%d.%d %s", whole, tenths, units[unit])
}

func count(n any) string {
	text := fmt.Sprint(n)
	var b strings.Builder
	for i := range len(text) {
		if i > 0 && (len(text)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func plural(n any, one, many string) string {
	if fmt.Sprint(n) == "1" {
		return "1 " + one
	}
	return count(n) + " " + many
}

func took(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d/time.Microsecond)
	case d < time.Second:
		return strconv.FormatInt(int64(d/time.Millisecond), 10) + "." + strconv.FormatInt(int64(d%time.Millisecond/(100*time.Microsecond)), 10) + " ms"
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}

// amount writes a decimal of the API for people: 1,234.5.
func amount(decimal string) string {
	digits, negative := strings.CutPrefix(decimal, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	text := count(whole)
	if dotted {
		text += "." + fraction
	}
	if negative {
		return "−" + text
	}
	return text
}

func signed(decimal string) string {
	if isNothing(decimal) || strings.HasPrefix(decimal, "-") {
		return amount(decimal)
	}
	return "+" + amount(decimal)
}

func isNothing(decimal string) bool { return strings.Trim(decimal, "-0.") == "" }

func minus(decimal string) bool { return strings.HasPrefix(decimal, "-") }

func trimmed(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}

func short(hash string) string { return hash[:min(len(hash), 12)] }

// shortKind is an event's type without what all have: UsageRecorded.
func shortKind(kind string) string {
	kind = strings.TrimPrefix(kind, "creditstream.")
	kind, _, _ = strings.Cut(kind, ".v")
	return kind
}

// pathOf and queryOf escape once and for all: the templates see that they are parts of addresses.
func pathOf(s string) template.URL  { return template.URL(url.PathEscape(s)) }
func queryOf(s string) template.URL { return template.URL(url.QueryEscape(s)) }

func list(items ...string) []string { return items }

// without encodes a filter but for one of its values.
func without(filter url.Values, name string) template.URL {
	rest := make(url.Values)
	for key, values := range filter {
		if key != name {
			rest[key] = values
		}
	}
	return template.URL(rest.Encode())
}

// lineTypes are those of the history (API.md).
var lineTypes = []string{
	"purchase", "grant", "usage", "renewal", "expiry", "hold", "release", "reversal", "revocation", "refund", "adjustment", "repayment", "unpaid", "plan", "denied", "erasure",
}

// faultsOf counts what is wrong with a journal beside what has a column of its own.
func faultsOf(r projections.Report) uint64 { return r.Unbalanced + r.Nonsensical + r.Disordered }

// word is a name of the API for people: awaiting_payment → awaiting payment.
func word(s string) string { return strings.ReplaceAll(s, "_", " ") }

// toneOf is the colour of a status, of a line of the history, or of an event.
func toneOf(s string) string {
	switch s {
	case "purchase", "grant", "renewal", "completed", "open", "CreditGranted", "CreditPurchased", "CycleRenewed", "AccountOpened":
		return "good"
	case "hold", "release", "reversal", "adjustment", "processing", "awaiting_payment", "requires_action", "UsageReversed", "HoldPlaced", "HoldReleased",
		"BalanceLow", "CreditExpiringSoon", "CatalogPublished":
		return "accent"
	case "expiry", "unpaid", "expired", "closed", "HoldLapsed", "CreditExpired", "BalanceExhausted":
		return "warn"
	case "revocation", "refund", "denied", "failed", "refunded", "disputed", "GrantRevoked", "UsageDenied", "PurchaseFailed", "PurchaseRefunded", "PaymentMismatched":
		return "bad"
	}
	return ""
}

// share is part of whole in thousands, for the width of a bar.
func share(part, whole uint64) uint64 {
	if whole == 0 {
		return 0
	}
	return uint64(math.Round(float64(part) / float64(whole) * 1000))
}

// commitPath is where the journal shows a position: "<shard>/<commit>#entry-<n>".
func commitPath(position string) string {
	at, err := accounts.ParsePosition(position)
	if err != nil || at.Sequence == 0 {
		return "0/1"
	}
	return fmt.Sprintf("%d/%d#entry-%d", at.Shard, at.Sequence, at.Offset)
}

// glyphs are the icons that only the console has, drawn like those of look.
var glyphs = map[string]string{
	"chart":  `<path d="M2 13.500h12M4 11V8M8 11V3.500M12 11V6"/>`,
	"people": `<circle cx="6" cy="5.500" r="2.500"/><path d="M1.500 13.500c0-2.500 2-4 4.500-4s4.500 1.500 4.500 4M10.500 3.200a2.500 2.500 0 0 1 0 4.600M12 9.700c1.600.6 2.500 1.900 2.500 3.800"/>`,
	"layers": `<path d="m8 2 6 3-6 3-6-3zM2 8l6 3 6-3M2 11l6 3 6-3"/>`,
	"shield": `<path d="M8 1.800 13.500 4v4c0 3.200-2.300 5.200-5.500 6.200C4.800 13.200 2.500 11.200 2.500 8V4zM5.500 8l1.800 1.800L10.700 6.300"/>`,
	"pulse":  `<path d="M1.500 8.500h3l2-5 3 9.500 2-4.500h3"/>`,
	"key":    `<circle cx="5" cy="11" r="3"/><path d="m7.200 8.800 6-6M11 5l2 2M9 7l1.500 1.500"/>`,
	"wallet": `<path d="M2 5.200A1.700 1.700 0 0 1 3.700 3.500H12v2.200M2 5.200v7a1.300 1.300 0 0 0 1.300 1.300h9.400a1.300 1.300 0 0 0 1.300-1.300V7a1.300 1.300 0 0 0-1.300-1.300H2.500"/><path d="M11.200 9.600h.05"/>`,
	"list":   `<path d="M5.500 4h8M5.500 8h8M5.500 12h8M2.500 4h.05M2.500 8h.05M2.500 12h.05"/>`,
	"book":   `<path d="M3 12.500V3a1.200 1.200 0 0 1 1.200-1.200H13v12.400H4.500A1.600 1.600 0 0 1 3 12.500Zm0 0A1.500 1.500 0 0 1 4.500 11H13M6 4.800h4"/>`,
	"menu":   `<path d="M2 4h12M2 8h12M2 12h12"/>`,
	"link":   `<path d="M6.500 9.500l3-3M7.500 4.500l1.200-1.200a2.800 2.800 0 0 1 4 4L11.500 8.500M8.500 11.500l-1.200 1.200a2.800 2.800 0 0 1-4-4L4.500 7.500"/>`,
	"out":    `<path d="M6 2.500H3v11h3M10.500 5 13.500 8l-3 3M13.500 8H6.500"/>`,
}

func glyph(name string) (template.HTML, error) {
	shape, ok := glyphs[name]
	if !ok {
		return "", fmt.Errorf("there is no glyph %q", name)
	}
	return template.HTML(`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">` + shape + `</svg>`), nil
}
