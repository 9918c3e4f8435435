package accounts_test

import (
	"fmt"
	"strings"
	"testing"

	"creditstream/services/node"
	"creditstream/services/rules"
)

// A catalog that grows beyond a commit when it is written is refused, and the shard goes on.
func TestACatalogTooLargeForTheJournal(t *testing.T) {
	_, tenant := open(t, t.TempDir())
	large := catalog
	for i := range 200 {
		large += fmt.Sprintf("  m%d: {price: \"1\", name: %q}\n", i, strings.Repeat("<", 1000))
	}
	if _, err := rules.ParseCatalog([]byte(large)); err != nil {
		t.Fatal(err)
	}
	if version, _, err := tenant.Publish(t.Context(), []byte(large), "ana"); err == nil {
		t.Errorf("published as %d", version)
	}
	opening(t, tenant, "a", 1_00)
	if version := tenant.Books().Current().Version; version != 1 {
		t.Errorf("catalog %d is in force", version)
	}
}

// A version that is taken, by a publication that nobody waited for, is not given out twice.
func TestAVersionIsPublishedOnce(t *testing.T) {
	_, tenant := open(t, t.TempDir())
	again, err := rules.ParseCatalog([]byte(strings.ReplaceAll(catalog, "name: Shop", "name: Other")))
	if err != nil {
		t.Fatal(err)
	}
	again.Version = 1
	if _, err := tenant.Shards()[0].Publish(t.Context(), again, nil, "ana"); err == nil {
		t.Error("published two catalogs 1")
	}
	if name := tenant.Books().Current().Name; name != "Shop" {
		t.Errorf("in force is the catalog of %s", name)
	}
}

// A publication that was cut off between two shards is completed when the tenant is opened again.
func TestACatalogThatReachedSomeShardsReachesAll(t *testing.T) {
	dir := t.TempDir()
	n, err := node.Start(t.Context(), node.Config{Data: dir, TestClock: start})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if err := n.AddTenant(t.Context(), "wide", 3); err != nil {
		t.Fatal(err)
	}
	wide, err := n.Accounts().Tenant("wide")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := wide.Publish(t.Context(), []byte(catalog), "ana"); err != nil {
		t.Fatal(err)
	}
	second, err := rules.ParseCatalog([]byte(strings.ReplaceAll(catalog, "name: Shop", "name: Other")))
	if err != nil {
		t.Fatal(err)
	}
	second.Version = 2
	if _, err := wide.Shards()[1].Publish(t.Context(), second, nil, "ana"); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err = node.Start(t.Context(), node.Config{Data: dir, TestClock: start}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if wide, err = n.Accounts().Tenant("wide"); err != nil {
		t.Fatal(err)
	}
	for i, shard := range wide.Shards() {
		if c := shard.Books().Current(); c.Version != 2 || c.Name != "Other" {
			t.Errorf("shard %d has catalog %d of %s", i, c.Version, c.Name)
		}
	}
}
