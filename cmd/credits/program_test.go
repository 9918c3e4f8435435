package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program runs command lines as a shell would, each with streams of its own.
type program struct {
	t   *testing.T
	env map[string]string
}

// result is what one run left behind.
type result struct {
	code           int
	stdout, stderr string
}

func (p program) run(args ...string) result {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(p.t.Context(), p.app(&stdout, &stderr), args)
	return result{code, stdout.String(), stderr.String()}
}

// must runs what has to succeed and returns its output.
func (p program) must(args ...string) string {
	p.t.Helper()
	r := p.run(args...)
	if r.code != exitOK {
		p.t.Fatalf("credits %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// decoded runs what has to succeed with --output json and decodes its output.
func (p program) decoded(into any, args ...string) {
	p.t.Helper()
	out := p.must(append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		p.t.Fatalf("credits %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

func (p program) app(stdout, stderr io.Writer) *app {
	return &app{stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, env: func(name string) string { return p.env[name] }}
}

// serve starts a server on free ports and returns when it says that it is ready. stop ends it as
// SIGTERM does and returns its exit code.
func (p program) serve(data string, flags ...string) (stop func() int) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	reader, writer := io.Pipe()
	code := make(chan int, 1)
	var log bytes.Buffer
	go func() {
		args := append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0"}, flags...)
		code <- run(ctx, p.app(writer, &log), args)
		writer.Close()
	}()
	line, err := bufio.NewReader(reader).ReadBytes('\n')
	if err != nil {
		cancel()
		<-code
		p.t.Fatalf("the server did not get ready: %v\n%s", err, log.String())
	}
	var ready struct{ HTTP, NATS string }
	if err := json.Unmarshal(line, &ready); err != nil || !strings.HasPrefix(ready.HTTP, "http://127.0.0.1:") || !strings.HasPrefix(ready.NATS, "nats://127.0.0.1:") {
		p.t.Fatalf("the ready line is %s (%v)", line, err)
	}
	p.env["CREDITS_SERVER"], p.env["NATS"] = ready.HTTP, ready.NATS
	stopped := false
	stop = func() int {
		stopped = true
		cancel()
		return <-code
	}
	p.t.Cleanup(func() {
		if !stopped {
			stop()
		}
	})
	return stop
}

// TestAnAccountFromOpeningToAudit is a newcomer's first ten commands, and the same books read from the
// directory of the stopped server.
func TestAnAccountFromOpeningToAudit(t *testing.T) {
	p := program{t, map[string]string{"CREDITS_TENANT": "tecpet"}}
	data := filepath.Join(t.TempDir(), "data")
	stop := p.serve(data, "--dev", "--catalogs", "../../deploy/catalogs", "--test-clock", "2026-01-31T12:00:00Z")

	p.must("account", "set", "clinic-7", "--plan", "ai", "--pin", "482913")
	if r := p.run("buy", "clinic-7", "--pack", "pack-50", "--sandbox", "succeed"); r.code != exitFailed || !strings.Contains(r.stderr, "approval_required") {
		t.Errorf("buying without the code: %+v", r)
	}
	if out := p.must("buy", "clinic-7", "--pack", "pack-50", "--code", "482913", "--sandbox", "succeed"); !strings.Contains(out, "completed") {
		t.Errorf("bought: %s", out)
	}
	var first, again usageAnswer
	p.decoded(&first, "usage", "clinic-7", "sticker", "2", "--idempotency-key", "k1", "--description", "Stickers for Rex")
	p.decoded(&again, "usage", "clinic-7", "sticker", "2", "--idempotency-key", "k1", "--description", "Stickers for Rex")
	if first.Cost != "2" || first.Replayed || !again.Replayed || again.Remaining != "48" {
		t.Errorf("charged %+v and then %+v", first, again)
	}
	var b balance
	p.decoded(&b, "balance", "clinic-7")
	if b.Remaining != "48" || b.pool("ai_quota").Remaining != "300" {
		t.Errorf("balance %+v", b)
	}
	if out := p.must("history", "clinic-7"); !strings.Contains(out, "Stickers for Rex") || !strings.Contains(out, "2 of purchased") {
		t.Errorf("history:\n%s", out)
	}
	p.must("check", "clinic-7", "sticker", "48")
	if r := p.run("check", "clinic-7", "sticker", "49"); r.code != exitFailed || !strings.Contains(r.stdout, "enough for 48") {
		t.Errorf("check of more than there is: %+v", r)
	}
	r := p.run("usage", "clinic-7", "sticker", "49", "--output", "json")
	var refusal Problem
	if err := json.Unmarshal([]byte(r.stdout), &refusal); err != nil || r.code != exitFailed || refusal.Code != "insufficient_credits" || refusal.Short != "1" {
		t.Errorf("a refusal as JSON: %+v (%v)", r, err)
	}

	p.must("clock", "2026-03-01T00:00:00Z")
	p.must("verify")
	p.must("rebuild", "statement")
	live := p.must("replay")
	if out := p.must("key", "create", "--actor", "bot", "--scope", "usage"); !strings.HasPrefix(out, "cs_") {
		t.Errorf("created key %q", out)
	}

	if second := p.run("serve", "--data", data, "--listen", "127.0.0.1:0", "--nats-listen", ""); second.code != exitFailed || !strings.Contains(second.stderr, "in use") {
		t.Errorf("a second server on one directory: %+v", second)
	}
	if code := stop(); code != exitOK {
		t.Errorf("the server ended with exit code %d", code)
	}
	if r := p.run("balance", "clinic-7"); r.code != exitFailed || !strings.Contains(r.stderr, "credits serve") {
		t.Errorf("asking a stopped server: %+v", r)
	}
	if stopped := p.must("replay", "--data", data); stopped != live {
		t.Errorf("the journal of the stopped server has %d bytes, that of the running one had %d", len(stopped), len(live))
	}
	if r := p.run("verify", "--data", data); r.code != exitOK || !strings.Contains(r.stderr, "100%  1 of 1 files of ") || !strings.Contains(r.stderr, " commits of ") {
		t.Errorf("verifying a stopped server: %+v", r)
	}
	p.must("views", "--data", data)
	p.must("rebuild", "accounts", "--data", data)
}

func TestWrongUseIsExitCode2(t *testing.T) {
	p := program{t, map[string]string{}}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"nonsense",
		"balance",
		"balance a",
		"balance a --tenant t --nonsense",
		"balance a --tenant t --output xml",
		"usage a sticker 0 --tenant t",
		"usage a sticker many --tenant t",
		"usage a sticker -1 --tenant t",
		"balance a --tenant t --server nonsense",
		"balance a --tenant t --server 127.0.0.1:8080",
		"usage a sticker 1 --tenant t --attribute nonsense",
		"buy a --tenant t",
		"buy a --tenant t --pack p --amount USD",
		"buy a --tenant t --amount 25.00",
		"buy a --tenant t --pack p --sandbox maybe",
		"grant a 5 --tenant t",
		"key",
		"key nonsense",
		"key create",
		"report a --tenant t --by hour",
		"serve --dev --listen 0.0.0.0:8080",
		"serve --dev --nats-listen 0.0.0.0:4222",
		"serve --dev --cache 1",
		"serve --dev --accounts-in-memory 0",
		"serve --listen nonsense",
		"serve --test-clock tomorrow",
		"serve --shards 0",
		"serve --catalogs " + file,
	} {
		r := p.run(strings.Fields(line)...)
		if r.code != exitUsage || r.stdout != "" || !strings.HasPrefix(r.stderr, "credits: ") {
			t.Errorf("credits %s: %+v", line, r)
		}
		if command := strings.Fields(line)[0]; command != "nonsense" && !strings.Contains(r.stderr, "\nUsage: credits "+command+" ") {
			t.Errorf("credits %s does not say how it is used: %s", line, r.stderr)
		}
	}
}

// Who mistypes is told what there is, or what to do next.
func TestRefusalsSayWhatToDoNext(t *testing.T) {
	p := program{t, map[string]string{"CREDITS_TENANT": "tecpet"}}
	p.serve(filepath.Join(t.TempDir(), "data"), "--dev", "--catalogs", "../../deploy/catalogs")
	p.must("account", "set", "a", "--plan", "ai")
	for line, says := range map[string]string{
		"usage nobody sticker 1":            "credits account set ACCOUNT",
		"usage a sticker -1":                "-1 is taken for a flag: quantities and amounts are above zero",
		"usage a nothing 1":                 "credits catalog show lists the meters",
		"balance a --server nonsense":       "--server nonsense: a URL such as http://127.0.0.1:8080 is expected",
		"balance a --server 127.0.0.1:8080": "--server 127.0.0.1:8080: a URL such as",
		"balance a --tenant nobody":         "credits tenant create",
		"balance a --key cs_wrong":          "--key or CREDITS_KEY",
		"rebuild nothing":                   "there are accounts, statement, usage",
		"history a --type nonsense":         "there are purchase, grant, usage",
		"replay --type Nonsense":            "there are AccountOpened, ",
		"key revoke nothing":                "credits key list",
		"serve --data " + t.TempDir() + " --listen " + strings.TrimPrefix(p.env["CREDITS_SERVER"], "http://"):                 "choose another address with --listen",
		"serve --data " + t.TempDir() + " --listen 127.0.0.1:0 --nats-listen " + strings.TrimPrefix(p.env["NATS"], "nats://"): "choose another address with --listen and --nats-listen",
	} {
		if r := p.run(strings.Split(line, " ")...); r.code == exitOK || !strings.Contains(r.stderr, says) {
			t.Errorf("credits %s does not say %q: %+v", line, says, r)
		}
	}
	if r := p.run("replay", "--account", "nobody"); r.code != exitOK || r.stdout != "" || !strings.Contains(r.stderr, "Nothing of this is in the journal") {
		t.Errorf("replay of an account that is not there: %+v", r)
	}
}

func TestHelpHasAnExampleAndNoSecret(t *testing.T) {
	p := program{t, map[string]string{"CREDITS_KEY": "cs_secret", "CREDITS_NATS": "nats://me:secret@host"}}
	root := p.app(io.Discard, io.Discard).root()
	for _, command := range root.Commands() {
		if command.Name() == "help" || command.Name() == "completion" {
			continue
		}
		out := p.must(command.Name(), "--help")
		if !command.HasAvailableSubCommands() && !strings.Contains(out, "Examples:") {
			t.Errorf("credits %s --help has no example", command.Name())
		}
		if strings.Contains(out, "secret") && strings.Contains(out, "cs_secret") || strings.Contains(out, "me:secret") {
			t.Errorf("credits %s --help shows a secret", command.Name())
		}
		for _, child := range command.Commands() {
			if child.Hidden {
				continue // for this program's own use
			}
			if out := p.must(command.Name(), child.Name(), "--help"); !strings.Contains(out, "Examples:") {
				t.Errorf("credits %s %s --help has no example", command.Name(), child.Name())
			}
		}
	}
}

func TestCatalogCommandsNeedNoServer(t *testing.T) {
	p := program{t, map[string]string{}}
	p.must("catalog", "validate", "../../deploy/catalogs/tecpet.yaml", "../../deploy/catalogs/adtech.yaml")
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	source, err := os.ReadFile("../../deploy/catalogs/tecpet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dearer := bytes.Replace(source, []byte("price: 49.00"), []byte("price: 59.00"), 1)
	if err := os.WriteFile(broken, append(source, "nonsense: 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := p.run("catalog", "validate", broken); r.code != exitFailed || !strings.Contains(r.stdout, "nonsense") {
		t.Errorf("a broken catalog: %+v", r)
	}
	changed := filepath.Join(t.TempDir(), "changed.yaml")
	if err := os.WriteFile(changed, dearer, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := p.must("catalog", "diff", "../../deploy/catalogs/tecpet.yaml", changed); !strings.Contains(out, "pack-50") || !strings.Contains(out, "59") {
		t.Errorf("the difference is %q", out)
	}
}

// TestDemo runs the whole story: every promise of the three pages is kept, and the books close.
func TestDemo(t *testing.T) {
	var found books
	program{t, map[string]string{}}.decoded(&found, "demo", "--data", filepath.Join(t.TempDir(), "demo"))
	if !found.sound() || found.PromisesKept < 30 || found.Acknowledged != found.InJournal || found.Events < found.Acknowledged {
		t.Errorf("the books: %+v", found)
	}
}
