// Package pages is what customers see: the account's page and the indicator that a tenant puts into
// its own pages. A page asks what the HTTP door asks and orders what it orders, of the same services:
// nothing is decided here.
//
// Start reading in pages.go, the table of addresses. visit.go takes a request to its account: the
// session (a token, exchanged for a cookie), the manager's code where the tenant's catalog asks for it.
// overview.go, history.go, consumption.go and buying.go are the parts of the page; live.go and hub.go
// tell a page that its account changed; refusals.go says in plain words why something was refused and
// what to do next; names.go calls things what the tenant's catalog calls them.
//
// Pages are HTML from html/template and work without scripts, but for the live parts. The frame, the
// design and the languages are those of services/look.
//
// It imports services/look, the inner services and the views, and services/api for what both doors share.
package pages
