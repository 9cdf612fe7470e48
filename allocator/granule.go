package allocator

// onGranule narrows the request to starts that are multiples of granule too, so
// that Place answers only these. It returns false if no such start satisfies
// the request anywhere.
func (r *Request) onGranule(granule uint64) bool {
	if r.Align&(r.Align-1) == 0 && granule&(granule-1) == 0 {
		r.Align = max(r.Align, granule)
		return true
	}
	both, ok := lcm(max(r.Align, 1), granule)
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
