package console

import "creditstream/services/credentials"

// Route is a page as tests drive it.
type Route struct {
	Method, Path string
	Open         bool // needs no key
	Own          bool
	Scope        credentials.Scope
}

// Routes is the table of all pages.
func Routes() (all []Route) {
	for _, rt := range (*Console)(nil).routes() {
		all = append(all, Route{Method: rt.method, Path: rt.path, Open: rt.scope == anybody, Own: rt.own, Scope: rt.scope})
	}
	return all
}

// Compare is compareLines.
func Compare(old, new string) []string {
	var lines []string
	for _, l := range compareLines(old, new) {
		lines = append(lines, l.Op+l.Text)
	}
	return lines
}
