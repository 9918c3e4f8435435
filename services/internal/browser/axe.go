package browser

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/chromedp/chromedp"
)

//go:embed axe/axe.min.js
var axe string

// violation is what axe-core finds fault with.
type violation struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML           string `json:"html"`
		FailureSummary string `json:"failureSummary"`
	} `json:"nodes"`
}

// Axe fails the test for every violation of WCAG 2.2 A and AA, and of axe-core's best practices, that the page
// has as it stands.
func (t *Tab) Axe() {
	t.t.Helper()
	t.do("load axe-core", func(ctx context.Context, in *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Evaluate[bool](axe+"; true")(ctx, in)
		return chromedp.Void{}, err
	})
	found := Value[[]violation](t, `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations)`)
	for _, v := range found {
		var where strings.Builder
		for i, node := range v.Nodes {
			if i == 3 {
				fmt.Fprintf(&where, "\n  and %d more", len(v.Nodes)-i)
				break
			}
			fmt.Fprintf(&where, "\n  %.200s\n    %s", node.HTML, strings.ReplaceAll(node.FailureSummary, "\n", "\n    "))
		}
		t.t.Errorf("%s: axe-core: %s (%s): %s%s", t.address(), v.ID, v.Impact, v.Help, where.String())
	}
}
