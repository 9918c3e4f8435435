// Package scale shows how cost grows with size: events, accounts, tenants, and the lots of one account. Each
// curve starts a server in a process of its own, fills it, and writes down what it costs at each size: rates,
// bytes on disk, memory, and what a start reads and how long it takes, in good order and after a crash. The
// slope of a figure is the exponent by which it grows: 0 is flat, 1 is as fast as the size.
//
// Start reading at Run; curves.go has the curves. It imports cmd/internal/load and chart.
package scale

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"creditstream/cmd/internal/chart"
	"creditstream/cmd/internal/load"
)

// Config says which curves to draw, and up to where.
type Config struct {
	Dir      string   // on whose disk; default: the current directory
	Curves   []string // names; default all
	Events   int      // the greatest size of each curve; sizes are its tenths, hundredths and so on
	Accounts int
	Tenants  int
	Lots     int
	Plots    string   // directory for one SVG a curve; "" for none
	Serve    []string // the command line of load.Serve
	Progress func(string)
}

// Curve is one figure after the other at growing sizes.
type Curve struct {
	Name   string             `json:"curve"`
	Of     string             `json:"of"`
	Points []Point            `json:"points"`
	Slopes map[string]float64 `json:"slopes"` // by figure
}

// Point is what was seen at one size.
type Point struct {
	Size    int                `json:"size"`
	Figures map[string]float64 `json:"figures"` // by name with unit
}

// server is one with its data in the curve's directory.
func (c Config) server(data string) load.ServerConfig {
	return load.ServerConfig{Serve: c.Serve, Data: filepath.Join(c.Dir, data)}
}

// plot is the file for the picture of a curve.
func (c Config) plot(curve string) string { return filepath.Join(c.Plots, "scale-"+curve+".svg") }

// Names lists the curves.
func Names() []string { return slices.Sorted(maps.Keys(curves)) }

// Run draws the curves that were asked for. When it fails it returns what was measured until then as well.
func Run(ctx context.Context, cfg Config) (all []Curve, err error) {
	if len(cfg.Curves) == 0 {
		cfg.Curves = Names()
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	for _, name := range cfg.Curves {
		if _, there := curves[name]; !there {
			return nil, fmt.Errorf("there is no curve %q; choose of %v", name, Names())
		}
		if sizes := curves[name].sizes(cfg); sizes[len(sizes)-1] < 1 {
			return nil, fmt.Errorf("the greatest size of the curve %s must be at least 1, not %d", name, sizes[len(sizes)-1])
		}
	}
	if cfg.Plots != "" {
		if err := chart.CheckPlace(cfg.plot("")); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(cfg.Dir, "credits-scale-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cfg.Dir = dir
	free, err := freeRoom(dir)
	if err != nil {
		return nil, err
	}
	if err := refuseWithoutRoom(cfg, free); err != nil {
		return nil, err
	}
	for _, name := range cfg.Curves {
		curve, err := curves[name].draw(ctx, cfg, name)
		if len(curve.Points) > 0 {
			all = append(all, curve)
		}
		if err != nil {
			return all, fmt.Errorf("curve %s: %w", name, err)
		}
		if cfg.Plots == "" {
			continue
		}
		if err := chart.Write(cfg.plot(name), curve.chart()); err != nil {
			return all, err
		}
	}
	return all, nil
}

// sizes are the decades up to the greatest, at most three and the greatest itself; none below the least.
func sizes(least, greatest int) []int {
	all := []int{greatest}
	for n := greatest / 10; n >= least && len(all) < 4; n /= 10 {
		all = append(all, n)
	}
	slices.Reverse(all)
	return all
}

// slopes fits y = c·x^slope to each figure by least squares over the logarithms.
func slopes(points []Point) map[string]float64 {
	found := make(map[string]float64)
	if len(points) == 0 {
		return found
	}
	for name := range points[0].Figures {
		var n, x, y, xx, xy float64
		for _, p := range points {
			if p.Figures[name] <= 0 {
				continue
			}
			lx, ly := math.Log(float64(p.Size)), math.Log(p.Figures[name])
			n, x, y, xx, xy = n+1, x+lx, y+ly, xx+lx*lx, xy+lx*ly
		}
		if d := n*xx - x*x; n > 1 && d > 0 {
			found[name] = (n*xy - x*y) / d
		}
	}
	return found
}

func (c Curve) chart() chart.Chart {
	picture := chart.Chart{Title: "by number of " + c.Of, X: c.Of, Y: "each in its unit", LogX: true, LogY: true}
	for _, name := range c.figures() {
		s := chart.Series{Name: name}
		if slope, ok := c.Slopes[name]; ok {
			s.Name = fmt.Sprintf("%s (slope %.2f)", name, slope)
		}
		for _, p := range c.Points {
			if y, seen := p.Figures[name]; seen {
				s.Points = append(s.Points, chart.Point{X: float64(p.Size), Y: y})
			}
		}
		picture.Series = append(picture.Series, s)
	}
	return picture
}

func (c Curve) figures() []string {
	if len(c.Points) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(c.Points[0].Figures))
}

// Print shows curves as tables: a figure a line, a size a column, the slope last.
func Print(w io.Writer, all []Curve) {
	for _, c := range all {
		t := table.NewWriter()
		style := table.StyleLight
		style.Format.Header = text.FormatDefault
		style.Options.DrawBorder, style.Options.SeparateColumns = false, false
		t.SetStyle(style)
		head := table.Row{c.Of}
		columns := []table.ColumnConfig{}
		for i, p := range c.Points {
			head = append(head, p.Size)
			columns = append(columns, table.ColumnConfig{Number: i + 2, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
		t.AppendHeader(append(head, "slope"))
		t.SetColumnConfigs(append(columns, table.ColumnConfig{Number: len(c.Points) + 2, Align: text.AlignRight, AlignHeader: text.AlignRight}))
		for _, name := range c.figures() {
			row := table.Row{name}
			for _, p := range c.Points {
				text := ""
				if figure, seen := p.Figures[name]; seen {
					text = strings.TrimSuffix(fmt.Sprintf("%.1f", figure), ".0")
				}
				row = append(row, text)
			}
			if slope, ok := c.Slopes[name]; ok {
				row = append(row, fmt.Sprintf("%.2f", slope))
			}
			t.AppendRow(row)
		}
		fmt.Fprintf(w, "%s\n\n", t.Render())
	}
}
