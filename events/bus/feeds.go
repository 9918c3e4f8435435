package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type feedKey struct{ tenant, stream, consumer string }

// Feed is a pull consumer that a tenant may read a stream of its own with. It
// is made here because a tenant that could make consumers could point one's
// deliver subject at another tenant's journal.
type Feed struct {
	// Stream and Consumer are what the tenant's client binds to; it pulls from
	// "$JS.API.CONSUMER.MSG.NEXT.<Stream>.<Consumer>".
	Stream, Consumer string
	// Subject limits the feed to a part of the stream; empty means all of it.
	Subject string
	// From is the first sequence to deliver; 0 and 1 mean all.
	From uint64
}

// AddFeed makes the pull consumer, or finds it, and lets the tenant's clients
// pull from it. The stream has to be the tenant's own: that is the caller's to
// know. nc is a connection to the internal account. The tenant must be added first.
//
// Nothing is to be acknowledged, and the position is kept in memory: after a
// restart of the server the feed begins at From again, and its reader skips
// what it has by sequence. (A position on disk would cost an fsync per delivery.)
func (s *Server) AddFeed(ctx context.Context, nc *nats.Conn, tenant string, feed Feed) error {
	account := s.tenantAccount(tenant)
	if account == nil {
		return fmt.Errorf("feed %s for tenant %s: the tenant is unknown", feed.Consumer, tenant)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("feed %s for tenant %s: %w", feed.Consumer, tenant, err)
	}
	cfg := jetstream.ConsumerConfig{
		Durable:       feed.Consumer,
		AckPolicy:     jetstream.AckNonePolicy,
		FilterSubject: feed.Subject,
		MemoryStorage: true,
		Replicas:      1,
	}
	if feed.From > 1 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, feed.From
	}
	if _, err := js.CreateOrUpdateConsumer(ctx, feed.Stream, cfg); err != nil {
		return fmt.Errorf("feed %s of stream %s for tenant %s: %w", feed.Consumer, feed.Stream, tenant, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := feedKey{tenant, feed.Stream, feed.Consumer}
	if _, ok := s.feeds[key]; ok {
		return nil
	}
	subject := pullSubject + feed.Stream + "." + feed.Consumer
	if err := account.AddServiceImport(s.internal, subject, subject); err != nil {
		return fmt.Errorf("feed %s for tenant %s: import: %w", feed.Consumer, tenant, err)
	}
	s.feeds[key] = struct{}{}
	return nil
}
