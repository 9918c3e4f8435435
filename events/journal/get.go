package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// answerTimeout bounds the wait for one answer of the server; ctx may end it earlier.
const answerTimeout = 10 * time.Second

// Get reads one commit from the stream's leader and checks its hash against its
// own headers, not against its neighbours. (A direct get may be answered by a
// replica that is behind.) Errors: ErrNotFound, ErrDamaged.
func (j *Journal) Get(ctx context.Context, sequence uint64) (Commit, error) {
	c, err := j.get(ctx, sequence)
	if err != nil {
		return Commit{}, fmt.Errorf("journal %s: %w", j.cfg.Name, &At{sequence, err})
	}
	return c, nil
}

func (j *Journal) get(ctx context.Context, sequence uint64) (Commit, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	request := append(strconv.AppendUint([]byte(`{"seq":`), sequence, 10), '}')
	answer, err := j.ask(ctx, "$JS.API.STREAM.MSG.GET."+j.cfg.Name.Stream(), request)
	if err != nil {
		return Commit{}, err
	}
	var stored struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Body     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &stored); err != nil {
		return Commit{}, fmt.Errorf("read the answer: %w", err)
	}
	if e := stored.Error; e != nil && e.ErrorCode == jetstream.JSErrCodeMessageNotFound {
		return Commit{}, ErrNotFound
	} else if e != nil {
		return Commit{}, e
	}
	header, err := nats.DecodeHeadersMsg(stored.Message.Header)
	if err != nil {
		return Commit{}, fmt.Errorf("%w: headers: %w", ErrDamaged, err)
	}
	c, err := parseCommit(j.id.journal, stored.Message.Sequence, header, stored.Message.Body, stored.Message.Time)
	if err != nil {
		return Commit{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return c, nil
}

// askAgainAfter is how long the question of a reader waits where nobody is there to answer.
const askAgainAfter = 50 * time.Millisecond

// ask repeats a question that changes nothing until it is answered or ctx ends: what was asked of a server
// that went away is never answered, and one that comes back answers only once its streams are recovered.
func (j *Journal) ask(ctx context.Context, subject string, question []byte) (*nats.Msg, error) {
	for {
		once, cancel := context.WithTimeout(ctx, j.cfg.AckTimeout)
		answer, err := j.nc.RequestWithContext(once, subject, question)
		cancel()
		lost := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrDisconnected)
		if !lost || ctx.Err() != nil {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(askAgainAfter):
		}
	}
}

// Check says whether a checkpoint is on this journal's chain: nil, or
// ErrOtherJournal, ErrAhead, ErrDiverged; ErrDamaged when its commit is unreadable.
// The start of the journal is a valid checkpoint, the zero Head is not.
func (j *Journal) Check(ctx context.Context, head Head) error {
	err := j.check(ctx, head)
	if err != nil {
		return fmt.Errorf("journal %s: checkpoint at %w", j.cfg.Name, &At{head.Sequence, err})
	}
	return nil
}

func (j *Journal) check(ctx context.Context, head Head) error {
	if head.Journal != j.id.journal {
		return fmt.Errorf("%w: %q instead of %q", ErrOtherJournal, head.Journal, j.id.journal)
	}
	if head.Sequence == 0 {
		if head.Hash != j.start {
			return fmt.Errorf("%w: it does not have the hash of the start", ErrDiverged)
		}
		return nil
	}
	last, err := j.last(ctx)
	if err != nil {
		return err
	}
	if head.Sequence > last {
		return fmt.Errorf("%w, which ends at %d", ErrAhead, last)
	}
	c, err := j.get(ctx, head.Sequence)
	if err != nil {
		return damagedIfAbsent(err)
	}
	if c.Hash != head.Hash {
		return fmt.Errorf("%w: the commit there has hash %s instead of %s", ErrDiverged, c.Hash, head.Hash)
	}
	return nil
}

// last asks the leader for the stream's last sequence.
func (j *Journal) last(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	stream, err := j.js.Stream(ctx, j.cfg.Name.Stream())
	if err != nil {
		return 0, fmt.Errorf("ask for the last sequence: %w", err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// damagedIfAbsent is for a commit within the journal: absent there is damaged.
func damagedIfAbsent(err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}
