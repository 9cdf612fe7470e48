// Package program describes what processes do with dma-bufs, step by step: they
// allocate, duplicate, pass, map, attach and close, start transfers of devices
// and wait for them.
//
// A [Step] is one system call, or one thing that a driver does for a process,
// with its arguments; loops and forks hold further steps. [Compile] makes a
// [Program] of them, which any number of threads run. A [Thread] only keeps the
// place in the program and the variables: whoever runs it, a simulated machine or
// a real one, executes the steps and says whether they succeeded.
//
// Variables stand for what a real program keeps in variables: numbers of
// descriptors, addresses of mappings, handles of attachments. Binding one again
// forgets the old value and closes nothing, which is how programs leak. A fork
// copies them.
//
// A step that fails ends the innermost loop around it. Outside of any it ends the
// process, as exit(1) after an unexpected error would. A step that may fail lets
// the program go on instead.
package program
