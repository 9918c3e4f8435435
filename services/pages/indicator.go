package pages

import "net/http"

func (p *Pages) embedRoutes(mux *http.ServeMux) {}
