package peers

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"creditstream/cmd/internal/load"
)

//go:embed postgres.sql
var postgresSchema string

// postgresSettings are those of a machine that is there for this server, with every commit on disk before it
// is answered. What is not said is the default; above all fsync, full_page_writes and synchronous_commit are on.
var postgresSettings = []string{
	"synchronous_commit = on",
	"fsync = on",
	"full_page_writes = on",
	"shared_buffers = 1GB",
	"effective_cache_size = 4GB",
	"work_mem = 16MB",
	"huge_pages = try",
	"wal_level = minimal", // nothing is replicated, and neither is what it is measured against
	"max_wal_senders = 0",
	"wal_compression = lz4", // fewer bytes to sync after a checkpoint
	"wal_buffers = 64MB",
	"max_wal_size = 8GB", // no checkpoint in the middle of a run
	"checkpoint_timeout = 15min",
	"jit = off", // the statements are short
	"max_connections = 300",
	"commit_siblings = 5", // commit_delay is tried
	"listen_addresses = '127.0.0.1'",
	"unix_socket_directories = ''",
}

// postgres is a PostgreSQL server with a ledger in it.
type postgres struct {
	dir     string
	port    int
	process *process
}

// postgresBinary finds the newest of Debian's versions, or what is on the path.
func postgresBinary() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err == nil && len(found) > 0 {
		return found[len(found)-1], nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", errors.New("PostgreSQL is not installed: apt-get install -y postgresql")
	}
	return path, nil
}

