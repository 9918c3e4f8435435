package pages

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"

	"creditstream/events/journal"
	"creditstream/services/accounts"
	"creditstream/services/api"
)

// The most live connections of one account, and of the server.
const (
	maxFollowers    = 32
	maxAllFollowers = 4096
)

// errTooMany says that as many follow already as may.
var errTooMany = errors.New("too many live connections")

// hub tells pages that their account changed. A journal is followed once, however many pages are open, and
// only while one is: each commit is looked through for the accounts that somebody looks at.
type hub struct {
	journal func(tenant string, shard int) *journal.Journal
	log     *slog.Logger

	mu      sync.Mutex
	watched map[journal.Name]*watch
	all     int
	closed  bool
	done    sync.WaitGroup
}

// watch is one journal that is followed.
type watch struct {
	stop      context.CancelFunc
	gone      chan struct{}                     // closed when the journal is not followed any more, and pages have to come again
	followers map[string]map[*follower]struct{} // by account
	count     int
}

// follower is one open page. changed has room for one: a page that has not looked yet need not be told
// twice.
type follower struct {
	changed chan struct{}
	gone    <-chan struct{}
}

func newHub(journals func(tenant string, shard int) *journal.Journal, log *slog.Logger) *hub {
	return &hub{journal: journals, log: log, watched: make(map[journal.Name]*watch)}
}

// join follows an account. leave has to be called, once.
func (h *hub) join(tenant *accounts.Tenant, account string, shard int) (f *follower, leave func(), err error) {
	name := journal.Name{Tenant: tenant.Name(), Shard: shard}
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.watched[name]
	if h.closed || h.all >= maxAllFollowers || w != nil && len(w.followers[account]) >= maxFollowers {
		return nil, nil, errTooMany
	}
	if w == nil {
		ctx, cancel := context.WithCancel(context.Background())
		w = &watch{stop: cancel, gone: make(chan struct{}), followers: make(map[string]map[*follower]struct{})}
		h.watched[name] = w
		running := tenant.Shard(account)
		h.done.Go(func() { h.follow(ctx, name, running) })
	}
	f = &follower{make(chan struct{}, 1), w.gone}
	if w.followers[account] == nil {
		w.followers[account] = make(map[*follower]struct{})
	}
	w.followers[account][f] = struct{}{}
	w.count++
	h.all++
	return f, func() { h.leave(name, w, account, f) }, nil
}

func (h *hub) leave(name journal.Name, w *watch, account string, f *follower) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(w.followers[account], f)
	if len(w.followers[account]) == 0 {
		delete(w.followers, account)
	}
	h.all--
	if w.count--; w.count == 0 && h.watched[name] == w {
		delete(h.watched, name)
		w.stop()
	}
}

// close ends what is followed. Connections end by themselves when the server stops.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	for name, w := range h.watched {
		delete(h.watched, name)
		close(w.gone)
		w.stop()
	}
	h.mu.Unlock()
	h.done.Wait()
}

// follow reads a journal from now on until ctx ends.
func (h *hub) follow(ctx context.Context, name journal.Name, shard *accounts.Shard) {
	for commit, err := range h.journal(name.Tenant, name.Shard).Follow(ctx, shard.Head()+1) {
		if err == nil {
			// What is in flight is not to be seen yet.
			err = api.WaitForHead(ctx, shard, commit.Sequence)
		}
		if err != nil {
			if ctx.Err() == nil {
				h.log.Warn("pages are not live any more until they are opened again", "journal", name.String(), "reason", err)
				h.drop(name)
			}
			return
		}
		h.tell(name, commit.Body)
	}
}

// drop forgets a journal that cannot be followed: whoever comes next tries again.
func (h *hub) drop(name journal.Name) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w := h.watched[name]; w != nil {
		delete(h.watched, name)
		close(w.gone)
	}
}

var subjectField = []byte(`"subject":"`)

// tell nudges the pages of all accounts that a commit names.
func (h *hub) tell(name journal.Name, body []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.watched[name]
	if w == nil {
		return
	}
	for {
		_, rest, found := bytes.Cut(body, subjectField)
		if !found {
			return
		}
		body = rest
		for f := range w.followers[textUntilQuote(rest)] {
			select {
			case f.changed <- struct{}{}:
			default:
			}
		}
	}
}

// textUntilQuote reads a JSON string whose opening quote was read.
func textUntilQuote(rest []byte) string {
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case '"':
			if bytes.IndexByte(rest[:i], '\\') < 0 {
				return string(rest[:i])
			}
			var text string
			if json.Unmarshal(append(append([]byte{'"'}, rest[:i]...), '"'), &text) != nil {
				return ""
			}
			return text
		}
	}
	return ""
}
