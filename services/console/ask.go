package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"creditstream/services/api"
)

// refusal is what the API answered instead of doing it.
type refusal struct{ api.Problem }

func (r *refusal) Error() string { return r.Code + ": " + r.Detail }

// question is one request to the API of this process.
type question struct {
	method, path string
	query        url.Values
	key          string // the Idempotency-Key
	media        string // of body; "" is JSON
	accept       string
	last         string // Last-Event-ID
	body         []byte
}

func get(path string, query url.Values) question {
	return question{method: http.MethodGet, path: path, query: query}
}

func post(path, key string, body any) question {
	text, err := json.Marshal(body)
	if err != nil {
		panic("console: a request is no JSON: " + err.Error())
	}
	return question{method: http.MethodPost, path: path, key: key, body: text}
}

// of is the path of the visit's tenant in the API, or of one of its accounts, and what comes below.
func (v *visit) of(parts ...string) string {
	path := "/v1/tenants/" + url.PathEscape(v.tenant.Name())
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// ofAccount is the path of the visit's account in the API.
func (v *visit) ofAccount(parts ...string) string {
	return v.of(append([]string{"accounts", v.r.PathValue("account")}, parts...)...)
}

// ask puts a question to the API as whoever is signed in, and reads the answer into an answer of package
// api. A *refusal says why not.
func (v *visit) ask(q question, answer any) error {
	var out recorder
	v.send(v.ctx, q, &out)
	if out.status >= 400 {
		refused := &refusal{}
		if err := json.Unmarshal(out.body.Bytes(), &refused.Problem); err != nil {
			return fmt.Errorf("read the problem of %s %s: %w", q.method, q.path, err)
		}
		return refused
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(out.body.Bytes(), answer); err != nil {
		return fmt.Errorf("read the answer of %s %s: %w", q.method, q.path, err)
	}
	return nil
}

// send hands a question to the API; the answer goes to out as it comes.
func (v *visit) send(ctx context.Context, q question, out http.ResponseWriter) {
	target := q.path
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	r, err := http.NewRequestWithContext(api.As(ctx, v.who), q.method, "http://console"+target, bytes.NewReader(q.body))
	if err != nil {
		panic("console: " + err.Error()) // the paths are ours
	}
	r.RemoteAddr = v.r.RemoteAddr
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range map[string]string{"Content-Type": q.media, "Accept": q.accept, "Idempotency-Key": q.key, "Last-Event-ID": q.last} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	v.cfg.API.ServeHTTP(out, r)
}

// recorder keeps an answer.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header {
	if r.header == nil {
		r.header = make(http.Header)
	}
	return r.header
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

// piped is an answer that is read while it is written.
type piped struct {
	recorder
	to io.Writer
}

// Write implements http.ResponseWriter: problems are kept, the rest goes on.
func (p *piped) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	if p.status >= 400 {
		return p.body.Write(b)
	}
	return p.to.Write(b)
}

// Flush implements http.Flusher: a pipe holds nothing back.
func (p *piped) Flush() {}

// SetWriteDeadline lets long answers prolong a patience that is endless here.
func (p *piped) SetWriteDeadline(time.Time) error { return nil }

// refused reads the problem of an answer that has one.
func (p *piped) refused() error {
	if p.status < 400 {
		return nil
	}
	refused := &refusal{}
	if err := json.Unmarshal(p.body.Bytes(), &refused.Problem); err != nil {
		return fmt.Errorf("read a problem: %w", err)
	}
	return refused
}

// keyed is an idempotency key of a form: the same however often the form is sent.
func keyed(form url.Values) string { return strings.TrimSpace(form.Get("key")) }
