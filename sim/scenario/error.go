package scenario

import "dmasim/internal/strictyaml"

// Error is a mistake in a scenario file: File, Line, Column (from 1; 0 where the
// mistake is not in the file), Msg, the Suggestion of what was probably meant,
// if any, and how many More mistakes there are. Its message is
// file:line:column: what is wrong.
type Error = strictyaml.Error
