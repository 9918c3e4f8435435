package peers

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"creditstream/cmd/internal/load"
)

//go:embed redis.lua
var redisScript string

// redisSettings: every write is in the log, and the log on disk, before it is answered. The log is not rewritten
// in the middle of a run. What is not said is the default.
var redisSettings = []string{
	"--bind", "127.0.0.1", "--daemonize", "no", "--save", "",
	"--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0",
}

// redis is a Redis server with a ledger in it.
type redis struct {
	port    int
	process *process
	client  rueidis.Client // for what is not measured
	opened  int64          // keys before the first charge
}

// startRedis serves a new, empty directory.
func startRedis(ctx context.Context, parent, name string) (*redis, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis is not installed: apt-get install -y redis-server")
	}
	dir, err := directory(parent, name)
	if err != nil {
		return nil, err
	}
	r := &redis{}
	if r.port, err = freePort(); err != nil {
		return nil, err
	}
	if r.process, err = start(ctx, dir, binary, append(redisSettings, "--dir", dir, "--port", strconv.Itoa(r.port))...); err != nil {
		return nil, err
	}
	err = wait(ctx, dir+".log", func(context.Context) error {
		r.client, err = r.connect(0)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, r.process.stop())
	}
	return r, nil
}

func (r *redis) stop() error {
	r.client.Close()
	return r.process.stop()
}

// connect opens 2^multiplex connections, each of which pipelines what many goroutines ask at once.
func (r *redis) connect(multiplex int) (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{"127.0.0.1:" + strconv.Itoa(r.port)}, DisableCache: true, PipelineMultiplex: multiplex,
		ForceSingleClient: true,
	})
}

// lotName sorts by priority, then expiry, then lot.
func lotName(n int) string { return fmt.Sprintf("1:9999999999:%06d", n) }

// open opens accounts with their lots.
func (r *redis) open(ctx context.Context, accounts, lots int) error {
	share := strconv.FormatInt(fortune/int64(lots), 10)
	for first := 0; first < accounts; first += 1000 {
		var all rueidis.Commands
		for i := first; i < min(first+1000, accounts); i++ {
			account := load.AccountName(i)
			order := r.client.B().Zadd().Key("o:" + account).ScoreMember()
			held := r.client.B().Hset().Key("l:"+account).FieldValue().FieldValue("remaining", strconv.FormatInt(fortune/int64(lots)*int64(lots), 10))
			for n := range lots {
				order = order.ScoreMember(0, lotName(n))
				held = held.FieldValue(lotName(n), share)
			}
			all = append(all, order.Build(), held.Build())
		}
		for _, answer := range r.client.DoMulti(ctx, all...) {
			if err := answer.Error(); err != nil {
				return fmt.Errorf("open accounts in Redis: %w", err)
			}
		}
	}
	r.opened = int64(2 * accounts)
	return nil
}

// redisDoor charges by the script, which is sent once.
type redisDoor struct {
	client rueidis.Client
	script *rueidis.Lua
	execs  []rueidis.LuaExec
}

func newRedisDoor(client rueidis.Client) *redisDoor {
	return &redisDoor{client: client, script: rueidis.NewLuaScript(redisScript)}
}

// Charge is one request, or a pipeline of as many as the batch has.
func (d *redisDoor) Charge(ctx context.Context, batch []load.Charge) error {
	statuses, err := d.ask(ctx, batch, contentHash, price)
	if err != nil {
		return fmt.Errorf("charge in Redis: %w", err)
	}
	return allRecorded(statuses, len(batch))
}

