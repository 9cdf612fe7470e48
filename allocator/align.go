package allocator

// AlignTo narrows the request to starts that are multiples of align too. It
// returns false if no such start satisfies the request anywhere. Strategies use
// it to have Place answer with multiples of their granule only.
func (r *Request) AlignTo(align uint64) bool {
	if r.Align&(r.Align-1) == 0 && align&(align-1) == 0 {
		r.Align = max(r.Align, align)
		return true
	}
	both, ok := lcm(max(r.Align, 1), align)
	if ok {
		r.Align = both
		return true
	}
	// The only common multiple below 2^64 is address 0.
	if r.Lo > 0 || (r.Hi != 0 && r.Hi < r.Size) {
		return false
	}
	r.Align, r.Hi = 1, r.Size
	return true
}
