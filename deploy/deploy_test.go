package deploy

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"creditstream/services/rules"
)

func TestShippedCatalogsAreValid(t *testing.T) {
	sources, err := Catalogs()
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"adtech", "tecpet", "wanclouds"} {
		if _, err := rules.ParseCatalog(sources[tenant]); err != nil {
			t.Errorf("%s: %v", tenant, err)
		}
	}
}

// TestNATSConfiguration holds what the journal needs of a server that is not the embedded one.
func TestNATSConfiguration(t *testing.T) {
	// The hash is of no password.
	const hash = "$2a$11$abcdefghijklmnopqrstuuWq5xNnC7vEqyQ0kS3Y7w1v8hG8r1yGe"
	for _, name := range []string{"CREDITSTREAM_WRITER", "CREDITSTREAM_SERVICES", "CREDITSTREAM_TECPET", "CREDITSTREAM_SYS"} {
		t.Setenv(name, hash)
	}
	t.Setenv("HOSTNAME", "n1")
	options, err := server.ProcessConfigFile("nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !options.SyncAlways {
		t.Error("an acknowledgement would not mean that the commit is on disk")
	}
	for _, user := range options.Users {
		if user.Password != hash {
			t.Errorf("user %s has a password of its own in the file", user.Username)
		}
		if user.Account.Name == options.SystemAccount {
			continue
		}
		if user.Permissions == nil || user.Permissions.Publish == nil || len(user.Permissions.Publish.Allow) == 0 {
			t.Errorf("user %s may publish to everything", user.Username)
			continue
		}
		for _, subject := range user.Permissions.Publish.Allow {
			if writes := server.SubjectsCollide(subject, "journal.*.*"); writes && user.Username != "writer" {
				t.Errorf("user %s may publish to %s and so to journals", user.Username, subject)
			}
			for token := range strings.SplitSeq(subject, ".") {
				if token != "*" && strings.Contains(token, "*") {
					t.Errorf("user %s: the * in %s stands for itself", user.Username, subject)
				}
			}
		}
	}
}
