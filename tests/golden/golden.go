// The golden order, from the source: each case below runs on Go's scheduler with one P and logs the order in which
// its goroutines run. tests/golden_order.rs runs the same cases, under the same names, on gmprt.
//
//	go run tests/golden/golden.go > tests/golden/expected.txt    writes the expected lists
//	go run tests/golden/golden.go -check 200                     runs them 200 times in fresh processes, every
//	                                                             other time with asyncpreemptoff=1; all must agree
//	go run tests/golden/golden.go -yield gosched                 the same cases with Gosched in place of goyield
//
// What makes the order repeatable:
//
//   - GOMAXPROCS(1) before the first case, and no garbage collection.
//   - A case is a goroutine started by main; main then waits on a channel until the last goroutine of the case has
//     ended. So main, and how Go treats it, is in no list.
//   - Every 61st tick of a P looks at the global queue first, so the tick at which a case starts can matter.
//     `align` brings the P to tick 1 (modulo 61) first; see there.
//
// On a machine that is busy with other work a run may differ now and then: the monitor thread asks a goroutine to make
// way once its time slice of 10 ms is over by the wall clock, whoever had the core meanwhile.
//
// Yielding: gmprt's `yield_now` puts a task at the tail of its P's own queue. In Go that is `goyield`, which the
// runtime keeps to itself; `Gosched` goes to the tail of the *global* queue instead, behind everything that the P has.
// That is what gmprt does too while others' work waits in the global queue. The lists use goyield; those that come out
// differently with Gosched follow in the same file, under `gosched/`, and the tests say which they compare with.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	_ "unsafe" // for go:linkname
)

//go:linkname goyield runtime.goyield
func goyield()

var yield = goyield

// A scene is one run of one case.
type scene struct {
	entries []string
	live    int           // goroutines of the case that have not ended
	done    chan struct{} // closed by the last of them
}

func (s *scene) log(format string, args ...any) {
	s.entries = append(s.entries, fmt.Sprintf(format, args...))
}

// spawn starts a goroutine that belongs to the case.
func (s *scene) spawn(f func()) {
	s.live++
	go func() {
		f()
		s.live--
		if s.live == 0 {
			close(s.done)
		}
	}()
}

// children starts n goroutines, each with its number.
func (s *scene) children(n int, f func(i int)) {
	for i := range n {
		s.spawn(func() { f(i) })
	}
}

// ticksPerCheck is how often a P looks at the global queue first (findRunnable: schedtick%61).
const ticksPerCheck = 61

// probe tells the P's tick (modulo 61) at the time of the call, from what can be seen: it overflows the ring, so that
// child 0 heads the global queue, yields, and counts the picks until child 0 runs. On return all children have ended,
// and the second result is the tick (modulo 61) at which the caller goes on.
func (s *scene) probe() (before, after int) {
	const n = 258 // 256 in the ring, one in runnext, one too many
	ran, at := 0, 0
	s.children(n, func(i int) {
		if i == 0 {
			at = ran
		}
		ran++
	})
	picked := 0 // how often the caller itself came from a queue
	for ran < n {
		yield()
		picked++
	}
	// Child 257 is in runnext and runs first, without a tick, unless the tick was due at once. Then each child costs one.
	if at > 0 {
		before = ticksPerCheck - (at - 1)
	}
	return before, (before + n - 1 + picked) % ticksPerCheck
}

// align brings the P to tick 1, modulo 61: the next look at the global queue comes after 60 more ticks.
func (s *scene) align() {
	_, tick := s.probe()
	for tick != 1 {
		yield() // alone on its P: one tick
		tick = (tick + 1) % ticksPerCheck
	}
}

type testCase struct {
	name string
	run  func(s *scene)
}

