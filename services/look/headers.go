package look

import (
	"net/http"
	"strings"
)

// policy is what a page may load: our own files, and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Secure puts the headers of a page on every answer, and refuses changes that another site's page asks
// for through a visitor's browser (by Sec-Fetch-Site, else by Origin). No page can be framed.
func Secure(next http.Handler) http.Handler {
	checked := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()")
		header.Set("Cache-Control", "no-store")
		if r.TLS != nil {
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		checked.ServeHTTP(w, r)
	})
}

// Cookie makes a cookie safe: for our pages only, out of reach of scripts, sent along when a visitor
// follows a link to us but with nothing that another site asks for by itself.
func Cookie(r *http.Request, c http.Cookie) *http.Cookie {
	c.HttpOnly, c.SameSite = true, http.SameSiteLaxMode
	c.Secure = r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
	return &c
}
