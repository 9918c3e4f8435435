package load

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// profile is what the clients do, and the defaults that go with it.
type profile struct {
	// do is one request: it returns how many charges or checks were answered.
	do       func(ctx context.Context, c *client, now time.Time) (int, error)
	doors    []string // that it may go through, the default first; none: only in process
	clients  int
	batch    int
	accounts int
	zipf     float64
	meters   int  // beside the one that is charged
	plain    bool // each request is a check or a batch of charges
	checks   int  // of ten plain requests, how many are checks
	rebuilds bool // the load only fills the journal; views are made anew after it, and that is what is measured
	inside   bool // looks at the server from inside, so that has to be in this process
}

// The doors.
const (
	doorProcess = "process"
	doorNATS    = "nats"
	doorHTTP    = "http"
)

var anyDoor = []string{doorProcess, doorNATS, doorHTTP}

var profiles = map[string]profile{
	"spend":   {do: spend, plain: true, doors: anyDoor},
	"hot":     {do: spend, plain: true, doors: anyDoor, accounts: 1},
	"bulk":    {do: spend, plain: true, doors: anyDoor, clients: 8, batch: 1000},
	"nats":    {do: spend, plain: true, doors: []string{doorNATS}},
	"http":    {do: spend, plain: true, doors: []string{doorHTTP}},
	"check":   {do: check, plain: true, doors: anyDoor, checks: 10},
	"mixed":   {do: mixed, plain: true, doors: anyDoor, zipf: 1.1, checks: 9},
	"matrix":  {do: matrix, doors: []string{doorHTTP}, clients: 1, accounts: matrixSide, meters: matrixSide},
	"intake":  {do: overIntake, doors: []string{doorNATS}, inside: true},
	"rebuild": {do: spend, clients: 8, batch: 1000, rebuilds: true, inside: true},
}

// Profiles lists the names of all profiles.
func Profiles() []string { return slices.Sorted(maps.Keys(profiles)) }

func (p profile) doorNames() []string {
	if len(p.doors) == 0 {
		return []string{doorProcess}
	}
	return p.doors
}

func (p profile) through(door string) bool { return slices.Contains(p.doorNames(), door) }

// Charge is one unit from one account, under one key.
type Charge struct{ Account, Key string }

// Door is a way to a server, of one client.
type Door interface {
	// Charge charges all, in one request, and returns an error unless every one of them was recorded.
	Charge(ctx context.Context, batch []Charge) error
	Close()
}

// asker is a door through which a client may also ask.
type asker interface {
	// check asks whether one charge would be allowed; that it would not is an error.
	check(ctx context.Context, account string) error
}

// errNotAllowed: nobody spends more than there is in a run, so this is a fault of the server.
var errNotAllowed = errors.New("a check said that a charge is not allowed")

// spend charges a batch. hot does it to a single account, bulk in large batches.
func spend(ctx context.Context, c *client, now time.Time) (int, error) { return c.charge(ctx, now) }

// check asks for one charge. It writes nothing.
func check(ctx context.Context, c *client, _ time.Time) (int, error) {
	return 1, c.door.(asker).check(ctx, c.account())
}

// mixed is what a feature service does: it asks often, and charges when the work is done.
func mixed(ctx context.Context, c *client, now time.Time) (int, error) {
	if c.onlyAsks() {
		return check(ctx, c, now)
	}
	return c.charge(ctx, now)
}
