package pages

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"creditstream/projections/usage"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// indicatorPath is what the indicator in another site's page asks; its script is indicatorScript.
const (
	indicatorScript = "/embed/indicator.js"
	indicatorPath   = "/embed/{tenant}/{account}"
)

// embedRoutes serves the indicator (P8, P9): one script that another site's page loads, which asks for one
// account with a short-lived token of purpose widget. A browser lets only those sites read the answer that
// the tenant's catalog names (indicator.origins), our own, and in development those of this machine.
func (p *Pages) embedRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+indicatorScript, p.serveIndicator)
	mux.HandleFunc("OPTIONS "+indicatorPath, p.allowIndicator)
	mux.HandleFunc("GET "+indicatorPath, p.answerIndicator)
	mux.HandleFunc("OPTIONS "+indicatorPath+"/live", p.allowIndicator)
	mux.HandleFunc("GET "+indicatorPath+"/live", p.followIndicator)
}

// serveIndicator serves the script. Its address holds no hash, because tenants write it into their pages.
func (p *Pages) serveIndicator(w http.ResponseWriter, r *http.Request) {
	script, err := files.ReadFile("assets/indicator.js")
	if err != nil {
		p.fault(w, r, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/javascript; charset=utf-8")
	header.Set("Cache-Control", "public, max-age=300")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if _, err := w.Write(script); err != nil {
		p.log.Debug("send the indicator", "error", err)
	}
}

// indicatorAnswer is what the indicator shows, in words: it computes nothing.
type indicatorAnswer struct {
	Language  string           `json:"language"`
	Title     string           `json:"title"`
	Available string           `json:"available"`
	Consumed  string           `json:"consumed"`
	Details   string           `json:"details"`
	Heading   string           `json:"heading"`
	None      string           `json:"none"`
	Renews    string           `json:"renews,omitempty"`
	Share     string           `json:"share"` // of the total that is consumed, "19.07%"
	Meters    []indicatorMeter `json:"meters"`
}

// indicatorMeter is what one feature consumed in this cycle. All of them sum to what is consumed.
type indicatorMeter struct {
	Name     string `json:"name"`
	Quantity string `json:"quantity"`
	Credits  string `json:"credits"`
}

// shares lets the browser of a site that the tenant names read the answer; false: it may not.
func (p *Pages) shares(w http.ResponseWriter, r *http.Request) bool {
	header := w.Header()
	header.Add("Vary", "Origin")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true // a page of our own, or no browser
	}
	t, err := p.cfg.Accounts.Tenant(r.PathValue("tenant"))
	if err != nil {
		return false
	}
	catalog := t.Books().Current()
	allowed := catalog != nil && slices.Contains(catalog.IndicatorOrigins, origin)
	if !allowed && (!p.cfg.Dev || !isLocal(origin)) {
		return false
	}
	header.Set("Access-Control-Allow-Origin", origin)
	return true
}

// isLocal reports whether a site is on this machine.
func isLocal(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return strings.EqualFold(u.Hostname(), "localhost") || ip != nil && ip.IsLoopback()
}

// allowIndicator answers what browsers ask before they send a token across sites.
func (p *Pages) allowIndicator(w http.ResponseWriter, r *http.Request) {
	if !p.shares(w, r) {
		http.Error(w, "the tenant's catalog does not name this site under indicator.origins", http.StatusForbidden)
		return
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", "GET")
	header.Set("Access-Control-Allow-Headers", "Authorization, Last-Event-ID")
	header.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// admitted finds the account of a token, and answers who may not see it.
func (p *Pages) admitted(w http.ResponseWriter, r *http.Request) *visit {
	if !p.shares(w, r) {
		http.Error(w, "the tenant's catalog does not name this site under indicator.origins", http.StatusForbidden)
		return nil
	}
	tenant, account := r.PathValue("tenant"), r.PathValue("account")
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token, err := p.cfg.Credentials.VerifyToken(text, p.cfg.Accounts.Clock().Now())
	if err != nil || !strings.EqualFold(scheme, "Bearer") || token.Purpose != credentials.Widget ||
		!token.Principal().Covers(tenant, account) || !token.Principal().Can(credentials.Read) {
		http.Error(w, "the token is not valid, or not any more", http.StatusUnauthorized)
		return nil
	}
	v := &visit{Pages: p, ctx: r.Context(), w: w, r: r, principal: token.Principal(), ends: token.Expires}
	if err := v.load(); err != nil {
		status := http.StatusServiceUnavailable
		if errors.Is(err, errNoAccount) {
			status = http.StatusNotFound
		}
		http.Error(w, "not available", status)
		return nil
	}
	return v
}

func (p *Pages) answerIndicator(w http.ResponseWriter, r *http.Request) {
	v := p.admitted(w, r)
	if v == nil {
		return
	}
	answer, err := v.indicator()
	if err != nil {
		p.log.Warn("an indicator could not be shown", "path", r.URL.Path, "reason", err)
		http.Error(w, "not available", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		p.log.Debug("send an indicator", "error", err)
	}
}

// followIndicator is the live connection of an indicator: that of the page, with a token.
func (p *Pages) followIndicator(w http.ResponseWriter, r *http.Request) {
	v := p.admitted(w, r)
	if v == nil {
		return
	}
	if err := follow(v); err != nil {
		p.log.Debug("an indicator's live connection ended", "reason", err)
	}
}

func (v *visit) indicator() (*indicatorAnswer, error) {
	balance := rules.BalanceOf(v.account, v.tenant.Books(), v.now)
	view, err := v.usageView()
	if err != nil {
		return nil, err
	}
	used, err := view.Usage(usage.Query{Account: v.account.ID(), Cycle: balance.Cycle.Number, By: usage.ByMeter})
	if err != nil {
		return nil, err
	}
	a := &indicatorAnswer{
		Language: v.L.Tag, Title: v.L.T("indicator.title"), Details: v.L.T("indicator.details"),
		Available: v.L.T("indicator.available", v.names.amount(balance.Remaining)), Consumed: v.L.T("indicator.consumed", v.names.amount(balance.Used)),
		Heading: v.L.T("indicator.by_feature"), None: v.L.T("indicator.none"), Share: "0%", Meters: []indicatorMeter{},
	}
	if parts := bar(balance.Total, []share{{"used", balance.Used}}); len(parts) > 0 {
		a.Share = parts[0].Width
	}
	if plan := v.catalog.PlanOf(v.account.Plan()); plan != nil && len(plan.Allowances) > 0 {
		a.Renews = v.L.T("indicator.renews", v.L.Day(balance.Cycle.To))
	}
	for _, g := range used.Groups {
		a.Meters = append(a.Meters, indicatorMeter{v.names.meter(g.Meter), v.L.Int(g.Quantity), v.names.amount(g.Credits)})
	}
	return a, nil
}
