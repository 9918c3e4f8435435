package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"creditstream/events/journal"
	"creditstream/services/node/damage"
)

// damaged changes the files of a stopped server, one thing a round, on a directory of several tenants and shards. Then
// `verify` reads what is left, or not, by chance, and a server is started on it. What the driver knows of the books
// tells what that server may say:
//
//   - an answer that differs from the books, of anybody, is undetected damage: something untrusted was served;
//   - what is refused, barred, or found by verify is noticed, and has to be named: tenant, shard, and the sequence
//     where a commit is concerned; the stream, where it is one of all tenants;
//   - what is neither has to be harmless, and damage to a view has to heal: all answers are there and equal, with the
//     second start at the latest;
//   - the other tenants are served as if nothing was.
//
// A round without damage has to be clean, and a round whose checks were taken away (the anchor and the views, which
// know more than a journal that was put back) has to be reported as undetected.
type damaged struct{}

// Name implements campaign.
func (damaged) Name() string { return "damage" }

// About implements campaign.
func (damaged) About() string {
	return "bits, cuts, lost, swapped and older files in journals, views, anchors and keys: noticed and named, or harmless"
}

// Run implements campaign.
func (damaged) Run(ctx context.Context, s *session) (result, error) {
	r := result{NoticingExpected: true}
	b, err := fillBooks(ctx, s, &r)
	if err != nil {
		return r, err
	}
	if err := b.controls(ctx, s, &r); err != nil || !r.clean() {
		return r, err
	}
	for round := range s.rounds {
		if err := b.round(ctx, s, &r, round); err != nil {
			return r, err
		}
		if !r.clean() {
			return r, nil // the damaged directory is kept
		}
	}
	return r, os.RemoveAll(b.dir)
}

// targets are what is damaged, in turn: journals more often.
var targets = [...]damage.Target{
	damage.Entries, damage.Views, damage.Entries, damage.Anchor, damage.Entries, damage.Personal, damage.Entries, damage.Credentials,
}

// round damages one thing and looks at what a server makes of it.
func (b *filled) round(ctx context.Context, s *session, r *result, round int) error {
	if err := b.fresh(); err != nil {
		return err
	}
	at := damage.Place{Dir: b.work, Earlier: b.earlier, Sound: b.sound, Name: b.journals[s.rng.IntN(len(b.journals))]}
	for at.Neighbour = at.Name; at.Neighbour.Tenant == at.Name.Tenant; {
		at.Neighbour = b.journals[s.rng.IntN(len(b.journals))]
	}
	target := targets[round%len(targets)]
	done, err := damage.ByChance(s.rng, at, target)
	if err != nil {
		return err
	}
	r.Faults++
	found, err := b.look(ctx, s.rng)
	if err != nil {
		return fmt.Errorf("%s: %w", done, err)
	}
	before := r.Undetected + len(r.Problems)
	outcome := b.judge(r, found, at.Name, target, done)
	s.say("damage %d: %s: %.300s", r.Faults, done, outcome)
	if r.Undetected+len(r.Problems) > before {
		s.say("  %s", strings.Join(found.all(), "\n  "))
	}
	return nil
}

// judge counts what a round came to, and says it in a word.
func (b *filled) judge(r *result, found *findings, name journal.Name, target damage.Target, done string) string {
	shared := target != damage.Entries && target != damage.Anchor // by all tenants
	stream := map[damage.Target]string{damage.Personal: "PERSONAL", damage.Credentials: "CREDENTIALS"}[target]
	if stream != "" && found.refused != "" {
		if !strings.Contains(found.refused, stream) {
			r.problem("%s: the start is refused, and the stream is not named: %s", done, found.refused)
		}
		r.Noticed++
		return "the start is refused: " + found.refused[strings.LastIndexByte(found.refused, '\n')+1:]
	}
	if found.refused != "" {
		r.problem("%s: the server did not start: %s", done, found.refused)
		return "the server did not start"
	}
	for _, f := range found.tenants {
		if f.tenant != name.Tenant && !shared && (len(f.wrong)+len(f.unanswered) > 0 || f.noticed != "") {
			r.problem("%s: another tenant suffers: %s", done, f)
		}
	}
	if wrong := found.wrong(); wrong != "" {
		r.Undetected++
		r.problem("%s: something untrusted was served: %s", done, wrong)
		return "undetected"
	}
	noticed := found.noticed
	for _, f := range found.tenants {
		noticed += f.noticed // of others only where it is shared
	}
	switch {
	case target == damage.Views && found.missing() != "":
		r.problem("%s: it did not heal with the second start: %s", done, found.missing())
		return "not healed"
	case noticed != "":
		r.Noticed++
		if !shared && !strings.Contains(noticed, fmt.Sprintf("%s/%d", name.Tenant, name.Shard)) && !strings.Contains(noticed, fmt.Sprintf("%s_%d", name.Tenant, name.Shard)) {
			r.problem("%s: tenant and shard are not named: %s", done, noticed)
		}
		if target == damage.Entries && !strings.Contains(noticed, "commit ") && !strings.Contains(noticed, "stream ") {
			r.problem("%s: neither a commit nor its stream is named: %s", done, noticed)
		}
		return "noticed: " + noticed
	case found.missing() != "":
		r.Undetected++
		r.problem("%s: nothing is said to be wrong, and this is not answered: %s", done, found.missing())
		return "undetected"
	}
	r.Harmless++
	return "harmless"
}

