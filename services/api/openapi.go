package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/swaggest/swgui/v5emb"

	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// openapi.go writes the OpenAPI 3.1 document from the table of routes and the types that it names. The
// document's model and the schemas are huma's; the requests are not, because what an idempotency key is
// bound to is the text as sent, and because a field that is misspelt is told its right name.

func docRoutes() []route {
	return []route{
		{
			id: "openapi", method: http.MethodGet, path: "/openapi.json", scope: open, summary: "This document", answer: map[string]any{},
			handle: func(c *call) (reply, error) {
				c.w.Header().Set("Content-Type", "application/json")
				_, err := c.w.Write(c.document)
				return reply{status: http.StatusOK, written: true}, err
			},
		},
		{id: "docs", method: http.MethodGet, path: "/docs", scope: open, stream: true, summary: "This document, for people", answerMedia: "text/html", handle: docs},
		{id: "docsAssets", method: http.MethodGet, path: "/docs/", scope: open, stream: true, hidden: true, handle: docs},
	}
}

var docsPage = v5emb.New("Creditstream", "/openapi.json", "/docs")

// docs serves the pages from the binary: they work without a network, and may load nothing from one.
func docs(c *call) (reply, error) {
	c.w.Header().Set("Content-Security-Policy", "default-src 'self' 'unsafe-inline' data:; frame-ancestors 'none'")
	docsPage.ServeHTTP(c.w, c.r)
	return reply{status: http.StatusOK, written: true}, nil
}

// document encodes the OpenAPI document of the routes.
func document(routes []route) ([]byte, *huma.OpenAPI) {
	schemas := huma.NewMapRegistry("#/components/schemas/", schemaName)
	schemas.RegisterTypeAlias(reflect.TypeFor[credentials.Scopes](), reflect.TypeFor[[]string]())
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Creditstream", Version: "1",
			Description: "An event-sourced credit system. Amounts of credits are decimal texts; times are RFC 3339; a `position` is opaque.\n\n" +
				"Repeating a request with the same `Idempotency-Key` is always safe: the original answer comes back with `replayed` true. " +
				"A 5xx answer or a lost connection means that the outcome is unknown: repeat the request.",
		},
		// In the order in which they are read: what feature services need comes first.
		Tags: []*huma.Tag{
			{Name: "account", Description: "One account: charge, hold, ask, buy, grant, explain"},
			{Name: "tenant", Description: "A business: its catalog, its accounts, its journal"},
			{Name: "operator", Description: "The server's keys, views and journals"},
			{Name: "server", Description: "What needs no key"},
		},
		Components: &huma.Components{
			Schemas:         schemas,
			SecuritySchemes: map[string]*huma.SecurityScheme{"key": {Type: "http", Scheme: "bearer", Description: "An API key, or an account's token."}},
		},
	}
	problems := schemas.Schema(reflect.TypeFor[Problem](), true, "")
	for i := range routes {
		if !routes[i].hidden {
			doc.AddOperation(routes[i].operation(schemas, problems))
		}
	}
	for _, schema := range schemas.Map() {
		allowNull(schema)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		panic(fmt.Sprintf("api: encode the OpenAPI document: %v", err))
	}
	return text, doc
}

// schemaName tells types of the same name apart by their package.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if at := path.Base(t.PkgPath()); t.Name() != "" && t.PkgPath() != "" && at != "api" {
		return strings.ToUpper(at[:1]) + at[1:] + name
	}
	return name
}

// allowNull lets a field that points to a schema of its own be null, as our answers have it where there
// is nothing to tell.
func allowNull(schema *huma.Schema) {
	for name, property := range schema.Properties {
		if property.Ref != "" && slices.Contains(schema.Required, name) && nullable[name] {
			schema.Properties[name] = &huma.Schema{AnyOf: []*huma.Schema{{Ref: property.Ref}, {Type: "null"}}, Description: property.Description}
		}
	}
}

// nullable are the objects that can be null where they are not left out.
var nullable = map[string]bool{"pending": true, "payment_method": true, "price": true, "topup": true}

var pathParam = regexp.MustCompile(`\{([a-z]+)\}`)

