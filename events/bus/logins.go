package bus

import (
	"crypto/subtle"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// The user names of our own connections; their password is a random secret that
// never leaves the process.
const (
	serviceLogin = "creditstream-service"
	writerLogin  = "creditstream-writer"
	doorLogin    = "creditstream-door"
	// requestsLogin is followed by the tenant whose requests come in there, or nothing for the operator's.
	requestsLogin = "creditstream-requests."
)

// logins decides which account a connecting client is a member of.
type logins struct {
	server     *Server
	tenantless bool
}

// Check is called by the server once per connection, before anything else of
// that client is read.
func (l logins) Check(client server.ClientAuthentication) bool {
	opts := client.GetOpts()
	user, token := opts.Username, opts.Password
	if token == "" {
		token = opts.Token
	}
	switch {
	case user == serviceLogin || user == writerLogin || user == doorLogin || strings.HasPrefix(user, requestsLogin):
		return l.checkOwn(client, user, token)
	case user == "" && token == "":
		return l.checkOperator(client)
	default:
		return l.checkTenant(client, user, token)
	}
}

func (l logins) checkOwn(client server.ClientAuthentication, user, token string) bool {
	if subtle.ConstantTimeCompare([]byte(token), []byte(l.server.secret)) != 1 {
		return false
	}
	own := &server.User{Username: user}
	name := InternalAccount
	switch tenant, requests := strings.CutPrefix(user, requestsLogin); {
	case user == serviceLogin:
		own.Permissions = &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"journal.>"}}}
	case user == doorLogin:
		name = OperatorAccount
	case requests && tenant == "":
		name, own.Permissions = OperatorAccount, operatorAnswers()
	case requests:
		name, own.Permissions = accountOf(tenant), tenantAnswers(tenant)
	}
	account, err := l.server.lookup(name)
	if err != nil {
		return false
	}
	own.Account = account
	client.RegisterUser(own)
	return true
}

func (l logins) checkOperator(client server.ClientAuthentication) bool {
	if !l.tenantless || !fromLoopback(client.RemoteAddress()) {
		return false
	}
	account, err := l.server.lookup(OperatorAccount)
	if err != nil {
		return false
	}
	client.RegisterUser(&server.User{Username: "operator", Account: account, Permissions: operatorPermissions()})
	return true
}

func (l logins) checkTenant(client server.ClientAuthentication, user, token string) bool {
	tenant, ok := l.server.authenticate(user, token)
	if !ok {
		return false
	}
	account := l.tenantNow(tenant)
	if account == nil {
		return false
	}
	l.server.sessions.add(client.GetID(), session{user, token, tenant})
	client.RegisterUser(&server.User{
		Username:    "tenant:" + tenant,
		Account:     account,
		Permissions: tenantPermissions(tenant),
	})
	return true
}

// tenantNow is a tenant's account of the server that runs, nil if there is none. A restarted server listens
// before it has its tenants: a client that came back in between would become a member of the account of the
// server before, where nobody answers. It waits a little, since clients give up when they are refused twice.
func (l logins) tenantNow(tenant string) *server.Account {
	for deadline := time.Now().Add(time.Second); l.server.running.Load() == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return nil
		}
	}
	return l.server.tenantAccount(tenant)
}

func fromLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
