package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Connect connects to a NATS server that runs elsewhere, and keeps trying for as
// long as ctx lasts. options carry the credentials; they should be those of an
// account that no tenant is in. Once connected it reconnects by itself, for ever.
func Connect(ctx context.Context, url string, log *slog.Logger, options ...nats.Option) (*nats.Conn, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	options = append([]nats.Option{
		nats.Name("creditstream"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		logErrors(log),
	}, options...)
	for {
		nc, err := nats.Connect(url, options...)
		if err == nil {
			return nc, nil
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return nil, fmt.Errorf("connect to %s: %w", redact(url), err)
		}
		log.Warn("the bus is away", "url", redact(url), "error", err)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to %s: %w (%w)", redact(url), err, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}

// redact leaves out what stands before the @ of each server.
func redact(urls string) string {
	list := strings.Split(urls, ",")
	for i, url := range list {
		if at := strings.LastIndexByte(url, '@'); at >= 0 {
			list[i] = url[at+1:]
		}
	}
	return strings.Join(list, ",")
}

// Warning is something about a server that may cost acknowledged commits, in
// words that an operator can act on.
type Warning string

// testedServer is the oldest server that the journal's fence was tried on.
const testedServer = "2.15.0"

// Durability says what a client can find out, and what it cannot, about whether
// an ack means that a commit is on disk. streams are those whose replicas are
// looked at. It returns an error when the server cannot keep a journal at all.
func Durability(ctx context.Context, nc *nats.Conn, streams ...string) ([]Warning, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("ask about durability: %w", err)
	}
	if _, err := js.AccountInfo(ctx); err != nil {
		return nil, fmt.Errorf("ask about durability: JetStream is not usable for this account: %w", err)
	}
	var warnings []Warning
	if version := nc.ConnectedServerVersion(); older(version, testedServer) {
		warnings = append(warnings, Warning(fmt.Sprintf("the server is version %s; journals are tested on %s and later: upgrade it", version, testedServer)))
	}
	replicated := len(streams) > 0
	for _, name := range streams {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("ask about durability: stream %s: %w", name, err)
		}
		info := stream.CachedInfo()
		if info.Config.Replicas < 3 {
			replicated = false
			warnings = append(warnings, Warning(fmt.Sprintf("stream %s has %d replica(s): the loss of one disk loses it; scale it to 3", name, info.Config.Replicas)))
		}
		for _, peer := range followers(info) {
			if peer.Offline || !peer.Current {
				warnings = append(warnings, Warning(fmt.Sprintf("stream %s: replica %s is away or behind; bring it back before another one fails", name, peer.Name)))
			}
		}
	}
	return append(warnings, syncWarning(replicated)), nil
}

func followers(info *jetstream.StreamInfo) []*jetstream.PeerInfo {
	if info.Cluster == nil {
		return nil
	}
	return info.Cluster.Replicas
}

// syncWarning is always given: a server tells its sync interval to its system
// account only.
func syncWarning(replicated bool) Warning {
	const ask = "this connection cannot see the server's sync_interval, and its default of 2 minutes acknowledges what is not on disk yet: " +
		"check that every server's configuration has jetstream { sync_interval: always }"
	if replicated {
		return ask + "; without it a power cut of a majority of the servers loses acknowledged commits"
	}
	return ask + "; without it a power cut of the server loses acknowledged commits"
}

// older compares versions like 2.15.2; what cannot be read counts as old.
func older(version, than string) bool {
	var a, b [3]int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &a[0], &a[1], &a[2]); err != nil {
		return true
	}
	if _, err := fmt.Sscanf(than, "%d.%d.%d", &b[0], &b[1], &b[2]); err != nil {
		return true
	}
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}