func (d *redisDoor) ask(ctx context.Context, batch []load.Charge, hash string, cost int64) ([]string, error) {
	d.execs = d.execs[:0]
	now, amount := strconv.FormatInt(time.Now().Unix(), 10), strconv.FormatInt(cost, 10)
	for _, c := range batch {
		d.execs = append(d.execs, rueidis.LuaExec{
			Keys: []string{"i:" + c.Account + ":" + c.Key, "o:" + c.Account, "l:" + c.Account, "h:" + c.Account},
			Args: []string{hash, c.Key, meter, amount, now},
		})
	}
	var answers []rueidis.RedisResult
	if len(d.execs) == 1 {
		answers = []rueidis.RedisResult{d.script.Exec(ctx, d.client, d.execs[0].Keys, d.execs[0].Args)}
	} else {
		answers = d.script.ExecMulti(ctx, d.client, d.execs...)
	}
	statuses := make([]string, len(answers))
	for i, answer := range answers {
		said, err := answer.ToString()
		if err != nil {
			return nil, err
		}
		statuses[i], _, _ = strings.Cut(said, " ")
	}
	return statuses, nil
}

// Close leaves the connections to the others.
func (d *redisDoor) Close() {}

// books compares what Redis holds with what was acknowledged.
func (r *redis) books(ctx context.Context, accounts, lots int, acknowledged int64) (string, error) {
	var lines, histories, unbalanced int64
	for first := 0; first < accounts; first += 1000 {
		var all rueidis.Commands
		for i := first; i < min(first+1000, accounts); i++ {
			account := load.AccountName(i)
			all = append(all, r.client.B().Llen().Key("h:"+account).Build(), r.client.B().Hgetall().Key("l:"+account).Build())
		}
		answers := r.client.DoMulti(ctx, all...)
		for i := 0; i < len(answers); i += 2 {
			n, err := answers[i].AsInt64()
			held, err2 := answers[i+1].AsIntMap()
			if err := errors.Join(err, err2); err != nil {
				return "", fmt.Errorf("read the books of Redis: %w", err)
			}
			lines += n
			if n > 0 {
				histories++
			}
			var sum int64
			for name, amount := range held {
				if name != "remaining" {
					sum += amount
				}
			}
			if granted := fortune / int64(lots) * int64(lots); sum != held["remaining"] || granted-sum != n*price {
				unbalanced++
			}
		}
	}
	keys, err := r.client.Do(ctx, r.client.B().Dbsize().Build()).AsInt64()
	if err != nil {
		return "", fmt.Errorf("read the books of Redis: %w", err)
	}
	if keys -= r.opened + histories; lines != acknowledged || keys != acknowledged || unbalanced != 0 {
		return "", fmt.Errorf("the books of Redis do not close: %d acknowledged, %d lines of history, %d keys, %d accounts whose lots do not add up", acknowledged, lines, keys, unbalanced)
	}
	return fmt.Sprintf("%d acknowledged, all in the histories once, lots add up", acknowledged), nil
}

// measureRedis runs one shape on a new server.
func measureRedis(ctx context.Context, parent string, cfg load.Config, multiplex int) (result load.Result, books string, err error) {
	dir, remove, err := scratch(parent)
	if err != nil {
		return load.Result{}, "", err
	}
	defer func() { err = errors.Join(err, remove()) }()
	r, err := startRedis(ctx, dir, "redis")
	if err != nil {
		return load.Result{}, "", err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	if err := r.open(ctx, cfg.Accounts, cfg.Lots); err != nil {
		return load.Result{}, "", err
	}
	client, err := r.connect(multiplex)
	if err != nil {
		return load.Result{}, "", err
	}
	defer client.Close()
	result, err = load.Drive(ctx, cfg, r.process.command.Process.Pid, func(int) (load.Door, error) { return newRedisDoor(client), nil })
	if err != nil {
		return load.Result{}, "", err
	}
	books, err = r.books(ctx, cfg.Accounts, cfg.Lots, result.Acknowledged)
	return result, books, err
}

// multiplexes are tried: 1, 4 and 16 connections.
var multiplexes = []int{0, 2, 4}

// bestRedis tries how many connections are fastest, each for a moment.
func bestRedis(ctx context.Context, parent string, cfg load.Config) (best int, err error) {
	cfg.Duration, cfg.WarmUp = tryFor, tryFor/2
	var fastest float64
	for _, m := range multiplexes {
		result, _, err := measureRedis(ctx, parent, cfg, m)
		if err != nil {
			return 0, err
		}
		if result.EventsPerSecond > fastest {
			fastest, best = result.EventsPerSecond, m
		}
	}
	return best, nil
}
