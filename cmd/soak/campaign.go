package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// campaign is one kind of fault. To add one, write a type with these methods and put it into campaigns.
type campaign interface {
	// Name is one word, for the table and --campaign.
	Name() string
	// About says in one line what is done to the server.
	About() string
	// Run does it s.rounds times. What it finds goes into the result; an error means that it could not go on.
	Run(ctx context.Context, s *session) (result, error)
}

// campaigns are all of them, in the order of the table.
func campaigns() []campaign {
	return []campaign{
		power{},
		power{strict: true},
		control{},
		kill{},
		disk{},
		damaged{},
	}
}

// session is what a campaign runs with.
type session struct {
	rounds int
	seed   uint64
	rng    *rand.Rand
	dir    string // scratch on a good disk
	say    func(format string, args ...any)
}

// result is what a campaign found.
type result struct {
	Campaign     string       `json:"campaign"`
	Faults       int          `json:"faults"`       // tried
	Acknowledged int          `json:"acknowledged"` // commands
	ByKind       map[kind]int `json:"acknowledged_by_kind"`
	Lost         int          `json:"lost"`    // acknowledged and not in the journal
	Changed      int          `json:"changed"` // acknowledged, and the journal or the repeated answer says otherwise now
	Doubled      int          `json:"doubled"`
	Overdrawn    int          `json:"overdrawn"`
	Undetected   int          `json:"undetected"` // times that the driver saw something wrong and the server did not
	Noticed      int          `json:"noticed"`    // times that the server refused to serve what was left
	Harmless     int          `json:"harmless,omitempty"`
	// NoticingExpected says that the campaign does what has to be noticed, if it is not harmless.
	NoticingExpected bool `json:"noticing_expected,omitempty"`
	// LossExpected says that the campaign is a control: it is sound when something was lost.
	LossExpected bool     `json:"loss_expected,omitempty"`
	Left         string   `json:"left_out,omitempty"` // why the campaign was not run
	Problems     []string `json:"problems,omitempty"` // the first of what was found, in words
	Seed         uint64   `json:"seed"`
}

// maxProblems is how many are described.
const maxProblems = 20

func (r *result) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// sound reports whether the campaign found what it should: nothing, or, for a control, losses.
func (r *result) sound() bool {
	if r.Left != "" {
		return true
	}
	if r.LossExpected {
		return r.Lost > 0
	}
	return r.Acknowledged > 0 && r.clean()
}

// clean reports whether nothing was found.
func (r *result) clean() bool {
	noticed := r.Noticed
	if r.NoticingExpected {
		noticed = 0
	}
	return r.Lost+r.Changed+r.Doubled+r.Overdrawn+r.Undetected+noticed+len(r.Problems) == 0
}

// run runs one campaign in a directory of its own, which is kept when something was found.
func run(ctx context.Context, c campaign, s session) (result, error) {
	s.rng = rand.New(rand.NewPCG(s.seed, uint64(len(c.Name()))))
	s.dir = filepath.Join(s.dir, c.Name())
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return result{}, err
	}
	r, err := c.Run(ctx, &s)
	r.Campaign, r.Seed = c.Name(), s.seed
	if err != nil {
		return r, fmt.Errorf("campaign %s (seed %d): %w", c.Name(), s.seed, err)
	}
	if r.sound() {
		return r, os.RemoveAll(s.dir)
	}
	return r, nil
}
