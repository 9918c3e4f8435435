package node

import (
	"context"

	"creditstream/events/bus"
	"creditstream/events/journal"
	"creditstream/services/intake"
)

// openFeeds lets a tenant's own clients read, over NATS, its journals and what the intake refused of it.
// An external server says that in its configuration (deploy/nats.conf). The intake has to run.
func (n *Node) openFeeds(ctx context.Context, tenant string, shards int) error {
	if n.bus == nil {
		return nil
	}
	feeds := []bus.Feed{{Stream: intake.RefusedStreamName, Consumer: "feed_" + tenant, Subject: intake.RefusedSubject(tenant)}}
	for shard := range shards {
		feeds = append(feeds, bus.Feed{Stream: journal.Name{Tenant: tenant, Shard: shard}.Stream(), Consumer: "feed"})
	}
	for _, feed := range feeds {
		if err := n.bus.AddFeed(ctx, n.services, tenant, feed); err != nil {
			return err
		}
	}
	return nil
}
