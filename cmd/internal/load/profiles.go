package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"creditstream/events/credit"
	"creditstream/events/journal"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// profile is what a client does once: it returns how many charges (or checks) were answered.
type profile func(ctx context.Context, c *client, now time.Time) (int, error)

var profiles = map[string]profile{
	"spend":   spend,
	"hot":     spend,
	"bulk":    bulk,
	"nats":    overNATS,
	"http":    overHTTP,
	"check":   check,
	"rebuild": bulk,
}

// Profiles lists the names of all profiles.
func Profiles() []string {
	return []string{"spend", "bulk", "hot", "nats", "http", "check", "rebuild"}
}

// needsDoors reports whether the profile's clients come over loopback TCP.
func needsDoors(name string) bool { return name == "nats" || name == "http" }

// spend charges one account one unit, in process. hot is the same with a single account.
func spend(ctx context.Context, c *client, now time.Time) (int, error) {
	count := c.sent
	c.sent++
	answer := c.target.tenant.Do(ctx, c.request(now, count))
	if answer.Err != nil {
		return 0, answer.Err
	}
	c.acknowledged.add(c.number, count)
	return 1, nil
}

// bulk charges many accounts in one request, in process.
func bulk(ctx context.Context, c *client, now time.Time) (int, error) {
	requests := make([]accounts.Request, c.target.cfg.Batch)
	first := c.sent
	for i := range requests {
		requests[i] = c.request(now, c.sent)
		c.sent++
	}
	for i, answer := range c.target.tenant.DoAll(ctx, requests) {
		if answer.Err != nil {
			return 0, answer.Err
		}
		c.acknowledged.add(c.number, first+uint64(i))
	}
	return len(requests), nil
}

// check asks whether a charge would be allowed, in process: it writes nothing.
func check(_ context.Context, c *client, _ time.Time) (int, error) {
	a, now, _, err := c.target.tenant.Account(c.account())
	if err != nil {
		return 0, err
	}
	if quote := rules.Check(a, c.target.tenant.Books(), "unit", 1, now); !quote.Allowed {
		return 0, quote.Refusal
	}
	return 1, nil
}

// overNATS sends charges as CloudEvents, one or a batch per request, over loopback TCP.
func overNATS(ctx context.Context, c *client, now time.Time) (int, error) {
	if c.nats == nil {
		conn, err := nats.Connect(c.target.node.NATS(), nats.Name(fmt.Sprint("bench-", c.number)))
		if err != nil {
			return 0, err
		}
		c.nats = conn
	}
	first := c.sent
	reply, err := c.nats.RequestWithContext(ctx, "credits."+tenantName+".usage", c.cloudEvents(now))
	if err != nil {
		return 0, fmt.Errorf("ask over NATS: %w", err)
	}
	return c.note(first, reply.Data)
}

// overHTTP posts charges as CloudEvents, one or a batch per request, over loopback TCP.
func overHTTP(ctx context.Context, c *client, now time.Time) (int, error) {
	first := c.sent
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.target.node.HTTP()+"/v1/tenants/"+tenantName+"/events", strings.NewReader(string(c.cloudEvents(now))))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/cloudevents+json")
	if c.target.cfg.Batch > 1 {
		request.Header.Set("Content-Type", "application/cloudevents-batch+json")
	}
	response, err := c.target.http.Do(request)
	if err != nil {
		return 0, fmt.Errorf("ask over HTTP: %w", err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return 0, fmt.Errorf("read the answer over HTTP: %w", err)
	}
	return c.note(first, body)
}

// cloudEvents is the next charges as a feature service would send them.
func (c *client) cloudEvents(now time.Time) []byte {
	c.body = c.body[:0]
	if c.target.cfg.Batch > 1 {
		c.body = append(c.body, '[')
	}
	for i := range c.target.cfg.Batch {
		if i > 0 {
			c.body = append(c.body, ',')
		}
		c.body = fmt.Appendf(c.body, `{"specversion":"1.0","id":%q,"source":"/bench","type":"creditstream.usage","subject":%q,"data":{"meter":"unit","quantity":1}}`, keyOf(now, c.number, c.sent), c.account())
		c.sent++
	}
	if c.target.cfg.Batch > 1 {
		c.body = append(c.body, ']')
	}
	return c.body
}

// note marks what an answer acknowledges.
func (c *client) note(first uint64, body []byte) (int, error) {
	var answer struct {
		Results []struct {
			Status string `json:"status"`
			Code   string `json:"code"`
			Detail string `json:"detail"`
		} `json:"results"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Results) != int(c.sent-first) {
		return 0, fmt.Errorf("the answer is not one result per charge: %.300s", body)
	}
	for i, r := range answer.Results {
		if r.Status != "recorded" {
			return 0, fmt.Errorf("a charge was %s: %s: %s", r.Status, r.Code, r.Detail)
		}
		c.acknowledged.add(c.number, first+uint64(i))
	}
	return len(answer.Results), nil
}

func (c *client) account() string {
	return c.target.names[c.random.IntN(len(c.target.names))]
}

func (c *client) request(now time.Time, count uint64) accounts.Request {
	return accounts.Request{
		Account: c.account(),
		Key:     keyOf(now, c.number, count),
		Hash:    credit.Hash{1},
		Command: &rules.Use{Meter: "unit", Quantity: 1},
	}
}

// rebuildViews rebuilds every view from the journal that was just written and says how fast.
func (t *target) rebuildViews(ctx context.Context, result *Result) error {
	name := journal.Name{Tenant: tenantName}
	statuses, err := t.node.Runner().Status()
	if err != nil {
		return err
	}
	result.Rebuilds = make(map[string]float64)
	for _, status := range statuses {
		t.cfg.Progress("rebuilding " + status.View)
		if err := t.node.Runner().WaitFor(ctx, status.View, name, t.head()); err != nil {
			return err
		}
		start := time.Now()
		rebuilt, err := t.node.Rebuild(ctx, status.View, name)
		if err != nil {
			return err
		}
		if rebuilt.Different > 0 || !rebuilt.Switched {
			return fmt.Errorf("the rebuilt view %s differs in %d records", status.View, rebuilt.Different)
		}
		result.Rebuilds[status.View] = float64(result.InJournal) / time.Since(start).Seconds()
	}
	speeds := make([]float64, 0, len(result.Rebuilds))
	for _, speed := range result.Rebuilds {
		speeds = append(speeds, speed)
	}
	result.EventsPerSecond = slices.Min(speeds)
	return nil
}
