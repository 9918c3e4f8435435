package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"creditstream/events/bus"
	"creditstream/events/bus/index"
	"creditstream/events/journal"
	"creditstream/projections"
)

// VerifyData verifies the directory of a stopped server as it is found: nothing is taken over, appended, healed
// or built anew. The files of the journals are read before a NATS server is started on them, which does what it does at
// every start: it changes what it cannot read, and without its index it cuts a block off at the first message that it cannot read. So
// the report names the files that were damaged then, and says when something was cut off that was sound.
func VerifyData(ctx context.Context, data string, log *slog.Logger, v Verifying) (_ Verification, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	unlock, err := bus.LockDir(data)
	if err != nil {
		return Verification{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	i := inspection{data: data, log: log}
	if i.found, err = i.survey(ctx, &v); err != nil {
		return Verification{}, fmt.Errorf("verify %s: %w", data, err)
	}
	all, err := i.served(ctx, &v)
	if err != nil {
		return all, err
	}
	for k := range all.Journals {
		if err := i.tellCutOff(ctx, &all.Journals[k], &v); err != nil {
			return Verification{}, fmt.Errorf("verify %s: %w", data, err)
		}
	}
	return all, nil
}

// served verifies by a server that is started on the directory.
func (i *inspection) served(ctx context.Context, v *Verifying) (_ Verification, err error) {
	i.bus, err = bus.Start(ctx, bus.Config{StoreDir: i.storeDir(), Logger: i.log})
	if err != nil {
		return Verification{}, err
	}
	defer i.bus.Shutdown()
	defer func() { err = errors.Join(err, i.close()) }()
	i.openStores()
	return i.run(ctx, i.bus, v)
}

func (i *inspection) storeDir() string { return filepath.Join(i.data, "nats") }

// survey reads the files of all wanted journals. No server may have them open.
func (i *inspection) survey(ctx context.Context, v *Verifying) (map[journal.Name]*index.Found, error) {
	streams, err := os.ReadDir(bus.StreamsDir(i.storeDir()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	found := make(map[journal.Name]*index.Found)
	for _, stream := range streams {
		name, ok := nameOf(stream.Name())
		if !ok || !v.wants(name) {
			continue
		}
		if found[name], err = i.surveyOne(ctx, name, v); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// surveyOne reads the files of a journal as far as they are understood. The error is that of ctx.
func (i *inspection) surveyOne(ctx context.Context, name journal.Name, v *Verifying) (*index.Found, error) {
	var tell func(read, all int)
	if v.Surveyed != nil {
		tell = func(read, all int) { v.Surveyed(name, read, all) }
	}
	found, err := index.Survey(ctx, filepath.Join(bus.StreamsDir(i.storeDir()), name.Stream()), name.Subject(), tell)
	if err != nil && ctx.Err() == nil {
		i.log.Warn("the files of a journal are judged by the server alone from here on", "journal", name.String(), "read", found.Last, "reason", err)
	}
	return &found, ctx.Err()
}

// foundFiles is a survey as a verification is told of it; nil for none.
func foundFiles(found *index.Found) *projections.FoundFiles {
	if found == nil {
		return nil
	}
	files := &projections.FoundFiles{Last: found.Last}
	for _, d := range found.Damaged {
		var f journal.FileDamage
		f.File, f.First, f.Last, f.Problem = d.Damaged()
		files.Damaged = append(files.Damaged, f)
	}
	return files
}

// tellCutOff reports the commits that could be read from the files of a damaged journal before a server was started on them, and
// cannot be any more. It is called when that server is gone.
func (i *inspection) tellCutOff(ctx context.Context, report *projections.Report, v *Verifying) error {
	name := journal.Name{Tenant: report.Tenant, Shard: report.Shard}
	before := i.found[name]
	if before == nil || len(before.Damaged) == 0 && report.Lost == 0 {
		return nil
	}
	now, err := i.surveyOne(ctx, name, v)
	if err != nil {
		return err
	}
	count, first, last := before.Gone(now)
	if count == 0 {
		return nil
	}
	which := fmt.Sprintf("commit %d was", first)
	if count > 1 {
		which = fmt.Sprintf("%d commits from commit %d to commit %d were", count, first, last)
	}
	report.Faults = append(report.Faults, projections.Fault{Sequence: first, Problem: which + " sound in the files when they were found; the NATS server that " +
		"was started on them to read the journal cut them off: a copy of the directory that was made before still has them"})
	return nil
}