// startPostgres makes a database in a new directory and serves it.
func startPostgres(ctx context.Context, parent string) (*postgres, error) {
	binary, err := postgresBinary()
	if err != nil {
		return nil, err
	}
	p := &postgres{}
	if p.dir, err = directory(parent, "postgres"); err != nil {
		return nil, err
	}
	initdb, err := commandAs(ctx, p.dir, filepath.Join(filepath.Dir(binary), "initdb"), "-D", p.dir, "-U", "bench", "--auth=trust", "--encoding=UTF8", "--locale=C")
	if err != nil {
		return nil, err
	}
	if said, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a database in %s (which the user postgres must be able to reach): %w: %s", p.dir, err, said)
	}
	if p.port, err = freePort(); err != nil {
		return nil, err
	}
	settings := strings.Join(append(postgresSettings, "port = "+strconv.Itoa(p.port)), "\n") + "\n"
	file, err := os.OpenFile(filepath.Join(p.dir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = file.WriteString(settings)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if p.process, err = start(ctx, p.dir, binary, "-D", p.dir); err != nil {
		return nil, err
	}
	err = wait(ctx, p.dir+".log", func(ctx context.Context) error {
		return p.with(ctx, func(c *pgx.Conn) error { _, err := c.Exec(ctx, postgresSchema); return err })
	})
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func (p *postgres) stop() error { return p.process.stop() }

func (p *postgres) url() string {
	return fmt.Sprintf("postgres://bench@127.0.0.1:%d/postgres?sslmode=disable", p.port)
}

func (p *postgres) with(ctx context.Context, f func(*pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, p.url())
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.Close(ctx))
}

// reset opens accounts anew, with the statistics and the checkpoint that a quiet server would have come to.
func (p *postgres) reset(ctx context.Context, accounts, lots int) error {
	return p.with(ctx, func(c *pgx.Conn) error {
		for _, statement := range []string{
			"TRUNCATE accounts, lots, charges",
			fmt.Sprintf("INSERT INTO accounts SELECT 'account-' || i FROM generate_series(0, %d - 1) i", accounts),
			fmt.Sprintf("INSERT INTO lots (account, n, granted, remaining) SELECT 'account-' || i, n, %d, %[1]d FROM generate_series(0, %d - 1) i, generate_series(1, %d) n", fortune/int64(lots), accounts, lots),
			"VACUUM ANALYZE",
			"CHECKPOINT",
		} {
			if _, err := c.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}

// connect opens as many connections as requests are under way, with a commit_delay in microseconds.
func (p *postgres) connect(ctx context.Context, connections, commitDelay int) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(p.url())
	if err != nil {
		return nil, err
	}
	cfg.MaxConns, cfg.MinConns = int32(connections), int32(connections)
	cfg.ConnConfig.RuntimeParams["commit_delay"] = strconv.Itoa(commitDelay)
	return pgxpool.NewWithConfig(ctx, cfg)
}

// books compares what the tables hold with what was acknowledged.
func (p *postgres) books(ctx context.Context, acknowledged int64) (string, error) {
	var charges, keys, doubled, unbalanced int64
	err := p.with(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, `SELECT (SELECT count(*) FROM charges), (SELECT count(DISTINCT key) FROM charges),
			(SELECT count(*) FROM (SELECT FROM charges GROUP BY account, key HAVING count(*) > 1) d),
			(SELECT count(*) FROM (SELECT account, sum(granted) AS granted, sum(remaining) AS remaining FROM lots GROUP BY account) l
				LEFT JOIN (SELECT account, sum(cost) AS cost FROM charges GROUP BY account) c USING (account)
				WHERE l.granted - l.remaining <> coalesce(c.cost, 0))`).Scan(&charges, &keys, &doubled, &unbalanced)
	})
	if err != nil {
		return "", fmt.Errorf("read the books of PostgreSQL: %w", err)
	}
	if charges != acknowledged || keys != charges || doubled != 0 || unbalanced != 0 {
		return "", fmt.Errorf("the books of PostgreSQL do not close: %d acknowledged, %d charges with %d keys, %d doubled, %d accounts whose lots do not add up", acknowledged, charges, keys, doubled, unbalanced)
	}
	return fmt.Sprintf("%d acknowledged, all in the tables once, lots add up", acknowledged), nil
}

// postgresDoor charges through the functions of postgres.sql, which pgx prepares once a connection.
type postgresDoor struct {
	pool     *pgxpool.Pool
	accounts []string
	keys     [][16]byte
	hashes   [][]byte
	meters   []string
	costs    []int64
}

const (
	askOne  = "SELECT status FROM charge($1, $2, $3, $4, $5)"
	askMany = "SELECT status FROM charge_many($1, $2, $3, $4, $5) ORDER BY place"
)

// Charge is one request of one connection.
func (d *postgresDoor) Charge(ctx context.Context, batch []load.Charge) error {
	statuses, err := d.ask(ctx, batch, contentHash, price)
	if err != nil {
		return fmt.Errorf("charge in PostgreSQL: %w", err)
	}
	return allRecorded(statuses, len(batch))
}

func (d *postgresDoor) ask(ctx context.Context, batch []load.Charge, hash string, cost int64) ([]string, error) {
	if len(batch) == 1 {
		var status string
		err := d.pool.QueryRow(ctx, askOne, batch[0].Account, load.KeyBytes(batch[0].Key), []byte(hash), meter, cost).Scan(&status)
		return []string{status}, err
	}
	d.accounts, d.keys, d.hashes, d.meters, d.costs = d.accounts[:0], d.keys[:0], d.hashes[:0], d.meters[:0], d.costs[:0]
	for _, c := range batch {
		d.accounts, d.keys = append(d.accounts, c.Account), append(d.keys, load.KeyBytes(c.Key))
		d.hashes, d.meters, d.costs = append(d.hashes, []byte(hash)), append(d.meters, meter), append(d.costs, cost)
	}
	rows, err := d.pool.Query(ctx, askMany, d.accounts, d.keys, d.hashes, d.meters, d.costs)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Close leaves the pool to the others.
func (d *postgresDoor) Close() {}

// measurePostgres runs one shape on a server that has been reset.
func (p *postgres) measure(ctx context.Context, cfg load.Config, commitDelay int) (load.Result, string, error) {
	if err := p.reset(ctx, cfg.Accounts, cfg.Lots); err != nil {
		return load.Result{}, "", err
	}
	pool, err := p.connect(ctx, cfg.Clients, commitDelay)
	if err != nil {
		return load.Result{}, "", err
	}
	defer pool.Close()
	result, err := load.Drive(ctx, cfg, p.process.command.Process.Pid, func(int) (load.Door, error) { return &postgresDoor{pool: pool}, nil })
	if err != nil {
		return load.Result{}, "", err
	}
	books, err := p.books(ctx, result.Acknowledged)
	return result, books, err
}

// postgresTries are the concurrencies and delays that the best is chosen of.
var (
	triesOfOne   = []int{8, 16, 32, 64, 128}
	triesOfMany  = []int{1, 2, 4, 8}
	commitDelays = []int{0, 100, 400} // microseconds
)

// best tries what a deployment would try, each for a moment, and returns what was fastest.
func (p *postgres) best(ctx context.Context, cfg load.Config, clients []int) (best, delay int, err error) {
	cfg.Duration, cfg.WarmUp = tryFor, tryFor/2
	var fastest float64
	for _, n := range clients {
		for _, d := range commitDelays {
			cfg.Clients = n
			if d > 0 && (n < 16 || cfg.Batch > 1) {
				continue // fewer never wait for each other
			}
			result, _, err := p.measure(ctx, cfg, d)
			if err != nil {
				return 0, 0, err
			}
			if result.EventsPerSecond > fastest {
				fastest, best, delay = result.EventsPerSecond, n, d
			}
		}
	}
	return best, delay, nil
}

const tryFor = time.Second
