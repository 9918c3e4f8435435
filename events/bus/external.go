package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	neturl "net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Connect connects to a NATS server that runs elsewhere, and keeps trying for as
// long as ctx lasts. The credentials are in the URL ("nats://user:password@host")
// or in options; they should be those of an account that no tenant is in. Once
// connected it reconnects by itself, for ever.
func Connect(ctx context.Context, url string, log *slog.Logger, options ...nats.Option) (*nats.Conn, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if !readable(url) {
		// The parser's own error would show the password.
		return nil, fmt.Errorf("connect to %s: the URL cannot be read; it looks like nats://user:password@host:4222", Redact(url))
	}
	options = append([]nats.Option{
		nats.Name("creditstream"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		// A server whose users are being changed refuses for a while, not for ever.
		nats.IgnoreAuthErrorAbort(),
		logErrors(log),
	}, options...)
	for {
		nc, err := nats.Connect(url, options...)
		if err == nil {
			return nc, nil
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return nil, fmt.Errorf("connect to %s: %w", Redact(url), err)
		}
		log.Warn("the bus is away", "url", Redact(url), "error", err)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to %s: %w (%w)", Redact(url), err, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}

// readable reports whether each server of a list can be read as a URL.
func readable(urls string) bool {
	for url := range strings.SplitSeq(urls, ",") {
		if url = strings.TrimSpace(url); !strings.Contains(url, "://") {
			url = "nats://" + url
		}
		if u, err := neturl.Parse(url); err != nil || u.Host == "" {
			return false
		}
	}
	return true
}

// Redact leaves out the credentials of each server of a list of URLs.
func Redact(urls string) string {
	list := strings.Split(urls, ",")
	for i, url := range list {
		scheme, rest, ok := strings.Cut(strings.TrimSpace(url), "://")
		if !ok {
			scheme, rest = "nats", scheme
		}
		list[i] = scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
	}
	return strings.Join(list, ",")
}

// MayPublish asks the server, on a connection of its own with the same login,
// whether that login may publish to a subject. An empty message is published
// there when it may: choose a subject that nobody listens to.
func MayPublish(nc *nats.Conn, subject string) (bool, error) {
	options := nc.Opts
	options.AsyncErrorCB = func(*nats.Conn, *nats.Subscription, error) {} // a refusal is an answer here, no fault
	probe, err := options.Connect()
	if err != nil {
		return false, fmt.Errorf("ask for the permission to publish to %s: %w", subject, err)
	}
	defer probe.Close()
	if err := probe.Publish(subject, nil); err != nil {
		return false, fmt.Errorf("ask for the permission to publish to %s: %w", subject, err)
	}
	// The refusal comes before the answer to the flush, and is kept as the last error.
	if err := probe.FlushTimeout(askWithin); err != nil {
		return false, fmt.Errorf("ask for the permission to publish to %s: %w", subject, err)
	}
	return !errors.Is(probe.LastError(), nats.ErrPermissionViolation), nil
}

// askWithin bounds the wait for a server's answer to a question of a start.
const askWithin = 10 * time.Second

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
	var few []string
	for _, name := range streams {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("ask about durability: stream %s: %w", name, err)
		}
		info := stream.CachedInfo()
		if info.Config.Replicas < 3 {
			few = append(few, fmt.Sprintf("stream %s has %d replica(s)", name, info.Config.Replicas))
		}
		for _, peer := range followers(info) {
			if peer.Offline || !peer.Current {
				warnings = append(warnings, Warning(fmt.Sprintf("stream %s: replica %s is away or behind; bring it back before another one fails", name, peer.Name)))
			}
		}
	}
	if len(few) > 0 {
		text := few[0]
		if len(few) > 1 {
			text += fmt.Sprintf(" and %d others have fewer than 3", len(few)-1)
		}
		warnings = append(warnings, Warning(text+": the loss of one disk loses it; scale it to 3"))
	}
	return append(warnings, syncWarning(len(streams) > 0 && len(few) == 0)), nil
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
