package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"creditstream/events/journal"
	"creditstream/projections"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/rules"
)

// bookRoutes are how the books prove themselves, and what an operator is told when they do not.
func bookRoutes() []route {
	return []route{
		{
			id: "verify", method: http.MethodPost, path: adminPath + "/verify", scope: credentials.Admin, stream: true,
			summary: "Fold the journals from the start by other code, and compare every view and hash",
			detail: "Tenants that are not served are verified, too, as far as their journals can be read. With `heads` (lines of a file of signed heads) " +
				"a journal that did not go through them is a rewritten one. With `Accept: application/x-ndjson` lines of progress come first.",
			query:   []param{{"tenant", "string", "Only this tenant's; default all."}, {"shard", "integer", "Only this shard's; default all."}},
			request: VerifyRequest{}, answer: VerifyAnswer{}, handle: verify,
		},
		{
			id: "journalHead", method: http.MethodGet, path: tenantPath + "/journal/head", scope: credentials.Read,
			summary: "Where the tenant's journals stand, signed",
			detail:  "Keep it where nobody who can write to the server can change it: `credits verify --head` then refuses a history that was written anew.",
			answer:  HeadsAnswer{}, handle: journalHead,
		},
		{
			id: "listTroubles", method: http.MethodGet, path: adminPath + "/troubles", scope: credentials.Admin,
			summary: "What is not served, or not all of it, why, and what to do", answer: Troubles{}, handle: listTroubles,
		},
		{
			id: "getClock", method: http.MethodGet, path: adminPath + "/clock", scope: credentials.Admin,
			summary: "The time that decisions go by, and whether it is trusted", answer: TimeAnswer{}, handle: getTime,
		},
		{
			id: "confirmClock", method: http.MethodPost, path: adminPath + "/clock/confirm", scope: credentials.Admin,
			summary: "Confirm that the wall clock is right",
			detail: "For a clock that jumped ahead, or that is behind the journals, and is right all the same: writes go on. What expired by the " +
				"confirmed time is expired. Without a problem nothing is confirmed.",
			answer: TimeAnswer{}, handle: confirmTime,
		},
	}
}

// Verify says what to verify, and whom to tell how far it is.
type Verify struct {
	Tenant   string // "": all
	Shard    *int   // nil: all
	Heads    []journal.SignedHead
	Progress func(name journal.Name, done, total uint64)
}

// VerifyRequest is what a verification may be asked beside.
type VerifyRequest struct {
	Heads []journal.SignedHead `json:"heads,omitempty" doc:"Signed heads that the journals must have gone through."`
}

// VerifyAnswer is what was found in each journal and its views.
type VerifyAnswer struct {
	OK       bool                 `json:"ok" doc:"Nothing at all was found."`
	Journals []projections.Report `json:"journals"`
	Faults   []string             `json:"faults,omitempty" doc:"What is wrong with the credentials, or the keys of personal texts, of all tenants."`
}

// HeadsAnswer is one head a journal.
type HeadsAnswer struct {
	Heads []journal.SignedHead `json:"heads"`
}

// maxHeads bounds the body of a verification: some forty thousand heads.
const maxHeads = 16 << 20

func verify(c *call) (reply, error) {
	v := Verify{Tenant: c.r.URL.Query().Get("tenant")}
	shard, err := c.intParam("shard", 0, 1<<16, -1)
	if err != nil {
		return reply{}, err
	}
	if shard >= 0 {
		v.Shard = &shard
	}
	if v.Tenant != "" {
		if _, err := c.cfg.Accounts.Tenant(v.Tenant); errors.Is(err, accounts.ErrUnknownTenant) {
			return reply{}, err
		}
	}
	if v.Heads, err = c.heads(); err != nil {
		return reply{}, err
	}
	p := c.progress()
	v.Progress = p.tell
	report, err := c.cfg.Verify(c.ctx, v)
	return p.end(c, report, err)
}

// heads reads the body of a verification; the signatures are checked with the keys that the heads name.
func (c *call) heads() ([]journal.SignedHead, error) {
	text, err := c.text(maxHeads)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return nil, err
	}
	var sent VerifyRequest
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&sent); err != nil {
		return nil, invalid("heads", "a JSON object with signed heads is expected: "+err.Error())
	}
	for i := range sent.Heads {
		if err := sent.Heads[i].Verify(nil); err != nil {
			return nil, invalid("heads", err.Error())
		}
	}
	return sent.Heads, nil
}

func journalHead(c *call) (reply, error) {
	return ok(HeadsAnswer{Heads: append([]journal.SignedHead{}, c.cfg.SignedHeads(c.tenant.Name())...)})
}

// Troubles is everything that is not as it should be, for an operator.
type Troubles struct {
	Troubles []Trouble `json:"troubles"`
}

