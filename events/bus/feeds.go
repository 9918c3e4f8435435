package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// imported is something of the internal account that a tenant's account may ask.
type imported struct{ tenant, subject string }

// Feed is a pull consumer that a tenant may read a stream of its own with. It
// is made here because a tenant that could make consumers could point one's
// deliver subject at another tenant's journal.
//
// All clients of a tenant share a feed's position. Who needs one of its own reads
// a stream that is the tenant's alone by sequence.
type Feed struct {
	// Stream and Consumer are what the tenant's client binds to; it pulls from
	// "$JS.API.CONSUMER.MSG.NEXT.<Stream>.<Consumer>".
	Stream, Consumer string
	// Subject limits the feed to a part of a stream that others share; empty means
	// all of it, and that the tenant may ask for any of its messages by sequence.
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
	for _, subject := range feed.subjects() {
		key := imported{tenant, subject}
		if _, ok := s.imports[key]; ok {
			continue
		}
		if err := account.AddServiceImport(s.internal, subject, subject); err != nil {
			return fmt.Errorf("feed %s for tenant %s: import %s: %w", feed.Consumer, tenant, subject, err)
		}
		s.imports[key] = struct{}{}
	}
	return nil
}

// subjects are what a client asks that binds to the feed, or reads by sequence.
// None of them changes anything, and what they answer is the tenant's.
func (f Feed) subjects() []string {
	subjects := []string{pullSubject + f.Stream + "." + f.Consumer, consumerInfoSubject + f.Stream + "." + f.Consumer}
	if f.Subject == "" {
		subjects = append(subjects, streamInfoSubject+f.Stream, getSubject+f.Stream)
	}
	return subjects
}
