package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
)

// written starts a server with a stream of several blocks, of which some messages have headers.
func written(t *testing.T) (s *running, dir string, messages int) {
	t.Helper()
	store := t.TempDir()
	s = serve(t, store)
	s.limit(t, "G", []string{"g"}, small)
	s.limit(t, "G", []string{"g"}, -1)
	rng := rand.New(rand.NewPCG(1, 2))
	const many = 40
	for n := range many {
		msg := nats.NewMsg("g")
		msg.Data = bytes.Repeat([]byte{byte(n)}, rng.IntN(9000))
		if n%3 > 0 {
			msg.Header.Set("N", fmt.Sprint(n))
		}
		if _, err := s.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	return s, filepath.Dir(blocksOf(store, "G")), many
}

// readOut reads and compares with what the server told. An error may come behind messages that are right.
func readOut(t *testing.T, r *Reader, from, to uint64, want map[uint64]message) (int, error) {
	t.Helper()
	n := 0
	err := r.Read(t.Context(), from, to, func(m Message) bool {
		headers := nats.Header(nil)
		if m.Header != nil {
			var err error
			if headers, err = nats.DecodeHeadersMsg(m.Header); err != nil {
				t.Error(err)
			}
		}
		if found := (message{"g", string(m.Body), fmt.Sprint(headers), m.Stored.UnixNano()}); m.Sequence != from+uint64(n) || found != want[m.Sequence] {
			t.Errorf("message %d of a reading from %d is sequence %d and not as the server has it", n, from, m.Sequence)
		}
		n++
		return true
	})
	return n, err
}

func TestMessagesAreReadAsTheServerHasThem(t *testing.T) {
	s, dir, many := written(t)
	want := s.ask(t, "G").messages
	if files, err := blockNumbers(filepath.Join(dir, blocksDir)); err != nil || len(files) < 3 {
		t.Fatalf("there are blocks %v: %v", files, err)
	}
	again := NewReader(dir, "g")
	for from := 1; from <= many; from++ {
		for _, to := range []int{from - 1, from, from + 7, many} {
			to = min(to, many)
			if n, err := readOut(t, again, uint64(from), uint64(to), want); err != nil || n != to-from+1 {
				t.Errorf("from %d to %d there are %d messages: %v", from, to, n, err)
			}
		}
	}
	if n, err := readOut(t, NewReader(dir, "g"), 30, uint64(many)+1, want); !errors.Is(err, errUnusual) || n != many-29 {
		t.Errorf("beyond the end %d messages are read, and then %v", n, err)
	}
	n := 0
	if err := NewReader(dir, "g").Read(t.Context(), 1, uint64(many), func(Message) bool { n++; return n < 3 }); err != nil || n != 3 {
		t.Errorf("who wants 3 messages gets %d: %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewReader(dir, "g").Read(ctx, 1, 2, func(Message) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of its context: %v", err)
	}
}

func TestMessagesAreReadWhileTheyAreWritten(t *testing.T) {
	s, dir, many := written(t)
	last, along := uint64(many), NewReader(dir, "g")
	for range 60 {
		ack, err := s.js.Publish(t.Context(), "g", bytes.Repeat([]byte{2}, 5000))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = NewReader(dir, "g").Read(t.Context(), ack.Sequence-3, ack.Sequence, func(Message) bool { n++; return true })
		if err != nil || n != 4 || ack.Sequence != last+1 {
			t.Fatalf("of the last 4 messages up to %d %d are read: %v", ack.Sequence, n, err)
		}
		n = 0
		if err = along.Read(t.Context(), ack.Sequence, ack.Sequence, func(Message) bool { n++; return true }); err != nil || n != 1 {
			t.Fatalf("who reads along reads %d messages at %d: %v", n, ack.Sequence, err)
		}
		last = ack.Sequence
	}
}

// Whatever happens to the files: what is read is what was written, and who reads is told that there should be more.
func TestNoDamagedMessageIsRead(t *testing.T) {
	s, dir, many := written(t)
	want := s.ask(t, "G").messages
	s.stop()
	numbers, err := blockNumbers(filepath.Join(dir, blocksDir))
	if err != nil {
		t.Fatal(err)
	}
	second := blockFile{number: numbers[1]}.path(filepath.Join(dir, blocksDir))
	sound := read(t, second)
	spoiled := func(how string, spoil func()) {
		t.Helper()
		spoil()
		n, err := readOut(t, NewReader(dir, "g"), 1, uint64(many), want)
		var damage *Damage
		if n == many || !errors.As(err, &damage) || damage.First != uint64(n)+1 {
			t.Errorf("%s: %d messages are read, and then %v", how, n, err)
		}
		write(t, second, sound)
	}
	end := sizeOf(sound)
	for at := range end {
		if at > headSize+40 && at < end-hashSize-2 && at%97 > 0 {
			continue
		}
		spoiled(fmt.Sprintf("byte %d changed", at), func() {
			text := slices.Clone(sound)
			text[at] ^= 1 << (at % 8)
			write(t, second, text)
		})
	}
	spoiled("cut off in a record", func() { write(t, second, sound[:len(sound)-20]) })
	spoiled("cut off in the head of a record", func() { write(t, second, sound[:end+7]) })
	spoiled("cut off behind a record", func() { write(t, second, sound[:end]) })
	spoiled("a record is left out", func() { write(t, second, sound[end:]) })
	spoiled("more behind it", func() { write(t, second, append(slices.Clone(sound), "more"...)) })
	spoiled("empty", func() { write(t, second, nil) })
	spoiled("gone", func() {
		if err := os.Remove(second); err != nil {
			t.Fatal(err)
		}
	})
	if n, err := readOut(t, NewReader(dir, "g"), 1, uint64(many), want); n != many || err != nil {
		t.Errorf("when it is mended %d messages are read: %v", n, err)
	}
	if err := NewReader(dir, "h").Read(t.Context(), 1, 2, func(Message) bool { return true }); !errors.Is(err, errUnusual) {
		t.Errorf("of another subject: %v", err)
	}
	if err := NewReader(filepath.Join(dir, "none"), "g").Read(t.Context(), 1, 2, func(Message) bool { return true }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no stream: %v", err)
	}
}