// controls shows what the judgement of the rounds is worth: without damage nothing is found, and damage
// that nothing checks is reported.
func (b *filled) controls(ctx context.Context, s *session, r *result) error {
	if err := b.fresh(); err != nil {
		return err
	}
	found, err := b.look(ctx, rand.New(rand.NewPCG(0, 1)))
	if err != nil {
		return fmt.Errorf("without damage: %w", err)
	}
	var sound result
	if b.judge(&sound, found, b.journals[0], damage.Entries, "without damage"); sound.Harmless != 1 || len(sound.Problems) > 0 {
		r.problem("the control without damage is not clean: %s", strings.Join(append(sound.Problems, found.all()...), "; "))
		return nil
	}
	s.say("control: without damage nothing is found")

	name := b.journals[0]
	if err := b.fresh(); err != nil {
		return err
	}
	if err := errors.Join(b.putBack(name), os.RemoveAll(filepath.Join(b.work, "anchors")), os.RemoveAll(filepath.Join(b.work, "views"))); err != nil {
		return err
	}
	b.accept = true
	found, err = b.look(ctx, rand.New(rand.NewPCG(0, 1)))
	b.accept = false
	if err != nil {
		return fmt.Errorf("without checks: %w", err)
	}
	var blind result
	b.judge(&blind, found, name, damage.Entries, "without checks")
	if blind.Undetected != 1 || blind.Noticed != 0 {
		r.problem("the control without checks was to be reported as undetected: %+v", blind)
		return nil
	}
	s.say("control: an older journal whose checks were taken away is reported: %.300s", strings.Join(blind.Problems, "; "))
	return nil
}

// putBack puts an earlier copy of a journal in its place.
func (b *filled) putBack(name journal.Name) error {
	dir := damage.StreamDir(b.work, name.Stream())
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.CopyFS(dir, os.DirFS(damage.StreamDir(b.earlier, name.Stream())))
}

// fresh makes the directory that a round damages.
func (b *filled) fresh() error {
	if err := os.RemoveAll(b.work); err != nil {
		return err
	}
	return copyData(b.sound, b.work)
}

// copyData copies the data directory of a stopped server, for its owner alone.
func copyData(from, to string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	for _, secret := range []string{"pepper", "head-key.pem"} {
		if err := os.Chmod(filepath.Join(to, secret), 0o600); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// findings are what a server made of a directory.
type findings struct {
	refused string // why it did not start
	noticed string // what was found that is no tenant's
	tenants []*finding
}

// finding is what a server made of one tenant.
type finding struct {
	tenant     string
	wrong      []string // answers that are not so
	unanswered []string // questions that it did not answer
	noticed    string   // why it is not served, or what verify found
	barred     bool     // it is not served at all
}

func (f *finding) String() string {
	return fmt.Sprintf("%s: wrong %v, unanswered %v, noticed %q", f.tenant, f.wrong, f.unanswered, f.noticed)
}

func (f *findings) of(tenant string) *finding {
	i := slices.IndexFunc(f.tenants, func(t *finding) bool { return t.tenant == tenant })
	if i < 0 {
		f.tenants = append(f.tenants, &finding{tenant: tenant})
		i = len(f.tenants) - 1
	}
	return f.tenants[i]
}

func (f *findings) barred() bool {
	return slices.ContainsFunc(f.tenants, func(t *finding) bool { return t.barred })
}

func (f *findings) all() []string {
	list := []string{"refused: " + f.refused, "noticed: " + f.noticed}
	for _, t := range f.tenants {
		list = append(list, t.String())
	}
	return list
}

func (f *findings) wrong() string {
	var all []string
	for _, t := range f.tenants {
		all = append(all, t.wrong...)
	}
	return strings.Join(all, "; ")
}

func (f *findings) missing() string {
	var all []string
	for _, t := range f.tenants {
		all = append(all, t.unanswered...)
	}
	return strings.Join(all, "; ")
}
