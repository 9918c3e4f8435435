package node

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/credentials"
	"creditstream/services/intake"
	"creditstream/services/rules"
)

// elsewhere is a NATS server in a process of its own, with the configuration of deploy/nats.conf.
type elsewhere struct {
	t     *testing.T
	store string
	port  int // the one it got at its first start
	cmd   *exec.Cmd
}

// password is that of every user in the tests.
const password = "correct-horse"

func startElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	e := &elsewhere{t: t, store: t.TempDir(), port: server.RANDOM_PORT}
	e.start()
	t.Cleanup(e.kill)
	return e
}

func (e *elsewhere) start() {
	e.t.Helper()
	e.cmd = exec.Command(os.Args[0]) // it outlives the test: nodes are closed before it is killed
	e.cmd.Env = append(os.Environ(), "CREDITS_NATS_STORE="+e.store, "CREDITS_NATS_PORT="+strconv.Itoa(e.port), "HOSTNAME=n1",
		"CREDITSTREAM_WRITER="+password, "CREDITSTREAM_SERVICES="+password, "CREDITSTREAM_TECPET="+password, "CREDITSTREAM_SYS="+password)
	e.cmd.Stderr = os.Stderr
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		e.t.Fatalf("the NATS server did not start: %v", err)
	}
	if e.port, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		e.t.Fatal(err)
	}
}

// kill ends the server without warning (SIGKILL).
func (e *elsewhere) kill() {
	if e.cmd != nil {
		_ = e.cmd.Process.Kill()
		_ = e.cmd.Wait()
		e.cmd = nil
	}
}

// runElsewhere is that process. It writes its port to standard output and runs until it is killed.
func runElsewhere(store, port string) error {
	options, err := server.ProcessConfigFile("../../deploy/nats.conf")
	if err != nil {
		return err
	}
	options.Host, options.StoreDir = "127.0.0.1", store
	options.NoSigs, options.NoLog = true, true
	if options.Port, err = strconv.Atoi(port); err != nil {
		return err
	}
	s, err := server.NewServer(options)
	if err != nil {
		return err
	}
	go s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		return errors.New("the NATS server is not ready")
	}
	_, at, _ := strings.Cut(strings.TrimPrefix(s.ClientURL(), "nats://"), ":")
	fmt.Println(at)
	s.WaitForShutdown()
	return nil
}

func (e *elsewhere) url(user string) string {
	return fmt.Sprintf("nats://%s:%s@127.0.0.1:%d", user, password, e.port)
}

// login connects as one of the users of deploy/nats.conf.
func (e *elsewhere) login(user string) *nats.Conn {
	e.t.Helper()
	nc, err := nats.Connect(e.url(user), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		e.t.Fatalf("log in as %s: %v", user, err)
	}
	e.t.Cleanup(nc.Close)
	return nc
}

// node runs a node on the server until the test ends.
func (e *elsewhere) node(cfg Config) *Node {
	e.t.Helper()
	cfg.Data = cmp.Or(cfg.Data, e.t.TempDir())
	cfg.External = External{URL: e.url("services"), WriterURL: e.url("writer")}
	cfg.Catalogs = "../../deploy/catalogs"
	n, err := Start(context.Background(), cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		if err := n.Close(); err != nil {
			e.t.Errorf("close: %v", err)
		}
	})
	return n
}

func tenantOf(t *testing.T, n *Node) *accounts.Tenant {
	t.Helper()
	tenant, err := n.Accounts().Tenant("tecpet")
	if err != nil {
		t.Fatal(err)
	}
	return tenant
}

// fund opens an account with more credits than a test can spend.
func fund(t *testing.T, tenant *accounts.Tenant, account string) {
	t.Helper()
	answer := tenant.Do(t.Context(), accounts.Request{Account: account, Key: "open", Hash: credit.Hash{1}, Command: &rules.ImportAccount{
		Lots: []rules.OpeningLot{{Pool: "purchased", Credits: 1e15}},
	}})
	if answer.Err != nil {
		t.Fatal(answer.Err)
	}
}

// charges counts how often each key is in the tenant's journal.
func charges(t *testing.T, n *Node) map[string]int {
	t.Helper()
	found := make(map[string]int)
	for commit, err := range n.Journal("tecpet", 0).Read(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		entries, err := credit.DecodeCommit(commit.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			found[e.Account+" "+e.Key]++
		}
	}
	return found
}

