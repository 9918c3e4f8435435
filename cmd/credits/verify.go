package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"creditstream/events/journal"
	"creditstream/services/node"
)

// verification is what a fold of the journals from their start found.
type verification struct {
	OK       bool           `json:"ok"`
	Journals []verifiedBook `json:"journals"`
	Faults   []string       `json:"faults"` // of streams that are no journals

	raw json.RawMessage
}

// verifiedBook is what was found in one journal and its views.
type verifiedBook struct {
	Tenant      string  `json:"tenant"`
	Shard       int     `json:"shard"`
	Position    int64   `json:"position"`
	Events      int64   `json:"events"`
	Accounts    int64   `json:"accounts"`
	Lost        int64   `json:"lost"`
	Damaged     int64   `json:"damaged"`
	Doubled     int64   `json:"doubled"`
	Overdrawn   int64   `json:"overdrawn"`
	Unbalanced  int64   `json:"unbalanced"`
	Nonsensical int64   `json:"nonsensical"`
	Disordered  int64   `json:"disordered"`
	Unfenced    int64   `json:"unfenced"`
	Rewritten   int64   `json:"rewritten"`
	Barred      string  `json:"barred"`
	Different   int64   `json:"different"`
	OK          bool    `json:"ok"`
	Faults      []fault `json:"faults"`
	Files       []struct {
		File   string `json:"file"`
		First  int64  `json:"first"`
		Last   int64  `json:"last"`
		Advice string `json:"advice"`
	} `json:"files"`
	Views []struct {
		View    string `json:"view"`
		Records string `json:"records"`
		Advice  string `json:"advice"`
	} `json:"views"`
	Differences []difference `json:"differences"`
}

// fault is one thing that is wrong with a journal.
type fault struct {
	Sequence int64  `json:"sequence"`
	Entry    int    `json:"entry"`
	Account  string `json:"account"`
	Key      string `json:"key"`
	Problem  string `json:"problem"`
}

// String names the place as far as there is one.
func (f fault) String() string {
	var place []string
	if f.Sequence > 0 {
		place = append(place, fmt.Sprintf("commit %d, entry %d", f.Sequence, f.Entry))
	}
	if f.Account != "" {
		place = append(place, "account "+f.Account)
	}
	if f.Key != "" {
		place = append(place, "key "+f.Key)
	}
	return strings.Join(append(place, f.Problem), ": ")
}

// verify has the server fold a tenant's journals anew, or all of them, and compare.
func verify(ctx context.Context, c *client, tenant string, heads []journal.SignedHead, tell func(step)) (verification, error) {
	query := url.Values{}
	addIf(query, "tenant", tenant)
	r := request{method: http.MethodPost, path: apiPath("admin", "verify"), query: query}
	if len(heads) > 0 {
		r.body = map[string]any{"heads": heads}
	}
	raw, err := c.long(ctx, r, tell)
	if err != nil {
		return verification{}, fmt.Errorf("verify: %w", err)
	}
	return decodeVerification(raw)
}

func decodeVerification(raw json.RawMessage) (verification, error) {
	found := verification{raw: raw}
	if err := json.Unmarshal(raw, &found); err != nil {
		return verification{}, fmt.Errorf("decode the answer to verify: %w", err)
	}
	return found, nil
}

// verifyData verifies the directory of a stopped server as it is found.
func (a *app) verifyData(ctx context.Context, heads []journal.SignedHead, tell func(step)) (verification, error) {
	if _, err := os.Stat(filepath.Join(a.data, "nats")); err != nil {
		return verification{}, fmt.Errorf("%s is not the data directory of a server: %w", a.data, err)
	}
	found, err := node.VerifyData(ctx, a.data, nil, node.Verifying{
		Tenant: a.tenant, Heads: heads,
		Progress: func(name journal.Name, done, total uint64) {
			tell(step{Tenant: name.Tenant, Shard: name.Shard, Done: int(done), Total: int(total)})
		},
		Surveyed: func(name journal.Name, done, total int) {
			tell(step{Tenant: name.Tenant, Shard: name.Shard, Done: done, Total: total, files: true})
		},
	})
	if err != nil {
		return verification{}, fmt.Errorf("verify %s: %w", a.data, err)
	}
	raw, err := json.Marshal(found)
	if err != nil {
		return verification{}, fmt.Errorf("verify %s: %w", a.data, err)
	}
	return decodeVerification(raw)
}

// readHeads reads a file of signed heads. With keyFile they must have been signed with that public key.
func readHeads(path, keyFile string) ([]journal.SignedHead, error) {
	if path == "" {
		return nil, nil
	}
	key, err := readPublicKey(keyFile)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the signed heads: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	heads, err := journal.ReadHeads(file, key)
	if err != nil {
		return nil, fmt.Errorf("read the signed heads of %s: %w", path, err)
	}
	if len(heads) == 0 {
		return nil, fmt.Errorf("%s holds no signed heads", path)
	}
	return heads, nil
}

