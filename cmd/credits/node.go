package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"creditstream/services/node"
)

// dataFlag adds --data to a command that can do without a running server.
func (a *app) dataFlag(command *cobra.Command) {
	command.Flags().StringVar(&a.data, "data", "", "work on the data `directory` of a stopped server instead of asking a running one")
}

// longAgo is what the clock shows while a stopped server's directory is worked on: nothing falls due,
// and so nothing is booked, because somebody looked.
var longAgo = time.Date(1970, time.January, 2, 0, 0, 0, 0, time.UTC)

// withNode does something with the running server or, with --data, with a node that opens the
// directory of a stopped one and no ports.
func (a *app) withNode(ctx context.Context, do func(*client) error) error {
	if a.data == "" {
		return do(a.client())
	}
	if _, err := os.Stat(filepath.Join(a.data, "nats")); err != nil {
		return fmt.Errorf("%s is not the data directory of a server: %w", a.data, err)
	}
	n, err := node.Start(ctx, node.Config{Data: a.data, Dev: true, TestClock: longAgo})
	if err != nil {
		return err
	}
	inside := &client{base: "http://localhost", http: &http.Client{Transport: direct{n.Handler()}}, pause: pause}
	return errors.Join(do(inside), n.Close())
}

// direct hands requests to a handler of the same process, without a port. Answers are streamed: a
// journal does not have to fit into memory.
type direct struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.RemoteAddr = "127.0.0.1:0"
	r.Host = "localhost"
	if r.Body == nil {
		r.Body = http.NoBody
	}
	reader, writer := io.Pipe()
	answer := &directAnswer{
		body: writer, begun: make(chan struct{}), header: make(http.Header),
		response: http.Response{Body: reader, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r},
	}
	go answer.serve(d.handler, r)
	select {
	case <-answer.begun:
		return &answer.response, nil
	case <-r.Context().Done():
		reader.CloseWithError(r.Context().Err())
		return nil, r.Context().Err()
	}
}

// directAnswer is the http.ResponseWriter of a direct request.
type directAnswer struct {
	body     *io.PipeWriter
	header   http.Header // the handler's own; the response gets a copy
	begin    sync.Once
	begun    chan struct{} // closed once the response has its status and header
	response http.Response
}

// serve runs the handler. It ends when the handler does, which notices that nobody reads any more.
func (w *directAnswer) serve(handler http.Handler, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			w.WriteHeader(http.StatusInternalServerError)
			w.body.CloseWithError(fmt.Errorf("the answer broke off: %v", p))
			return
		}
		w.WriteHeader(http.StatusOK)
		_ = w.body.Close() // of a pipe: always nil
	}()
	handler.ServeHTTP(w, r)
}

// Header implements http.ResponseWriter.
func (w *directAnswer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *directAnswer) WriteHeader(status int) {
	w.begin.Do(func() {
		w.response.StatusCode, w.response.Header = status, w.header.Clone()
		w.response.Status = fmt.Sprintf("%d %s", status, http.StatusText(status))
		close(w.begun)
	})
}

// Write implements http.ResponseWriter.
func (w *directAnswer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush implements http.Flusher: a pipe holds nothing back.
func (w *directAnswer) Flush() {}

// SetWriteDeadline lets long answers prolong a patience that is endless here.
func (w *directAnswer) SetWriteDeadline(time.Time) error { return nil }
