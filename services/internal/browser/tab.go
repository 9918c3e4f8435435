package browser

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Tab is one visitor's page. Its methods end the test when what they wait for does not come about. Selectors
// are those of CSS.
type Tab struct {
	t      testing.TB
	ctx    context.Context
	mu     sync.Mutex
	faults []string
}

// do runs actions with the tab's patience.
func (t *Tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	t.t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.t.Fatalf("%s: %v\nthe page at %s says:\n%s", what, err, t.address(), t.words())
	}
}

// address and words say where a tab is when a test fails.
func (t *Tab) address() string {
	at, err := chromedp.Run(t.ctx, chromedp.Location())
	if err != nil {
		return err.Error()
	}
	return at
}

func (t *Tab) words() string {
	text, err := chromedp.Run(t.ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText.slice(0, 3000) : ""`))
	if err != nil {
		return err.Error()
	}
	return text
}

// Go opens an address and returns when the page has loaded.
func (t *Tab) Go(url string) {
	t.t.Helper()
	t.do("open "+url, chromedp.Navigate(url))
}

// Click clicks the first element that the selector finds, once it is there and visible.
func (t *Tab) Click(selector string) {
	t.t.Helper()
	var err error
	for range clicks {
		ctx, cancel := context.WithTimeout(t.ctx, Patience/clicks)
		err = chromedp.Do(ctx, chromedp.ScrollIntoView(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	if err != nil {
		t.t.Fatalf("click %s: %v\nthe page at %s says:\n%s", selector, err, t.address(), t.words())
	}
}

// clicks is how often a click is tried. A node that was found and that the page put another one in the place of before it
// was clicked is waited for in vain: the next try finds the other one.
const clicks = 3

// Submit clicks what leads to another document, be it the same again, and returns when that has loaded.
func (t *Tab) Submit(selector string) {
	t.t.Helper()
	t.Run(`window.documentBefore = true`)
	t.Click(selector)
	t.Until(`!window.documentBefore && document.readyState === "complete"`)
}

// Check clicks something that is laid over, such as the radio button of a card.
func (t *Tab) Check(selector string) {
	t.t.Helper()
	t.See(selector)
	t.Run(`document.querySelector(` + quote(selector) + `).click()`)
}

// Fill replaces what a field holds, key by key.
func (t *Tab) Fill(selector, text string) {
	t.t.Helper()
	field := "document.querySelector(" + quote(selector) + ")"
	t.Until(field + "?.checkVisibility() && !" + field + ".disabled")
	t.do("fill "+selector,
		script(field+".focus(); "+field+".select()"),
		chromedp.KeyEvent(kb.Backspace), chromedp.KeyEvent(text))
	t.Until(field + ".value === " + quote(text))
}

// Choose picks an option of a select by its value.
func (t *Tab) Choose(selector, value string) {
	t.t.Helper()
	t.See(selector)
	t.Run(`(e => { e.value = ` + quote(value) + `; e.dispatchEvent(new Event("input", {bubbles: true})); e.dispatchEvent(new Event("change", {bubbles: true})); })(document.querySelector(` + quote(selector) + `))`)
}

// See waits until the selector finds something.
func (t *Tab) See(selector string) {
	t.t.Helper()
	t.Until(`document.querySelector(` + quote(selector) + `) !== null`)
}

// Gone waits until the selector finds nothing that is shown.
func (t *Tab) Gone(selector string) {
	t.t.Helper()
	t.Until(`![...document.querySelectorAll(` + quote(selector) + `)].some(e => e.checkVisibility())`)
}

// Says waits until the text of an element contains the words. Spaces of all kinds count as one.
func (t *Tab) Says(selector, words string) {
	t.t.Helper()
	t.Until(`(document.querySelector(` + quote(selector) + `)?.innerText ?? "").replace(/\s+/g, " ").includes(` + quote(plain(words)) + `)`)
}

// Text is the visible text of an element, with single spaces.
func (t *Tab) Text(selector string) string {
	t.t.Helper()
	t.See(selector)
	return plain(Value[string](t, `document.querySelector(`+quote(selector)+`).innerText`))
}

// Count is how many elements the selector finds.
func (t *Tab) Count(selector string) int {
	t.t.Helper()
	return Value[int](t, `document.querySelectorAll(`+quote(selector)+`).length`)
}

// Until waits until an expression of JavaScript is true, whatever pages come and go meanwhile.
func (t *Tab) Until(expression string) {
	t.t.Helper()
	t.do("wait until "+expression, func(ctx context.Context, in *chromedp.Target) (chromedp.Void, error) {
		again := time.NewTicker(20 * time.Millisecond)
		defer again.Stop()
		for {
			// An error is a page that is being replaced.
			holds, err := chromedp.Evaluate[bool]("Boolean("+expression+")")(ctx, in)
			if err == nil && holds {
				return chromedp.Void{}, nil
			}
			select {
			case <-ctx.Done():
				return chromedp.Void{}, errors.Join(ctx.Err(), err)
			case <-again.C:
			}
		}
	})
}

// Value evaluates an expression of JavaScript, and waits where it promises a value.
func Value[T any](t *Tab, expression string) (v T) {
	t.t.Helper()
	t.do("evaluate "+expression, func(ctx context.Context, in *chromedp.Target) (_ chromedp.Void, err error) {
		v, err = chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise)(ctx, in)
		return chromedp.Void{}, err
	})
	return v
}

// Run runs JavaScript.
func (t *Tab) Run(source string) {
	t.t.Helper()
	t.do("run "+source, script(source))
}

// script runs JavaScript and drops what comes of it.
func script(source string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, in *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Evaluate[bool]("(() => { "+source+"; return true })()")(ctx, in)
		return chromedp.Void{}, err
	}
}

// Address is where the tab is.
func (t *Tab) Address() string {
	t.t.Helper()
	return t.address()
}

// Arrives waits until the address contains a text.
func (t *Tab) Arrives(part string) {
	t.t.Helper()
	t.Until(`location.href.includes(` + quote(part) + `) && document.readyState === "complete"`)
}

// Screenshot keeps a picture of the window (full: of the whole page) as NAME.png in the directory that
// CREDITSTREAM_SCREENSHOTS names; without it nothing happens.
func (t *Tab) Screenshot(name string, full bool) {
	t.t.Helper()
	dir := os.Getenv("CREDITSTREAM_SCREENSHOTS")
	if dir == "" {
		return
	}
	if full { // what lies below the window is drawn only when it is scrolled to
		t.Run(`const all = new CSSStyleSheet(); all.replaceSync("* { content-visibility: visible !important }"); document.adoptedStyleSheets = [all]`)
		defer t.Run(`document.adoptedStyleSheets = []`)
	}
	var picture []byte
	t.do("take a screenshot", func(ctx context.Context, in *chromedp.Target) (chromedp.Void, error) {
		shot, err := cdp.Call(ctx, in, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &full})
		picture = shot.Data
		return chromedp.Void{}, err
	})
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		t.t.Fatal(err)
	}
}

// Fits fails the test where the page is wider than its window: on a phone it would scroll sideways.
func (t *Tab) Fits() {
	t.t.Helper()
	if by := Value[int](t, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); by > 0 {
		t.t.Errorf("%s is %d pixels wider than the window", t.address(), by)
	}
}

func quote(text string) string {
	q, err := json.Marshal(text)
	if err != nil {
		return strconv.Quote(text)
	}
	return string(q)
}

// plain makes every run of spaces, those that do not break among them, one space.
func plain(text string) string { return strings.Join(strings.Fields(text), " ") }