var cases = []testCase{
	// -- Spawning. The newest goes to runnext and kicks the one before it to the ring's tail.

	{"spawn_2", func(s *scene) { s.children(2, func(i int) { s.log("%d", i) }) }},
	{"spawn_10", func(s *scene) { s.children(10, func(i int) { s.log("%d", i) }) }},
	{"spawn_257_fills_ring_and_runnext", func(s *scene) { s.children(257, func(i int) { s.log("%d", i) }) }},

	// Each link starts the next one: nothing ever waits in the ring.
	{"spawn_chain", func(s *scene) {
		var link func(k int)
		link = func(k int) {
			s.log("%d", k)
			if k < 9 {
				s.spawn(func() { link(k + 1) })
			}
			s.log("%d'", k)
		}
		link(0)
	}},
	// Two chains: the one that has runnext runs to its end before the other moves.
	{"spawn_two_chains", func(s *scene) {
		var link func(chain string, k int)
		link = func(chain string, k int) {
			s.log("%s%d", chain, k)
			if k < 4 {
				s.spawn(func() { link(chain, k+1) })
			}
		}
		s.spawn(func() { link("a", 0) })
		s.spawn(func() { link("b", 0) })
	}},
	{"spawn_inside_spawned", func(s *scene) {
		s.children(3, func(i int) {
			s.log("%d", i)
			s.children(2, func(j int) { s.log("%d.%d", i, j) })
		})
	}},
	{"spawn_nested_3_deep", func(s *scene) {
		var node func(name string, depth int)
		node = func(name string, depth int) {
			s.log("%s", name)
			if depth < 3 {
				s.children(3, func(i int) { node(fmt.Sprintf("%s%d", name, i), depth+1) })
			}
			s.log("%s'", name)
		}
		s.children(3, func(i int) { node(fmt.Sprint(i), 1) })
	}},

	// -- Yielding: to the ring's tail, never to runnext.

	{"yield_3_by_3", func(s *scene) {
		s.children(3, func(i int) {
			for k := range 3 {
				s.log("%d", i*10+k)
				yield()
			}
		})
	}},
	{"yield_alone", func(s *scene) {
		for k := range 5 {
			s.log("%d", k)
			yield()
		}
	}},
	{"yield_uneven", func(s *scene) {
		s.children(5, func(i int) {
			for k := range i {
				s.log("%d.%d", i, k)
				yield()
			}
			s.log("%d end", i)
		})
	}},
	{"yield_by_the_parent", func(s *scene) {
		for round := range 3 {
			s.log("root %d", round)
			s.children(3, func(i int) { s.log("%d.%d", round, i) })
			yield()
		}
		s.log("root end")
	}},
	{"yield_between_spawns", func(s *scene) {
		for i := range 4 {
			s.spawn(func() {
				s.log("%d", i)
				yield()
				s.log("%d'", i)
			})
			yield()
			s.log("root %d", i)
		}
	}},
	{"spawn_then_yield", func(s *scene) {
		s.children(3, func(i int) {
			s.spawn(func() { s.log("child of %d", i) })
			s.log("%d", i)
			yield()
			s.log("%d'", i)
		})
	}},
	{"yield_then_spawn", func(s *scene) {
		s.children(3, func(i int) {
			s.log("%d", i)
			yield()
			s.children(2, func(j int) { s.log("%d.%d", i, j) })
			s.log("%d'", i)
			yield()
			s.log("%d''", i)
		})
	}},
	{"yield_in_a_chain", func(s *scene) {
		var link func(k int)
		link = func(k int) {
			s.log("%d", k)
			if k < 5 {
				s.spawn(func() { link(k + 1) })
			}
			yield()
			s.log("%d'", k)
			yield()
			s.log("%d''", k)
		}
		link(0)
	}},

	// -- The ring overflows: its head half and the incoming one go to the global queue, which is looked at every 61st
	// tick and when the ring is empty.

	{"overflow_258", func(s *scene) { s.children(258, func(i int) { s.log("%d", i) }) }},
	{"overflow_300", func(s *scene) { s.children(300, func(i int) { s.log("%d", i) }) }},
	{"overflow_600", func(s *scene) { s.children(600, func(i int) { s.log("%d", i) }) }},
	{"overflow_1000", func(s *scene) { s.children(1000, func(i int) { s.log("%d", i) }) }},
	{"overflow_by_a_child", func(s *scene) {
		s.children(100, func(i int) {
			s.log("%d", i)
			if i%50 == 49 {
				s.children(200, func(j int) { s.log("%d.%d", i, j) })
			}
		})
	}},
	// 300 children that yield: a yield into a full ring overflows too.
	{"overflow_and_yield", func(s *scene) {
		s.children(300, func(i int) {
			s.log("%d", i)
			yield()
			s.log("%d'", i)
		})
	}},
	// Only those that are in the ring at first yield; those in the global queue do not.
	{"overflow_and_half_yield", func(s *scene) {
		s.children(300, func(i int) {
			s.log("%d", i)
			if 128 <= i && i < 256 {
				yield()
				s.log("%d'", i)
			}
		})
	}},
	// The parent yields while the global queue holds goroutines.
	{"overflow_then_parent_yields", func(s *scene) {
		s.children(300, func(i int) { s.log("%d", i) })
		for k := range 4 {
			s.log("root %d", k)
			yield()
		}
	}},
	// The tick at which the global queue comes first, seen after k ticks.
	{"every_61st_tick", func(s *scene) {
		for _, k := range []int{0, 1, 2, 30, 59, 60, 61} {
			s.align()
			for range k {
				yield()
			}
			before, after := s.probe()
			s.log("%d:%d:%d", k, before, after)
		}
	}},

	// -- Channels: who waits is served in order, by direct hand-off; who is woken goes to runnext.

	{"rendezvous_ping_pong", func(s *scene) {
		ping, pong := make(chan int), make(chan int)
		s.spawn(func() {
			for k := range 5 {
				s.log("ping %d", k)
				ping <- k
				s.log("got %d", <-pong)
			}
		})
		s.spawn(func() {
			for range 5 {
				k := <-ping
				s.log("pong %d", k)
				pong <- k
			}
		})
	}},
	{"rendezvous_sender_first", func(s *scene) {
		ch := make(chan int)
		s.spawn(func() { // runs second
			for range 6 {
				s.log("recv %d", <-ch)
			}
		})
		s.spawn(func() { // runs first
			for k := range 6 {
				ch <- k
				s.log("sent %d", k)
			}
		})
	}},
	{"rendezvous_receiver_first", func(s *scene) {
		ch := make(chan int)
		s.spawn(func() {
			for k := range 6 {
				ch <- k
				s.log("sent %d", k)
			}
		})
		s.spawn(func() {
			for range 6 {
				s.log("recv %d", <-ch)
			}
		})
	}},
	{"buffer_of_1", func(s *scene) {
		ch := make(chan int, 1)
		s.spawn(func() {
			for range 6 {
				s.log("recv %d", <-ch)
			}
		})
		s.spawn(func() {
			for k := range 6 {
				ch <- k
				s.log("sent %d", k)
			}
		})
	}},
	{"buffer_of_2", func(s *scene) {
		ch := make(chan int, 2)
		s.spawn(func() {
			for range 8 {
				s.log("recv %d", <-ch)
			}
		})
		s.spawn(func() {
			for k := range 8 {
				ch <- k
				s.log("sent %d", k)
			}
		})
	}},
	{"buffer_of_2_and_yields", func(s *scene) {
		ch := make(chan int, 2)
		s.spawn(func() {
			for range 6 {
				s.log("recv %d", <-ch)
				yield()
			}
		})
		s.spawn(func() {
			for k := range 6 {
				ch <- k
				s.log("sent %d", k)
				yield()
			}
		})
	}},
	// What is buffered outlives the close.
	{"buffer_closed_then_drained", func(s *scene) {
		ch := make(chan int, 4)
		s.spawn(func() {
			for v := range ch {
				s.log("recv %d", v)
			}
			s.log("closed")
		})
		s.spawn(func() {
			for k := range 4 {
				ch <- k
				s.log("sent %d", k)
			}
			close(ch)
			s.log("close")
		})
	}},
	// The receivers block in the order 5 0 1 2 3 4.
	{"blocked_receivers_then_close", func(s *scene) {
		ch := make(chan int)
		s.children(6, func(i int) {
			s.log("%d", i)
			<-ch
			s.log("%d'", i)
		})
		yield()
		close(ch)
	}},
	{"blocked_receivers_then_sends", func(s *scene) {
		ch := make(chan int)
		s.children(6, func(i int) {
			s.log("%d", i)
			s.log("%d got %d", i, <-ch)
		})
		yield()
		for k := range 6 {
			ch <- k
			s.log("sent %d", k)
		}
	}},
	{"blocked_receivers_then_sends_and_close", func(s *scene) {
		ch := make(chan int)
		s.children(6, func(i int) {
			s.log("%d", i)
			v, ok := <-ch
			if ok {
				s.log("%d got %d", i, v)
			} else {
				s.log("%d closed", i)
			}
		})
		yield()
		for k := range 3 {
			ch <- k
		}
		close(ch)
		s.log("close")
	}},
	{"blocked_senders_then_drained", func(s *scene) {
		ch := make(chan int)
		s.children(6, func(i int) {
			s.log("%d", i)
			ch <- i
			s.log("%d'", i)
		})
		yield()
		for range 6 {
			s.log("recv %d", <-ch)
		}
	}},
	{"blocked_senders_on_a_full_buffer", func(s *scene) {
		ch := make(chan int, 2)
		s.children(6, func(i int) {
			s.log("%d", i)
			ch <- i
			s.log("%d'", i)
		})
		yield()
		for range 6 {
			s.log("recv %d", <-ch)
		}
	}},
	// In Go the blocked send panics; in gmprt it returns an error. The order is the same.
	{"blocked_senders_then_close", func(s *scene) {
		ch := make(chan int, 1)
		s.children(5, func(i int) {
			defer func() {
				if recover() != nil {
					s.log("%d closed", i)
				}
			}()
			s.log("%d", i)
			ch <- i
			s.log("%d'", i)
		})
		yield()
		close(ch)
		s.log("close")
	}},
	// A wake kicks a spawned one out of runnext, and the other way round.
	{"spawn_wake_spawn", func(s *scene) {
		ch := make(chan int)
		s.spawn(func() { s.log("r %d", <-ch) })
		yield()
		s.spawn(func() { s.log("a") })
		ch <- 7
		s.spawn(func() { s.log("b") })
		s.log("root")
	}},
	{"child_answers_by_channel", func(s *scene) {
		for k := range 4 {
			ch := make(chan int)
			s.spawn(func() {
				s.log("child %d", k)
				ch <- k * k
				s.log("child %d'", k)
			})
			s.log("root got %d", <-ch)
		}
	}},
	{"children_answer_by_channel", func(s *scene) {
		ch := make(chan int)
		s.children(4, func(i int) {
			s.log("%d", i)
			ch <- i
			s.log("%d'", i)
		})
		for range 4 {
			s.log("root got %d", <-ch)
		}
	}},
	{"fan_in_of_3", func(s *scene) {
		ch := make(chan string)
		s.children(3, func(i int) {
			for k := range 3 {
				ch <- fmt.Sprintf("%d.%d", i, k)
				s.log("sent %d.%d", i, k)
			}
		})
		s.spawn(func() {
			for range 9 {
				s.log("recv %s", <-ch)
			}
		})
	}},
	{"three_workers_rendezvous", func(s *scene) { workers(s, 0, 9) }},
	{"three_workers_buffer_of_1", func(s *scene) { workers(s, 1, 9) }},
	{"three_workers_buffer_of_4", func(s *scene) { workers(s, 4, 12) }},
	{"three_workers_buffer_of_100", func(s *scene) { workers(s, 100, 12) }},
	// Each stage of the sieve passes on what its prime does not divide.
	{"prime_sieve", func(s *scene) {
		first := make(chan int)
		s.spawn(func() {
			for k := 2; k < 12; k++ {
				first <- k
			}
			close(first)
		})
		var stage func(in chan int)
		stage = func(in chan int) {
			prime, ok := <-in
			if !ok {
				return
			}
			s.log("prime %d", prime)
			out := make(chan int)
			s.spawn(func() { stage(out) })
			for k := range in {
				s.log("%d?%d", k, prime)
				if k%prime != 0 {
					out <- k
				}
			}
			s.log("end %d", prime)
			close(out)
		}
		s.spawn(func() { stage(first) })
	}},

	// -- WaitGroup: all waiters wake when the count reaches nought.

	{"wait_group_4_waiters", func(s *scene) {
		var wg sync.WaitGroup
		wg.Add(1)
		s.children(4, func(i int) {
			s.log("%d", i)
			wg.Wait()
			s.log("%d'", i)
		})
		yield()
		wg.Done()
		s.log("root")
	}},
	{"wait_group_5_workers", func(s *scene) {
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Add(1)
			s.spawn(func() {
				s.log("%d", i)
				wg.Done()
				s.log("%d'", i)
			})
		}
		wg.Wait()
		s.log("root")
	}},
	{"wait_group_workers_yield", func(s *scene) {
		var wg sync.WaitGroup
		wg.Add(4)
		s.children(4, func(i int) {
			for k := range i {
				s.log("%d.%d", i, k)
				yield()
			}
			wg.Done()
			s.log("%d done", i)
		})
		s.children(2, func(i int) {
			wg.Wait()
			s.log("waiter %d", i)
		})
		wg.Wait()
		s.log("root")
	}},
	{"wait_group_nested", func(s *scene) {
		var outer sync.WaitGroup
		outer.Add(3)
		s.children(3, func(i int) {
			var inner sync.WaitGroup
			inner.Add(2)
			s.children(2, func(j int) {
				s.log("%d.%d", i, j)
				inner.Done()
			})
			inner.Wait()
			s.log("%d", i)
			outer.Done()
		})
		outer.Wait()
		s.log("root")
	}},
	{"wait_group_used_twice", func(s *scene) {
		var wg sync.WaitGroup
		for round := range 2 {
			wg.Add(3)
			s.children(3, func(i int) {
				s.log("%d.%d", round, i)
				yield()
				wg.Done()
			})
			wg.Wait()
			s.log("root %d", round)
		}
	}},
	{"wait_group_then_spawns", func(s *scene) {
		var wg sync.WaitGroup
		wg.Add(1)
		s.children(3, func(i int) {
			wg.Wait()
			s.log("waiter %d", i)
		})
		yield()
		s.spawn(func() { s.log("before") })
		wg.Done()
		s.spawn(func() { s.log("after") })
		s.log("root")
	}},

	// -- Joining. A goroutine has no handle; the channel that it closes as its last act stands for it.

	{"join_in_order", func(s *scene) {
		var handles []chan struct{}
		for i := range 4 {
			handles = append(handles, s.handle(func() {
				s.log("%d", i)
				yield()
				s.log("%d'", i)
			}))
		}
		for i, handle := range handles {
			<-handle
			s.log("joined %d", i)
		}
	}},
	{"join_each_at_once", func(s *scene) {
		for i := range 4 {
			s.spawn(func() { s.log("bystander %d", i) })
			<-s.handle(func() { s.log("%d", i) })
			s.log("joined %d", i)
		}
	}},
	{"join_nested", func(s *scene) {
		var node func(name string, depth int)
		node = func(name string, depth int) {
			s.log("%s", name)
			if depth < 3 {
				left := s.handle(func() { node(name+"l", depth+1) })
				right := s.handle(func() { node(name+"r", depth+1) })
				<-left
				<-right
			}
			s.log("%s'", name)
		}
		node("t", 0)
	}},
}