// Trouble is one thing that is not served.
type Trouble struct {
	Tenant string     `json:"tenant" doc:"Empty: the store of a view, which is of all tenants."`
	Shard  *int       `json:"shard,omitempty"`
	View   string     `json:"view,omitempty" doc:"Absent: the tenant, or its shard, is not served at all."`
	Reason string     `json:"reason"`
	Advice string     `json:"advice" doc:"What to do next."`
	Since  *time.Time `json:"since,omitempty"`
}

func listTroubles(c *call) (reply, error) {
	list := Troubles{Troubles: []Trouble{}}
	for _, b := range c.cfg.Accounts.Barred() {
		list.Troubles = append(list.Troubles, Trouble{Tenant: b.Tenant, Reason: b.Reason.Error(), Advice: b.Advice, Since: &b.Since})
	}
	for _, t := range c.cfg.Accounts.Tenants() {
		for number, shard := range t.Shards() {
			if err := shard.Failed(); err != nil {
				list.Troubles = append(list.Troubles, Trouble{Tenant: t.Name(), Shard: &number, Reason: err.Error(), Advice: "restart the server: it reads the journal again, and builds anew what is unreadable"})
			} else if err := shard.ClockProblem(); err != nil {
				list.Troubles = append(list.Troubles, Trouble{Tenant: t.Name(), Shard: &number, Reason: err.Error(), Advice: "set the clock right, or confirm it: credits clock --confirm"})
			}
		}
	}
	status, err := c.cfg.Views.Status()
	if err != nil {
		return reply{}, err
	}
	for i := range status {
		s := &status[i]
		trouble := Trouble{Tenant: s.Tenant, Shard: &s.Shard, View: s.View, Reason: s.Problem, Advice: s.Advice + "; when that does not help, restart the server"}
		if s.Problem == "" && s.Unreadable != "" {
			trouble.Reason = "some of its records cannot be read: " + s.Unreadable
		}
		if trouble.Reason != "" {
			list.Troubles = append(list.Troubles, trouble)
		}
	}
	stores := c.cfg.Views.Unreadable()
	for _, view := range slices.Sorted(maps.Keys(stores)) {
		list.Troubles = append(list.Troubles, Trouble{
			View: view, Reason: "its store is unreadable in part: " + stores[view],
			Advice: "credits verify finds the tenants whose records are concerned, and credits rebuild makes them anew; restart the server when it suits: the whole store is made anew then",
		})
	}
	return ok(list)
}

// Patrol is how far the continuous check of the books is.
type Patrol struct {
	Position    uint64     `json:"position" doc:"Commits checked in the present round, over all journals."`
	Commits     uint64     `json:"commits" doc:"Commits that the round has."`
	Rounds      uint64     `json:"rounds" doc:"Full rounds since the start."`
	LastRound   *time.Time `json:"last_round,omitempty" doc:"When the last full round ended."`
	Differences uint64     `json:"differences" doc:"What was found since the start."`
}

func (c *call) patrol() *Patrol {
	if c.cfg.Patrol == nil {
		return nil
	}
	status := c.cfg.Patrol()
	if status == nil {
		return nil
	}
	p := &Patrol{Position: status.Position, Commits: status.Total, Rounds: status.Rounds, Differences: status.Found}
	if !status.LastRound.IsZero() {
		at := status.LastRound.UTC()
		p.LastRound = &at
	}
	return p
}

// TimeAnswer is the time that decisions go by.
type TimeAnswer struct {
	Now      time.Time `json:"now"`
	Trusted  bool      `json:"trusted" doc:"False: nothing is decided until the clock is right or confirmed."`
	Problems []string  `json:"problems,omitempty"`
}

func (c *call) time() TimeAnswer {
	answer := TimeAnswer{Now: c.now()}
	if clock, ok := c.cfg.Accounts.Clock().(*accounts.SystemClock); ok {
		if err := clock.Check(); err != nil {
			answer.Problems = append(answer.Problems, err.Error())
		}
	}
	for _, t := range c.cfg.Accounts.Tenants() {
		for _, shard := range t.Shards() {
			if err := shard.ClockProblem(); err != nil && len(answer.Problems) < 10 {
				answer.Problems = append(answer.Problems, t.Name()+": "+err.Error())
			}
		}
	}
	answer.Trusted = len(answer.Problems) == 0
	return answer
}

func getTime(c *call) (reply, error) { return ok(c.time()) }

func confirmTime(c *call) (reply, error) {
	clock, isSystem := c.cfg.Accounts.Clock().(*accounts.SystemClock)
	if !isSystem {
		return reply{}, &rules.Refusal{Code: codeNotFound, Detail: "this server runs on a test clock, which nobody has to confirm"}
	}
	before := c.time()
	if before.Trusted {
		return ok(before)
	}
	clock.Confirm()
	c.log.Warn("the wall clock was confirmed", "actor", c.principal.Actor, "now", clock.Now(), "problems", before.Problems)
	return ok(TimeAnswer{Now: clock.Now(), Trusted: true})
}
