package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A reader asks for pulls of pullCommits or pullBytes, whichever is less, and
// keeps two of them open, so that the server always has something to send. The
// bytes stay far below the 64 MiB at which a server drops a slow client. Who
// reads for a client asks for trickleBytes, which is more than a commit takes:
// there may be many, and what waits for a slow one waits in memory.
const (
	pullCommits  = 1000
	pullBytes    = 8 << 20
	trickleBytes = 1 << 20
	// pullWait is how long the server keeps a pull open that it cannot fill.
	pullWait = 2 * time.Second
	// pullSlack is how much longer the server has for saying so.
	pullSlack = 3 * time.Second
)

// delivery is one message of the stream.
type delivery struct {
	msg      *nats.Msg
	sequence uint64
	stored   time.Time
}

// puller is a consumer in the server's memory, and its messages.
type puller struct {
	j        *Journal
	consumer string
	inbox    string
	msgs     chan *nats.Msg
	sub      *nats.Subscription
	broken   chan nats.Status // gets one when the connection was lost
	asked    int              // commits that were asked for and not yet delivered
	bytes    int              // of one pull
}

// errPullLost means that a new consumer is needed: the old one went with its
// server, or did not answer.
var errPullLost = errors.New("the consumer is gone")

// pull yields from one consumer until all are yielded, or the consumer is lost
// (then neither done nor an error).
func (j *Journal) pull(ctx context.Context, link *link, last uint64, yield func(Commit, error) bool) (done bool, err error) {
	p, err := j.openPuller(ctx, link.next, link.bytes)
	if err != nil {
		return false, j.mayRetry(ctx, link, last, err)
	}
	defer p.close()
	timer := time.NewTimer(pullWait + pullSlack)
	defer timer.Stop()
	for last == 0 || link.next <= last {
		m, err := p.next(ctx, timer)
		if errors.Is(err, errPullLost) {
			return false, j.mayRetry(ctx, link, last, err)
		}
		if errors.Is(err, errPullEmpty) {
			if last == 0 {
				continue
			}
			return false, j.explainEnd(ctx, link, last)
		}
		if err != nil {
			return false, err
		}
		c, err := link.join(m)
		if errors.Is(err, errRepeated) {
			continue
		}
		if err != nil {
			return false, err
		}
		link.starved, link.lost = 0, 0
		if !yield(c, nil) {
			return true, nil
		}
	}
	return true, nil
}

// maxStarved is how often in a row a consumer may deliver nothing though the next commit is there. On a busy
// machine that happens, and says nothing about the journal; a server that goes on so is broken.
const maxStarved = 15

// explainEnd says why a consumer has nothing left before the journal's end; nil when another one may be tried.
func (j *Journal) explainEnd(ctx context.Context, link *link, last uint64) error {
	next := link.next
	if _, err := j.get(ctx, next); err != nil {
		return &At{next, fmt.Errorf("of %d: %w", last, damagedIfAbsent(err))}
	}
	if link.starved++; link.starved <= maxStarved {
		return nil
	}
	return fmt.Errorf("commit %d, of %d: the server did not deliver it within %v", next, last, maxStarved*pullWait)
}

// maxLost is how often in a row a reader with an end to reach may find its consumer gone: it goes with the server that
// leads, and until the others have agreed who does next there is none.
const maxLost = 20

// mayRetry decides about a reader that lost its server: one that follows waits a
// little and goes on; one with an end to reach does so a few times, and gives up when the connection is lost as well.
func (j *Journal) mayRetry(ctx context.Context, link *link, last uint64, err error) error {
	var refusal *jetstream.APIError
	link.lost++
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case j.nc.IsClosed(), last != 0 && (link.lost > maxLost || !j.nc.IsConnected()):
		return err
	case errors.As(err, &refusal) && refusal.Code < 500:
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}

