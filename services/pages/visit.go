package pages

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/api"
	"creditstream/services/credentials"
	"creditstream/services/look"
	"creditstream/services/rules"
)

// visit is one request on its way to an account's page.
type visit struct {
	*Pages
	ctx       context.Context
	w         http.ResponseWriter
	r         *http.Request
	principal credentials.Principal
	session   string    // the token, "" in development
	ends      time.Time // when the session ends; zero: it does not
	opened    time.Time // until when the code opened the page; zero: no code was needed
	tenant    *accounts.Tenant
	catalog   *rules.Catalog
	account   *credit.Account // settled virtually up to now
	now       time.Time
	at        accounts.Position
	base      string
	names     names
	L         *look.Locale
}

// visited finds out who asks for which account, and answers those who may not.
func (p *Pages) visited(show func(*visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if look.KeepLanguage(w, r) || p.enter(w, r) {
			return
		}
		v := &visit{Pages: p, ctx: r.Context(), w: w, r: r, base: basePath(r.PathValue("tenant"), r.PathValue("account"))}
		if !v.isLive() {
			ctx, cancel := context.WithTimeout(v.ctx, p.cfg.AnswerWithin)
			defer cancel()
			v.ctx = ctx
		}
		if !v.recognise() {
			p.endSession(w, r)
			return
		}
		err := v.load()
		if errors.Is(err, errNoAccount) {
			p.endSession(w, r)
			return
		}
		if err == nil {
			err = show(v)
		}
		if err != nil {
			p.fault(w, r, err)
		}
	})
}

// guarded is visited, behind the manager's code where the catalog asks for one.
func (p *Pages) guarded(show func(*visit) error) http.Handler {
	return p.visited(func(v *visit) error {
		if open, err := v.isOpen(); err != nil || !open {
			return errors.Join(err, v.askForCode())
		}
		return show(v)
	})
}

func (v *visit) isLive() bool { return strings.HasSuffix(v.r.Pattern, "/live") }

// sessionCookie names the cookie of one account, so that a browser can have the pages of several open.
func sessionCookie(tenant, account string) string {
	sum := sha256.Sum256([]byte(tenant + "/" + account))
	return "cs_" + base64.RawURLEncoding.EncodeToString(sum[:9])
}

// enter exchanges a token in the address for a cookie, and sends the visitor on to the address without
// it. It reports whether it has answered.
func (p *Pages) enter(w http.ResponseWriter, r *http.Request) bool {
	values := r.URL.Query()
	text := values.Get("token")
	if text == "" || r.Method != http.MethodGet {
		return false
	}
	tenant, account := r.PathValue("tenant"), r.PathValue("account")
	now := p.cfg.Accounts.Clock().Now()
	token, err := p.cfg.Credentials.VerifyToken(text, now)
	if err != nil || token.Purpose != credentials.Page || !token.Principal().Covers(tenant, account) {
		p.endSession(w, r)
		return true
	}
	http.SetCookie(w, look.Cookie(r, http.Cookie{
		Name: sessionCookie(tenant, account), Value: text, Path: accountsPrefix, MaxAge: max(1, int(token.Expires.Sub(now)/time.Second)),
	}))
	values.Del("token")
	to := *r.URL
	to.RawQuery = values.Encode()
	http.Redirect(w, r, to.RequestURI(), http.StatusSeeOther)
	return true
}

// recognise finds the session; in development a request from this machine needs none.
func (v *visit) recognise() bool {
	tenant, account := v.r.PathValue("tenant"), v.r.PathValue("account")
	if cookie, err := v.r.Cookie(sessionCookie(tenant, account)); err == nil {
		token, err := v.cfg.Credentials.VerifyToken(cookie.Value, v.cfg.Accounts.Clock().Now())
		if err == nil && token.Purpose == credentials.Page && token.Principal().Covers(tenant, account) {
			v.principal, v.session, v.ends = token.Principal(), cookie.Value, token.Expires
			return v.principal.Can(credentials.Read)
		}
	}
	if v.cfg.Dev && api.FromHere(v.r) {
		v.principal = credentials.Operator()
		return true
	}
	return false
}

// errNoAccount says that there is nothing to show. Whoever may not know so sees what the holder of an old
// link sees.
var errNoAccount = errors.New("no such account")

// load reads the account, and the catalog that names everything.
func (v *visit) load() (err error) {
	if v.tenant, err = v.cfg.Accounts.Tenant(v.r.PathValue("tenant")); err != nil {
		if errors.Is(err, accounts.ErrUnknownTenant) {
			return errNoAccount
		}
		return err
	}
	if v.catalog = v.tenant.Books().Current(); v.catalog == nil {
		return errNoAccount
	}
	if v.account, v.now, v.at, err = v.tenant.Account(v.r.PathValue("account")); err != nil {
		return err
	}
	if !v.account.Exists() {
		return errNoAccount
	}
	zone, err := time.LoadLocation(v.account.Timezone())
	if err != nil {
		return fmt.Errorf("the account's time zone: %w", err)
	}
	v.L = v.cfg.Look.Locale(look.Choose(v.r, v.catalog.Language), zone, v.texts)
	v.names = names{v.catalog, v.L}
	return nil
}

