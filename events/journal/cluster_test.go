package journal_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/journal"
)

// startCluster starts three servers that replicate streams, and says where they are.
func startCluster(t *testing.T) (servers []*server.Server, urls string) {
	t.Helper()
	var routes []*url.URL
	var ports []int
	for range 3 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: listener.Addr().String()})
		listener.Close()
	}
	var addrs []string
	for i, port := range ports {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("s%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			NoSigs: true, NoLog: true, MaxPayload: 8 << 20, Routes: routes,
			Cluster:   server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port},
			JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, JetStreamMaxStore: 1 << 40, JetStreamMaxMemory: 1 << 28,
		})
		if err != nil {
			t.Fatal(err)
		}
		go s.Start()
		t.Cleanup(func() { stopPlain(s) })
		servers = append(servers, s)
	}
	for _, s := range servers {
		if !s.ReadyForConnections(30 * time.Second) {
			t.Fatal("a server did not start")
		}
		addrs = append(addrs, s.ClientURL())
	}
	eventually(t, "the cluster has a leader and three members", func() bool {
		for _, s := range servers {
			if s.JetStreamIsLeader() {
				return len(s.JetStreamClusterPeers()) == 3
			}
		}
		return false
	})
	return servers, strings.Join(addrs, ",")
}

// In a replicated journal one append is published at a time, whatever is pending,
// and none is lost or doubled when the leader goes.
func TestReplicatedJournalSurvivesItsLeader(t *testing.T) {
	servers, urls := startCluster(t)
	cfg := journal.Config{Name: acme, Create: true, Replicas: 3, AckTimeout: 500 * time.Millisecond}
	j := open(t, dial(t, urls), cfg)
	if _, err := j.TakeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	var pending []<-chan outcome
	appendSome := func(n int) {
		for range n {
			pending = append(pending, appendTo(t, j, fmt.Sprintf("[%d]", len(pending))))
		}
	}
	appendSome(8)
	for _, outcomes := range pending[:4] {
		if o := await(t, outcomes); o.err != nil {
			t.Fatal(o.err)
		}
	}
	stopPlain(leader(t, servers, urls))
	appendSome(4)
	for i, outcomes := range pending[4:] {
		if o := await(t, outcomes); o.err != nil || o.head.Sequence != uint64(i+6) {
			t.Fatalf("append %d: %+v", i+5, o)
		}
	}
	commits, err := readAll(t.Context(), open(t, dial(t, urls), journal.Config{Name: acme}), 1)
	if err != nil || len(commits) != 13 {
		t.Fatalf("read %d commits, want 13: %v", len(commits), err)
	}

	rival := open(t, dial(t, urls), journal.Config{Name: acme})
	if _, err := rival.TakeOver(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, outcomes := range []<-chan outcome{tryAppend(j, "[]"), tryAppend(j, "[2]")} {
		if o := await(t, outcomes); !errors.Is(o.err, journal.ErrFenced) {
			t.Errorf("the stale writer: %+v", o)
		}
	}
}

func leader(t *testing.T, servers []*server.Server, urls string) *server.Server {
	t.Helper()
	nc, err := nats.Connect(urls)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), acme.Stream())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		if s.Name() == stream.CachedInfo().Cluster.Leader {
			return s
		}
	}
	t.Fatal("the stream has no leader")
	return nil
}
