package console_test

import (
	"net/url"
	"os"
	"slices"
	"testing"

	"creditstream/services/internal/browser"
)

// TestPagesAreForEverybody opens the pages on a desktop and on a phone, in light and in dark, and holds them to
// axe-core. Each page has to fit its window, and to leave nothing in the browser's console. Those that are seldom
// needed are opened in each size and each scheme once.
func TestPagesAreForEverybody(t *testing.T) {
	b := browser.Start(t)
	w := filled(t)
	w.key("", "ops@creditstream", true, "read", "admin")
	w.key("adtech", "render-service", false, "usage")
	publish(w, "adtech", "price: 1                   # credit per two images", "price: 2                   # credit per two images")
	adtech := "/admin/t/adtech"
	lumen := adtech + "/accounts/studio-lumen"
	var latest struct{ Entries []struct{ Position string } }
	w.do("GET", "/v1/tenants/adtech/accounts/studio-lumen/history?limit=1", "", &latest)
	seldom := []string{"tenants", "verify", "health", "keys", "key-new", "purchases", "holds", "commit", "live", "diff", "catalog-edit", "explain-use"}
	pages := []struct{ name, path, wait string }{
		{"sign-in", "/admin/sign-in", "#apikey"},
		{"overview", "/admin/overview", "[data-vitals][data-samples]"},
		{"tenants", "/admin/tenants", "tbody tr"},
		{"views", "/admin/views", "#views"},
		{"verify", "/admin/verify", "form.filters"},
		{"health", "/admin/health", "#h-streams"},
		{"keys", "/admin/keys", "tbody tr"},
		{"key-new", "/admin/keys/new", "#k-actor"},
		{"accounts", adtech + "/accounts", "tbody tr"},
		{"account", lumen, "#h-lots"},
		{"history", lumen + "/history", "tbody tr"},
		{"explain", lumen + "/explain", ".con-timeline"},
		{"explain-use", lumen + "/explain?meter=dynamic_video&quantity=5000#use", "#use table"},
		{"explain-entry", lumen + "/explain?entry=" + url.QueryEscape(latest.Entries[0].Position), "#h-choice"},
		{"purchases", lumen + "/purchases", "tbody tr"},
		{"holds", lumen + "/holds", "tbody tr"},
		{"grant", lumen + "/grant", "#g-credits"},
		{"journal", adtech + "/journal", "tbody tr"},
		{"commit", adtech + "/journal/0/4", "#h-chain"},
		{"live", adtech + "/journal/live", "#tail-state.good"},
		{"catalog", adtech + "/catalog", "#h-source"},
		{"diff", adtech + "/catalog/diff", "#h-lines"},
		{"catalog-edit", adtech + "/catalog/edit", "#source"},
	}
	for _, guise := range browser.Guises() {
		tab := b.Tab(guise.Visitor)
		for _, page := range pages {
			if guise.Phone != guise.Dark && slices.Contains(seldom, page.name) && os.Getenv("CREDITSTREAM_SCREENSHOTS") == "" {
				continue
			}
			tab.Go(w.url + page.path)
			tab.See(page.wait)
			tab.Screenshot(page.name+"-"+guise.Name, true)
			tab.Axe()
			tab.Fits()
		}
	}
}

// publish publishes a changed copy of the catalog file of a tenant.
func publish(w *world, tenant, old, now string) {
	w.t.Helper()
	source := replaceOnce(w.t, read(w.t, "../../deploy/catalogs/"+tenant+".yaml"), old, now)
	w.do("PUT", "/v1/tenants/"+url.PathEscape(tenant)+"/catalog", source, nil)
}
