package bus

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Names of the accounts of the embedded server that belong to nobody outside.
const (
	// InternalAccount holds the journals and all other streams.
	InternalAccount = "CREDITSTREAM"
	// OperatorAccount is where clients without credentials are in development mode.
	OperatorAccount = "OPERATOR"
	systemAccount   = "SYS"
)

// MaxPayload is the largest message that the server takes, in bytes. A commit
// has at most 768 KiB; the rest is room for batches of usage, which are not
// bound to a commit's size, and for a catalog. NATS warns above 8 MiB because
// one such message holds up everything else on its connection.
const MaxPayload = 8 << 20

// A client that does not take what is sent to it is hung up on: when so many bytes wait for it, or one write to it
// takes so long; and one that does not say who it is.
const (
	maxPending   = 64 << 20
	slowestRead  = 10 * time.Second
	slowestHello = 2 * time.Second
)

// Config says how an embedded server runs. The zero value of every field but
// StoreDir is usable.
type Config struct {
	// StoreDir is where JetStream keeps its files. Start locks it.
	StoreDir string
	// Listen is the address for TCP clients, as "127.0.0.1:4222"; port 0 picks a
	// free one. Empty means in-process connections only.
	Listen string
	// UnsafeNoSync acknowledges before the fsync. It exists so that the tests of
	// durability can show that they would notice; it loses data on a power cut.
	UnsafeNoSync bool
	// MaxStore limits the bytes of all streams; 0 means as much as the disk has.
	// (The engine's own default is three quarters of what is free at start.)
	MaxStore int64
	// MaxMemory limits the bytes of streams and consumers in memory; default 256 MiB.
	MaxMemory int64
	// ReadyTimeout bounds the start, recovery of the streams included; default 5 minutes.
	ReadyTimeout time.Duration
	// Authenticate says which tenant a client belongs to. user may be empty;
	// token is the NATS token or, when a user was given, the password. Nil lets
	// no tenant in. It is called from the server's goroutines, concurrently.
	Authenticate func(user, token string) (tenant string, ok bool)
	// DevTenantless lets clients without credentials in as the operator: they may
	// ask every service, feed every intake and read every journal, and write none.
	// Allowed only when Listen is a loopback address.
	DevTenantless bool
	// Logger gets the server's messages; nil discards them.
	Logger *slog.Logger
}

// Server is an embedded NATS server. All methods may be called concurrently.
type Server struct {
	cfg      Config
	running  atomic.Pointer[server.Server] // nil while it is not ready, and after a restart that failed
	nats     *server.Server                // the latest, for whoever starts and stops it
	internal *server.Account
	log      *slog.Logger
	secret   string
	unlock   func() error
	addr     string
	storeDir string
	doors    []*nats.Conn // see operator.go

	authenticate func(user, token string) (tenant string, ok bool)
	sessions     sessions

	restarting sync.Mutex
	fault      atomic.Pointer[error]  // see restart.go
	gaveUp     atomic.Pointer[string] // why the latest server did not start

	mu      sync.Mutex
	tenants map[string]*server.Account
	imports map[imported]struct{}
}

// Start runs an embedded server until Shutdown and returns when its streams are
// recovered and it takes connections. The error wraps ErrLocked when another
// process has the store directory. Ending ctx gives up the start, and does
// nothing afterwards.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.StoreDir == "" {
		return nil, errors.New("start bus: no store directory given")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	unlock, err := LockDir(cfg.StoreDir)
	if err != nil {
		return nil, fmt.Errorf("start bus: %w", err)
	}
	s := &Server{
		cfg:      cfg,
		log:      cfg.Logger,
		secret:   rand.Text(),
		unlock:   unlock,
		storeDir: filepath.Clean(cfg.StoreDir),
		tenants:  make(map[string]*server.Account),
		imports:  make(map[imported]struct{}),

		authenticate: cfg.Authenticate,
	}
	if s.authenticate == nil {
		s.authenticate = func(_, _ string) (string, bool) { return "", false }
	}
	err = s.start(ctx)
	if err == nil && cfg.DevTenantless {
		err = s.openDoor()
	}
	if err != nil {
		s.Shutdown()
		return nil, fmt.Errorf("start bus in %s: %w", cfg.StoreDir, err)
	}
	return s, nil
}

// start runs a server on the store directory: the first one, or another in the place of one that was stopped.
func (s *Server) start(ctx context.Context) error {
	opts, err := s.options(s.cfg)
	if err != nil {
		return err
	}
	if err := s.carryIndexes(ctx); err != nil {
		return err
	}
	if s.nats, err = server.NewServer(opts); err != nil {
		return err
	}
	s.nats.SetLoggerV2(serverLog{s.log, s.noteFault, func(text string) { s.gaveUp.Store(&text) }}, false, false, false)
	s.gaveUp.Store(nil)
	go s.nats.Start()
	if err := s.awaitReady(ctx, s.cfg.ReadyTimeout); err != nil {
		return err
	}
	if err := s.openAccounts(); err != nil {
		return err
	}
	if s.cfg.DevTenantless {
		if err := s.openOperator(); err != nil {
			return err
		}
	}
	if err := s.reopenTenants(); err != nil {
		return err
	}
	if s.cfg.Listen != "" {
		s.addr = s.nats.ClientURL()
		// Clients that know the address find the next server there, too.
		s.cfg.Listen = strings.TrimPrefix(s.addr, "nats://")
	}
	s.running.Store(s.nats)
	return nil
}

