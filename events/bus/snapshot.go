package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
)

// Image is what a stream was at the moment of its snapshot, as the server says it and wants it back.
type Image struct {
	Config json.RawMessage `json:"config"`
	State  json.RawMessage `json:"state"`
}

// LastSequence is the sequence of the last message in it.
func (i Image) LastSequence() (uint64, error) {
	var state struct {
		Last uint64 `json:"last_seq"`
	}
	if err := json.Unmarshal(i.State, &state); err != nil {
		return 0, fmt.Errorf("read the state of a stream: %w", err)
	}
	return state.Last, nil
}

const (
	snapshotChunk = 128 << 10
	// snapshotWindow is how much the server sends before the first of it is acknowledged.
	snapshotWindow = 4 << 20
	// snapshotStall is how long the server may be silent in the middle of a snapshot.
	snapshotStall = 30 * time.Second
)

// apiError is how JetStream says what is wrong.
type apiError struct {
	Code        int    `json:"code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.Code) }

// Snapshot hands a stream's messages, as they are now, to write, in the format of $JS.API.STREAM.SNAPSHOT,
// without its consumers. The server checks every message's checksum on the way. Messages may be appended
// meanwhile; they are not part of it. write must not keep what it gets, nor take longer than 5 s: then
// the server gives up.
func Snapshot(ctx context.Context, nc *nats.Conn, stream string, write func([]byte) error) (image Image, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("snapshot of stream %s: %w", stream, err)
		}
	}()
	inbox := nc.NewInbox()
	chunks := make(chan *nats.Msg, 2*snapshotWindow/snapshotChunk)
	sub, err := nc.ChanSubscribe(inbox, chunks)
	if err != nil {
		return Image{}, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	request := fmt.Appendf(nil, `{"deliver_subject":%q,"no_consumers":true,"jsck":true,"chunk_size":%d,"window_size":%d}`, inbox, snapshotChunk, snapshotWindow)
	if err := askAPI(ctx, nc, "$JS.API.STREAM.SNAPSHOT."+stream, request, &image); err != nil {
		return Image{}, err
	}
	stall := time.NewTimer(snapshotStall)
	defer stall.Stop()
	for {
		select {
		case m := <-chunks:
			if len(m.Data) == 0 {
				return image, endOf(m)
			}
			if err := write(m.Data); err != nil {
				return Image{}, err
			}
			if m.Reply != "" {
				if err := nc.Publish(m.Reply, nil); err != nil {
					return Image{}, err
				}
			}
			stall.Reset(snapshotStall)
		case <-stall.C:
			return Image{}, fmt.Errorf("the server sent nothing for %v", snapshotStall)
		case <-ctx.Done():
			return Image{}, context.Cause(ctx)
		}
	}
}

// endOf reads the message that ends a snapshot.
func endOf(m *nats.Msg) error {
	if status := m.Header.Get("Status"); status != "" && status != "204" {
		return fmt.Errorf("the server gave up: %s %s", status, m.Header.Get("Description"))
	}
	return nil
}

// Restore makes a stream from its snapshot. There must be none of that name.
func Restore(ctx context.Context, nc *nats.Conn, stream string, image Image, snapshot io.Reader) error {
	if err := restore(ctx, nc, stream, image, snapshot); err != nil {
		return fmt.Errorf("restore stream %s: %w", stream, err)
	}
	return nil
}

func restore(ctx context.Context, nc *nats.Conn, stream string, image Image, snapshot io.Reader) error {
	request, err := json.Marshal(image)
	if err != nil {
		return err
	}
	var begun struct {
		Subject string `json:"deliver_subject"`
	}
	if err := askAPI(ctx, nc, "$JS.API.STREAM.RESTORE."+stream, request, &begun); err != nil {
		return err
	}
	chunk := make([]byte, snapshotChunk)
	for {
		n, err := io.ReadFull(snapshot, chunk)
		if n > 0 {
			if err := askAPI(ctx, nc, begun.Subject, chunk[:n], nil); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	// An empty chunk is the end; its answer says whether there is a stream now.
	var made struct {
		State json.RawMessage `json:"state"`
	}
	if err := askAPI(ctx, nc, begun.Subject, nil, &made); err != nil {
		return err
	}
	want, err := image.LastSequence()
	if err != nil {
		return err
	}
	if got, err := (Image{State: made.State}).LastSequence(); err != nil || got != want {
		return errors.Join(fmt.Errorf("it ends at message %d instead of %d", got, want), err)
	}
	return nil
}

// askAPI asks the server, and reads its answer into into unless that is nil.
func askAPI(ctx context.Context, nc *nats.Conn, subject string, request []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, snapshotStall)
	defer cancel()
	answer, err := nc.RequestWithContext(ctx, subject, request)
	if err != nil {
		return err
	}
	if len(answer.Data) == 0 && into == nil {
		return nil
	}
	var fault struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &fault); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if fault.Error != nil {
		return fault.Error
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer.Data, into)
}
