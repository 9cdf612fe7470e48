package dmabuf_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/sim/dmabuf"
)

// world is what the tables of a system have to show, without reference counts: a
// buffer lives as long as something leads to it.
type world struct {
	processes map[dmabuf.PID]*person
	next      dmabuf.PID
	messages  map[dmabuf.Message]*thing
	importers map[dmabuf.Importer]*thing
	armed     map[*thing]map[dmabuf.Direction]dmabuf.Fence
	fences    map[dmabuf.Fence]bool // signalled
	pending   map[*thing][]dmabuf.Fence
}

// person is a process.
type person struct {
	limit    int
	open     map[dmabuf.FD]*opened
	mappings map[dmabuf.Mapping]*thing
}

type opened struct {
	*thing
	cloExec bool
}

// thing is an open file: a buffer, or the heap's device file.
type thing struct {
	buffer dmabuf.Buffer
	isHeap bool
	size   uint64
}

func (w *world) alive() map[dmabuf.Buffer]bool {
	live := map[dmabuf.Buffer]bool{}
	see := func(t *thing) {
		if !t.isHeap {
			live[t.buffer] = true
		}
	}
	for _, p := range w.processes {
		for _, f := range p.open {
			see(f.thing)
		}
		for _, m := range p.mappings {
			see(m)
		}
	}
	for _, t := range w.messages {
		see(t)
	}
	for _, t := range w.importers {
		see(t)
	}
	for t, by := range w.armed {
		if len(by) > 0 {
			see(t)
		}
	}
	return live
}

// lowest is the descriptor that the next file gets; false if there is none left.
func (p *person) lowest() (dmabuf.FD, bool) {
	for fd := dmabuf.FD(0); int(fd) < p.limit; fd++ {
		if p.open[fd] == nil {
			return fd, true
		}
	}
	return 0, false
}

