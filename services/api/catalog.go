package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"go.yaml.in/yaml/v4"

	"creditstream/services/credentials"
	"creditstream/services/rules"
)

func catalogRoutes() []route {
	return []route{
		{
			id: "publishCatalog", method: http.MethodPut, path: tenantPath + "/catalog", scope: credentials.Catalog,
			summary: "Publish a new version of the tenant's rules",
			detail:  "YAML or JSON. Everything that is wrong is told at once, with its line. A catalog equal to the one in force changes nothing.",
			query:   []param{{"dry_run", "boolean", "Only say what would change."}},
			request: map[string]any{}, requestMedia: "application/yaml application/json", answer: CatalogPublished{}, handle: publishCatalog,
		},
		{
			id: "getCatalog", method: http.MethodGet, path: tenantPath + "/catalog", scope: credentials.Read,
			summary: "The catalog in force", detail: "With `Accept: application/yaml`, the YAML alone.",
			query:  []param{{"version", "integer", "Another version than the one in force."}},
			answer: CatalogInForce{}, answerMedia: "application/yaml", codes: []rules.Code{codeNotFound}, handle: getCatalog,
		},
	}
}

// CatalogPublished is what publishing came to.
type CatalogPublished struct {
	Version uint32   `json:"version" doc:"In force now."`
	Diff    []string `json:"diff" doc:"What changed, in words."`
	DryRun  bool     `json:"dry_run,omitempty"`
}

// CatalogInForce is a catalog with every setting spelled out.
type CatalogInForce struct {
	Version uint32          `json:"version"`
	Catalog json.RawMessage `json:"catalog" doc:"The order of fields counts: packs are listed in it."`
	Source  string          `json:"source" doc:"The same as YAML."`
}

func publishCatalog(c *call) (reply, error) {
	text, err := c.text(maxBody)
	if err != nil {
		return reply{}, err
	}
	if c.r.URL.Query().Get("dry_run") == "true" {
		return c.compareCatalog(text)
	}
	version, changes, err := c.tenant.Publish(c.ctx, text, c.principal.Actor)
	if err != nil {
		return reply{}, err
	}
	return ok(CatalogPublished{Version: version, Diff: append([]string{}, changes...)})
}

func (c *call) compareCatalog(text []byte) (reply, error) {
	next, err := rules.ParseCatalog(text)
	if err != nil {
		return reply{}, err
	}
	current := c.tenant.Books().Current()
	if err := next.Follows(current); err != nil {
		return reply{}, err
	}
	answer := CatalogPublished{Diff: append([]string{}, rules.Diff(current, next)...), DryRun: true}
	if current != nil {
		answer.Version = current.Version
	}
	return ok(answer)
}

func getCatalog(c *call) (reply, error) {
	version, err := c.intParam("version", 1, 1<<31-1, 0)
	if err != nil {
		return reply{}, err
	}
	catalog := c.tenant.Books().Current()
	if version != 0 {
		catalog = c.tenant.Books().Version(uint32(version))
	}
	if catalog == nil {
		return reply{}, &rules.Refusal{Code: codeNotFound, Detail: "no such catalog was published"}
	}
	if accept := c.r.Header.Get("Accept"); strings.Contains(accept, "yaml") {
		c.w.Header().Set("Content-Type", "application/yaml")
		_, err := c.w.Write(catalog.Source)
		if err != nil {
			c.log.Debug("send a catalog", "error", err)
		}
		return reply{status: http.StatusOK, written: true}, nil
	}
	settings, err := asJSON(catalog.Source)
	if err != nil {
		return reply{}, fmt.Errorf("read catalog %d of %s: %w", catalog.Version, c.tenant.Name(), err)
	}
	return ok(CatalogInForce{Version: catalog.Version, Catalog: settings, Source: string(catalog.Source)})
}

// asJSON writes a YAML document as JSON, with the fields in their order.
func asJSON(source []byte) (json.RawMessage, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(source, &document); err != nil {
		return nil, err
	}
	if document.Kind == yaml.DocumentNode && len(document.Content) == 1 {
		return appendNode(nil, document.Content[0])
	}
	return nil, fmt.Errorf("the source is not one YAML document")
}

func appendNode(dst []byte, node *yaml.Node) ([]byte, error) {
	var err error
	switch node.Kind {
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i := 0; i+1 < len(node.Content); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendJSONText(dst, node.Content[i].Value), ':')
			if dst, err = appendNode(dst, node.Content[i+1]); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, element := range node.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendNode(dst, element); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	}
	var scalar any
	if err := node.Decode(&scalar); err != nil {
		return nil, err
	}
	text, err := json.Marshal(scalar)
	return append(dst, text...), err
}
