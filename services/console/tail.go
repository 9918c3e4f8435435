package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"creditstream/services/accounts"
)

// A tail shows at most so many events at a time, and says how many more there were: a page cannot show what
// a busy journal takes.
const (
	tailEvery   = 250 * time.Millisecond
	tailMost    = 25
	tailBeat    = 10 * time.Second // also how soon a session that ended is noticed while nothing happens
	tailRetry   = 500 * time.Millisecond
	slowestRead = 30 * time.Second
)

// livePage is the page of the tail.
type livePage struct {
	Filter url.Values
	Kinds  []string
	From   string // the position that the tail starts at
}

func (v *visit) live() error {
	return v.write(http.StatusOK, "live", "Live journal", livePage{
		Filter: pick(v.r.URL.Query(), "account", "type"), Kinds: kinds(), From: v.ends(),
	})
}

// ends is the position behind everything that is acknowledged now.
func (v *visit) ends() string {
	var parts []string
	for number, s := range v.tenant.Shards() {
		parts = append(parts, accounts.Position{Shard: number, Sequence: s.Head() + 1}.String())
	}
	return strings.Join(parts, "_")
}

// tailed is an event on its way to the page, with its position.
type tailed struct {
	id   string
	text []byte
}

// tail follows the journal as the API tells it, and sends rows as server-sent events. The id of each is the
// position to go on behind, so a browser that lost the connection misses nothing.
func (v *visit) tail() error {
	ctx, cancel := context.WithCancel(v.ctx)
	defer cancel()
	query := pick(v.r.URL.Query(), "account", "type")
	query.Set("follow", "true")
	last := v.r.Header.Get("Last-Event-ID")
	if last == "" {
		last = v.r.URL.Query().Get("after")
	}
	q := question{method: http.MethodGet, path: v.of("events"), query: query, accept: "text/event-stream", last: last}
	if last == "" {
		from := v.r.URL.Query().Get("from")
		if from == "" {
			from = v.ends()
		}
		query.Set("from_position", from)
	}
	reader, writer := io.Pipe()
	out := &piped{to: writer}
	finished := make(chan error, 1)
	go func() {
		defer func() {
			// The API breaks off what it cannot end; whoever reads sees the end of the pipe.
			if p := recover(); p != nil && p != any(http.ErrAbortHandler) {
				v.log.Error("a tail of the journal broke", "panic", p)
			}
			finished <- out.refused()
			_ = writer.Close()
		}()
		v.send(ctx, q, out)
	}()
	defer func() { _ = reader.Close() }()
	events := make(chan tailed, 256)
	go readTail(ctx, reader, events)
	err := v.relay(ctx, events)
	cancel()
	_ = reader.Close()
	refused := <-finished
	if refused != nil {
		return refused
	}
	return err
}

// readTail reads the server-sent events of the API. It ends with the stream or with ctx.
func readTail(ctx context.Context, from io.Reader, events chan<- tailed) {
	defer close(events)
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 4<<20)
	var next tailed
	for lines.Scan() {
		line := lines.Bytes()
		if id, ok := bytes.CutPrefix(line, []byte("id: ")); ok {
			next.id = string(id)
		} else if text, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			next.text = bytes.Clone(text)
			select {
			case events <- next:
			case <-ctx.Done():
				return
			}
		}
	}
}

// relay sends what arrives, gathered for a moment, until the browser leaves or the session ends.
func (v *visit) relay(ctx context.Context, events <-chan tailed) error {
	w := &tailWriter{visit: v, control: http.NewResponseController(v.w)}
	if err := w.begin(); err != nil {
		return nil
	}
	gather := time.NewTicker(tailEvery)
	defer gather.Stop()
	beat := time.NewTicker(tailBeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case e, more := <-events:
			if !more {
				if w.sent {
					return nil
				}
				return w.flush()
			}
			w.take(e)
			continue
		case <-gather.C:
			if !v.stillIn() {
				return w.goodbye()
			}
			err = w.flush()
		case <-beat.C:
			err = w.beat()
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return nil // the browser left
		}
	}
}

// stillIn reports whether whoever follows may still: the key was not deleted meanwhile.
func (v *visit) stillIn() bool { return v.lives(v.who) }

// tailWriter writes rows.
type tailWriter struct {
	*visit
	control *http.ResponseController
	rows    []*event
	last    string
	skipped int
	sent    bool
}

func (w *tailWriter) begin() error {
	header := w.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	w.w.WriteHeader(http.StatusOK)
	return w.write(fmt.Sprintf("retry: %d\n\n", tailRetry.Milliseconds()))
}

func (w *tailWriter) take(e tailed) {
	w.last = e.id
	row := new(event)
	if json.Unmarshal(e.text, row) != nil {
		return
	}
	if w.rows = append(w.rows, row); len(w.rows) > tailMost {
		w.rows = w.rows[1:]
		w.skipped++
	}
}

// flush sends the rows that were gathered, newest first.
func (w *tailWriter) flush() error {
	if len(w.rows) == 0 {
		return nil
	}
	for i, j := 0, len(w.rows)-1; i < j; i, j = i+1, j-1 {
		w.rows[i], w.rows[j] = w.rows[j], w.rows[i]
	}
	html, err := w.pages.Text("tail-rows", w.page("", map[string]any{"Events": w.rows, "Skipped": w.skipped}))
	if err != nil {
		return err
	}
	var out strings.Builder
	out.WriteString("id: " + w.last + "\nevent: rows\n")
	for line := range strings.Lines(html) {
		out.WriteString("data: " + strings.TrimRight(line, "\r\n") + "\n")
	}
	w.rows, w.skipped, w.sent = nil, 0, true
	return w.write(out.String() + "\n")
}

func (w *tailWriter) beat() error { return w.write(":\n\n") }

// goodbye tells the page that nobody is signed in any more.
func (w *tailWriter) goodbye() error {
	_ = w.write("event: bye\ndata: " + strconv.Quote("the key that you signed in with has ended") + "\n\n")
	return nil
}

func (w *tailWriter) write(text string) error {
	if err := w.control.SetWriteDeadline(time.Now().Add(slowestRead)); err != nil {
		return err
	}
	if _, err := io.WriteString(w.w, text); err != nil {
		return err
	}
	return w.control.Flush()
}
