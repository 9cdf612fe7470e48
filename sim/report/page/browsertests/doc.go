// Package browsertests opens reports in a real browser. It is a module of its own, so
// that nobody who builds dmasim gets a browser's protocol with it.
//
// The tests build dmasim, run scenarios, and make reports of the results. They skip
// where there is no Chromium, which CHROMIUM names if it is in no usual place. Pictures
// of the pages go to the folder that -screenshots names.
package browsertests
