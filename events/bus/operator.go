package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// In development mode a client without credentials is the operator. It is a
// member of an account of its own, for the same reasons as a tenant, and imports
// all that reads or feeds an intake; it is answered there. What makes or changes streams is not
// there, and consumers are made through a door that refuses deliver subjects.
var operatorImports = []string{
	"intake.>",
	"$JS.API.INFO",
	"$JS.API.STREAM.NAMES",
	"$JS.API.STREAM.LIST",
	"$JS.API.STREAM.INFO.*",
	"$JS.API.STREAM.MSG.GET.*",
	"$JS.API.CONSUMER.NAMES.*",
	"$JS.API.CONSUMER.LIST.*",
	"$JS.API.CONSUMER.INFO.*.*",
	"$JS.API.CONSUMER.DELETE.*.*",
	"$JS.ACK.>",
	pullSubject + ">",
}

// createSubject and its like for durable ones are what the door stands at.
const (
	createSubject  = "$JS.API.CONSUMER.CREATE.>"
	durableSubject = "$JS.API.CONSUMER.DURABLE.CREATE.>"
)

// secretStreams belong to the server alone, whoever asks.
var secretStreams = []string{"CREDENTIALS", "PERSONAL"}

func operatorPermissions() *server.Permissions {
	var deny []string
	for _, stream := range secretStreams {
		deny = append(deny,
			"$JS.API.STREAM.MSG.GET."+stream,
			"$JS.API.CONSUMER.*."+stream+".>",
			"$JS.API.CONSUMER.CREATE."+stream,
			"$JS.API.CONSUMER.DURABLE.CREATE."+stream+".>",
			pullSubject+stream+".>",
			"$JS.ACK."+stream+".>",
		)
	}
	return &server.Permissions{Publish: &server.SubjectPermission{Deny: deny}}
}

// operatorAnswers are the permissions of ConnectRequests in the operator's account,
// whose clients may listen to any subject: what no answer may reach is what the
// account imports, and the door for consumers.
func operatorAnswers() *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Deny: append([]string{createSubject, durableSubject}, operatorImports...)},
		Subscribe: &server.SubjectPermission{Allow: []string{"credits.*.*"}},
	}
}

// openOperator gives the operator's account its imports.
func (s *Server) openOperator() error {
	// An account that is configured, not made later like this one, would get all of
	// JetStream's API from the server, and answers of its own.
	account, _ := s.nats.LookupOrRegisterAccount(OperatorAccount)
	for _, subject := range operatorImports {
		if err := account.AddServiceImport(s.internal, subject, subject); err != nil {
			return fmt.Errorf("import %s for the operator: %w", subject, err)
		}
	}
	return nil
}

// openDoor lets the operator make consumers. Its connections outlive a restart.
func (s *Server) openDoor() error {
	outside, err := s.connect("operator's door", doorLogin)
	if err != nil {
		return err
	}
	s.doors = append(s.doors, outside)
	inside, err := s.connect("operator's door, inside", serviceLogin)
	if err != nil {
		return err
	}
	s.doors = append(s.doors, inside)
	for _, subject := range []string{createSubject, durableSubject} {
		if _, err := outside.Subscribe(subject, func(m *nats.Msg) { s.passDoor(inside, m) }); err != nil {
			return fmt.Errorf("open the operator's door: %w", err)
		}
	}
	return outside.Flush()
}

// passDoor hands on a request to make a consumer, unless it would have messages
// published: a deliver subject is one of the internal account.
func (s *Server) passDoor(inside *nats.Conn, m *nats.Msg) {
	answer, err := forwardCreate(inside, m)
	if err != nil {
		answer, _ = json.Marshal(server.JSApiConsumerCreateResponse{ApiResponse: server.ApiResponse{
			Type:  server.JSApiConsumerCreateResponseType,
			Error: &server.ApiError{Code: 400, Description: err.Error()},
		}})
	}
	if err := m.Respond(answer); err != nil {
		s.log.Warn("answer the operator", "subject", m.Subject, "error", err)
	}
}

func forwardCreate(inside *nats.Conn, m *nats.Msg) ([]byte, error) {
	// What is handed on is what was checked, whatever else the text could be read as.
	var request server.CreateConsumerRequest
	if err := json.Unmarshal(m.Data, &request); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	if request.Config.DeliverSubject != "" || request.Config.DeliverGroup != "" {
		return nil, fmt.Errorf("a push consumer could publish into a journal: use a pull or an ordered consumer of the new JetStream API")
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	answer, err := inside.RequestWithContext(ctx, m.Subject, body)
	if err != nil {
		return nil, fmt.Errorf("make the consumer: %w", err)
	}
	return answer.Data, nil
}