func (s *Server) options(cfg Config) (*server.Options, error) {
	opts := &server.Options{
		ServerName: "creditstream",
		// Without NoSigs the library ends the process on SIGTERM by itself.
		NoSigs:                 true,
		NoLog:                  true,
		DontListen:             cfg.Listen == "",
		MaxPayload:             MaxPayload,
		MaxPending:             maxPending,
		WriteDeadline:          slowestRead,
		AuthTimeout:            slowestHello.Seconds(),
		JetStream:              true,
		StoreDir:               cfg.StoreDir,
		JetStreamMaxMemory:     cmp.Or(cfg.MaxMemory, 256<<20),
		JetStreamMaxStore:      cmp.Or(cfg.MaxStore, 1<<50),
		SyncAlways:             !cfg.UnsafeNoSync,
		DisableJetStreamBanner: true,
		SystemAccount:          systemAccount,
		Accounts: []*server.Account{
			server.NewAccount(InternalAccount),
			server.NewAccount(systemAccount),
		},
		CustomClientAuthentication: logins{server: s, tenantless: cfg.DevTenantless},
	}
	if cfg.Listen == "" {
		return opts, nil
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen address: %w", err)
	}
	if opts.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("listen address %q: port: %w", cfg.Listen, err)
	}
	if opts.Host = host; opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	if cfg.DevTenantless && !isLoopback(host) {
		return nil, fmt.Errorf("listen address %q: clients without credentials are allowed on loopback only", cfg.Listen)
	}
	return opts, nil
}

func (s *Server) awaitReady(ctx context.Context, timeout time.Duration) error {
	if timeout == 0 {
		timeout = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for !s.nats.ReadyForConnections(50 * time.Millisecond) {
		if why := s.gaveUp.Load(); why != nil {
			return errors.New(*why)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("wait until it takes connections: %w", err)
		}
	}
	if !s.nats.JetStreamEnabled() {
		return errors.New("JetStream did not start; the log says why")
	}
	return nil
}

// Addr is the URL for TCP clients, "nats://host:port"; empty when it does not listen.
func (s *Server) Addr() string { return s.addr }

// StoreDir is the directory that holds the streams: what SyncDir is for.
func (s *Server) StoreDir() string { return s.storeDir }

// Shutdown stops the server, waits until its files are closed and gives back
// the lock. A second call does nothing.
func (s *Server) Shutdown() {
	s.restarting.Lock()
	defer s.restarting.Unlock()
	s.running.Store(nil)
	for _, door := range s.doors {
		door.Close()
	}
	if s.nats != nil {
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
	}
	if err := s.unlock(); err != nil {
		s.log.Error("release the store directory", "error", err)
	}
}

// Connect opens a connection to the internal account for a service or a reader:
// it may do everything but publish to a journal. The caller closes it.
func (s *Server) Connect(name string) (*nats.Conn, error) { return s.connect(name, serviceLogin) }

// ConnectWriter opens the connection on which journals are appended to, the
// only kind that may publish to "journal.>". The caller closes it.
func (s *Server) ConnectWriter(name string) (*nats.Conn, error) { return s.connect(name, writerLogin) }

// connect stays in the process also when the server listens: appends of 1 KiB to
// 256 KiB cost 10 to 25 % less CPU than over TCP loopback (BenchmarkAppend of
// events/journal with the store in memory). With the fsync that dominates them,
// no difference in time could be told.
func (s *Server) connect(name, login string) (*nats.Conn, error) {
	nc, err := nats.Connect(s.addr,
		nats.InProcessServer(s),
		nats.Name(name),
		nats.UserInfo(login, s.secret),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(50*time.Millisecond),
		// A server that was just restarted may know a connection's account a moment later.
		nats.IgnoreAuthErrorAbort(),
		logErrors(s.log))
	if err != nil {
		return nil, fmt.Errorf("connect %s to the bus: %w", name, err)
	}
	return nc, nil
}

// InProcessConn connects to the server that runs: connections outlive it and come back to the next one.
func (s *Server) InProcessConn() (net.Conn, error) {
	running := s.running.Load()
	if running == nil {
		return nil, errAway
	}
	return running.InProcessConn()
}

// errAway says that no server runs at the moment.
var errAway = errors.New("the bus is being restarted")

// Healthy says whether the server and its streams work, as an error when not.
func (s *Server) Healthy() error {
	running := s.running.Load()
	if running == nil {
		return fmt.Errorf("bus: %w", errAway)
	}
	if status := running.Healthz(nil); status.StatusCode != 200 {
		return fmt.Errorf("bus: %s %s", status.Status, status.Error)
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