func (rt *route) operation(schemas huma.Registry, problems *huma.Schema) *huma.Operation {
	op := &huma.Operation{
		OperationID: rt.id, Method: rt.method, Path: rt.path, Summary: rt.summary, Description: rt.describe(), Tags: []string{rt.tag()},
		Responses: map[string]*huma.Response{},
	}
	for _, m := range pathParam.FindAllStringSubmatch(rt.path, -1) {
		op.Parameters = append(op.Parameters, &huma.Param{Name: m[1], In: "path", Required: true, Schema: &huma.Schema{Type: "string"}})
	}
	for _, q := range rt.query {
		op.Parameters = append(op.Parameters, &huma.Param{Name: q.name, In: "query", Description: q.detail, Schema: q.schema()})
	}
	if rt.key != keyNone {
		limit := maxKey
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: "Idempotency-Key", In: "header", Required: rt.key == keyRequired, Schema: &huma.Schema{Type: "string", MaxLength: &limit},
		})
	}
	if rt.scope != open {
		op.Security = []map[string][]string{{"key": {}}}
	}
	if rt.request != nil {
		op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{}, Required: rt.key != keyOptional}
		schema := schemas.Schema(reflect.TypeOf(rt.request), true, "")
		for _, media := range mediaTypes(rt.requestMedia) {
			op.RequestBody.Content[media] = &huma.MediaType{Schema: schema}
		}
	}
	success := &huma.Response{Description: "Done", Content: map[string]*huma.MediaType{}}
	if rt.answer != nil {
		success.Content["application/json"] = &huma.MediaType{Schema: schemas.Schema(reflect.TypeOf(rt.answer), true, "")}
	}
	if rt.answerMedia != "" {
		for _, media := range mediaTypes(rt.answerMedia) {
			success.Content[media] = &huma.MediaType{}
		}
	}
	op.Responses[strconv.Itoa(rt.successStatus())] = success
	for status, description := range rt.refusals() {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: description, Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problems}},
		}
	}
	return op
}

func mediaTypes(list string) []string {
	if list == "" {
		return []string{"application/json"}
	}
	return strings.Split(list, " ")
}

func (rt *route) successStatus() int {
	if rt.status == 0 {
		return http.StatusOK
	}
	return rt.status
}

func (rt *route) describe() string {
	text := rt.detail
	add := func(s string) { text = strings.TrimSpace(text + "\n\n" + s) }
	if rt.scope != open {
		add("Scope: `" + rt.scope.String() + "`.")
	}
	if rt.person {
		add("The key has to be a person's.")
	}
	return text
}

// tag groups the operations by what they are about.
func (rt *route) tag() string {
	switch {
	case strings.HasPrefix(rt.path, adminPath):
		return "operator"
	case rt.ofAccount():
		return "account"
	case rt.ofTenant():
		return "tenant"
	}
	return "server"
}

// refusals are the codes that the endpoint can answer with, by status.
func (rt *route) refusals() map[int]string {
	codes := slices.Clone(rt.codes)
	if rt.scope != open {
		codes = append(codes, codeUnauthenticated, rules.CodeForbidden, rules.CodeInvalid, codeTooManyRequests, codeUnavailable)
	}
	if rt.ofTenant() {
		codes = append(codes, codeUnknownTenant)
	}
	if rt.request != nil {
		codes = append(codes, rules.CodeTooLarge)
	}
	byStatus := make(map[int]map[string]bool)
	for _, code := range codes {
		status := statusOf[code].status
		if byStatus[status] == nil {
			byStatus[status] = make(map[string]bool)
		}
		byStatus[status][string(code)] = true
	}
	descriptions := make(map[int]string, len(byStatus))
	for status, set := range byStatus {
		descriptions[status] = "`" + strings.Join(slices.Sorted(maps.Keys(set)), "`, `") + "`"
	}
	return descriptions
}

func (p *param) schema() *huma.Schema {
	switch p.kind {
	case "date-time":
		return &huma.Schema{Type: "string", Format: "date-time"}
	default:
		return &huma.Schema{Type: p.kind}
	}
}
