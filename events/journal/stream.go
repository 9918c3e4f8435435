package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

// Keys of the stream's metadata, which is set when a journal is created.
const (
	metaJournal = "creditstream.journal"
	metaFormat  = "creditstream.format"
	metaShards  = "creditstream.shards"
)

// identity is what a journal was created as.
type identity struct {
	journal string
	shards  int
}

// streamConfig is that of a new journal: every commit is kept, for ever.
func streamConfig(cfg Config, id identity) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        cfg.Name.Stream(),
		Description: "Journal of tenant " + cfg.Name.Tenant + ", shard " + strconv.Itoa(cfg.Name.Shard),
		Subjects:    []string{cfg.Name.Subject()},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		DenyDelete:  true,
		DenyPurge:   true,
		Replicas:    cfg.Replicas,
		// Message ids are a part of the fence, and it is that which keeps duplicates
		// out; so the server remembers them for as short a time as it allows.
		Duplicates: 100 * time.Millisecond,
		Metadata: map[string]string{
			metaJournal: id.journal,
			metaFormat:  strconv.Itoa(Format),
			metaShards:  strconv.Itoa(id.shards),
		},
	}
}

// findStream returns the stream's state, after creating it where that is wanted.
func findStream(ctx context.Context, js jetstream.JetStream, cfg Config) (*jetstream.StreamInfo, error) {
	stream, err := js.Stream(ctx, cfg.Name.Stream())
	if err == nil {
		return stream.CachedInfo(), nil
	}
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, err
	}
	if !cfg.Create {
		return nil, fmt.Errorf("stream %s: %w", cfg.Name.Stream(), ErrNotFound)
	}
	// An anchor of a journal that is gone must not be taken for a new start.
	if err := refuseOrphanAnchor(cfg); err != nil {
		return nil, err
	}
	id := identity{journal: uuid.NewString(), shards: cmp.Or(cfg.Shards, 1)}
	stream, err = js.CreateStream(ctx, streamConfig(cfg, id))
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		// Someone else was faster; theirs is as good.
		stream, err = js.Stream(ctx, cfg.Name.Stream())
	}
	if err != nil {
		return nil, fmt.Errorf("create stream %s: %w", cfg.Name.Stream(), err)
	}
	return stream.CachedInfo(), nil
}

// readIdentity reads the metadata.
func readIdentity(cfg Config, meta map[string]string) (identity, error) {
	if format := meta[metaFormat]; format != strconv.Itoa(Format) {
		return identity{}, fmt.Errorf("it has format %q (metadata %s), this program reads %d: use the program that made it, or a newer one", format, metaFormat, Format)
	}
	shards, err := strconv.Atoi(meta[metaShards])
	if err != nil || shards < 1 {
		return identity{}, fmt.Errorf("metadata %s is %q, not a count", metaShards, meta[metaShards])
	}
	if _, err := uuid.Parse(meta[metaJournal]); err != nil {
		return identity{}, fmt.Errorf("metadata %s is %q, not an id", metaJournal, meta[metaJournal])
	}
	if cfg.Shards != 0 && shards != cfg.Shards {
		return identity{}, fmt.Errorf("it was created for %d shards, not %d: the count is fixed", shards, cfg.Shards)
	}
	if cfg.Shard >= shards {
		return identity{}, fmt.Errorf("it was created as one of %d shards, which count from 0", shards)
	}
	return identity{journal: meta[metaJournal], shards: shards}, nil
}

// refuseUnsafe names every setting with which the stream could lose, change or
// take in something that no writer appended. The error is ErrUnsafe.
func refuseUnsafe(name Name, c jetstream.StreamConfig) error {
	settings := []struct {
		unsafe bool
		name   string
	}{
		{c.Storage != jetstream.FileStorage, "storage is not file"},
		{c.Retention != jetstream.LimitsPolicy, "retention is not limits"},
		{c.MaxMsgs > 0, "max_msgs is set"},
		{c.MaxBytes > 0, "max_bytes is set"},
		{c.MaxAge > 0, "max_age is set"},
		{c.MaxMsgsPerSubject > 0, "max_msgs_per_subject is set"},
		{c.MaxMsgSize > 0 && c.MaxMsgSize < MaxBody+headerRoom, "max_msg_size is below the size of a commit"},
		{!c.DenyDelete, "deny_delete is off"},
		{!c.DenyPurge, "deny_purge is off"},
		{c.AllowRollup, "allow_rollup_hdrs is on"},
		{c.PersistMode != jetstream.DefaultPersistMode, "persist_mode is not default: an ack would come before the fsync"},
		{c.AllowMsgTTL, "allow_msg_ttl is on"},
		{c.SubjectDeleteMarkerTTL > 0, "subject_delete_marker_ttl is set"},
		{c.AllowMsgSchedules, "allow_msg_schedules is on"},
		{c.AllowMsgCounter, "allow_msg_counter is on"},
		{c.AllowAtomicPublish, "allow_atomic is on: readers could see a commit before its fsync"},
		{c.AllowBatchPublish, "allow_batched is on"},
		{c.NoAck, "no_ack is on"},
		{c.Sealed, "sealed is on: nothing can be appended"},
		{c.Mirror != nil, "mirror is set"},
		{len(c.Sources) > 0, "sources are set"},
		{c.RePublish != nil, "republish is set"},
		{c.SubjectTransform != nil, "subject_transform is set"},
		{c.FirstSeq > 1, "first_seq is not 1"},
		{len(c.Subjects) != 1 || c.Subjects[0] != name.Subject(), "subjects are not exactly " + name.Subject()},
	}
	var found []string
	for _, s := range settings {
		if s.unsafe {
			found = append(found, s.name)
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("stream %s: %w: %s", name.Stream(), ErrUnsafe, strings.Join(found, "; "))
	}
	return nil
}
