package api

import (
	"encoding/json"
	"net/http"
	"time"

	"creditstream/events/journal"
	"creditstream/services/rules"
)

// progress writes lines of progress to a client that asked for them, and prolongs its patience.
type progress struct {
	control *http.ResponseController
	out     *json.Encoder // nil: the client wants the answer alone
	told    time.Time
}

const progressEvery = 250 * time.Millisecond

func (c *call) progress() *progress {
	p := &progress{control: http.NewResponseController(c.w)}
	if accept := c.r.Header.Get("Accept"); accept == "application/x-ndjson" {
		c.w.Header().Set("Content-Type", accept)
		p.out = json.NewEncoder(c.w)
	}
	p.prolong()
	return p
}

func (p *progress) prolong() {
	// Without a deadline to set there is none to prolong.
	_ = p.control.SetWriteDeadline(time.Now().Add(10 * time.Minute))
}

// tell writes how far a journal is, a few times a second.
func (p *progress) tell(name journal.Name, done, total uint64) {
	if time.Since(p.told) < progressEvery && done < total {
		return
	}
	p.told = time.Now()
	p.prolong()
	if p.out == nil {
		return
	}
	line := map[string]any{"tenant": name.Tenant, "shard": name.Shard, "done": done, "total": total}
	if p.out.Encode(line) == nil {
		_ = p.control.Flush()
	}
}

// end answers: as the last line after lines of progress, else as any answer. Who asks is an operator, and is told why
// it could not be done.
func (p *progress) end(c *call, answer any, err error) (reply, error) {
	if err != nil && ProblemOf(err, 0).Code == string(codeUnavailable) {
		c.log.Warn("unavailable", "operation", c.route.id, "reason", err)
		err = &rules.Refusal{Code: codeUnavailable, Detail: "it was not carried out to its end: " + err.Error() + ". Put that right and ask again; the log may have more"}
	}
	if p.out == nil {
		if err != nil {
			return reply{}, err
		}
		return ok(answer)
	}
	if err != nil {
		answer = ProblemOf(err, 0)
	}
	if err := p.out.Encode(answer); err != nil {
		c.log.Debug("send an answer", "operation", c.route.id, "error", err)
	}
	return reply{status: http.StatusOK, written: true}, nil
}
