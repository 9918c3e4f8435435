// Package browser drives a real Chromium for the tests of pages: one process per Browser, a fresh profile,
// a tab per visitor, in the size, colour scheme and language that the test wants.
//
// A machine without Chromium skips these tests and says so; with CREDITSTREAM_BROWSER=required in the
// environment, as CI sets it, it fails instead. CREDITSTREAM_CHROMIUM names the program where it is not
// found by itself.
//
// A tab notes what goes wrong in it: errors in the console, exceptions, violations of the content security
// policy. A test that ends with any of them fails, unless it took them with Faults. Axe runs axe-core over
// the page (accessibility); the copy under axe/ is that of the npm registry, axe-core 4.14.1, with its
// licence (MPL-2.0), used by tests only and part of no binary.
//
// It imports nothing of ours.
package browser
