package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/services/rules"
)

// How many commits a page of the journal shows, how many a filter looks through for it, and how many are
// read at a time.
const (
	commitsPerPage = 25
	commitsLooked  = 20_000
	commitsAtOnce  = 500
)

// event is a CloudEvent of the journal, as far as pages show it.
type event struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Subject  string          `json:"subject"`
	Time     time.Time       `json:"time"`
	Recorded time.Time       `json:"recordedtime"`
	Key      string          `json:"entrykey"`
	Hash     string          `json:"entryhash"`
	Size     int             `json:"entrysize"`
	Actor    string          `json:"actor"`
	Source   string          `json:"usagesource"`
	Position string          `json:"position"` // only from the API
	Data     json.RawMessage `json:"data"`

	Entry int  `json:"-"` // the place of its entry in the commit, from 0
	Opens bool `json:"-"` // it is the first of its entry

	text []byte
}

// Pretty is the event as it stands in the journal, with line breaks.
func (e *event) Pretty() string {
	var out bytes.Buffer
	if err := json.Indent(&out, e.text, "", "  "); err != nil {
		return string(e.text)
	}
	return out.String()
}

// Gist is what an event says in a few words, without knowing its kind. What people wrote is not in it: in the
// journal it is sealed, and the account's history opens it for whoever may read it.
func (e *event) Gist() string {
	var some struct {
		Meter, Pool, Plan, Lot string
		Quantity               int64
		Version                uint32
	}
	if json.Unmarshal(e.Data, &some) != nil {
		return ""
	}
	var parts []string
	add := func(text string) {
		if text != "" {
			parts = append(parts, text)
		}
	}
	if some.Quantity != 0 {
		add(fmt.Sprintf("%s × %s", count(some.Quantity), some.Meter))
	} else {
		add(some.Meter)
	}
	if some.Version != 0 {
		add(fmt.Sprintf("version %d", some.Version))
	}
	for _, text := range [...]string{some.Plan, some.Pool, some.Lot} {
		add(text)
	}
	return strings.Join(parts, " · ")
}

// commitRow is one commit in the list.
type commitRow struct {
	Sequence uint64
	Stored   time.Time
	Hash     string
	Bytes    uint64
	Events   int // all of them, or those that the filter wants
	Kinds    []kindCount
	Accounts []string // the first few
	Others   int      // how many more accounts
}

type kindCount struct {
	Kind string
	N    int
}

// journalPage is a page of commits, newest first.
type journalPage struct {
	Shard, Shards int
	Head          uint64
	Rows          []commitRow
	Filter        url.Values
	Filtered      bool
	From          uint64 // the oldest commit that was looked at
	Older         uint64 // the page behind it ends at this commit; 0 for none
	Newer         uint64
	Kinds         []string
}

func (v *visit) journal() error {
	data := journalPage{Shards: len(v.tenant.Shards()), Filter: pick(v.r.URL.Query(), "account", "type"), Kinds: kinds()}
	data.Filtered = len(data.Filter) > 0
	var err error
	if text := v.r.URL.Query().Get("shard"); text != "" {
		if data.Shard, err = strconv.Atoi(text); err != nil || data.Shard < 0 || data.Shard >= data.Shards {
			return noSuchCommit()
		}
	}
	data.Head = v.tenant.Shards()[data.Shard].Head()
	to := data.Head
	if text := v.r.URL.Query().Get("to"); text != "" {
		asked, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return noSuchCommit()
		}
		to = min(asked, data.Head)
	}
	data.Rows, data.From, err = v.look(v.cfg.Journal(v.tenant.Name(), data.Shard), to, data.Filter)
	if err != nil {
		return err
	}
	if data.From > 1 {
		data.Older = data.From - 1
	}
	if to < data.Head {
		data.Newer = min(to+commitsPerPage, data.Head)
	}
	return v.write(http.StatusOK, "journal", "Journal", data)
}

func noSuchCommit() error {
	return &rules.Refusal{Code: rules.CodeInvalid, Detail: "this is not a place in the tenant's journals"}
}

// look goes back from a commit until a page is full or enough was looked at. from is the oldest commit that
// was looked at.
func (v *visit) look(j *journal.Journal, to uint64, filter url.Values) (rows []commitRow, from uint64, err error) {
	if j == nil || to == 0 {
		return nil, 0, nil
	}
	step := uint64(commitsPerPage)
	if len(filter) > 0 {
		step = commitsAtOnce
	}
	last := uint64(1)
	if to > commitsLooked {
		last = to - commitsLooked + 1
	}
	for {
		from = last
		if to-last >= step {
			from = to - step + 1
		}
		block, err := readBlock(v.ctx, j, from, to)
		if err != nil {
			return nil, 0, err
		}
		for _, c := range slices.Backward(block) {
			row, wanted, err := rowOf(&c, filter)
			if err != nil {
				return nil, 0, err
			}
			if wanted {
				rows = append(rows, row)
			}
			if len(rows) == commitsPerPage {
				return rows, c.Sequence, nil
			}
		}
		if from == last {
			return rows, from, nil
		}
		to = from - 1
	}
}

