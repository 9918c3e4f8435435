// Package look is what all pages share: the frame around them, the design and its files, the languages,
// how numbers, money and times are written, and the headers that keep pages safe. It knows nothing of
// credits beyond what an amount is, and decides nothing.
//
// Start reading in look.go: a Look is made once; Pages binds it to the templates of a package, and
// Handler serves the files under /look/. headers.go says what a page may load and who may send it forms;
// locale.go and format.go turn a key or a value into words. templates/layout.html is the frame;
// assets/look.css is the design, tokens first; assets/README.md names the libraries and their licences.
//
// It imports events/credit and services/rules (for amounts and money) and nothing else of ours.
package look