// handle starts a goroutine of the case and gives the channel that it closes at its end.
func (s *scene) handle(f func()) chan struct{} {
	end := make(chan struct{})
	s.spawn(func() {
		f()
		close(end)
	})
	return end
}

// workers is the showcase in small: a feeder, three workers that square, a collector.
func workers(s *scene, capacity, items int) {
	in, out := make(chan int, capacity), make(chan int, capacity)
	var wg sync.WaitGroup
	wg.Add(3)
	s.spawn(func() {
		for k := range items {
			in <- k
			s.log("fed %d", k)
		}
		close(in)
	})
	s.children(3, func(i int) {
		for k := range in {
			s.log("w%d takes %d", i, k)
			out <- k * k
		}
		s.log("w%d ends", i)
		wg.Done()
	})
	s.spawn(func() {
		for v := range out {
			s.log("got %d", v)
		}
		s.log("all")
	})
	wg.Wait()
	close(out)
}

// play runs one case and gives its log.
func play(c testCase) []string {
	s := &scene{done: make(chan struct{})}
	s.spawn(func() {
		s.align()
		c.run(s)
	})
	<-s.done
	return s.entries
}

func playAll() map[string]string {
	lists := map[string]string{}
	for _, c := range cases {
		lists[c.name] = strings.Join(play(c), ", ")
	}
	return lists
}

