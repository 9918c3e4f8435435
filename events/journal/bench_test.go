package journal_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"creditstream/events/journal"
)

// BenchmarkAppend measures commits until their ack, each with its fsync, beside
// a plain append and fsync of as many bytes on the same disk.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("%dKiB/file", size>>10), func(b *testing.B) { benchmarkFile(b, size) })
		for _, over := range []string{"in-process", "tcp"} {
			for _, depth := range []int{1, 2} {
				name := fmt.Sprintf("%dKiB/%s/depth%d", size>>10, over, depth)
				b.Run(name, func(b *testing.B) { benchmarkAppend(b, size, depth, over == "tcp") })
			}
		}
	}
}

func benchmarkFile(b *testing.B, size int) {
	file, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	body := bytes.Repeat([]byte("x"), size)
	b.SetBytes(int64(size))
	for b.Loop() {
		if _, err := file.Write(body); err != nil {
			b.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkAppend(b *testing.B, size, depth int, tcp bool) {
	s := startPlain(b, b.TempDir(), 0)
	nc := dialEither(b, s, tcp)
	j := open(b, nc, journal.Config{Name: acme, Create: true, MaxPending: depth})
	body := bytes.Repeat([]byte("x"), size)
	free := make(chan struct{}, depth)
	for range depth {
		free <- struct{}{}
	}
	done := func(_ journal.Head, err error) {
		if err != nil {
			b.Error(err)
		}
		free <- struct{}{}
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		<-free
		if err := j.Append(body, done); err != nil {
			b.Fatal(err)
		}
	}
	for range depth {
		<-free
	}
}

// BenchmarkRead measures how fast a journal is read and verified.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{512, 64 << 10} {
		for _, over := range []string{"in-process", "tcp"} {
			b.Run(fmt.Sprintf("%dB/%s", size, over), func(b *testing.B) {
				const commits = 2000
				s := startPlain(b, b.TempDir(), 0)
				j := open(b, dialEither(b, s, over == "tcp"), journal.Config{Name: acme, Create: true})
				body := bytes.Repeat([]byte("x"), size)
				outcomes := make(chan error, 8)
				for n := range commits {
					if n >= 8 {
						<-outcomes
					}
					if err := j.Append(body, func(_ journal.Head, err error) { outcomes <- err }); err != nil {
						b.Fatal(err)
					}
				}
				for range 8 {
					<-outcomes
				}
				b.SetBytes(int64(size) * commits)
				for b.Loop() {
					n := 0
					for _, err := range j.Read(b.Context(), 1) {
						if err != nil {
							b.Fatal(err)
						}
						n++
					}
					if n != commits {
						b.Fatalf("read %d commits", n)
					}
				}
			})
		}
	}
}

func dialEither(b *testing.B, s *server.Server, tcp bool) *nats.Conn {
	if tcp {
		return dial(b, s.ClientURL())
	}
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	return nc
}
