package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
)

// stream.go serves the journal to anybody who may read it.

const (
	heartbeat   = 15 * time.Second // a comment, so that a dead client is noticed
	slowestRead = 30 * time.Second // how long a client may take for what was written
	flushBytes  = 64 << 10
)

func streamRoutes() []route {
	return []route{{
		id: "readEvents", method: http.MethodGet, path: tenantPath + "/events", scope: credentials.Read, stream: true,
		summary: "The journal, as newline-delimited CloudEvents",
		detail: "In the order of the journal, as it stands there, with the extension attribute `position`. With `Accept: text/event-stream` as " +
			"server-sent events, whose id is the position; Last-Event-ID goes on behind it. A tenant of several shards has as many journals: they " +
			"come one after the other, or, with `follow`, as they grow. The position of an event then says how far all of them were read; from one " +
			"that came with another answer, one of them is read on and the others from their beginning.",
		query: []param{
			{"from_position", "string", "From this entry on, itself included; `end`: only what is recorded from now on."},
			{"account", "string", "Only events of this account."},
			{"type", "string", "Only events of this type, in full or short: UsageRecorded."},
			{"follow", "boolean", "Go on with what is recorded from now on."},
			{"shard", "integer", "Only this journal."},
		},
		answerMedia: "application/x-ndjson text/event-stream", handle: readEvents,
	}}
}

// eventFilter is what a reader wants of a journal.
type eventFilter struct {
	from    places
	account value // as a JSON string, nil for all
	kind    string
	follow  bool
	sse     bool
}

func readEvents(c *call) (reply, error) {
	filter, shards, err := c.eventFilter()
	if err != nil {
		return reply{}, err
	}
	w := &eventWriter{w: c.w, patience: c.limits.slowestRead, control: http.NewResponseController(c.w), filter: filter, at: filter.from.readers(shards)}
	w.start()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	if filter.follow {
		err = c.follow(ctx, w, shards)
	} else {
		for _, shard := range shards {
			if err = c.replay(ctx, w, shard); err != nil {
				break
			}
		}
	}
	if err == nil {
		err = w.flush()
	}
	if err != nil && c.ctx.Err() == nil {
		// The status is sent: all that is left is to break off, so that nobody takes it for the end.
		c.log.Warn("a stream of events broke off", "tenant", c.tenant.Name(), "reason", err)
		panic(http.ErrAbortHandler)
	}
	return reply{status: http.StatusOK, written: true}, nil
}

func (c *call) eventFilter() (f eventFilter, shards []int, err error) {
	q := c.r.URL.Query()
	f.sse = strings.Contains(c.r.Header.Get("Accept"), "text/event-stream")
	switch q.Get("follow") {
	case "true", "1":
		f.follow = true
	case "", "false", "0":
	default:
		return f, nil, invalid("follow", "true or false is expected")
	}
	f.kind = q.Get("type")
	if f.kind != "" && !strings.Contains(f.kind, ".") {
		if !slices.Contains(credit.Kinds(), f.kind) {
			return f, nil, invalid("type", "there is no such type of event; there are "+list(credit.Kinds()))
		}
		f.kind = credit.TypeOf(f.kind)
	}
	all := len(c.tenant.Shards())
	only, err := c.intParam("shard", 0, all-1, -1)
	if err != nil {
		return f, nil, err
	}
	if account := q.Get("account"); account != "" {
		if err := checkID("account", account); err != nil {
			return f, nil, err
		}
		f.account = value(appendJSONText(nil, account))
		only = headOf(c.tenant, account).Shard
	}
	if f.from, err = c.startingPlaces(all); err != nil {
		return f, nil, err
	}
	if only >= 0 {
		return f, []int{only}, nil
	}
	for i := range all {
		shards = append(shards, i)
	}
	return f, shards, nil
}

// startingPlaces reads from_position, which is included, or Last-Event-ID, which is not.
func (c *call) startingPlaces(shards int) (places, error) {
	from := make(places, shards)
	var ok bool
	switch position := c.r.URL.Query().Get("from_position"); position {
	case "":
	case "end":
		for i, shard := range c.tenant.Shards() {
			from[i].Sequence = shard.Head() + 1
		}
	default:
		if from, _, ok = parsePlaces(position, shards); !ok {
			return nil, invalid("from_position", "this is not a position that this tenant gave out")
		}
	}
	if last := c.r.Header.Get("Last-Event-ID"); last != "" {
		var seen int
		if from, seen, ok = parsePlaces(last, shards); !ok {
			return nil, invalid("Last-Event-ID", "this is not a position that this tenant gave out")
		}
		from[seen].Offset++
	}
	return from, nil
}

