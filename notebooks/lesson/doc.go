// Package lesson is what the notebooks of dmasim have in common: pictures below a
// cell, small heaps that draw what is done to them, and claims that are checked.
//
// A cell of a notebook is a program. So a mistake ends it, with one line that says
// what was wrong, and the functions here return no errors.
package lesson
