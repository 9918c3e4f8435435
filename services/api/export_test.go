package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

var described = sync.OnceValue(func() *huma.OpenAPI {
	_, doc := document((&API{}).routes())
	return doc
})

// SetCutGrace sets how long requests that were cut short have for leaving.
func (a *API) SetCutGrace(d time.Duration) { a.visits.grace = d }

// Following is how many of a tenant's places for followers are taken.
func (a *API) Following(tenant string) int {
	c := &a.limits.followers
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.here[tenant]
}

// AsDescribed compares an answer with what the document says of it.
func AsDescribed(method, path string, status int, media string, body []byte) error {
	op := operationOf(method, path)
	if op == nil {
		return nil
	}
	response := op.Responses[strconv.Itoa(status)]
	if response == nil {
		return fmt.Errorf("%s does not say that it answers %d", op.OperationID, status)
	}
	media, _, _ = strings.Cut(media, ";")
	content := response.Content[media]
	if content == nil {
		return fmt.Errorf("%s does not say that it answers %d with %s", op.OperationID, status, media)
	}
	if content.Schema == nil || !strings.HasSuffix(media, "json") {
		return nil
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return err
	}
	var found huma.ValidateResult
	huma.Validate(described().Components.Schemas, content.Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, v, &found)
	return errors.Join(found.Errors...)
}

func operationOf(method, path string) *huma.Operation {
	for pattern, item := range described().Paths {
		if !matches(pattern, path) {
			continue
		}
		op := reflect.ValueOf(item).Elem().FieldByName(method[:1] + strings.ToLower(method[1:]))
		if op.IsValid() && !op.IsNil() {
			return op.Interface().(*huma.Operation)
		}
	}
	return nil
}

func matches(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if want[i] != got[i] && !strings.HasPrefix(want[i], "{") {
			return false
		}
	}
	return true
}
