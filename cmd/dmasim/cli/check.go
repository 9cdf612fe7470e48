package cli

import "github.com/spf13/pflag"

// checkFlag adds --check, whose value is the number of events from one check to the
// next: 0 without the flag, 1 where it is given alone.
func checkFlag(flags *pflag.FlagSet, every *uint64) {
	flags.Uint64Var(every, "check", 0, "verify every invariant after every event, or every so many `EVENTS` (slow)")
	flags.Lookup("check").NoOptDefVal = "1"
}