// readBlock reads commits and verifies their chain.
func readBlock(ctx context.Context, j *journal.Journal, from, to uint64) ([]journal.Commit, error) {
	block := make([]journal.Commit, 0, to-from+1)
	for c, err := range j.Read(ctx, from) {
		if err != nil {
			return nil, err
		}
		block = append(block, c)
		if c.Sequence >= to {
			break
		}
	}
	return block, nil
}

func rowOf(c *journal.Commit, filter url.Values) (row commitRow, wanted bool, err error) {
	events, err := eventsOf(c.Body)
	if err != nil {
		return row, false, fmt.Errorf("commit %d: %w", c.Sequence, err)
	}
	row = commitRow{Sequence: c.Sequence, Stored: c.Stored, Hash: c.Hash.String(), Bytes: uint64(len(c.Body))}
	kinds, accounts := make(map[string]int), make(map[string]bool)
	for i := range events {
		e := &events[i]
		if a := filter.Get("account"); a != "" && e.Subject != a {
			continue
		}
		if t := filter.Get("type"); t != "" && shortKind(e.Type) != t {
			continue
		}
		row.Events++
		kinds[shortKind(e.Type)]++
		if e.Subject != "" && !accounts[e.Subject] {
			accounts[e.Subject] = true
			if len(row.Accounts) < 2 {
				row.Accounts = append(row.Accounts, e.Subject)
			} else {
				row.Others++
			}
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		row.Kinds = append(row.Kinds, kindCount{kind, kinds[kind]})
	}
	return row, len(filter) == 0 || row.Events > 0, nil
}

// eventsOf reads the events of a commit, and which of them belong to one entry.
func eventsOf(body []byte) ([]event, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("read its events: %w", err)
	}
	events := make([]event, len(list))
	entry, left := -1, 0
	for i, text := range list {
		e := &events[i]
		if err := json.Unmarshal(text, e); err != nil {
			return nil, fmt.Errorf("read event %d: %w", i, err)
		}
		if left--; left < 0 {
			entry, e.Opens, left = entry+1, true, max(e.Size, 1)-1
		}
		e.Entry, e.text = entry, text
	}
	return events, nil
}

// commitPage is one commit and its place in the chain.
type commitPage struct {
	Shard                    int
	Sequence, Head           uint64
	Stored                   time.Time
	Hash, Prev               string
	Bytes                    uint64
	Events                   []event
	All, Shown               int
	Follows                  bool   // Prev is the hash of the commit before it
	Broken                   string // why it does not
	Journal                  string
	Before, After, NextEvent uint64
}

// eventsPerPage is how many events of one commit a page shows.
const eventsPerPage = 200

func (v *visit) commit() error {
	shard, err := strconv.Atoi(v.r.PathValue("shard"))
	if err != nil || shard < 0 || shard >= len(v.tenant.Shards()) {
		return noSuchCommit()
	}
	sequence, err := strconv.ParseUint(v.r.PathValue("sequence"), 10, 63)
	head := v.tenant.Shards()[shard].Head()
	if err != nil || sequence == 0 || sequence > head {
		return noSuchCommit()
	}
	j := v.cfg.Journal(v.tenant.Name(), shard)
	c, err := j.Get(v.ctx, sequence)
	if err != nil {
		return err
	}
	events, err := eventsOf(c.Body)
	if err != nil {
		return fmt.Errorf("commit %d: %w", sequence, err)
	}
	data := commitPage{
		Shard: shard, Sequence: sequence, Head: head, Stored: c.Stored, Hash: c.Hash.String(), Prev: c.Prev.String(), Bytes: uint64(len(c.Body)),
		All: len(events), Journal: c.Journal, Before: sequence - 1,
	}
	if sequence < head {
		data.After = sequence + 1
	}
	from := 0
	if n, err := strconv.Atoi(v.r.URL.Query().Get("from")); err == nil && n > 0 && n < len(events) {
		from = n
	}
	to := min(from+eventsPerPage, len(events))
	data.Events, data.Shown = events[from:to], to-from
	if to < len(events) {
		data.NextEvent = uint64(to)
	}
	data.Follows, data.Broken = v.follows(j, &c)
	return v.write(http.StatusOK, "commit", fmt.Sprintf("Commit %d", sequence), data)
}

// follows checks a commit's place: its body has its hash (Get has checked that), and it names the hash of
// the one before.
func (v *visit) follows(j *journal.Journal, c *journal.Commit) (bool, string) {
	before := j.Start().Hash
	if c.Sequence > 1 {
		previous, err := j.Get(v.ctx, c.Sequence-1)
		if err != nil {
			return false, err.Error()
		}
		before = previous.Hash
	}
	if before != c.Prev {
		return false, "the commit before it has the hash " + before.String()
	}
	return true, ""
}

// kinds are what a filter offers.
func kinds() []string { return slices.Sorted(slices.Values(credit.Kinds())) }