// TestPrograms runs random programs of all calls about references, and compares
// every errno, every descriptor and every release with the plain world.
func TestPrograms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := dmabuf.New()
		w := &world{
			processes: map[dmabuf.PID]*person{}, messages: map[dmabuf.Message]*thing{}, importers: map[dmabuf.Importer]*thing{},
			armed: map[*thing]map[dmabuf.Direction]dmabuf.Fence{}, fences: map[dmabuf.Fence]bool{}, pending: map[*thing][]dmabuf.Fence{},
		}
		context := s.NewContext()
		same := func(what string, got, want dmabuf.Errno) {
			if got != want {
				t.Fatalf("%s: got %v, want %v", what, got, want)
			}
		}
		spawn := func() {
			limit := rapid.IntRange(1, 6).Draw(t, "limit")
			if pid := s.Spawn(limit); pid != w.next {
				t.Fatalf("process %d, want %d", pid, w.next)
			}
			w.processes[w.next] = &person{limit, map[dmabuf.FD]*opened{}, map[dmabuf.Mapping]*thing{}}
			w.next++
		}
		spawn()
		anyPID := func() dmabuf.PID { return dmabuf.PID(rapid.IntRange(-1, int(w.next)).Draw(t, "pid")) }
		anyFD := func() dmabuf.FD { return dmabuf.FD(rapid.IntRange(-1, 6).Draw(t, "fd")) }
		// find returns the open file that the call is about, and what it says if
		// there is none or another kind was wanted.
		find := func(pid dmabuf.PID, fd dmabuf.FD, buffer bool) (*person, *thing, dmabuf.Errno) {
			p := w.processes[pid]
			switch {
			case p == nil:
				return nil, nil, dmabuf.ESRCH
			case p.open[fd] == nil:
				return p, nil, dmabuf.EBADF
			case buffer && p.open[fd].isHeap:
				return p, nil, dmabuf.EINVAL
			}
			return p, p.open[fd].thing, dmabuf.OK
		}
		install := func(p *person, file *thing, cloExec bool) (dmabuf.FD, dmabuf.Errno) {
			fd, ok := p.lowest()
			if !ok {
				return 0, dmabuf.EMFILE
			}
			p.open[fd] = &opened{file, cloExec}
			return fd, dmabuf.OK
		}
		sameFD := func(what string, got dmabuf.FD, errno dmabuf.Errno, want dmabuf.FD, wantErrno dmabuf.Errno) {
			same(what, errno, wantErrno)
			if errno == dmabuf.OK && got != want {
				t.Fatalf("%s: descriptor %d, want %d", what, got, want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"spawn": func(*rapid.T) {
				if len(w.processes) < 4 {
					spawn()
				}
			},
			"fork": func(*rapid.T) {
				pid := anyPID()
				parent := w.processes[pid]
				child, errno := s.Fork(pid)
				if parent == nil {
					same("fork", errno, dmabuf.ESRCH)
					return
				}
				same("fork", errno, dmabuf.OK)
				if child != w.next {
					t.Fatalf("child %d, want %d", child, w.next)
				}
				w.next++
				copied := &person{parent.limit, maps.Clone(parent.open), map[dmabuf.Mapping]*thing{}}
				of, to := s.MappingsOf(nil, pid), s.MappingsOf(nil, child)
				if len(of) != len(parent.mappings) || len(to) != len(of) {
					t.Fatalf("mappings %v of the parent, %v of the child, want %d", of, to, len(parent.mappings))
				}
				for i := range of {
					copied.mappings[to[i]] = parent.mappings[of[i]]
				}
				w.processes[child] = copied
			},
			"exec": func(*rapid.T) {
				pid := anyPID()
				p := w.processes[pid]
				errno := s.Exec(pid)
				if p == nil {
					same("exec", errno, dmabuf.ESRCH)
					return
				}
				maps.DeleteFunc(p.open, func(_ dmabuf.FD, f *opened) bool { return f.cloExec })
				clear(p.mappings)
			},
			"exit": func(*rapid.T) {
				pid := anyPID()
				errno := s.Exit(pid)
				if w.processes[pid] == nil {
					same("exit", errno, dmabuf.ESRCH)
				}
				delete(w.processes, pid)
			},
			"export": func(*rapid.T) {
				pid, cloExec := anyPID(), rapid.Bool().Draw(t, "cloexec")
				size := rapid.Uint64Range(1, 100).Draw(t, "size")
				buffer, fd, errno := s.Export(pid, size, cloExec)
				p := w.processes[pid]
				if p == nil {
					same("export", errno, dmabuf.ESRCH)
					return
				}
				want, wantErrno := install(p, &thing{buffer: buffer, size: size}, cloExec)
				sameFD("export", fd, errno, want, wantErrno)
			},
			"open heap": func(*rapid.T) {
				pid := anyPID()
				fd, errno := s.OpenHeap(pid, 3, true)
				p := w.processes[pid]
				if p == nil {
					same("open", errno, dmabuf.ESRCH)
					return
				}
				want, wantErrno := install(p, &thing{isHeap: true}, true)
				sameFD("open", fd, errno, want, wantErrno)
			},
			"dup": func(*rapid.T) {
				pid, fd, cloExec := anyPID(), anyFD(), rapid.Bool().Draw(t, "cloexec")
				got, errno := s.Dup(pid, fd, cloExec)
				p, file, want := find(pid, fd, false)
				if want != dmabuf.OK {
					same("dup", errno, want)
					return
				}
				wantFD, want := install(p, file, cloExec)
				sameFD("dup", got, errno, wantFD, want)
			},
			"dup3": func(*rapid.T) {
				pid, fd, to, cloExec := anyPID(), anyFD(), anyFD(), rapid.Bool().Draw(t, "cloexec")
				errno := s.Dup3(pid, fd, to, cloExec)
				p, file, want := find(pid, fd, false)
				if fd == to {
					want = dmabuf.EINVAL
				} else if want == dmabuf.OK && (to < 0 || int(to) >= p.limit) {
					want = dmabuf.EBADF
				}
				same("dup3", errno, want)
				if want == dmabuf.OK {
					p.open[to] = &opened{file, cloExec}
				}
			},
			"close": func(*rapid.T) {
				pid, fd := anyPID(), anyFD()
				p, _, want := find(pid, fd, false)
				same("close", s.Close(pid, fd), want)
				if want == dmabuf.OK {
					delete(p.open, fd)
				}
			},
			"mmap": func(*rapid.T) {
				pid, fd := anyPID(), anyFD()
				offset, length := rapid.Uint64Range(0, 50).Draw(t, "offset"), rapid.Uint64Range(0, 60).Draw(t, "length")
				m, errno := s.Mmap(pid, fd, offset, length)
				p, file, want := find(pid, fd, true)
				if want == dmabuf.EINVAL {
					want = dmabuf.ENODEV
				}
				if want == dmabuf.OK && (length == 0 || offset+length > file.size) {
					want = dmabuf.EINVAL
				}
				same("mmap", errno, want)
				if want == dmabuf.OK {
					p.mappings[m] = file
				}
			},
			"munmap": func(*rapid.T) {
				pid := anyPID()
				p := w.processes[pid]
				if p == nil || len(p.mappings) == 0 {
					same("munmap of nothing", s.Munmap(pid, 1000), dmabuf.EINVAL)
					return
				}
				m := rapid.SampledFrom(slices.Sorted(maps.Keys(p.mappings))).Draw(t, "mapping")
				same("munmap", s.Munmap(pid, m), dmabuf.OK)
				delete(p.mappings, m)
			},
			"send": func(*rapid.T) {
				pid, fd := anyPID(), anyFD()
				m, errno := s.Send(pid, fd)
				_, file, want := find(pid, fd, false)
				same("send", errno, want)
				if want == dmabuf.OK {
					w.messages[m] = file
				}
			},
			"receive": func(*rapid.T) {
				pid, cloExec := anyPID(), rapid.Bool().Draw(t, "cloexec")
				p := w.processes[pid]
				if len(w.messages) == 0 || p == nil {
					return
				}
				m := rapid.SampledFrom(slices.Sorted(maps.Keys(w.messages))).Draw(t, "message")
				fd, errno := s.Receive(pid, m, cloExec)
				want, wantErrno := install(p, w.messages[m], cloExec)
				sameFD("receive", fd, errno, want, wantErrno)
				delete(w.messages, m)
			},
			"drop": func(*rapid.T) {
				if len(w.messages) == 0 {
					same("drop of nothing", s.Drop(1000), dmabuf.EINVAL)
					return
				}
				m := rapid.SampledFrom(slices.Sorted(maps.Keys(w.messages))).Draw(t, "message")
				same("drop", s.Drop(m), dmabuf.OK)
				delete(w.messages, m)
			},
			"get": func(*rapid.T) {
				pid, fd := anyPID(), anyFD()
				i, errno := s.Get(pid, fd)
				_, file, want := find(pid, fd, true)
				same("get", errno, want)
				if want == dmabuf.OK {
					w.importers[i] = file
				}
			},
			"put": func(*rapid.T) {
				if len(w.importers) == 0 {
					same("put of nothing", s.Put(1000), dmabuf.EINVAL)
					return
				}
				i := rapid.SampledFrom(slices.Sorted(maps.Keys(w.importers))).Draw(t, "importer")
				same("put", s.Put(i), dmabuf.OK)
				delete(w.importers, i)
			},
			"fence": func(*rapid.T) {
				pid, fd := anyPID(), anyFD()
				_, file, want := find(pid, fd, true)
				buffer, errno := s.BufferOf(pid, fd)
				same("buffer of", errno, want)
				if want == dmabuf.OK {
					f := s.NewFence(context)
					s.AddFence(buffer, f, dmabuf.Write)
					w.fences[f] = false
					// Of one context the later fence takes the place of the earlier.
					w.pending[file] = []dmabuf.Fence{f}
				}
			},
			"poll": func(*rapid.T) {
				pid, fd, d := anyPID(), anyFD(), rapid.SampledFrom([]dmabuf.Direction{dmabuf.In, dmabuf.Out}).Draw(t, "direction")
				ready, errno := s.Poll(pid, fd, d)
				_, file, want := find(pid, fd, true)
				same("poll", errno, want)
				if want != dmabuf.OK {
					return
				}
				if _, already := w.armed[file][d]; already {
					if ready {
						t.Fatal("ready while a poll is armed")
					}
					return
				}
				waits := len(w.pending[file]) > 0 && !w.fences[w.pending[file][0]]
				if ready == waits {
					t.Fatalf("poll says %v, a fence is pending: %v", ready, waits)
				}
				if waits {
					if w.armed[file] == nil {
						w.armed[file] = map[dmabuf.Direction]dmabuf.Fence{}
					}
					w.armed[file][d] = w.pending[file][0]
				}
			},
			"signal": func(*rapid.T) {
				var open []dmabuf.Fence
				for f, signalled := range w.fences {
					if !signalled {
						open = append(open, f)
					}
				}
				if len(open) == 0 {
					return
				}
				slices.Sort(open)
				f := rapid.SampledFrom(open).Draw(t, "fence")
				_, errno := s.Signal(nil, f)
				same("signal", errno, dmabuf.OK)
				for _, by := range w.armed {
					maps.DeleteFunc(by, func(_ dmabuf.Direction, armed dmabuf.Fence) bool { return armed == f })
				}
				for file, list := range w.pending {
					if slices.Contains(list, f) {
						delete(w.pending, file)
					}
				}
				delete(w.fences, f)
			},
			"": func(*rapid.T) {
				want := w.alive()
				for _, b := range s.Released(nil) {
					if want[b] {
						t.Fatalf("buffer %d is released, and held", b)
					}
				}
				got := map[dmabuf.Buffer]bool{}
				for _, b := range s.Live(nil) {
					got[b] = true
					if holders := s.Holders(nil, b); len(holders) == 0 && !w.isArmed(b) {
						t.Fatalf("buffer %d lives, and nobody holds it", b)
					}
				}
				if !maps.Equal(got, want) {
					t.Fatalf("live %v, want %v", got, want)
				}
				if err := s.Check(); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

func (w *world) isArmed(b dmabuf.Buffer) bool {
	for t, by := range w.armed {
		if t.buffer == b && len(by) > 0 {
			return true
		}
	}
	return false
}

// buffer makes a process with one buffer.
func buffer(t *testing.T, s *dmabuf.System) (dmabuf.PID, dmabuf.Buffer, dmabuf.FD) {
	t.Helper()
	pid := s.Spawn(16)
	b, fd, errno := s.Export(pid, 4096, false)
	if errno != dmabuf.OK {
		t.Fatal(errno)
	}
	return pid, b, fd
}

func must(t *testing.T, errno dmabuf.Errno) {
	t.Helper()
	if errno != dmabuf.OK {
		t.Fatal(errno)
	}
}

// TestUsage: who waits for which fences (dma_resv_usage_rw).
func TestUsage(t *testing.T) {
	for usage, want := range map[dmabuf.Usage]struct{ reader, writer bool }{
		dmabuf.Kernel: {true, true}, dmabuf.Write: {true, true}, dmabuf.Read: {false, true}, dmabuf.Bookkeep: {false, false},
	} {
		s := dmabuf.New()
		pid, b, fd := buffer(t, s)
		s.AddFence(b, s.NewFence(s.NewContext()), usage)
		for access, waits := range map[dmabuf.Access]bool{
			dmabuf.Reads: want.reader, dmabuf.Writes: want.writer, dmabuf.Reads | dmabuf.Writes: want.writer,
		} {
			f, errno := s.FirstPending(pid, fd, access)
			must(t, errno)
			if (f != dmabuf.NoFence) != waits {
				t.Errorf("usage %d: access %d waits: %v, want %v", usage, access, f != dmabuf.NoFence, waits)
			}
		}
		in, _ := s.Poll(pid, fd, dmabuf.In)
		out, _ := s.Poll(pid, fd, dmabuf.Out)
		if in == want.reader || out == want.writer {
			t.Errorf("usage %d: poll says in %v, out %v", usage, in, out)
		}
	}
}

// TestAddFence: which fence takes the place of which (dma_resv_add_fence).
func TestAddFence(t *testing.T) {
	type add struct {
		context int
		usage   dmabuf.Usage
	}
	for name, test := range map[string]struct {
		adds   []add
		signal int // the number of the fence that is signalled before the last is added; -1: none
		want   []int
	}{
		"another context":              {[]add{{0, dmabuf.Write}, {1, dmabuf.Write}}, -1, []int{0, 1}},
		"the same context and usage":   {[]add{{0, dmabuf.Write}, {0, dmabuf.Write}}, -1, []int{1}},
		"the same context, stronger":   {[]add{{0, dmabuf.Read}, {0, dmabuf.Write}}, -1, []int{1}},
		"the same context, weaker":     {[]add{{0, dmabuf.Write}, {0, dmabuf.Read}}, -1, []int{0, 1}},
		"a signalled one makes room":   {[]add{{0, dmabuf.Write}, {1, dmabuf.Read}, {2, dmabuf.Read}}, 0, []int{2, 1}},
		"the first that can is chosen": {[]add{{0, dmabuf.Read}, {1, dmabuf.Read}, {1, dmabuf.Write}}, -1, []int{0, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			s := dmabuf.New()
			_, b, _ := buffer(t, s)
			contexts := []dmabuf.Context{s.NewContext(), s.NewContext(), s.NewContext()}
			var fences []dmabuf.Fence
			for i, a := range test.adds {
				fences = append(fences, s.NewFence(contexts[a.context]))
				if i == len(test.adds)-1 && test.signal >= 0 {
					_, errno := s.Signal(nil, fences[test.signal])
					must(t, errno)
				}
				s.AddFence(b, fences[i], a.usage)
			}
			var want []dmabuf.Fence
			for _, i := range test.want {
				want = append(want, fences[i])
			}
			if got := s.Unsignalled(nil, b, dmabuf.Bookkeep); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if err := s.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSyncFiles(t *testing.T) {
	s := dmabuf.New()
	pid, b, fd := buffer(t, s)
	_, other, otherFD := buffer(t, s)
	writes, reads := s.NewFence(s.NewContext()), s.NewFence(s.NewContext())
	s.AddFence(b, writes, dmabuf.Write)
	s.AddFence(b, reads, dmabuf.Read)
	forReader, errno := s.ExportSyncFile(pid, fd, dmabuf.Reads)
	must(t, errno)
	forWriter, errno := s.ExportSyncFile(pid, fd, dmabuf.Writes)
	must(t, errno)
	later := s.NewFence(s.NewContext())
	s.AddFence(b, later, dmabuf.Write)

	must(t, s.Close(pid, fd))
	if _, errno := s.FirstPending(pid, fd, dmabuf.Reads); errno != dmabuf.EBADF {
		t.Errorf("closed: %v", errno)
	}
	wait := func(fd dmabuf.FD) dmabuf.Fence {
		f, errno := s.FirstPending(pid, fd, 0)
		must(t, errno)
		return f
	}
	if got := wait(forReader); got != writes {
		t.Errorf("a reader's sync_file has fence %d, want %d", got, writes)
	}
	merged, errno := s.MergeSyncFiles(pid, forReader, forWriter)
	must(t, errno)
	tokens, errno := s.Signal(nil, writes)
	must(t, errno)
	if len(tokens) != 0 {
		t.Errorf("woken: %v", tokens)
	}
	if wait(forReader) != dmabuf.NoFence {
		t.Error("a snapshot waits for fences that were added after it")
	}
	if wait(forWriter) != reads || wait(merged) != reads {
		t.Errorf("a writer waits for %d, merged for %d, want %d", wait(forWriter), wait(merged), reads)
	}

	// Importing adds fences, and takes none away.
	otherPID := dmabuf.PID(1)
	m, errno := s.Send(pid, merged)
	must(t, errno)
	got, errno := s.Receive(otherPID, m, true)
	must(t, errno)
	must(t, s.ImportSyncFile(otherPID, otherFD, got, dmabuf.Reads))
	if list := s.Unsignalled(nil, other, dmabuf.Read); !slices.Equal(list, []dmabuf.Fence{reads}) {
		t.Errorf("imported %v", list)
	}
	if f, _ := s.FirstPending(otherPID, otherFD, dmabuf.Reads); f != dmabuf.NoFence {
		t.Error("imported for readers, and a reader waits")
	}
	for name, got := range map[string]dmabuf.Errno{
		"bad sync_file":  s.ImportSyncFile(otherPID, otherFD, 99, dmabuf.Reads),
		"not a sync":     s.ImportSyncFile(otherPID, otherFD, otherFD, dmabuf.Reads),
		"no access":      s.ImportSyncFile(otherPID, otherFD, got, 0),
		"unknown access": s.ImportSyncFile(otherPID, otherFD, got, 4),
	} {
		if got != dmabuf.EINVAL {
			t.Errorf("%s: %v, want EINVAL", name, got)
		}
	}
	must(t, s.Exit(pid))
	must(t, s.Exit(otherPID))
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// TestReleaseOrder: what a process held last goes first, and mappings last.
func TestReleaseOrder(t *testing.T) {
	s := dmabuf.New()
	pid := s.Spawn(16)
	var buffers []dmabuf.Buffer
	for range 4 {
		b, fd, errno := s.Export(pid, 4096, false)
		must(t, errno)
		buffers = append(buffers, b)
		if len(buffers) <= 2 {
			_, errno = s.Mmap(pid, fd, 0, 4096)
			must(t, errno)
		}
	}
	must(t, s.Exit(pid))
	want := []dmabuf.Buffer{buffers[3], buffers[2], buffers[0], buffers[1]}
	if got := s.Released(nil); !slices.Equal(got, want) {
		t.Errorf("released %v, want %v", got, want)
	}
}

// TestWrongFiles: calls on files of another kind.
func TestWrongFiles(t *testing.T) {
	s := dmabuf.New()
	pid, b, fd := buffer(t, s)
	heap, errno := s.OpenHeap(pid, 0, true)
	must(t, errno)
	s.AddFence(b, s.NewFence(s.NewContext()), dmabuf.Write)
	sync, errno := s.ExportSyncFile(pid, fd, dmabuf.Reads)
	must(t, errno)
	_, mapped := s.Mmap(pid, sync, 0, 1)
	_, _, begun := s.BeginCPUAccess(pid, heap, dmabuf.Reads)
	_, allocated := s.HeapOf(pid, fd)
	_, exported := s.ExportSyncFile(pid, heap, dmabuf.Reads)
	_, gotten := s.Get(pid, heap)
	_, merged := s.MergeSyncFiles(pid, fd, sync)
	_, mergedWith := s.MergeSyncFiles(pid, sync, fd)
	_, mergedBad := s.MergeSyncFiles(pid, sync, 99)
	for name, c := range map[string]struct{ got, want dmabuf.Errno }{
		"mmap of a sync_file":      {mapped, dmabuf.ENODEV},
		"bracket of a heap":        {begun, dmabuf.ENOTTY},
		"allocation from a buffer": {allocated, dmabuf.ENOTTY},
		"fences of a heap":         {exported, dmabuf.ENOTTY},
		"import of a heap":         {gotten, dmabuf.EINVAL},
		"merge of a buffer":        {merged, dmabuf.ENOTTY},
		"merge with a buffer":      {mergedWith, dmabuf.ENOENT},
		"merge with nothing":       {mergedBad, dmabuf.ENOENT},
		"dup3 onto itself":         {s.Dup3(pid, 99, 99, false), dmabuf.EINVAL},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}

func TestWaiters(t *testing.T) {
	s := dmabuf.New()
	f := s.NewFence(s.NewContext())
	for token := dmabuf.Token(7); token < 10; token++ {
		if !s.Await(f, token) {
			t.Fatal("the fence is not signalled")
		}
	}
	tokens, errno := s.Signal(nil, f)
	must(t, errno)
	if want := []dmabuf.Token{7, 8, 9}; !slices.Equal(tokens, want) {
		t.Errorf("woken %v, want %v", tokens, want)
	}
	if _, errno := s.Signal(nil, f); errno != dmabuf.EINVAL {
		t.Errorf("signalled twice: %v", errno)
	}
	if s.Await(f, 1) || !s.Signalled(f) {
		t.Error("a signalled fence is waited for")
	}
}

// TestCaches: what makes memory and the CPU's caches agree.
func TestCaches(t *testing.T) {
	type act func(*dmabuf.System, dmabuf.PID, dmabuf.FD, dmabuf.Buffer, dmabuf.Attachment)
	deviceWrites := func(s *dmabuf.System, _ dmabuf.PID, _ dmabuf.FD, _ dmabuf.Buffer, a dmabuf.Attachment) {
		s.DeviceAccess(a, dmabuf.Writes)
	}
	cpuWrites := func(s *dmabuf.System, _ dmabuf.PID, _ dmabuf.FD, b dmabuf.Buffer, _ dmabuf.Attachment) { s.CPUWrite(b) }
	begin := func(access dmabuf.Access) act {
		return func(s *dmabuf.System, pid dmabuf.PID, fd dmabuf.FD, _ dmabuf.Buffer, _ dmabuf.Attachment) {
			s.BeginCPUAccess(pid, fd, access)
		}
	}
	end := func(access dmabuf.Access) act {
		return func(s *dmabuf.System, pid dmabuf.PID, fd dmabuf.FD, _ dmabuf.Buffer, _ dmabuf.Attachment) {
			s.EndCPUAccess(pid, fd, access)
		}
	}
	remap := func(s *dmabuf.System, _ dmabuf.PID, _ dmabuf.FD, _ dmabuf.Buffer, a dmabuf.Attachment) {
		s.Unmap(a)
		s.Map(a)
	}
	unmap := func(s *dmabuf.System, _ dmabuf.PID, _ dmabuf.FD, _ dmabuf.Buffer, a dmabuf.Attachment) { s.Unmap(a) }
	for name, test := range map[string]struct {
		coherent          bool
		acts              []act
		staleCPU, staleIO bool
	}{
		"nothing":                        {acts: nil},
		"device wrote":                   {acts: []act{deviceWrites}, staleCPU: true},
		"device wrote, coherent":         {coherent: true, acts: []act{deviceWrites}},
		"bracket of a reader":            {acts: []act{deviceWrites, begin(dmabuf.Reads)}},
		"bracket of a writer":            {acts: []act{deviceWrites, begin(dmabuf.Writes)}, staleCPU: true},
		"bracket before the device":      {acts: []act{begin(dmabuf.Reads), deviceWrites}, staleCPU: true},
		"unmap synchronises":             {acts: []act{deviceWrites, remap}},
		"CPU wrote":                      {acts: []act{cpuWrites}, staleIO: true},
		"CPU wrote, coherent":            {coherent: true, acts: []act{cpuWrites}},
		"CPU wrote within a bracket":     {acts: []act{begin(dmabuf.Writes), cpuWrites, end(dmabuf.Writes)}},
		"bracket of a reader ends":       {acts: []act{cpuWrites, end(dmabuf.Reads)}, staleIO: true},
		"map synchronises":               {acts: []act{cpuWrites, remap}},
		"no bracket without a mapping":   {acts: []act{unmap, cpuWrites, end(dmabuf.Writes), begin(dmabuf.Reads)}, staleIO: true},
		"device wrote over CPU's caches": {acts: []act{cpuWrites, deviceWrites}, staleCPU: true, staleIO: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := dmabuf.New()
			pid, b, fd := buffer(t, s)
			importer, errno := s.Get(pid, fd)
			must(t, errno)
			a, errno := s.Attach(importer, test.coherent)
			must(t, errno)
			must(t, s.Map(a))
			for _, do := range test.acts {
				do(s, pid, fd, b, a)
			}
			if got := s.CPURead(b) != dmabuf.Fresh; got != test.staleCPU {
				t.Errorf("the CPU reads stale data: %v, want %v", got, test.staleCPU)
			}
			if got := s.DeviceAccess(a, dmabuf.Reads) != dmabuf.Fresh; got != test.staleIO {
				t.Errorf("the device reads stale data: %v, want %v", got, test.staleIO)
			}
		})
	}
}

// TestBracketCost: whole buffer times mapped attachments that are not coherent.
func TestBracketCost(t *testing.T) {
	s := dmabuf.New()
	pid, _, fd := buffer(t, s)
	for _, coherent := range []bool{false, true, false, false} {
		importer, errno := s.Get(pid, fd)
		must(t, errno)
		a, errno := s.Attach(importer, coherent)
		must(t, errno)
		must(t, s.Map(a))
	}
	_, synced, errno := s.BeginCPUAccess(pid, fd, dmabuf.Reads)
	must(t, errno)
	if want := uint64(3 * 4096); synced.Bytes != want {
		t.Errorf("%d bytes are synchronised, want %d", synced.Bytes, want)
	}
	for _, access := range []dmabuf.Access{0, 4, 8 | dmabuf.Reads} {
		if _, _, errno := s.BeginCPUAccess(pid, fd, access); errno != dmabuf.EINVAL {
			t.Errorf("access %d: %v, want EINVAL", access, errno)
		}
		if _, errno := s.EndCPUAccess(pid, fd, access); errno != dmabuf.EINVAL {
			t.Errorf("end of access %d: %v, want EINVAL", access, errno)
		}
	}
}

// TestAttachments: an attachment holds no reference, its importer does; what makes
// the kernel warn.
func TestAttachments(t *testing.T) {
	s := dmabuf.New()
	pid, b, fd := buffer(t, s)
	importer, errno := s.Get(pid, fd)
	must(t, errno)
	a, errno := s.Attach(importer, false)
	must(t, errno)
	must(t, s.Close(pid, fd))
	if released := s.Released(nil); len(released) > 0 {
		t.Fatal("released while its importer holds it")
	}
	if _, errno := s.Attach(importer, false); errno != dmabuf.OK {
		t.Fatal(errno)
	}
	must(t, s.Map(a))
	if errno := s.Map(a); errno != dmabuf.EBUSY {
		t.Errorf("mapped twice: %v, want EBUSY", errno)
	}
	must(t, s.Detach(a))
	must(t, s.Put(importer))
	if released := s.Released(nil); !slices.Equal(released, []dmabuf.Buffer{b}) {
		t.Errorf("released %v", released)
	}
	var texts []string
	for _, w := range s.Warnings(nil) {
		texts = append(texts, w.Text)
	}
	if want := []string{"mapped twice for one device", "detached while mapped", "released with devices attached"}; !slices.Equal(texts, want) {
		t.Errorf("warnings %q, want %q", texts, want)
	}
	if errno := s.Put(importer); errno != dmabuf.EINVAL {
		t.Errorf("put twice: %v", errno)
	}
}

// TestHolders: who holds a buffer, since when, by what means, and whether it was
// used since.
func TestHolders(t *testing.T) {
	s := dmabuf.New()
	parent, b, fd := buffer(t, s)
	s.Now = time.Second
	_, errno := s.Mmap(parent, fd, 0, 4096)
	must(t, errno)
	s.Now = 2 * time.Second
	child, errno := s.Fork(parent)
	must(t, errno)
	must(t, s.Exit(parent))
	holders := s.Holders(nil, b)
	if !dmabuf.Forgotten(holders) {
		t.Errorf("not forgotten: %+v", holders)
	}
	want := dmabuf.Hold{By: dmabuf.Inherited, Since: 2 * time.Second, Never: true}
	if len(holders) != 2 || holders[0] != (dmabuf.Holder{PID: child, Descriptor: fd, Hold: want}) || holders[1] != (dmabuf.Holder{PID: child, Descriptor: -1, Hold: want}) {
		t.Errorf("holders %+v", holders)
	}
	s.Now = 3 * time.Second
	_, errno = s.Dup(child, fd, false)
	must(t, errno)
	if holders = s.Holders(nil, b); dmabuf.Forgotten(holders) || holders[0].Used != 3*time.Second {
		t.Errorf("used, and forgotten: %+v", holders)
	}
}

// A buffer that is passed to another process outlives the one that made it.
func ExampleSystem() {
	s := dmabuf.New()
	server, client := s.Spawn(1024), s.Spawn(1024)
	buffer, fd, _ := s.Export(server, 1<<20, true)
	message, _ := s.Send(server, fd)
	s.Exit(server)
	received, _ := s.Receive(client, message, true)
	fmt.Println("descriptor", received, "released", len(s.Released(nil)))
	for _, h := range s.Holders(nil, buffer) {
		fmt.Println("held by process", h.PID, "by", h.By)
	}
	s.Close(client, received)
	fmt.Println("released", s.Released(nil))
	// Output:
	// descriptor 0 released 0
	// held by process 1 by receive
	// released [0]
}

// BenchmarkLife is the life of a buffer among 10,000 others: export, import, map, a
// transfer's fence, and all of it back.
func BenchmarkLife(b *testing.B) {
	s := dmabuf.New()
	pid := s.Spawn(1 << 20)
	context := s.NewContext()
	for range 10000 {
		s.Export(pid, 4096, true)
	}
	var released []dmabuf.Buffer
	var tokens []dmabuf.Token
	b.ReportAllocs()
	for b.Loop() {
		buffer, fd, _ := s.Export(pid, 4096, true)
		importer, _ := s.Get(pid, fd)
		a, _ := s.Attach(importer, false)
		s.Map(a)
		f := s.NewFence(context)
		s.AddFence(buffer, f, dmabuf.Write)
		s.Await(f, 1)
		tokens, _ = s.Signal(tokens[:0], f)
		s.Unmap(a)
		s.Detach(a)
		s.Put(importer)
		s.Close(pid, fd)
		released = s.Released(released[:0])
	}
	b.ReportMetric(11*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mops/s")
}
