package console_test

import (
	"net/url"
	"os"
	"testing"

	"creditstream/services/internal/browser"
)

// TestPagesAreForEverybody opens every page on a desktop and on a phone, in light and dark, and holds it to
// axe-core. Each page has to fit its window, and to leave nothing in the browser's console.
func TestPagesAreForEverybody(t *testing.T) {
	b := browser.Start(t)
	w := filled(t)
	w.key("", "ops@creditstream", true, "read", "admin")
	w.key("adtech", "render-service", false, "usage")
	publish(w, "adtech", "price: 1                   # credit per two images", "price: 2                   # credit per two images")
	adtech := "/admin/t/adtech"
	lumen := adtech + "/accounts/studio-lumen"
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
	for _, visitor := range []struct {
		name string
		browser.Visitor
	}{
		{"desktop-light", browser.Visitor{}}, {"desktop-dark", browser.Visitor{Dark: true}},
		{"phone-light", browser.Visitor{Phone: true}}, {"phone-dark", browser.Visitor{Phone: true, Dark: true}},
	} {
		if os.Getenv("CREDITSTREAM_SCREENSHOTS") == "" && visitor.Phone != visitor.Dark {
			continue // each scheme and each size once is enough, unless all pictures are wanted
		}
		tab := b.Tab(visitor.Visitor)
		for _, page := range pages {
			tab.Go(w.url + page.path)
			tab.See(page.wait)
			tab.Axe()
			if wide := browser.Value[int](tab, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
				t.Errorf("%s on %s is %d pixels wider than the window", page.name, visitor.name, wide)
			}
			tab.Screenshot(page.name+"-"+visitor.name, true)
		}
	}
}

// publish publishes a changed copy of the catalog file of a tenant.
func publish(w *world, tenant, old, now string) {
	w.t.Helper()
	source := replaceOnce(w.t, read(w.t, "../../deploy/catalogs/"+tenant+".yaml"), old, now)
	w.do("PUT", "/v1/tenants/"+url.PathEscape(tenant)+"/catalog", source, nil)
}