// readPublicKey reads an ed25519 public key in PEM, or in base64 as a head names it; nil for no file.
func readPublicKey(path string) (ed25519.PublicKey, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the public key: %w", err)
	}
	if block, _ := pem.Decode(content); block != nil {
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if key, ok := parsed.(ed25519.PublicKey); err == nil && ok {
			return key, nil
		}
	} else if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(content))); err == nil && len(key) == ed25519.PublicKeySize {
		return key, nil
	}
	return nil, fmt.Errorf("%s is not an ed25519 public key, neither in PEM nor as the \"key\" of a head", path)
}

// views counts the views that were compared.
func (v verification) views() int {
	n := 0
	for _, book := range v.Journals {
		n += len(book.Views)
	}
	return n
}

// verifyCommand checks the books.
func (a *app) verifyCommand() *cobra.Command {
	var headFile, keyFile string
	command := &cobra.Command{
		Use:   "verify",
		Short: "Fold the journals from the start by other code, and compare every hash, balance and view",
		Long: `Fold the journals from the start by code of its own, check every hash, fence, key and term on the
way, and compare every record of every view. Exit code 1 if anything is lost, damaged, doubled,
overdrawn or different. Damaged is what a running server has in memory and its files have not: a
backup rescues it as long as it is not lost. Without --tenant all tenants are verified, those that are not served included.

With --data the directory of a stopped server is verified as it is found: nothing is healed first. Keep a
copy of one that may be damaged: the NATS server that reads the journals may cut off what follows on damage.
With --head a history that was written anew is refused: the journals must have gone through the
signed heads of the file ("credits serve --heads", or GET /v1/tenants/TENANT/journal/head, one a line).`,
		Example: "  credits verify\n  credits verify --tenant tecpet --data ./data --output json\n  credits verify --head /mnt/elsewhere/heads.ndjson",
		GroupID: groupAudit,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			heads, err := readHeads(headFile, keyFile)
			if err != nil {
				return err
			}
			var found verification
			if a.data != "" {
				found, err = a.verifyData(cmd.Context(), heads, a.follow())
			} else {
				found, err = verify(cmd.Context(), a.client(), a.tenant, heads, a.follow())
			}
			if err != nil {
				return err
			}
			if err := a.show(found.raw, func(w io.Writer) { printVerification(w, found) }); err != nil {
				return err
			}
			if !found.OK {
				return errReported
			}
			return nil
		},
	}
	a.dataFlag(command)
	flags := command.Flags()
	flags.StringVar(&headFile, "head", "", "`file` of signed heads that the journals must have gone through")
	flags.StringVar(&keyFile, "head-key", "", "`file` of the public key that the heads must be signed with (default: the one that each names)")
	return command
}

func printVerification(w io.Writer, found verification) {
	g := newGrid("Journal", ">Commits", ">Events", ">Accounts", ">Lost", ">Damaged", ">Doubled", ">Overdrawn", ">Views", ">Different", "State")
	for _, b := range found.Journals {
		state := "ok"
		if !b.OK {
			state = "DAMAGED"
		}
		g.row(fmt.Sprintf("%s/%d", b.Tenant, b.Shard), count(b.Position), count(b.Events), count(b.Accounts),
			count(b.Lost), count(b.Damaged), count(b.Doubled), count(b.Overdrawn), len(b.Views), count(b.Different), state)
	}
	g.print(w)
	for _, f := range found.Faults {
		fmt.Fprintf(w, "  %s\n", f)
	}
	for _, b := range found.Journals {
		for _, f := range b.Faults {
			fmt.Fprintf(w, "  %s/%d: %s\n", b.Tenant, b.Shard, f)
		}
		if b.Barred != "" {
			fmt.Fprintf(w, "  %s/%d is not served: %s\n", b.Tenant, b.Shard, b.Barred)
		}
		if other := b.Unbalanced + b.Nonsensical + b.Disordered + b.Unfenced + b.Rewritten; other > 0 {
			fmt.Fprintf(w, "  %s/%d: unbalanced %d, nonsensical %d, disordered %d, unfenced %d, rewritten %d\n",
				b.Tenant, b.Shard, b.Unbalanced, b.Nonsensical, b.Disordered, b.Unfenced, b.Rewritten)
		}
		for i, f := range b.Files {
			if i == 0 || f.Advice != b.Files[i-1].Advice {
				fmt.Fprintf(w, "    what to do now: %s\n", f.Advice)
			}
		}
		for _, v := range b.Views {
			if v.Records != "equal" {
				fmt.Fprintf(w, "  %s/%d view %s: %s\n", b.Tenant, b.Shard, v.View, v.Records)
			}
			if v.Advice != "" {
				fmt.Fprintf(w, "    to make it anew: %s\n", v.Advice)
			}
		}
		printDifferences(w, b.Differences)
	}
}
