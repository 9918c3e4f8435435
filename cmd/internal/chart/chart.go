// Package chart draws lines over two axes, each of them linear or logarithmic, into an SVG file: what a
// measurement looks like. It imports nothing of ours. Start reading at Write.
package chart

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Series is one line. A logarithmic axis leaves out what is not above zero.
type Series struct {
	Name   string
	Points []Point
}

// Point is one place of a line.
type Point struct{ X, Y float64 }

// Tick is a labelled place of an axis.
type Tick struct {
	At    float64
	Label string
}

// Chart is one picture.
type Chart struct {
	Title      string
	X, Y       string // what the axes show, with the unit
	LogX, LogY bool
	TicksX     []Tick // nil: chosen by the values
	Series     []Series
}

const (
	width  = 10 * vg.Inch
	height = 4 * vg.Inch // of each chart

	// A chart of more lines has its legend beside it, and not among them.
	linesAmong  = 3
	legendWidth = 4 * vg.Inch
)

// CheckPlace reports why no file could be written there, before what it would show is measured.
func CheckPlace(file string) error {
	dir := filepath.Dir(file)
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		return fmt.Errorf("there is no directory %s to draw into: make it, or choose another (%w)", dir, err)
	}
	return nil
}

// Write draws charts under each other into a file.
func Write(file string, charts ...Chart) error {
	if len(charts) == 0 {
		return errors.New("there is nothing to draw")
	}
	canvas := vgsvg.New(width, height*vg.Length(len(charts)))
	whole := draw.New(canvas)
	whole.SetColor(color.White) // a page may be dark
	whole.Fill(whole.Rectangle.Path())
	for i, c := range charts {
		p, err := c.plot()
		if err != nil {
			return fmt.Errorf("draw %q: %w", c.Title, err)
		}
		top := vg.Length(len(charts)-i-1) * height // y counts from the bottom
		area := draw.Crop(whole, 0, -vg.Points(12), top+vg.Points(6), top+height-whole.Max.Y-vg.Points(6))
		if len(c.Series) > linesAmong {
			legend := p.Legend
			p.Legend = plot.NewLegend()
			legend.Draw(draw.Crop(area, width-legendWidth, 0, 0, -vg.Points(24)))
			area = draw.Crop(area, 0, -legendWidth, 0, 0)
		}
		p.Draw(area)
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(out)
	return errors.Join(err, out.Close())
}

func (c Chart) plot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.Title, c.X, c.Y
	p.Add(plotter.NewGrid())
	drawn := 0
	for i, s := range c.Series {
		points := c.points(s)
		if len(points) == 0 {
			continue
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width, line.Dashes = plotutil.Color(i), vg.Points(1.5), plotutil.Dashes(i/len(plotutil.DefaultColors))
		dots.Color, dots.Shape, dots.Radius = plotutil.Color(i), draw.CircleGlyph{}, vg.Points(2)
		p.Add(line, dots)
		p.Legend.Add(s.Name, line, dots)
		drawn++
	}
	if drawn == 0 {
		return nil, errors.New("no series has a point that can be drawn")
	}
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, vg.Points(3)
	logarithmic(&p.X, c.LogX)
	logarithmic(&p.Y, c.LogY)
	if c.TicksX != nil {
		ticks := make([]plot.Tick, len(c.TicksX))
		for i, t := range c.TicksX {
			ticks[i] = plot.Tick{Value: t.At, Label: t.Label}
		}
		p.X.Tick.Marker = plot.ConstantTicks(ticks)
	}
	if !c.LogY {
		p.Y.Min = min(p.Y.Min, 0)
		p.Y.Max *= 1.2 // room for the legend
	}
	return p, nil
}

// points are those of a series that its axes can show.
func (c Chart) points(s Series) plotter.XYs {
	points := make(plotter.XYs, 0, len(s.Points))
	for _, at := range s.Points {
		if c.LogX && at.X <= 0 || c.LogY && at.Y <= 0 || math.IsNaN(at.Y) || math.IsInf(at.Y, 0) {
			continue
		}
		points = append(points, plotter.XY{X: at.X, Y: at.Y})
	}
	return points
}

func logarithmic(axis *plot.Axis, yes bool) {
	if !yes {
		return
	}
	axis.Scale = plot.LogScale{}
	axis.Tick.Marker = plot.LogTicks{Prec: -1}
	// An axis of whole decades has labels at both ends, also where all values are nearly equal.
	axis.Min, axis.Max = math.Pow(10, math.Floor(math.Log10(axis.Min))), math.Pow(10, math.Ceil(math.Log10(axis.Max)))
	if axis.Min == axis.Max {
		axis.Max *= 10
	}
}