func report(yieldName string) []byte {
	var out bytes.Buffer
	if yieldName == "gosched" {
		yield = runtime.Gosched
	}
	lists := playAll()
	fmt.Fprintf(&out, "# Written by `go run tests/golden/golden.go`; do not edit. Each line: a case, then what it logged, in order.\n")
	fmt.Fprintf(&out, "version: %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, c := range cases {
		fmt.Fprintf(&out, "%s: %s\n", c.name, lists[c.name])
	}
	if yieldName == "both" {
		yield = runtime.Gosched
		gosched := playAll()
		fmt.Fprintf(&out, "# What differs with Gosched (to the global queue's tail) in place of goyield (to the ring's tail).\n")
		for _, c := range cases {
			if gosched[c.name] != lists[c.name] {
				fmt.Fprintf(&out, "gosched/%s: %s\n", c.name, gosched[c.name])
			}
		}
	}
	return out.Bytes()
}

// check runs this program n times afresh and compares what it prints with what this process would print.
func check(n int, want []byte) {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	bad := 0
	for k := range n {
		cmd := exec.Command(self)
		cmd.Env = os.Environ()
		if k%2 == 1 {
			cmd.Env = append(cmd.Env, "GODEBUG=asyncpreemptoff=1")
		}
		got, err := cmd.Output()
		if err != nil {
			panic(err)
		}
		if !bytes.Equal(got, want) {
			bad++
			a, b := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
			for i := range min(len(a), len(b)) {
				if a[i] != b[i] {
					fmt.Printf("run %d differs:\n  %s\n  %s\n", k, a[i], b[i])
				}
			}
		}
	}
	fmt.Printf("%d runs, %d differ\n", n, bad)
	if bad > 0 {
		os.Exit(1)
	}
}

func main() {
	runs := flag.Int("check", 0, "run this many times in fresh processes and compare")
	yieldName := flag.String("yield", "both", "goyield, gosched, or both: goyield, then what differs with gosched")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	time.Sleep(5 * time.Millisecond) // let the runtime's own goroutines start and park
	out := report(*yieldName)
	if *runs > 0 {
		check(*runs, out)
		return
	}
	os.Stdout.Write(out)
}
