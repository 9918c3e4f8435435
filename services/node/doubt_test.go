package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"creditstream/events/credit"
	"creditstream/services/accounts"
	"creditstream/services/rules"
)

// wire is a network between a node and its NATS server that can be made to lose what the server says, to hold
// everything back, and to break.
type wire struct {
	listener net.Listener
	server   string
	mu       sync.Mutex
	deaf     bool          // what the server says is lost; the connection has to be cut afterwards
	open     chan struct{} // closed: everything passes
	conns    map[net.Conn]bool
	lost     int // bytes
	running  sync.WaitGroup
}

func newWire(t *testing.T, port int) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener, server: fmt.Sprint("127.0.0.1:", port), open: make(chan struct{}), conns: make(map[net.Conn]bool)}
	close(w.open)
	w.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", w.server)
			if err != nil {
				_ = client.Close()
				continue
			}
			w.mu.Lock()
			w.conns[client], w.conns[server] = true, true
			w.mu.Unlock()
			w.running.Go(func() { w.pass(server, client, false) })
			w.running.Go(func() { w.pass(client, server, true) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.hold(false)
		w.cut()
		w.running.Wait()
	})
	return w
}

// pass carries one direction until either end is gone.
func (w *wire) pass(to, from net.Conn, said bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		w.mu.Lock()
		open, lose := w.open, said && w.deaf
		if lose {
			w.lost += n
		}
		w.mu.Unlock()
		<-open
		if err == nil && !lose {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			break
		}
	}
	w.mu.Lock()
	delete(w.conns, to)
	delete(w.conns, from)
	w.mu.Unlock()
	_, _ = to.Close(), from.Close()
}

// cut breaks all connections.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.conns {
		_ = conn.Close()
	}
}

// lose loses what the server says from now on, or no longer.
func (w *wire) lose(deaf bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf = deaf
}

// hold holds everything back, or lets it go.
func (w *wire) hold(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.open:
		if on {
			w.open = make(chan struct{})
		}
	default:
		if !on {
			close(w.open)
		}
	}
}

func (w *wire) loss() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// through is the server's URL by way of the wire.
func (w *wire) through(user string) string {
	return fmt.Sprintf("nats://%s:%s@%s", user, password, w.listener.Addr())
}

// doubted is a load whose clients are in doubt: they ask again until they are answered.
type doubted struct {
	t       *testing.T
	node    *Node
	mu      sync.Mutex
	answers map[string]string // by account and key: what was drawn, and where it stands
	unknown int
}

// ask asks until there is an answer, and holds it to what was answered before.
func (d *doubted) ask(ctx context.Context, account, key string) {
	for ctx.Err() == nil {
		once, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		answer := tenantOf(d.t, d.node).Do(once, sticker(account, key))
		cancel()
		if errors.Is(answer.Err, accounts.ErrUnavailable) {
			d.mu.Lock()
			d.unknown++
			d.mu.Unlock()
			continue
		}
		if answer.Err != nil {
			d.t.Errorf("%s %s: %v", account, key, answer.Err)
			return
		}
		u := answer.Facts[0].Event.(*credit.UsageRecorded)
		said := fmt.Sprint(answer.Position, u.Cost, u.Remaining)
		d.mu.Lock()
		defer d.mu.Unlock()
		if before, asked := d.answers[account+" "+key]; asked && before != said {
			d.t.Errorf("%s %s: it was %s and is %s", account, key, before, said)
		}
		d.answers[account+" "+key] = said
		return
	}
}

