package look

import (
	"fmt"
	"html/template"
)

// icons are drawn on a grid of 16, in strokes of the text's colour.
var icons = map[string]string{
	"alert":    `<path d="M8 5.500v3.200M8 11.200v.05M7 2.600 1.600 12a1.200 1.200 0 0 0 1 1.800h10.800a1.200 1.200 0 0 0 1-1.800L9 2.600a1.150 1.150 0 0 0-2 0Z"/>`,
	"back":     `<path d="M9.500 3.500 5 8l4.500 4.500"/>`,
	"bolt":     `<path d="M9 1.500 3 9.200h4.500L7 14.500l6-7.700H8.500z"/>`,
	"card":     `<rect x="1.500" y="3.500" width="13" height="9" rx="1.500"/><path d="M1.500 6.500h13M4 10h2.500"/>`,
	"check":    `<path d="m3 8.500 3.300 3.300L13 4.800"/>`,
	"chevron":  `<path d="m6 3.500 4.500 4.500L6 12.500"/>`,
	"clock":    `<circle cx="8" cy="8" r="6.200"/><path d="M8 4.500V8l2.400 1.500"/>`,
	"close":    `<path d="m4 4 8 8M12 4l-8 8"/>`,
	"gift":     `<path d="M2 5.500h12v2.600H2zM3 8.100h10v5.900H3zM8 5.500V14M8 5.500C6.500 5.500 4.700 4.900 4.700 3.500S7 1.700 8 5.500Zm0 0c1.500 0 3.300-.6 3.300-2S9 1.700 8 5.500Z"/>`,
	"globe":    `<circle cx="8" cy="8" r="6.200"/><path d="M1.800 8h12.400M8 1.800c2 1.700 2.800 3.800 2.800 6.200S10 12.500 8 14.200C6 12.500 5.200 10.400 5.200 8S6 3.500 8 1.800Z"/>`,
	"info":     `<circle cx="8" cy="8" r="6.200"/><path d="M8 7.400v3.400M8 5.100v.05"/>`,
	"list":     `<path d="M5.500 4h8M5.500 8h8M5.500 12h8M2.500 4h.05M2.500 8h.05M2.500 12h.05"/>`,
	"lock":     `<rect x="3" y="7" width="10" height="7" rx="1.500"/><path d="M5 7V5a3 3 0 0 1 6 0v2"/>`,
	"minus":    `<path d="M3 8h10"/>`,
	"plus":     `<path d="M8 3v10M3 8h10"/>`,
	"refresh":  `<path d="M13.500 8a5.500 5.500 0 1 1-1.700-4M13.500 1.800v3h-3"/>`,
	"search":   `<circle cx="7" cy="7" r="4.500"/><path d="m10.500 10.500 3.500 3.500"/>`,
	"snow":     `<path d="M8 1.500v13M2.400 4.700l11.200 6.600M13.600 4.700 2.400 11.300"/>`,
	"sparkle":  `<path d="M8 1.800 9.500 6.500 14.200 8 9.500 9.500 8 14.200 6.500 9.500 1.800 8l4.700-1.500z"/>`,
	"undo":     `<path d="M3 6.500h6.500a3.500 3.500 0 0 1 0 7H6M5.800 3.500 2.800 6.500l3 3"/>`,
	"wallet":   `<path d="M2 5.200A1.700 1.700 0 0 1 3.700 3.500H12v2.200M2 5.200v7a1.300 1.300 0 0 0 1.300 1.300h9.400a1.300 1.300 0 0 0 1.300-1.300V7a1.300 1.300 0 0 0-1.300-1.300H2.500"/><path d="M11.200 9.600h.05"/>`,
	"external": `<path d="M6.500 3H3v10h10V9.500M9.500 2.500h4v4M13.200 2.800 7.500 8.500"/>`,
}

// icon draws one for the eye; what it means is said beside it in words.
func icon(name string) (template.HTML, error) {
	shape, ok := icons[name]
	if !ok {
		return "", fmt.Errorf("there is no icon %q", name)
	}
	return template.HTML(`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">` + shape + `</svg>`), nil
}
