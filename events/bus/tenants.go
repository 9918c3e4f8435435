package bus

import (
	"fmt"
	"regexp"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// tenantName is what a tenant may be called: it becomes a part of subjects and
// of stream names.
var tenantName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// What a tenant's client may ask of JetStream, where its account imports it.
const (
	pullSubject         = "$JS.API.CONSUMER.MSG.NEXT."
	consumerInfoSubject = "$JS.API.CONSUMER.INFO."
	streamInfoSubject   = "$JS.API.STREAM.INFO."
	getSubject          = "$JS.API.STREAM.MSG.GET."
)

// openAccounts gives the internal account its streams and exports what another
// account may import. An export gives nobody anything: accounts are made here
// only, and so are their imports.
func (s *Server) openAccounts() error {
	var err error
	if s.internal, err = s.nats.LookupAccount(InternalAccount); err != nil {
		return fmt.Errorf("account %s: %w", InternalAccount, err)
	}
	if err := s.internal.EnableJetStream(nil, nil); err != nil {
		return fmt.Errorf("recover the streams: %w", err)
	}
	for _, subject := range operatorImports {
		// A pull is answered by a stream of messages, everything else by one.
		answer := server.Singleton
		if subject == pullSubject+">" {
			answer = server.Streamed
		}
		if err := s.internal.AddServiceExportWithResponse(subject, answer, nil); err != nil {
			return fmt.Errorf("export %s: %w", subject, err)
		}
	}
	return nil
}

// AddTenant makes the account of a tenant, whose clients may log in from now
// on. Once is enough per start; a second call does nothing. A tenant is
// [a-z0-9-]{1,32}.
//
// The account imports the tenant's intake ("intake.<tenant>.usage"). A reply
// subject that a client chooses means a subject of its own account: what crosses
// the border carries one that the server made. Requests do not cross it: they are
// answered inside (ConnectRequests).
func (s *Server) AddTenant(tenant string) error {
	if !tenantName.MatchString(tenant) {
		return fmt.Errorf("add tenant %q: a tenant is 1 to 32 of a-z, 0-9 and -", tenant)
	}
	s.restarting.Lock() // the server that gets the account must not be on its way out
	defer s.restarting.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenants[tenant] != nil {
		return nil
	}
	account, err := s.openTenant(tenant)
	if err == nil {
		s.tenants[tenant] = account
	}
	return err
}

// openTenant makes a tenant's account in the server, with the imports that every tenant has.
func (s *Server) openTenant(tenant string) (*server.Account, error) {
	account, _ := s.nats.LookupOrRegisterAccount(accountOf(tenant))
	subject := "intake." + tenant + ".usage"
	if err := account.AddServiceImport(s.internal, subject, subject); err != nil {
		return nil, fmt.Errorf("add tenant %s: import %s: %w", tenant, subject, err)
	}
	return account, nil
}

// accountOf is the name of a tenant's account. The prefix keeps a tenant from being called like one of ours.
func accountOf(tenant string) string { return "TENANT_" + tenant }

// ConnectRequests opens a connection inside the account of a tenant, where its
// requests ("credits.<tenant>.*") come in and are answered; for "" inside the
// operator's, where those to all tenants do. It may subscribe to them and answer,
// and nothing else: no answer crosses the account's border, whatever reply
// subject the request had. The tenant must be added first. The caller closes it.
//
// A request that crossed the border by an import would cost the server three times
// as much: an answer's subject, a header and an import are made for each.
func (s *Server) ConnectRequests(tenant string) (*nats.Conn, error) {
	return s.connect("creditstream-requests", requestsLogin+tenant)
}

// tenantAnswers are the permissions of ConnectRequests in a tenant's account.
func tenantAnswers(tenant string) *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		Subscribe: &server.SubjectPermission{Allow: []string{"credits." + tenant + ".*"}},
	}
}

// lookup finds an account of ours, once the server is ready.
func (s *Server) lookup(name string) (*server.Account, error) {
	running := s.running.Load()
	if running == nil {
		return nil, errAway
	}
	return running.LookupAccount(name)
}

func (s *Server) tenantAccount(tenant string) *server.Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tenants[tenant]
}

// tenantPermissions confine a tenant's client inside its own account, where
// nothing of ours is: they keep its subjects tidy. That it reaches no other
// tenant is the work of the accounts. Which feeds it may pull is decided by the
// imports of its account, not here, so that a feed may come later than a client.
func tenantPermissions(tenant string) *server.Permissions {
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			"credits." + tenant + ".>",
			"intake." + tenant + ".usage",
			pullSubject + "*.*",
			consumerInfoSubject + "*.*",
			streamInfoSubject + "*",
			getSubject + "*",
		}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}
}
