package cli

// HelpExamples returns the example in the help of every command that does something
// by itself.
func HelpExamples() map[string]string {
	examples := make(map[string]string)
	for _, c := range allCommands(newRootCommand()) {
		if !c.HasSubCommands() || c.Example != "" {
			examples[c.CommandPath()] = c.Example
		}
	}
	return examples
}
