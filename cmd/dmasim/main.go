// Command dmasim simulates device-constrained DMA allocation. See the README.
package main

import (
	"os"

	"dmasim/cmd/dmasim/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
