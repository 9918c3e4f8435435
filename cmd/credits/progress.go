package main

import (
	"fmt"
	"io"
	"sync"

	"github.com/schollz/progressbar/v3"
)

// bar shows how far a long piece of work is: at a terminal as a bar with its rate, elsewhere as a
// line for each quarter, so that a log stays readable.
type bar struct {
	w     io.Writer
	live  *progressbar.ProgressBar // nil elsewhere than at a terminal
	unit  string
	total int
	mu    sync.Mutex
	at    int // how much is done
}

// newBar starts a bar on standard error for so many units.
func (a *app) newBar(total int, unit string) *bar {
	b := &bar{w: a.stderr, unit: unit, total: total}
	if isTerminal(a.stderr) {
		b.live = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(a.stderr),
			progressbar.OptionShowCount(),
			progressbar.OptionShowIts(),
			progressbar.OptionSetItsString(unit),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionSetWidth(30),
			progressbar.OptionClearOnFinish(),
		)
	}
	return b
}

// add says that n more units are done. It may be called concurrently.
func (b *bar) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.move(b.at + n)
}

// set says how many units are done in all.
func (b *bar) set(done int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.move(done)
}

func (b *bar) move(after int) {
	before := b.at
	b.at = after
	if b.live != nil {
		_ = b.live.Set(after) // a bar that cannot be drawn is no reason to stop the work
	} else if quarter := after * 4 / b.total; quarter > before*4/b.total {
		fmt.Fprintf(b.w, "%3d%%  %s of %s %s\n", quarter*25, count(after), count(b.total), b.unit)
	}
}

// done takes the bar away.
func (b *bar) done() {
	if b.live != nil {
		_ = b.live.Finish()
	}
}