func (j *Journal) openPuller(ctx context.Context, from uint64, bytes int) (*puller, error) {
	ctx, cancel := context.WithTimeout(ctx, pullWait+pullSlack)
	defer cancel()
	cfg := jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       from,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: time.Minute,
	}
	consumer, err := j.js.CreateConsumer(ctx, j.cfg.Name.Stream(), cfg)
	if err != nil {
		return nil, fmt.Errorf("create a consumer: %w", err)
	}
	p := &puller{
		j:        j,
		consumer: consumer.CachedInfo().Name,
		inbox:    j.nc.NewInbox(),
		bytes:    bytes,
		// Two pulls, and what the server may have to say about them.
		msgs:   make(chan *nats.Msg, 2*pullCommits+64),
		broken: j.nc.StatusChanged(nats.RECONNECTING, nats.CLOSED),
	}
	if p.sub, err = j.nc.ChanSubscribe(p.inbox, p.msgs); err != nil {
		j.nc.RemoveStatusListener(p.broken)
		return nil, fmt.Errorf("subscribe to the consumer: %w", err)
	}
	return p, nil
}

// close leaves nothing behind. The consumer would go by itself in a minute.
func (p *puller) close() {
	p.j.nc.RemoveStatusListener(p.broken)
	_ = p.sub.Unsubscribe()
	_ = p.j.nc.Publish("$JS.API.CONSUMER.DELETE."+p.j.cfg.Name.Stream()+"."+p.consumer, nil)
}

// errPullEmpty means that the server had nothing to deliver for pullWait.
var errPullEmpty = errors.New("nothing to deliver")

// next waits for the next message of the stream.
func (p *puller) next(ctx context.Context, timer *time.Timer) (delivery, error) {
	timer.Reset(pullWait + pullSlack)
	for {
		for p.asked <= pullCommits {
			if err := p.ask(); err != nil {
				return delivery{}, err
			}
		}
		select {
		case msg := <-p.msgs:
			if len(msg.Data) == 0 && msg.Header.Get("Status") != "" {
				if err := p.heed(msg.Header); err != nil {
					return delivery{}, err
				}
				continue
			}
			p.asked--
			return parseDelivery(msg)
		case <-ctx.Done():
			return delivery{}, ctx.Err()
		case <-p.broken:
			return delivery{}, fmt.Errorf("%w: the connection was lost", errPullLost)
		case <-timer.C:
			return delivery{}, fmt.Errorf("%w: no answer to a pull", errPullLost)
		}
	}
}

// ask opens one more pull.
func (p *puller) ask() error {
	request := fmt.Appendf(nil, `{"batch":%d,"max_bytes":%d,"expires":%d}`, pullCommits, p.bytes, pullWait)
	subject := "$JS.API.CONSUMER.MSG.NEXT." + p.j.cfg.Name.Stream() + "." + p.consumer
	if err := p.j.nc.PublishRequest(subject, p.inbox, request); err != nil {
		return fmt.Errorf("%w: pull: %w", errPullLost, err)
	}
	p.asked += pullCommits
	return nil
}

// heed reads a status message, with which the server ends a pull.
func (p *puller) heed(header map[string][]string) error {
	get := func(key string) string {
		if values := header[key]; len(values) > 0 {
			return values[0]
		}
		return ""
	}
	left, err := strconv.Atoi(get("Nats-Pending-Messages"))
	switch status, text := get("Status"), get("Description"); {
	case status == "100":
		return nil
	case err != nil:
		return fmt.Errorf("%w: %s %s", errPullLost, status, text)
	case status == "408":
		p.asked -= left
		return errPullEmpty
	default:
		p.asked -= left
		return nil
	}
}

// parseDelivery reads the reply subject of a delivered message:
// $JS.ACK.<stream>.<consumer>.<count>.<stream sequence>.<sequence>.<time>.<pending>,
// with two more tokens before the stream where servers are in a domain.
func parseDelivery(msg *nats.Msg) (delivery, error) {
	tokens := strings.Split(msg.Reply, ".")
	if len(tokens) < 9 {
		return delivery{}, fmt.Errorf("delivered message has the reply subject %q", msg.Reply)
	}
	at := 5
	if len(tokens) > 9 {
		at = 7
	}
	sequence, err := strconv.ParseUint(tokens[at], 10, 64)
	if err != nil {
		return delivery{}, fmt.Errorf("delivered message has the reply subject %q: %w", msg.Reply, err)
	}
	nanos, err := strconv.ParseInt(tokens[at+2], 10, 64)
	if err != nil {
		return delivery{}, fmt.Errorf("delivered message has the reply subject %q: %w", msg.Reply, err)
	}
	return delivery{msg: msg, sequence: sequence, stored: time.Unix(0, nanos).UTC()}, nil
}