// replay writes a journal up to what is acknowledged now.
func (c *call) replay(ctx context.Context, w *eventWriter, shard int) error {
	head := c.tenant.Shards()[shard].Head()
	from := max(w.filter.from[shard].Sequence, 1)
	if from > head {
		return nil
	}
	for commit, err := range c.cfg.Journal(c.tenant.Name(), shard).Trickle(ctx, from) {
		if err != nil {
			return err
		}
		if commit.Sequence > head {
			return nil
		}
		if err := w.commit(&commit, shard); err != nil {
			return err
		}
	}
	return nil
}

// delivery is a commit, or why there are no more, on its way from a journal to the client.
type delivery struct {
	commit journal.Commit
	shard  int
	err    error
}

// follow writes what the journals hold and will hold, until the client leaves or the server stops.
func (c *call) follow(ctx context.Context, w *eventWriter, shards []int) error {
	commits := make(chan delivery)
	for _, shard := range shards {
		go c.feed(ctx, shard, max(w.filter.from[shard].Sequence, 1), commits)
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case d := <-commits:
			if d.err != nil {
				return d.err
			}
			if err := errors.Join(w.commit(&d.commit, d.shard), w.flush()); err != nil {
				return err
			}
		case <-beat.C:
			if err := w.beat(); err != nil {
				return err
			}
		case <-Stopping(c.ctx):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// feed hands a journal's commits on, each once it is acknowledged: what is in flight is never shown.
func (c *call) feed(ctx context.Context, shard int, from uint64, commits chan<- delivery) {
	for commit, err := range c.cfg.Journal(c.tenant.Name(), shard).Follow(ctx, from) {
		if err == nil {
			err = WaitForHead(ctx, c.tenant.Shards()[shard], commit.Sequence)
		}
		select {
		case commits <- delivery{commit, shard, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// eventWriter writes events as lines, or as server-sent events.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	// patience is how long the client may take for what is written.
	patience time.Duration
	filter   eventFilter
	at       places // moves on with what is written; nil when it is one journal
	buf      []byte
}

func (w *eventWriter) start() {
	header := w.w.Header()
	header.Set("Content-Type", "application/x-ndjson")
	if w.filter.sse {
		header.Set("Content-Type", "text/event-stream")
	}
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	w.w.WriteHeader(http.StatusOK)
}

// commit writes the events of a commit that are wanted. The position of an event is that of its entry.
func (w *eventWriter) commit(c *journal.Commit, shard int) error {
	body := value(bytes.TrimSpace(c.Body))
	if !body.isArray() {
		return fmt.Errorf("commit %d is no JSON array", c.Sequence)
	}
	position := accounts.Position{Shard: shard, Sequence: c.Sequence}
	left := 0 // events of the present entry that are still to come
	for i, e := range body.elements() {
		event := e.members()
		if left > 0 {
			left--
		} else {
			if i > 0 {
				position.Offset++
			}
			if size := event.get("entrysize"); size != nil {
				n, err := strconv.Atoi(string(size))
				if err != nil {
					return fmt.Errorf("commit %d: entrysize %s: %w", c.Sequence, size, err)
				}
				left = n - 1
			}
		}
		if w.wants(event, position) {
			w.event(e, position)
		}
	}
	if w.at != nil {
		position.Offset++
		w.at[shard] = position
	}
	if len(w.buf) >= flushBytes {
		return w.flush()
	}
	return nil
}

func (w *eventWriter) wants(event object, at accounts.Position) bool {
	f := &w.filter
	if from := f.from[at.Shard]; at.Sequence == from.Sequence && at.Offset < from.Offset {
		return false
	}
	if f.kind != "" && event.get("type").text() != f.kind {
		return false
	}
	return f.account == nil || event.get("subject").text() == f.account.unquote()
}

func (w *eventWriter) event(e value, at accounts.Position) {
	position := w.at.with(at)
	if w.filter.sse {
		w.buf = append(append(append(w.buf, "id: "...), position...), "\ndata: "...)
	}
	w.buf = append(w.buf, e[:len(e)-1]...)
	w.buf = append(append(append(w.buf, `,"position":"`...), position...), "\"}\n"...)
	if w.filter.sse {
		w.buf = append(w.buf, '\n')
	}
}

func (w *eventWriter) beat() error {
	if w.filter.sse {
		w.buf = append(w.buf, ":\n\n"...)
	} else {
		w.buf = append(w.buf, '\n')
	}
	return w.flush()
}

func (w *eventWriter) flush() error {
	if err := w.control.SetWriteDeadline(time.Now().Add(w.patience)); err != nil {
		return err
	}
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return errors.Join(err, w.control.Flush())
}

// text is the content of a string, and "" for anything else.
func (v value) text() string {
	if !v.isString() {
		return ""
	}
	return v.unquote()
}
