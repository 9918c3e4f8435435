package pages_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"creditstream/projections/statement"
)

// What people write about an account is sealed in the journal and can be read on its page, until it is erased:
// then the page goes on without it, and says that it was erased.
func TestWhatWasWritten(t *testing.T) {
	w := newWorld(t)
	a := w.open("adtech", "shop", `{"plan":"pro"}`)
	w.use(a, "dynamic_video", 2, `,"description":"Maria's wedding"`)
	w.api("POST", a+"/grants", `{"pool":"extra","credits":"5","kind":"goodwill","reason":"Sorry, Maria"}`)
	v := newVisitor(t)
	shown := func(says string, not ...string) {
		t.Helper()
		for _, address := range []string{w.page("adtech", "shop"), w.page("adtech", "shop") + "/history", w.page("adtech", "shop") + "/history/new?since=0.0"} {
			got := v.get(address)
			if got.status != http.StatusOK || !strings.Contains(got.text, says) {
				t.Errorf("%s is answered with %d, and does not say %q:\n%s", address, got.status, says, got.text)
			}
			for _, text := range append(not, "sealed:") {
				if strings.Contains(got.text, text) {
					t.Errorf("%s says %q", address, text)
				}
			}
		}
	}
	shown("Maria&#39;s wedding")
	shown("Sorry, Maria")
	w.api("DELETE", a+"/personal", "")
	shown("2 × Dynamic videos", "Maria")
	shown("Notes erased", "Maria")
}

// Every type of line can be chosen in both languages, by a word and not by its name in the API.
func TestEveryTypeOfLineHasAWord(t *testing.T) {
	w := newWorld(t)
	w.open("adtech", "shop", `{"plan":"pro"}`)
	v := newVisitor(t)
	option := regexp.MustCompile(`<option value="([a-z]+)"[^>]*>([^<]*)</option>`)
	for _, language := range []string{"en", "pt"} {
		words := make(map[string]string)
		for _, found := range option.FindAllStringSubmatch(v.get(w.page("adtech", "shop")+"?lang="+language).text, -1) {
			words[found[1]] = found[2]
		}
		for _, kind := range statement.Types() {
			if word := words[string(kind)]; word == "" || strings.HasPrefix(word, "type.") {
				t.Errorf("in %s %s is called %q", language, kind, word)
			}
		}
	}
}
