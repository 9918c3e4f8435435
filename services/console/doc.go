// Package console is the operator's and the support's pages under /admin: tenants and their accounts, the
// journal, views, catalogs, keys, and how the server does.
//
// It decides nothing. What changes anything is a request to the HTTP API of the same process (ask.go), as
// the principal that signed in: the same checks, the same answers, the same actor in the journal. What is
// only looked at and the API does not tell (the commits, the samples, the bus) is read from the services
// themselves, behind the one guard of routes.go.
//
// Start reading in routes.go: the table of all pages, and who may see each. session.go says who is
// signed in; the other files are a page each. templates/ are the pages, assets/ what is not shared with
// the other pages of services/look.
//
// It may import the services, projections and services/look; node wires it.
package console
