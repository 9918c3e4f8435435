package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Patience is how long a tab waits for what a test says will happen.
const Patience = 30 * time.Second

// Browser is one Chromium that ends with its test.
type Browser struct {
	t   testing.TB
	ctx context.Context
}

// Start starts Chromium, or skips the test where there is none.
func Start(t testing.TB) *Browser {
	t.Helper()
	program := find()
	if program == "" {
		const what = "no Chromium here (apt-get install chromium, or CREDITSTREAM_CHROMIUM=path): this test of the pages was left out"
		if os.Getenv("CREDITSTREAM_BROWSER") == "required" {
			t.Fatal(what + ", and CREDITSTREAM_BROWSER says that none may be")
		}
		t.Skip(what)
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("disable-background-timer-throttling", true), chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("font-render-hinting", "none"), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.WSURLReadTimeout(time.Minute),
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closing := chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(func() {
		closing()
		cancel()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	return &Browser{t: t, ctx: ctx}
}

// For is the same browser for a part of the test.
func (b *Browser) For(t testing.TB) *Browser { return &Browser{t: t, ctx: b.ctx} }

func find() string {
	if program := os.Getenv("CREDITSTREAM_CHROMIUM"); program != "" {
		return program
	}
	for _, name := range [...]string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	return ""
}

// Visitor is who opens a tab. The zero value is a desktop in light colours that asks for English.
type Visitor struct {
	Width, Height int64 // of the window, in CSS pixels; default 1280 × 900
	Phone         bool  // 390 × 844, touch
	Dark          bool
	Language      string  // Accept-Language; default en-US
	Scale         float64 // pixels of the screen for one of CSS; default 1
}

// Guise is a visitor in one size and one colour scheme, and what that is called in names of pictures.
type Guise struct {
	Name string
	Visitor
}

// Guises are all four: what a page looks like has to be right in each.
func Guises() []Guise {
	return []Guise{
		{"desktop-light", Visitor{}}, {"desktop-dark", Visitor{Dark: true}},
		{"phone-light", Visitor{Phone: true}}, {"phone-dark", Visitor{Phone: true, Dark: true}},
	}
}

// Tab opens a tab for a visitor who shares no cookies with any other.
func (b *Browser) Tab(v Visitor) *Tab {
	b.t.Helper()
	tab := &Tab{t: b.t}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(tab.hear))
	tab.ctx = ctx
	b.t.Cleanup(func() {
		for _, fault := range tab.Faults() {
			b.t.Errorf("in a browser's console: %s", fault)
		}
		cancel()
	})
	if v.Phone {
		v.Width, v.Height = 390, 844
	}
	if v.Width == 0 {
		v.Width, v.Height = 1280, 900
	}
	if v.Language == "" {
		v.Language = "en-US"
	}
	scheme := "light"
	if v.Dark {
		scheme = "dark"
	}
	// The first use makes the tab, and its context is the tab's life: it gets no deadline.
	if err := chromedp.Do(ctx, tab.prepare(v, scheme)); err != nil {
		b.t.Fatalf("open a tab: %v", err)
	}
	return tab
}

// prepare makes a tab look like its visitor's.
func (t *Tab) prepare(v Visitor, scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, in *chromedp.Target) error {
		_, err1 := cdp.Call(ctx, in, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": v.Language}})
		_, err2 := cdp.Call(ctx, in, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: v.Width, Height: v.Height, DeviceScaleFactor: max(v.Scale, 1), Mobile: v.Phone,
		})
		_, err3 := cdp.Call(ctx, in, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: v.Phone})
		_, err4 := cdp.Call(ctx, in, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return errors.Join(err1, err2, err3, err4)
	})
}

// isAnswer matches what Chromium says of pages that refuse something: an answer, not a fault.
var isAnswer = regexp.MustCompile(`status of (401|402|403|409|422) `)

// hear notes what goes wrong.
func (t *Tab) hear(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		t.note(e.ExceptionDetails.Text + " " + description(e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var words []string
			for _, arg := range e.Args {
				words = append(words, strings.Trim(string(arg.Value), `"`)+description(arg))
			}
			t.note(strings.Join(words, " "))
		}
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceNetwork && isAnswer.MatchString(e.Entry.Text) {
			return
		}
		if e.Entry.Level == log.EntryLevelError || e.Entry.Source == log.EntrySourceSecurity {
			t.note(fmt.Sprintf("%s (%s)", e.Entry.Text, e.Entry.URL))
		}
	}
}

func description(o *runtime.RemoteObject) string {
	if o == nil {
		return ""
	}
	return o.Description
}

func (t *Tab) note(fault string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, fault)
}

// Faults takes what went wrong in the tab since it was last asked.
func (t *Tab) Faults() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	faults := t.faults
	t.faults = nil
	return faults
}
