package bus

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// State is how a NATS server does, for an operator to look at. Of a server that runs elsewhere some of it
// is not known: Connections and Process are empty then.
type State struct {
	Embedded bool
	Name     string
	Version  string
	// Fault says what is wrong with the server or its streams; "" when nothing is.
	Fault       string
	Process     Process
	Connections []Connection
	Streams     []StreamState
	// Messages and Bytes are those of all streams.
	Messages, Bytes uint64
	// Requests and Errors are those of JetStream's API since the start.
	Requests, Errors uint64
}

// Process is what only the server itself knows.
type Process struct {
	Started          time.Time
	TotalConnections uint64
	SlowConsumers    int64
	Subscriptions    uint32
	// SyncAlways says that a message is on disk before it is acknowledged.
	SyncAlways bool
}

// Connection is one client.
type Connection struct {
	Name, Account, Address string
	Since                  time.Time
	// In and Out are messages, Pending bytes that it has not taken yet.
	In, Out int64
	Pending int
}

// StreamState is one stream.
type StreamState struct {
	Name            string
	Messages, Bytes uint64
	First, Last     uint64 // sequences
	LastAt          time.Time
	Consumers       int
}

// maxListed bounds how many connections are listed; all are counted.
const maxListed = 100

// State asks the server how it does. It goes over all streams: for a page, not for each request.
func (s *Server) State() (State, error) {
	running := s.running.Load()
	if running == nil {
		return State{Embedded: true, Fault: errAway.Error()}, nil
	}
	vars, err := running.Varz(nil)
	if err != nil {
		return State{}, fmt.Errorf("ask the bus how it does: %w", err)
	}
	state := State{Embedded: true, Name: vars.Name, Version: vars.Version, Process: Process{
		Started: vars.Start, TotalConnections: vars.TotalConnections, SlowConsumers: vars.SlowConsumers,
		Subscriptions: vars.Subscriptions, SyncAlways: vars.JetStream.Config != nil && vars.JetStream.Config.SyncAlways,
	}}
	if err := s.Healthy(); err != nil {
		state.Fault = err.Error()
	}
	connections, err := running.Connz(&server.ConnzOptions{Username: true, Limit: maxListed})
	if err != nil {
		return State{}, fmt.Errorf("ask the bus for its connections: %w", err)
	}
	for _, c := range connections.Conns {
		state.Connections = append(state.Connections, connectionOf(c))
	}
	detail, err := running.JszAccount(&server.JSzOptions{Account: InternalAccount, Streams: true})
	if err != nil {
		return State{}, fmt.Errorf("ask the bus for its streams: %w", err)
	}
	state.Requests, state.Errors = detail.API.Total, detail.API.Errors
	for i := range detail.Streams {
		stream := &detail.Streams[i]
		state.add(StreamState{
			Name: stream.Name, Messages: stream.State.Msgs, Bytes: stream.State.Bytes, First: stream.State.FirstSeq,
			Last: stream.State.LastSeq, LastAt: stream.State.LastTime, Consumers: stream.State.Consumers,
		})
	}
	return state, nil
}

func (s *State) add(stream StreamState) {
	s.Streams = append(s.Streams, stream)
	s.Messages += stream.Messages
	s.Bytes += stream.Bytes
}

// StateOf asks a server that runs elsewhere, as far as a client may.
func StateOf(ctx context.Context, nc *nats.Conn) (State, error) {
	state := State{Name: nc.ConnectedServerName(), Version: nc.ConnectedServerVersion()}
	if status := nc.Status(); status != nats.CONNECTED {
		state.Fault = "the connection to the server is " + strings.ToLower(status.String())
		return state, nil
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return State{}, err
	}
	account, err := js.AccountInfo(ctx)
	if err != nil {
		return State{}, fmt.Errorf("ask the NATS server how it does: %w", err)
	}
	state.Requests, state.Errors = account.API.Total, account.API.Errors
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		state.add(StreamState{
			Name: info.Config.Name, Messages: info.State.Msgs, Bytes: info.State.Bytes, First: info.State.FirstSeq,
			Last: info.State.LastSeq, LastAt: info.State.LastTime, Consumers: info.State.Consumers,
		})
	}
	if err := streams.Err(); err != nil {
		return State{}, fmt.Errorf("ask the NATS server for its streams: %w", err)
	}
	return state, nil
}

// connectionOf leaves out the user: for a tenant's client that is a secret.
func connectionOf(c *server.ConnInfo) Connection {
	address := "in process"
	if c.IP != "pipe" && c.IP != "" {
		address = fmt.Sprintf("%s:%d", c.IP, c.Port)
	}
	return Connection{Name: c.Name, Account: c.Account, Address: address, Since: c.Start, In: c.InMsgs, Out: c.OutMsgs, Pending: c.Pending}
}