// Invariants 1 and 2 on a server that runs elsewhere: it is killed in the middle of a load, again and again.
// Every charge is answered once the server is back; each is in the journal once.
func TestExternalServerIsKilledInTheMiddleOfALoad(t *testing.T) {
	e := startElsewhere(t)
	dir := t.TempDir()
	n := e.node(Config{Data: dir})
	tenant := tenantOf(t, n)
	const clients, kills = 8, 3
	for i := range clients {
		fund(t, tenant, fmt.Sprint("a", i))
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	acknowledged := make([][]string, clients)
	progress := make(chan struct{}, 1)
	var load sync.WaitGroup
	for c := range clients {
		load.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				r := accounts.Request{Account: fmt.Sprint("a", c), Key: fmt.Sprint("k", i), Hash: credit.Hash{1}, Command: &rules.Use{Meter: "sticker", Quantity: 1}}
				for range 2 { // a repetition changes nothing
					if answer := tenant.Do(t.Context(), r); answer.Err != nil {
						t.Errorf("charge %d of client %d: %v", i, c, answer.Err)
						return
					}
				}
				acknowledged[c] = append(acknowledged[c], r.Account+" "+r.Key)
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	for range kills {
		for range 50 {
			<-progress
		}
		e.kill()
		e.start()
	}
	for range 50 {
		<-progress
	}
	stop()
	load.Wait()

	found, total := charges(t, n), 0
	for _, keys := range acknowledged {
		total += len(keys)
		for _, key := range keys {
			if found[key] != 1 {
				t.Errorf("%s was acknowledged and is %d times in the journal", key, found[key])
			}
		}
	}
	if total < 50*kills {
		t.Errorf("only %d charges were acknowledged", total)
	}
	if report, err := n.Verify(t.Context(), "", nil); err != nil || !report.OK {
		t.Errorf("verify: %+v, %v", report, err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	// A node that starts again finds the same.
	again := e.node(Config{Data: dir})
	for c, keys := range acknowledged {
		answer := tenantOf(t, again).Do(t.Context(), accounts.Request{Account: fmt.Sprint("a", c), Key: "k0", Hash: credit.Hash{1}, Command: &rules.Use{Meter: "sticker", Quantity: 1}})
		if answer.Err != nil || !answer.Replayed {
			t.Errorf("the first of %d charges of client %d, repeated after a restart: %+v", len(keys), c, answer)
		}
	}
}

// A tenant asks, feeds its intake and reads its journal; over a restart of the server, too.
func TestTenantOfAnExternalServer(t *testing.T) {
	e := startElsewhere(t)
	var said strings.Builder
	n := e.node(Config{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	fund(t, tenantOf(t, n), "a")
	makeFeed(t, e)
	tenant := e.login("tecpet")
	charge := func(id string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/test","type":"creditstream.usage","subject":"a","data":{"meter":"sticker","quantity":1}}`, id)
	}
	for round := range 2 {
		eventually(t, "a charge is answered", func() bool {
			answer, err := tenant.Request("credits.tecpet.usage", []byte(charge(fmt.Sprint("asked", round))), time.Second)
			return err == nil && strings.Contains(string(answer.Data), `"status":"recorded"`)
		})
		eventually(t, "the intake acknowledges", func() bool {
			answer, err := tenant.Request("intake.tecpet.usage", []byte(charge(fmt.Sprint("fed", round))), time.Second)
			return err == nil && strings.Contains(string(answer.Data), `"stream":"INTAKE"`)
		})
		eventually(t, "the intake is recorded", func() bool { return charges(t, n)["a "+fmt.Sprint("fed", round)] == 1 })
		if round == 0 {
			if commits := pullFeed(t, tenant); commits < 4 {
				t.Errorf("the feed has %d commits", commits)
			}
			answer, err := tenant.Request("journal.tecpet.0.get", []byte(`{"seq":1}`), 30*time.Second)
			if err != nil || !strings.Contains(string(answer.Data), `"subject":"journal.tecpet.0"`) {
				t.Errorf("the first commit, by sequence: %v", err)
			}
			e.kill()
			e.start()
		}
	}
	found := charges(t, n)
	for _, key := range []string{"a asked0", "a asked1", "a fed0", "a fed1"} {
		if found[key] != 1 {
			t.Errorf("%s is %d times in the journal", key, found[key])
		}
	}
	if answer, err := tenant.Request("credits.adtech.check", []byte(`{"account":"a","meter":"dynamic_video","quantity":1}`), time.Second); err == nil {
		t.Errorf("another tenant's service answered %s", answer.Data)
	}
	useServices(t, n, tenant)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if log := strings.ToLower(said.String()); strings.Contains(log, "permission") {
		t.Errorf("the users of deploy/nats.conf lack a permission: %s", log)
	}
}

// useServices does what the user of the services needs its other permissions for.
func useServices(t *testing.T, n *Node, tenant *nats.Conn) {
	t.Helper()
	if _, err := tenant.Request("intake.tecpet.usage", []byte(`"nonsense"`), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	var refused []intake.Refused
	eventually(t, "nonsense is listed as refused", func() (listed bool) {
		var err error
		if refused, _, err = n.doors.intake.Refused(t.Context(), "tecpet", 0, 10); err != nil {
			t.Fatal(err)
		}
		return len(refused) == 1
	})
	if err := n.doors.intake.Drop(t.Context(), "tecpet", refused[0].ID); err != nil {
		t.Error(err)
	}
	_, key, err := n.Credentials().Create(t.Context(), credentials.NewKey{Tenant: "tecpet", Actor: "shop", Scopes: credentials.Scopes(credentials.Usage)})
	if err == nil {
		err = n.Credentials().Revoke(t.Context(), key.ID, "ops")
	}
	if err != nil {
		t.Error(err)
	}
}

// makeFeed makes the consumer that the tenant may pull from, as the operator does: with a user for such work,
// here the writer, whom no rule keeps from it.
func makeFeed(t *testing.T, e *elsewhere) {
	t.Helper()
	js, err := jetstream.New(e.login("writer"))
	if err == nil {
		_, err = js.CreateConsumer(t.Context(), "JOURNAL_tecpet_0", jetstream.ConsumerConfig{
			Name: "feed", AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, InactiveThreshold: time.Hour,
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func pullFeed(t *testing.T, nc *nats.Conn) (commits int) {
	t.Helper()
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err == nil {
		err = nc.PublishRequest("journal.tecpet.0.next", inbox, []byte(`{"batch":100,"no_wait":true}`))
	}
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := sub.NextMsg(5 * time.Second)
		if err != nil {
			t.Fatalf("pull: %v", err)
		}
		if m.Header.Get("Status") != "" {
			return commits
		}
		if m.Subject != "journal.tecpet.0" {
			t.Errorf("a commit came on %s", m.Subject)
		}
		commits++
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// intoJournal are the ways to have something written into a journal.
var intoJournal = map[string][]nats.Msg{
	"plain publish":              {{Subject: "journal.tecpet.0", Data: []byte("forged")}, {Subject: "journal.adtech.0", Data: []byte("forged")}},
	"reply subject of a request": {{Subject: "credits.tecpet.check", Reply: "journal.adtech.0", Data: []byte("{}")}},
	"reply subject of an intake": {{Subject: "intake.tecpet.usage", Reply: "journal.adtech.0", Data: []byte("{}")}},
	"reply subject of a read":    {{Subject: "journal.tecpet.0.get", Reply: "journal.adtech.0", Data: []byte(`{"seq":1}`)}},
	"reply subject of a pull":    {{Subject: "journal.tecpet.0.next", Reply: "journal.adtech.0", Data: []byte(`{"batch":1,"no_wait":true}`)}},
	"reply subject of the stream's info": {
		{Subject: "$JS.API.STREAM.INFO.JOURNAL_tecpet_0", Reply: "journal.adtech.0"},
	},
	"deliver subject of a consumer": {
		{Subject: "$JS.API.CONSUMER.CREATE.JOURNAL_tecpet_0.push", Reply: "_INBOX.x", Data: []byte(pushConsumer)},
		{Subject: "$JS.API.CONSUMER.CREATE.JOURNAL_tecpet_0", Reply: "_INBOX.x", Data: []byte(pushConsumer)},
		{Subject: "$JS.API.CONSUMER.DURABLE.CREATE.JOURNAL_tecpet_0.push", Reply: "_INBOX.x", Data: []byte(pushConsumer)},
	},
}

const pushConsumer = `{"stream_name":"JOURNAL_tecpet_0","config":{"name":"push","deliver_subject":"journal.adtech.0","deliver_policy":"all","ack_policy":"none"}}`

// heads is what the attacks would change: where two journals end, and how many consumers read the first.
type heads struct{ tecpet, adtech, consumers uint64 }

func headsOf(t *testing.T, services *nats.Conn) (h heads) {
	t.Helper()
	for stream, last := range map[string]*uint64{"JOURNAL_tecpet_0": &h.tecpet, "JOURNAL_adtech_0": &h.adtech} {
		answer, err := services.Request("$JS.API.STREAM.INFO."+stream, nil, 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var info struct {
			State struct {
				Last      uint64 `json:"last_seq"`
				Consumers uint64 `json:"consumer_count"`
			} `json:"state"`
		}
		if err := json.Unmarshal(answer.Data, &info); err != nil {
			t.Fatal(err)
		}
		if *last = info.State.Last; stream == "JOURNAL_tecpet_0" {
			h.consumers = info.State.Consumers
		}
	}
	return h
}

func TestTenantOfAnExternalServerCannotWriteIntoAJournal(t *testing.T) {
	e := startElsewhere(t)
	n := e.node(Config{Views: []string{}}) // no view reads the journals by a consumer of its own
	makeFeed(t, e)
	tenant, services := e.login("tecpet"), e.login("services")
	before := headsOf(t, services)
	for name, messages := range intoJournal {
		t.Run(name, func(t *testing.T) {
			for _, m := range messages {
				m.Header = nats.Header{"Nats-Expected-Last-Sequence": {strconv.FormatUint(before.adtech, 10)}}
				if err := tenant.PublishMsg(&m); err != nil {
					t.Fatal(err)
				}
			}
			// What was sent before has had its effects once these are answered.
			for _, subject := range []string{"credits.tecpet.check", "intake.tecpet.usage"} {
				if _, err := tenant.Request(subject, []byte("{}"), 30*time.Second); err != nil {
					t.Fatal(err)
				}
			}
			if after := headsOf(t, services); after != before {
				t.Errorf("it was %+v and is %+v", before, after)
			}
		})
	}
	fund(t, tenantOf(t, n), "a")
	if report, err := n.Verify(t.Context(), "", nil); err != nil || !report.OK {
		t.Errorf("verify: %+v, %v", report, err)
	}
}

// Where there is no border the same messages have an effect: a slip of the pen in one of them would pass for
// safety.
func TestTheAttacksWorkInsideTheAccount(t *testing.T) {
	e := startElsewhere(t)
	n := e.node(Config{Views: []string{}})
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	services := e.login("services")
	for name, user := range map[string]string{"reply subject of the stream's info": "services", "deliver subject of a consumer": "writer"} {
		before, nc := headsOf(t, services), e.login(user)
		for _, m := range intoJournal[name] {
			if err := nc.PublishMsg(&m); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, name+" had an effect", func() bool { return headsOf(t, services) != before })
	}
}

// A writer that may not write is refused at once; it would wait for acks for ever.
func TestExternalLoginsAreChecked(t *testing.T) {
	e := startElsewhere(t)
	_, err := Start(t.Context(), Config{Data: t.TempDir(), External: External{URL: e.url("services")}})
	if err == nil || !strings.Contains(err.Error(), "may not publish to journal") {
		t.Errorf("with the services' user as the writer: %v", err)
	}
	wrong := strings.Replace(e.url("services"), password, "secret-word", 1)
	_, err = Start(t.Context(), Config{Data: t.TempDir(), External: External{URL: wrong}})
	if !errors.Is(err, nats.ErrAuthorization) || strings.Contains(err.Error(), "secret-word") {
		t.Errorf("with a wrong password: %v", err)
	}
	var said strings.Builder
	n := e.node(Config{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if strings.Contains(n.NATS(), password) || !strings.HasSuffix(n.NATS(), strconv.Itoa(e.port)) {
		t.Errorf("the node says that NATS is at %s", n.NATS())
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if log := said.String(); !strings.Contains(log, "sync_interval: always") || !strings.Contains(log, "replica(s)") || strings.Contains(log, password) {
		t.Errorf("about durability it says: %s", log)
	}
}