// Invariant 2: acks are lost, connections break, answers are late, and everybody asks again, before and after a
// restart and after JetStream has forgotten its message ids. Every charge takes effect exactly once and has one
// answer; another request under its key is told so.
func TestInDoubtEverythingTakesEffectOnce(t *testing.T) {
	t.Parallel()
	e := startElsewhere(t)
	w := newWire(t, e.port)
	cfg := Config{Data: t.TempDir(), Catalogs: "../../deploy/catalogs", Views: []string{}, External: External{URL: w.through("services"), WriterURL: w.through("writer")}}
	start := func() *Node {
		n, err := Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		return n
	}
	const clients = 6
	d := &doubted{t: t, node: start(), answers: make(map[string]string)}
	for c := range clients {
		fund(t, tenantOf(t, d.node), fmt.Sprint("a", c))
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	progress := make(chan struct{})
	var load sync.WaitGroup
	for c := range clients {
		load.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				account, key := fmt.Sprint("a", c), fmt.Sprint("k", i)
				var twice sync.WaitGroup // two who ask at once
				twice.Go(func() { d.ask(t.Context(), account, key) })
				d.ask(t.Context(), account, key)
				twice.Wait()
				select {
				case progress <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	some := func(n int) {
		for range n {
			<-progress
		}
	}
	for _, trouble := range []func(){
		func() { // acks are lost
			w.lose(true)
			before := w.loss()
			eventually(t, "an ack is lost", func() bool { return w.loss() > before })
			w.lose(false)
			w.cut()
		},
		w.cut,
		func() { // answers are so late that everything is sent again meanwhile
			w.hold(true)
			before := d.doubts()
			eventually(t, "clients give up waiting and ask again", func() bool { return d.doubts() > before+20*clients })
			w.hold(false)
		},
	} {
		some(40)
		trouble()
	}
	some(40)
	stop()
	load.Wait()
	d.once(clients)
	if err := d.node.Close(); err != nil {
		t.Fatal(err)
	}
	d.node = start()
	for name := range d.answers { // long after the 100 ms in which JetStream knows a message id
		account, key, _ := strings.Cut(name, " ")
		d.ask(t.Context(), account, key)
		r := sticker(account, key)
		r.Hash, r.Command = credit.Hash{2}, &rules.Use{Meter: "sticker", Quantity: 2}
		var conflict *accounts.Conflict
		if answer := tenantOf(t, d.node).Do(t.Context(), r); !errors.As(answer.Err, &conflict) {
			t.Errorf("another charge under the key of %s: %+v", name, answer)
		}
	}
	d.once(clients)
}

func (d *doubted) doubts() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unknown
}

// once holds the journal and the balances to the answers.
func (d *doubted) once(clients int) {
	d.t.Helper()
	found, charged := charges(d.t, d.node), make(map[string]int)
	for name := range d.answers {
		if found[name] != 1 {
			d.t.Errorf("%s was answered and is %d times in the journal", name, found[name])
		}
		account, _, _ := strings.Cut(name, " ")
		charged[account]++
	}
	for c := range clients {
		account := fmt.Sprint("a", c)
		a, now, _, err := tenantOf(d.t, d.node).Account(account)
		if err != nil {
			d.t.Fatal(err)
		}
		want := credit.Amount(1e15) - credit.Amount(charged[account])*1_000_000
		if r := rules.BalanceOf(a, tenantOf(d.t, d.node).Books(), now).Remaining; r != want {
			d.t.Errorf("%s has %d after %d charges, want %d", account, r, charged[account], want)
		}
	}
	if report, err := d.node.Verify(d.t.Context(), "tecpet", nil); err != nil || !report.OK {
		d.t.Errorf("verify: %+v, %v", report, err)
	}
}

// The same events come in two batches of the intake, which is cut off while it records them and is given them
// again, and in a batch over the tenant's own door: each is recorded once.
func TestTheSameEventsInManyBatchesAreRecordedOnce(t *testing.T) {
	t.Parallel()
	e := startElsewhere(t)
	w := newWire(t, e.port)
	n, err := Start(t.Context(), Config{Data: t.TempDir(), Catalogs: "../../deploy/catalogs", Views: []string{}, External: External{URL: w.through("services"), WriterURL: w.through("writer")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	fund(t, tenantOf(t, n), "a")
	tenant := e.login("tecpet")
	batch := func(from, to int) []byte {
		var events []string
		for i := from; i < to; i++ {
			events = append(events, fmt.Sprintf(`{"specversion":"1.0","id":"e%d","source":"/test","type":"creditstream.usage","subject":"a","data":{"meter":"sticker","quantity":1}}`, i))
		}
		return []byte("[" + strings.Join(events, ",") + "]")
	}
	send := func(subject string, body []byte) {
		eventually(t, "a batch is taken", func() bool {
			answer, err := tenant.Request(subject, body, 2*time.Second)
			return err == nil && (strings.Contains(string(answer.Data), `"stream":"INTAKE"`) || strings.Contains(string(answer.Data), `"recorded"`))
		})
	}
	for round := range 3 {
		w.lose(round > 0) // what it recorded it cannot be told, nor say that it did
		send("intake.tecpet.usage", batch(0, 100))
		send("intake.tecpet.usage", batch(50, 150))
		w.lose(false)
		w.cut()
		send("credits.tecpet.usage", batch(25, 75))
	}
	eventually(t, "the last event is recorded", func() bool { return charges(t, n)["a e149"] > 0 })
	send("intake.tecpet.usage", []byte(strings.ReplaceAll(string(batch(150, 151)), "e150", "end")))
	eventually(t, "what came last is recorded", func() bool { return charges(t, n)["a end"] > 0 })
	found := charges(t, n)
	for i := range 150 {
		if key := fmt.Sprint("a e", i); found[key] != 1 {
			t.Errorf("%s is %d times in the journal", key, found[key])
		}
	}
}
