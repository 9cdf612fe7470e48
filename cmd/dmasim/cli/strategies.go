package cli

// Strategies that live outside package allocator.
import (
	_ "dmasim/allocator/kernel"
)
