package console_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// TestExplain holds that support finds out where credits went: the balance as steps that add up to it, the price
// and the lots of one use, and why another would be refused.
func TestExplain(t *testing.T) {
	w := filled(t)
	v := &visitor{w: w, client: http.DefaultClient}
	lumen := "/admin/t/adtech/accounts/studio-lumen"
	says := func(path string, words ...string) string {
		t.Helper()
		status, text := v.get(path)
		text = html.UnescapeString(text)
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, status, text)
		}
		plain := strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(text, " ")), " ")
		for _, word := range words {
			if !strings.Contains(plain, word) {
				t.Errorf("%s does not say %q:\n%s", path, word, plain)
			}
		}
		return text
	}
	all := says(lumen+"/explain",
		"2,760.12 3,025 total − 224.88 used − 40 held",
		"The plan is pro from here on. Granted: 2500 credits in pool allowance as lot l1",
		"Granted as goodwill: 25 credits in pool extra as lot l3", "“Sorry for the outage on Tuesday”", "+25 extra → 3,025",
		"66 dynamic_video cost 66 credits at 1 each. Paid by lot l1 (allowance) 66. “Campaign 109”", "−66 allowance → 2,838.22", "used +66",
		"opening Nothing came before.",
	)
	if strings.Contains(all, "Earlier in this cycle") || strings.Contains(all, "The cycle before") {
		t.Error("there is nothing before")
	}

	entry := regexp.MustCompile(lumen + `/explain\?entry=([^"]+)"`).FindStringSubmatch(all)
	if entry == nil {
		t.Fatal("no step leads to its lots")
	}
	says(lumen+"/explain?entry="+entry[1], "Entry world-23", "Asked by operator", "Hold h1 set aside 40 credits for 40 dynamic_video",
		"40 × 1 = 40", "l1 allowance 2,275.12 40", "first in burn order", "l3 extra 25 –", "not needed")
	history := says(lumen + "/history?type=usage")
	if !strings.Contains(history, lumen+"/explain?entry=") {
		t.Error("the history does not lead to why")
	}
	says("/admin/t/adtech/accounts/vinho-e-mar/history", "plan to standard")

	says(lumen+"/explain?meter=dynamic_video&quantity=5000", "No: 5000 dynamic_video cost 5000 credits, dynamic_video may draw 2760.12, so 2239.88 are missing.", "What blocks it: credits.")
	says(lumen+"/explain?meter=dynamic_video&quantity=2", "Yes: 2 dynamic_video cost 2 credits")
	says(lumen+"/explain?meter=dynamic_video&quantity=lots", "2,760.12", "expected")
	says(lumen+"/explain?at=yesterday", "a day and a time are expected")
	says(lumen+"/explain?at=2020-01-01T00:00&known_at=2100-01-01T00:00:01", "the account was opened later", "lies in the future", "2,760.12")
	if status, _ := v.get(lumen + "/explain?entry=" + url.QueryEscape("0/999999")); status == http.StatusOK {
		t.Error("an entry that there is not is explained")
	}
}
