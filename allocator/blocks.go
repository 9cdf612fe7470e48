package allocator

// Blocks is a table of live blocks for strategies of your own: it tells a block
// that is live from one that is free already or was never handed out. The zero
// value is an empty table. It allocates no memory once it has held as many
// blocks before.
type Blocks struct{ live liveBlocks }

// Add enters a block and returns it with a Ref by which Remove finds it.
func (b *Blocks) Add(addr, size uint64) Block { return b.live.add(addr, size) }

// Remove takes a block out. The error is a *FreeError, and nothing changed, if
// the block is not live.
func (b *Blocks) Remove(block Block) error {
	if err := b.live.remove(block); err != nil {
		return &FreeError{block, err}
	}
	return nil
}
