package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"creditstream/events/bus"
	"creditstream/events/journal"
	"creditstream/services/credentials"
	"creditstream/services/intake"
	"creditstream/services/personal"
)

// External is a JetStream server that runs elsewhere, to use instead of the embedded one, and how to log in
// there. deploy/nats.conf has the users with the permissions that they need, and the accounts of tenants:
// those are the operator's to make, a client cannot.
type External struct {
	// URL of the server, or of several of one cluster with commas between; "" for the embedded one. It may
	// have a user and a password in it.
	URL string
	// Creds is a file with a user's JWT and seed, instead of the password.
	Creds string
	// WriterURL and WriterCreds are the same for the only user that may write to journals; default URL and Creds.
	WriterURL, WriterCreds string
	// Replicas of the streams that are made there; default 1.
	Replicas int
}

// isSet reports whether the node uses a NATS server that runs elsewhere.
func (e External) isSet() bool { return strings.TrimSpace(e.URL) != "" }

func (e External) connect(ctx context.Context, n *Node, name string) (*nats.Conn, error) {
	return bus.Connect(ctx, e.URL, n.log, loginOf(name, e.Creds)...)
}

func (e External) connectWriter(ctx context.Context, n *Node, name string) (*nats.Conn, error) {
	if e.WriterURL == "" && e.WriterCreds == "" {
		return e.connect(ctx, n, name)
	}
	return bus.Connect(ctx, cmp.Or(e.WriterURL, e.URL), n.log, loginOf(name, e.WriterCreds)...)
}

func loginOf(name, creds string) []nats.Option {
	options := []nats.Option{nats.Name(name)}
	if creds != "" {
		options = append(options, nats.UserCredentials(creds))
	}
	return options
}

// probeSubject is no journal's: journals have a tenant and a shard.
const probeSubject = "journal.probe"

// checkLogins refuses a login that could not append, which would otherwise look like a server that never
// acknowledges, and warns of one that may append and need not.
func (n *Node) checkLogins() error {
	may, err := bus.MayPublish(n.writer, probeSubject)
	if err != nil {
		return err
	}
	if !may {
		return errors.New("the NATS user of the writer may not publish to journal.>: give it the permissions of the user writer in deploy/nats.conf")
	}
	if may, err = bus.MayPublish(n.services, probeSubject); err != nil {
		return err
	}
	if may {
		n.log.Warn("the NATS user of the services may write to journals: let the writer log in as a user of its own, as in deploy/nats.conf, so that only that one can")
	}
	return nil
}

// mayBackUp refuses a backup that the NATS user could not make: a server that does not permit a request does not
// answer it.
func (n *Node) mayBackUp() error {
	if n.bus != nil {
		return nil
	}
	for _, subject := range []string{"$JS.API.STREAM.SNAPSHOT.none", "$JS.SNAPSHOT.ACK.none.none"} {
		may, err := bus.MayPublish(n.services, subject)
		if err != nil {
			return err
		}
		if !may {
			return errors.New("the NATS user of the services may not take snapshots of streams: give it the permissions to publish to " +
				"$JS.API.STREAM.SNAPSHOT.* and $JS.SNAPSHOT.ACK.*.*, as the user services has in deploy/nats.conf")
		}
	}
	return nil
}

// warnOfWeakDurability says what an external server's configuration, as far as it can be asked for, means
// for what was acknowledged.
func (n *Node) warnOfWeakDurability(ctx context.Context) error {
	streams := []string{credentials.StreamName, personal.StreamName, intake.StreamName, intake.RefusedStreamName}
	for _, t := range n.accounts.Tenants() {
		for i := range t.Shards() {
			streams = append(streams, journal.Name{Tenant: t.Name(), Shard: i}.Stream())
		}
	}
	warnings, err := bus.Durability(ctx, n.services, streams...)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		n.log.Warn("durability of the NATS server", "warning", fmt.Sprint(w))
	}
	return nil
}