// endSession says that a link is not valid, or not any more. A part of a page makes the whole page say so.
func (p *Pages) endSession(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("HX-Request") != "" {
		w.Header().Set("HX-Refresh", "true")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	brand, language := "Creditstream", ""
	if t, err := p.cfg.Accounts.Tenant(r.PathValue("tenant")); err == nil {
		if c := t.Books().Current(); c != nil {
			brand, language = c.Name, c.Language
		}
	}
	f := p.plainFrame(r, brand, language, "session.title")
	p.say(w, r, http.StatusUnauthorized, message{f, "lock", f.L.T("session.title"), f.L.T("session.text", brand)})
}

// The manager's code (T13). A right one opens the page for one browser and Approval.ViewFor: a cookie says
// until when, sealed together with the session that it was given in.

func codeCookie(tenant, account string) string { return sessionCookie(tenant, account) + "_code" }

func (v *visit) sealOf(until int64) string {
	mac := hmac.New(sha256.New, v.seal[:])
	fmt.Fprintf(mac, "%q %q %d %s", v.tenant.Name(), v.account.ID(), until, v.session)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// isOpen reports whether the page needs no code, or was given one.
func (v *visit) isOpen() (bool, error) {
	if kind := v.catalog.Approval.View; kind == "" || kind == rules.ApprovalOff {
		return true, nil
	}
	cookie, err := v.r.Cookie(codeCookie(v.tenant.Name(), v.account.ID()))
	if err != nil {
		return false, nil
	}
	when, seal, _ := strings.Cut(cookie.Value, ".")
	until, err := strconv.ParseInt(when, 10, 64)
	if err != nil || !hmac.Equal([]byte(seal), []byte(v.sealOf(until))) {
		return false, nil
	}
	v.opened = time.Unix(until, 0)
	return v.now.Before(v.opened), nil
}

// codePage asks for the code.
type codePage struct {
	look.Frame
	Account string
	Action  string
	TOTP    bool
	Minutes string
	Refused *refusal
	Locked  bool
	Unset   bool
}

func (v *visit) askForCode() error {
	if v.r.Header.Get("HX-Request") != "" || v.isLive() {
		v.w.Header().Set("HX-Refresh", "true")
		v.w.WriteHeader(http.StatusNoContent) // which also ends a live connection for good
		return nil
	}
	return v.showCodePage(http.StatusOK, nil)
}

func (v *visit) showCodePage(status int, refused error) error {
	f := v.frame("code.title")
	f.Slim, f.Live, f.Tabs = true, "", nil
	page := codePage{
		Frame: f, Account: v.account.ID(), Action: v.base + "/code", TOTP: v.catalog.Approval.View == rules.ApprovalTOTP,
		Minutes: v.L.Int(int64(v.catalog.Approval.ViewFor / time.Minute)), Unset: v.cfg.Credentials.Has(v.tenant.Name(), v.account.ID()) == credentials.KindNone,
	}
	if refused != nil {
		page.Refused = v.refusalOf(refused)
		page.Locked = errors.Is(refused, credentials.ErrLocked)
	}
	return v.pages.Write(v.w, status, "code", page)
}

// giveCode checks a code. A TOTP is taken where a PIN is asked for, not the other way round.
func giveCode(v *visit) error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	code := strings.TrimSpace(v.r.PostFormValue("code"))
	tenant, account := v.tenant.Name(), v.account.ID()
	if v.catalog.Approval.View == rules.ApprovalTOTP && v.cfg.Credentials.Has(tenant, account) != credentials.KindTOTP {
		return v.showCodePage(http.StatusForbidden, credentials.ErrNotSet)
	}
	if err := v.cfg.Credentials.Verify(v.ctx, tenant, account, code, v.now); err != nil {
		if isRefusal(err) {
			return v.showCodePage(http.StatusForbidden, err)
		}
		return err
	}
	until := v.now.Add(v.catalog.Approval.ViewFor).Unix()
	http.SetCookie(v.w, look.Cookie(v.r, http.Cookie{
		Name: codeCookie(tenant, account), Value: strconv.FormatInt(until, 10) + "." + v.sealOf(until), Path: accountsPrefix,
	}))
	http.Redirect(v.w, v.r, v.base, http.StatusSeeOther)
	return nil
}

// lock closes the page again before its time.
func lock(v *visit) error {
	http.SetCookie(v.w, look.Cookie(v.r, http.Cookie{Name: codeCookie(v.tenant.Name(), v.account.ID()), Path: accountsPrefix, MaxAge: -1}))
	http.Redirect(v.w, v.r, v.base, http.StatusSeeOther)
	return nil
}

// maxForm bounds the body of a form in bytes.
const maxForm = 16 << 10

// frame is the frame of one part of the account's page.
func (v *visit) frame(title string) look.Frame {
	path := v.r.URL.Path
	f := look.Frame{
		L: v.L, Title: v.L.T(title), Brand: v.names.tenant(), Home: v.base, Switch: look.Languages(), Styles: []string{"account.css"},
		Live: v.base + "/live?seen=" + strconv.FormatUint(v.at.Sequence, 10),
		Tabs: []look.Tab{
			{Name: v.L.T("tab.overview"), Path: v.base},
			{Name: v.L.T("tab.usage"), Path: v.base + "/usage", Current: strings.HasSuffix(path, "/usage")},
		},
	}
	if v.mayBuyHere() {
		f.Tabs = append(f.Tabs, look.Tab{Name: v.L.T("tab.buy"), Path: v.base + "/buy", Current: strings.HasSuffix(path, "/buy")})
	}
	f.Tabs[0].Current = v.r.Pattern == "GET "+accountPath
	return f
}

// mayBuyHere reports whether the page offers to buy at all: something is for sale, and the session may
// buy. Whether this account may is said on the page.
func (v *visit) mayBuyHere() bool {
	return v.principal.Can(credentials.Purchase) && (len(v.catalog.PackOrder) > 0 || v.catalog.TopUp != nil)
}
