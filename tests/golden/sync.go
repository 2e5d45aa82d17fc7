// The golden order, continued: what waits for what. Each case below runs on Go's scheduler with one P and logs the
// order in which its goroutines run; tests/golden_sync.rs runs the same cases, under the same names, on gmprt. The
// order of spawns and yields, and more of channels, is golden.go's.
//
//	go run tests/golden/sync.go > tests/golden/sync_expected.txt    writes the expected lists
//	go run tests/golden/sync.go -check 200                          runs them 200 times in fresh processes, every
//	                                                                other time with asyncpreemptoff=1; all must agree
//
// What makes the order repeatable:
//
//   - GOMAXPROCS(1) before the first case, and no garbage collection.
//   - A case is a goroutine started by main; main then waits on a channel until the last goroutine of the case has
//     ended. So main, and how Go treats it, is in no list.
//   - Yields go to the tail of the P's own queue (see golden.go), and no case fills it: nothing is ever in the global
//     queue, so the tick at which a case starts does not matter.
//   - A lock looks at the clock: who has waited for over 1 ms starves. A case in which somebody is to starve lets the
//     time pass by `pass`, and only so. A case that took half a millisecond beside that, because the machine had other
//     things to do, says nothing and is played again; so too if its time slice may have ended.
//
// Not here, because Go itself does not repeat it:
//
//   - A select with more than one ready case: Go picks at random. In each select here at most one is ready when it is
//     reached; those that park are woken by one.
//   - The children of a context, and its AfterFuncs, if there is more than one: they stand in a map. Each context here
//     has one child or one function.
//   - Timers with equal deadlines: a deadline is the clock's at the time of the call, and no two calls are at one time.
package main

import (
	"bytes"
	"context"
	"errors"
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

//go:linkname yield runtime.goyield
func yield()

// A scene is one run of one case.
type scene struct {
	entries []string
	live    int           // goroutines of the case that have not ended
	passed  time.Duration // what the case let pass on purpose
	sliced  bool          // it took so long that the time slice may have ended
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
		s.end()
	}()
}

// end ends a goroutine that was counted in live.
func (s *scene) end() {
	s.live--
	if s.live == 0 {
		close(s.done)
	}
}

// children starts n goroutines, each with its number.
func (s *scene) children(n int, f func(i int)) {
	for i := range n {
		s.spawn(func() { f(i) })
	}
}

// halfSlice is half of the 10 ms of the wall clock after which the monitor asks a goroutine to make way.
const halfSlice = 5 * time.Millisecond

// pass lets time pass in which nobody runs.
func (s *scene) pass(d time.Duration) {
	start := time.Now()
	for time.Since(start) < d {
	}
	took := time.Since(start)
	s.passed += took
	s.sliced = s.sliced || took > halfSlice
}

// starve lets so much time pass that who waits for a lock starves.
func (s *scene) starve() { s.pass(1600 * time.Microsecond) }

func trySend(ch chan int, v int) string {
	select {
	case ch <- v:
		return "sent"
	default:
		return "full"
	}
}

func tryRecv(ch chan int) string {
	select {
	case v, ok := <-ch:
		if !ok {
			return "closed"
		}
		return fmt.Sprint(v)
	default:
		return "empty"
	}
}

// recv gives what comes, or "closed".
func recv(ch chan int) string {
	v, ok := <-ch
	if !ok {
		return "closed"
	}
	return fmt.Sprint(v)
}

func (s *scene) sender(ch chan int, i int) {
	s.log("%d sends", i)
	ch <- i
	s.log("%d sent", i)
}

func (s *scene) receiver(ch chan int, i int) {
	s.log("%d waits", i)
	s.log("%d got %s", i, recv(ch))
}

// either parks on both channels and tells which gave what.
func (s *scene) either(a, b chan int, i int) {
	s.log("%d waits", i)
	select {
	case v, ok := <-a:
		if !ok {
			s.log("%d closed a", i)
		} else {
			s.log("%d got a%d", i, v)
		}
	case v, ok := <-b:
		if !ok {
			s.log("%d closed b", i)
		} else {
			s.log("%d got b%d", i, v)
		}
	}
}

// holder locks, logs, yields while it holds, and unlocks.
func (s *scene) holder(m sync.Locker, name string) {
	m.Lock()
	s.log("%s has", name)
	yield()
	s.log("%s lets go", name)
	m.Unlock()
}

type testCase struct {
	name string
	run  func(s *scene)
}

var cases = []testCase{
	// -- A rendezvous: the side that comes second finds the other parked, serves it, and goes on; who was served is in
	// runnext.

	{"pair_sender_first", func(s *scene) {
		ch := make(chan int)
		s.spawn(func() { s.sender(ch, 1) })
		yield()
		s.log("root got %s", recv(ch))
		yield()
		s.log("root ends")
	}},
	{"pair_receiver_first", func(s *scene) {
		ch := make(chan int)
		s.spawn(func() { s.receiver(ch, 1) })
		yield()
		s.sender(ch, 2)
		yield()
		s.log("root ends")
	}},
	// They change sides after each value.
	{"pair_by_turns", func(s *scene) {
		ch := make(chan int)
		s.spawn(func() {
			for k := range 3 {
				s.sender(ch, k)
				s.log("a got %s", recv(ch))
			}
		})
		s.spawn(func() {
			for k := range 3 {
				s.log("b got %s", recv(ch))
				s.sender(ch, 10+k)
			}
		})
	}},
	{"three_senders_then_three_receivers", func(s *scene) {
		ch := make(chan int)
		s.children(3, func(i int) { s.sender(ch, i) })
		yield()
		s.children(3, func(i int) { s.receiver(ch, i) })
		s.log("root ends")
	}},
	{"three_receivers_then_three_senders", func(s *scene) {
		ch := make(chan int)
		s.children(3, func(i int) { s.receiver(ch, i) })
		yield()
		s.children(3, func(i int) { s.sender(ch, i) })
		s.log("root ends")
	}},
	{"senders_and_receivers_mixed", func(s *scene) {
		ch := make(chan int)
		for i := range 3 {
			s.spawn(func() { s.sender(ch, i) })
			s.spawn(func() { s.receiver(ch, i) })
		}
		s.log("root ends")
	}},
	// A try finds only who is parked.
	{"pair_tries", func(s *scene) {
		ch := make(chan int)
		s.log("try send %s", trySend(ch, 0))
		s.log("try recv %s", tryRecv(ch))
		s.children(2, func(i int) { s.receiver(ch, i) })
		s.log("try send %s", trySend(ch, 1))
		yield()
		for k := 2; k < 5; k++ {
			s.log("try send %s", trySend(ch, k))
		}
		yield()
		s.children(2, func(i int) { s.sender(ch, i) })
		s.log("try recv %s", tryRecv(ch))
		yield()
		for range 3 {
			s.log("try recv %s", tryRecv(ch))
		}
		yield()
		s.log("root ends")
	}},
	// A value goes through a row of goroutines that are all parked.
	{"daisy_chain", func(s *scene) {
		left := make(chan int)
		first := left
		for i := range 5 {
			from, to := make(chan int), left
			s.spawn(func() {
				v := <-from
				s.log("%d passes %d on", i, v)
				to <- v + 1
				s.log("%d ends", i)
			})
			left = from
		}
		s.spawn(func() { left <- 0 })
		s.log("root got %s", recv(first))
	}},

	// -- A buffer: who finds room or a value goes on without a switch; who waits is served from the other side's hands.

	{"buffer_of_1_fill_then_drain", func(s *scene) {
		ch := make(chan int, 1)
		s.log("%s", trySend(ch, 0))
		s.log("%s", trySend(ch, 1))
		s.log("%s", tryRecv(ch))
		s.log("%s", tryRecv(ch))
		s.children(3, func(i int) { s.sender(ch, i) })
		yield()
		for range 4 {
			s.log("root took %s", tryRecv(ch))
		}
	}},
	{"buffer_of_2_fill_then_drain", func(s *scene) {
		ch := make(chan int, 2)
		for k := range 3 {
			s.log("%s", trySend(ch, k))
		}
		for range 3 {
			s.log("%s", tryRecv(ch))
		}
		s.children(4, func(i int) { s.sender(ch, i) })
		yield()
		for range 5 {
			s.log("root took %s", tryRecv(ch))
		}
		yield()
		s.log("root ends")
	}},
	{"buffer_of_2_blocked_receivers", func(s *scene) {
		ch := make(chan int, 2)
		s.children(4, func(i int) { s.receiver(ch, i) })
		yield()
		for k := range 7 {
			s.log("%s", trySend(ch, k))
		}
		yield()
		s.log("root took %s then %s", tryRecv(ch), tryRecv(ch))
	}},
	// A receive that makes room in a full buffer serves the first sender that waits for it.
	{"buffer_of_2_one_out_one_in", func(s *scene) {
		ch := make(chan int, 2)
		s.children(5, func(i int) { s.sender(ch, i) })
		yield()
		for range 5 {
			s.log("root got %s", recv(ch))
			yield()
		}
	}},
	{"buffer_of_1_two_and_two", func(s *scene) {
		ch := make(chan int, 1)
		s.children(2, func(i int) {
			for k := range 3 {
				s.sender(ch, i*10+k)
			}
		})
		s.children(2, func(i int) {
			for range 3 {
				s.receiver(ch, i)
			}
		})
	}},
	{"buffer_of_2_two_and_two", func(s *scene) {
		ch := make(chan int, 2)
		s.children(2, func(i int) {
			for range 3 {
				s.receiver(ch, i)
			}
		})
		s.children(2, func(i int) {
			for k := range 3 {
				s.sender(ch, i*10+k)
			}
		})
	}},
	// A buffer as a semaphore of two permits.
	{"buffer_as_semaphore", func(s *scene) {
		permits := make(chan int, 2)
		s.children(5, func(i int) {
			permits <- i
			s.log("%d in", i)
			yield()
			s.log("%d out", i)
			<-permits
		})
	}},

	// -- Close.

	{"close_one_receiver", func(s *scene) {
		ch := make(chan int)
		s.spawn(func() { s.receiver(ch, 0) })
		yield()
		close(ch)
		s.log("closed")
		yield()
		s.log("root got %s", recv(ch))
	}},
	// What is buffered is taken first, by those who come first.
	{"close_with_buffered_values", func(s *scene) {
		ch := make(chan int, 3)
		for k := range 3 {
			ch <- k
		}
		close(ch)
		s.log("closed")
		s.children(5, func(i int) { s.receiver(ch, i) })
	}},
	{"close_ends_the_ranges", func(s *scene) {
		ch := make(chan int)
		s.children(3, func(i int) {
			for v := range ch {
				s.log("%d got %d", i, v)
			}
			s.log("%d ends", i)
		})
		for k := range 5 {
			ch <- k
			s.log("sent %d", k)
		}
		close(ch)
		s.log("closed")
	}},
	{"close_ends_the_ranges_over_a_buffer", func(s *scene) {
		ch := make(chan int, 2)
		s.children(3, func(i int) {
			for v := range ch {
				s.log("%d got %d", i, v)
				yield()
			}
			s.log("%d ends", i)
		})
		for k := range 6 {
			ch <- k
			s.log("sent %d", k)
		}
		close(ch)
		s.log("closed")
	}},
	{"close_between_spawns", func(s *scene) {
		ch := make(chan int)
		s.children(3, func(i int) { s.receiver(ch, i) })
		yield()
		s.spawn(func() { s.log("before") })
		close(ch)
		s.spawn(func() { s.log("after") })
		s.log("root ends")
	}},
	// Who was woken by the close closes the next one.
	{"close_in_a_row", func(s *scene) {
		chs := []chan int{make(chan int), make(chan int), make(chan int), make(chan int)}
		for i := range 3 {
			s.children(2, func(j int) {
				s.log("%d.%d got %s", i, j, recv(chs[i]))
				if j == 0 {
					close(chs[i+1])
				}
			})
		}
		yield()
		close(chs[0])
		s.log("root got %s", recv(chs[3]))
	}},

	// -- Select. It parks on all its channels, and is woken by one.

	{"select_one_ready", func(s *scene) {
		a, b := make(chan int, 1), make(chan int, 1)
		a <- 1
		s.either(a, b, 0)
		b <- 2
		s.either(a, b, 0)
		close(a)
		s.either(a, b, 0)
	}},
	{"select_default", func(s *scene) {
		a, b := make(chan int), make(chan int, 1)
		try := func() {
			select {
			case v := <-a:
				s.log("a%d", v)
			case v := <-b:
				s.log("b%d", v)
			default:
				s.log("default")
			}
		}
		try()
		b <- 1
		try()
		try()
		s.spawn(func() { s.sender(a, 2) })
		try() // it has not run yet
		yield()
		try()
		try()
		yield()
		s.log("root ends")
	}},
	// A nil channel is never ready: the other case is the only one.
	{"select_nil_channels", func(s *scene) {
		a, b := make(chan int, 4), make(chan int, 4)
		for k := range 4 {
			a <- k
			b <- 10 + k
		}
		for k := range 4 {
			x, y := a, b
			if k%2 == 0 {
				x = nil
			} else {
				y = nil
			}
			s.either(x, y, k)
		}
		select {
		case v := <-(chan int)(nil):
			s.log("%d", v)
		default:
			s.log("default")
		}
	}},
	{"select_parked_woken_by_the_first", func(s *scene) {
		a, b := make(chan int), make(chan int)
		s.spawn(func() { s.either(a, b, 0) })
		yield()
		s.sender(a, 1)
		yield()
		s.log("try b %s", trySend(b, 2)) // it waits there no more
	}},
	{"select_parked_woken_by_the_second", func(s *scene) {
		a, b := make(chan int), make(chan int)
		s.spawn(func() { s.either(a, b, 0) })
		yield()
		s.sender(b, 1)
		s.log("try a %s", trySend(a, 2)) // already decided
		yield()
		s.log("try a %s", trySend(a, 3))
	}},
	// In each channel's line they stand in the order in which they came.
	{"select_several_parked", func(s *scene) {
		a, b := make(chan int), make(chan int)
		s.children(4, func(i int) { s.either(a, b, i) })
		yield()
		for k := range 4 {
			if k%2 == 0 {
				b <- k
			} else {
				a <- k
			}
			s.log("sent %d", k)
		}
	}},
	{"select_several_parked_among_receivers", func(s *scene) {
		a, b := make(chan int), make(chan int)
		for i := range 3 {
			s.spawn(func() { s.either(a, b, i*10) })
			s.spawn(func() { s.receiver(a, i*10+1) })
			s.spawn(func() { s.receiver(b, i*10+2) })
		}
		yield()
		for k := range 4 {
			a <- k
			b <- k
			s.log("sent %d", k)
		}
		a <- 9
		s.log("root ends")
	}},
	{"select_several_parked_then_close", func(s *scene) {
		a, b := make(chan int), make(chan int)
		s.children(4, func(i int) { s.either(a, b, i) })
		yield()
		a <- 7
		close(b)
		s.log("closed")
		s.log("try a %s", trySend(a, 8))
	}},
	{"select_senders_parked", func(s *scene) {
		a, b := make(chan int), make(chan int)
		s.children(4, func(i int) {
			select {
			case a <- i:
				s.log("%d sent a", i)
			case b <- i:
				s.log("%d sent b", i)
			}
		})
		yield()
		s.log("root got %s", recv(b))
		s.log("root got %s", recv(a))
		s.log("root got %s", recv(a))
		s.log("root got %s", recv(b))
		s.log("root took %s and %s", tryRecv(a), tryRecv(b))
	}},
	// Two selects meet: one sends or receives, and so does the other; only one pair of cases fits.
	{"select_meets_select", func(s *scene) {
		a, b := make(chan int), make(chan int)
		s.spawn(func() {
			select {
			case v := <-a:
				s.log("x got a%d", v)
			case b <- 1:
				s.log("x sent b")
			}
		})
		s.spawn(func() {
			select {
			case v := <-b:
				s.log("y got b%d", v)
			case v := <-make(chan int):
				s.log("y got %d", v)
			}
		})
		s.log("root ends")
	}},
	{"select_loop_until_quit", func(s *scene) {
		work, quit := make(chan int), make(chan int)
		s.spawn(func() {
			for {
				select {
				case v := <-work:
					s.log("worked on %d", v)
				case <-quit:
					s.log("quit")
					return
				}
			}
		})
		for k := range 3 {
			work <- k
			s.log("gave %d", k)
		}
		quit <- 0
		s.log("root ends")
	}},
	{"select_loops_share_the_work", func(s *scene) {
		work, quit := make(chan int), make(chan int)
		s.children(3, func(i int) {
			for {
				select {
				case v := <-work:
					s.log("%d worked on %d", i, v)
				case <-quit:
					s.log("%d quits", i)
					return
				}
			}
		})
		yield()
		for k := range 7 {
			work <- k
			s.log("gave %d", k)
		}
		yield()
		close(quit)
		s.log("root ends")
	}},

	// -- WaitGroup: its waiters wake all together, oldest first.

	{"wait_group_go", func(s *scene) {
		var wg sync.WaitGroup
		for i := range 3 {
			s.member(&wg, func() {
				s.log("%d", i)
				yield()
				s.log("%d'", i)
			})
		}
		wg.Wait()
		s.log("root ends")
	}},
	{"wait_group_at_zero", func(s *scene) {
		var wg sync.WaitGroup
		s.spawn(func() { s.log("child") })
		wg.Wait()
		s.log("root")
		wg.Add(2)
		wg.Add(-2)
		wg.Wait()
		s.log("root ends")
	}},
	{"wait_group_add_in_parts", func(s *scene) {
		var wg sync.WaitGroup
		wg.Add(5)
		s.children(3, func(i int) {
			wg.Wait()
			s.log("waiter %d", i)
		})
		yield()
		for _, delta := range []int{-2, 1, -3, -1} {
			wg.Add(delta)
			s.log("add %d", delta)
			yield()
		}
		s.log("root ends")
	}},
	{"wait_group_waiters_come_one_by_one", func(s *scene) {
		var wg sync.WaitGroup
		wg.Add(3)
		for i := range 3 {
			s.spawn(func() {
				s.log("%d waits", i)
				wg.Wait()
				s.log("%d'", i)
			})
			yield()
			wg.Done()
			s.log("done %d", i)
		}
	}},
	// The next round is added once all waits of the last have returned.
	{"wait_group_reused", func(s *scene) {
		var wg sync.WaitGroup
		for round := range 3 {
			wg.Add(2)
			s.children(2, func(i int) {
				wg.Wait()
				s.log("%d waiter %d", round, i)
			})
			yield()
			s.children(2, func(i int) {
				s.log("%d worker %d", round, i)
				wg.Done()
			})
			wg.Wait()
			s.log("%d root", round)
			yield()
		}
	}},
	{"wait_group_waiters_spawn", func(s *scene) {
		var wg sync.WaitGroup
		wg.Add(1)
		s.children(3, func(i int) {
			wg.Wait()
			s.spawn(func() { s.log("child of %d", i) })
			s.log("%d", i)
			yield()
			s.log("%d'", i)
		})
		yield()
		wg.Done()
		s.log("root ends")
	}},
	// The waiters of one group are the workers of the next.
	{"wait_group_in_a_row", func(s *scene) {
		var groups [4]sync.WaitGroup
		for i := range groups {
			groups[i].Add(1)
		}
		for i := range 3 {
			s.spawn(func() {
				groups[i].Wait()
				s.log("%d", i)
				groups[i+1].Done()
				s.log("%d'", i)
			})
		}
		s.children(2, func(i int) {
			groups[2].Wait()
			s.log("other %d", i)
		})
		yield()
		groups[0].Done()
		groups[3].Wait()
		s.log("root ends")
	}},

	// -- Cond: a line of its own; who is woken then queues for the lock.

	{"cond_signal_each_with_the_lock", func(s *scene) {
		m, c := newCond()
		s.children(4, func(i int) { s.condWaiter(m, c, i) })
		yield()
		m.Lock()
		for k := range 5 {
			c.Signal()
			s.log("signal %d", k)
		}
		m.Unlock()
		s.log("root ends")
	}},
	{"cond_signal_each_without_the_lock", func(s *scene) {
		m, c := newCond()
		s.children(4, func(i int) { s.condWaiter(m, c, i) })
		yield()
		for k := range 4 {
			c.Signal()
			s.log("signal %d", k)
		}
		s.log("root ends")
	}},
	{"cond_signal_and_yield", func(s *scene) {
		m, c := newCond()
		s.children(3, func(i int) { s.condWaiter(m, c, i) })
		yield()
		for k := range 3 {
			m.Lock()
			c.Signal()
			s.log("signal %d", k)
			m.Unlock()
			yield()
			s.log("root %d", k)
		}
	}},
	// The signalled one finds the lock taken, and queues.
	{"cond_signal_then_hold_the_lock", func(s *scene) {
		m, c := newCond()
		s.children(3, func(i int) { s.condWaiter(m, c, i) })
		yield()
		m.Lock()
		c.Signal()
		c.Signal()
		s.log("signals")
		yield()
		s.log("root unlocks")
		m.Unlock()
		yield()
		c.Signal()
		s.log("root ends")
	}},
	{"cond_broadcast_with_the_lock", func(s *scene) {
		m, c := newCond()
		s.children(5, func(i int) { s.condWaiter(m, c, i) })
		yield()
		m.Lock()
		c.Broadcast()
		s.log("broadcast")
		m.Unlock()
		s.log("root ends")
	}},
	{"cond_broadcast_without_the_lock", func(s *scene) {
		m, c := newCond()
		s.children(5, func(i int) { s.condWaiter(m, c, i) })
		yield()
		c.Broadcast()
		s.log("broadcast")
	}},
	{"cond_broadcast_then_hold_the_lock", func(s *scene) {
		m, c := newCond()
		s.children(4, func(i int) { s.condWaiter(m, c, i) })
		yield()
		m.Lock()
		c.Broadcast()
		s.log("broadcast")
		yield()
		s.log("root unlocks")
		m.Unlock()
		s.log("root ends")
	}},
	// Each yields with the lock held, so that the others queue for it.
	{"cond_broadcast_waiters_yield", func(s *scene) {
		m, c := newCond()
		s.children(4, func(i int) {
			m.Lock()
			c.Wait()
			s.log("%d", i)
			yield()
			s.log("%d'", i)
			m.Unlock()
		})
		yield()
		c.Broadcast()
		s.log("broadcast")
	}},
	// A signal is for who waits; who comes later needs another.
	{"cond_late_waiter", func(s *scene) {
		m, c := newCond()
		c.Signal()
		c.Broadcast()
		s.spawn(func() { s.condWaiter(m, c, 0) })
		yield()
		c.Signal()
		s.spawn(func() { s.condWaiter(m, c, 1) })
		yield()
		yield()
		s.log("root")
		c.Signal()
	}},
	{"cond_wait_again", func(s *scene) {
		m, c := newCond()
		s.children(3, func(i int) {
			m.Lock()
			for k := range 3 {
				c.Wait()
				s.log("%d.%d", i, k)
			}
			m.Unlock()
		})
		yield()
		for k := range 9 {
			m.Lock()
			c.Signal()
			m.Unlock()
			if k%3 == 2 {
				s.log("root %d", k)
				yield()
			}
		}
	}},
	{"cond_broadcast_again", func(s *scene) {
		m, c := newCond()
		s.children(3, func(i int) {
			m.Lock()
			for k := range 2 {
				c.Wait()
				s.log("%d.%d", i, k)
			}
			m.Unlock()
		})
		yield()
		for k := range 2 {
			c.Broadcast()
			s.log("broadcast %d", k)
			yield()
		}
	}},
	// A queue of at most two: producers and consumers wait on a Cond each.
	{"cond_bounded_queue", func(s *scene) {
		var m sync.Mutex
		notEmpty, notFull := sync.NewCond(&m), sync.NewCond(&m)
		var queue []int
		s.children(2, func(i int) {
			for range 3 {
				m.Lock()
				for len(queue) == 0 {
					notEmpty.Wait()
				}
				s.log("%d took %d", i, queue[0])
				queue = queue[1:]
				notFull.Signal()
				m.Unlock()
			}
		})
		s.children(2, func(i int) {
			for k := range 3 {
				m.Lock()
				for len(queue) == 2 {
					notFull.Wait()
				}
				queue = append(queue, i*10+k)
				s.log("%d put %d", i, i*10+k)
				notEmpty.Signal()
				m.Unlock()
			}
		})
	}},
	// The one that runs takes what the signalled one was woken for; it waits again, at the end of the line.
	{"cond_signal_stolen", func(s *scene) {
		m, c := newCond()
		items := 0
		s.children(3, func(i int) {
			m.Lock()
			for items == 0 {
				s.log("%d waits", i)
				c.Wait()
			}
			items--
			s.log("%d took", i)
			m.Unlock()
		})
		yield()
		m.Lock()
		items++
		c.Signal()
		m.Unlock()
		m.Lock()
		items--
		s.log("root took")
		m.Unlock()
		yield()
		for range 3 {
			m.Lock()
			items++
			c.Signal()
			m.Unlock()
			s.log("root gave")
			yield()
		}
	}},

	// -- Mutex, when nobody starves: who runs gets it; who is woken competes, and if it loses is first in line again.

	{"mutex_nobody_waits", func(s *scene) {
		var m sync.Mutex
		s.children(4, func(i int) {
			m.Lock()
			s.log("%d has", i)
			m.Unlock()
			s.log("%d", i)
		})
	}},
	{"mutex_holders_yield", func(s *scene) {
		var m sync.Mutex
		s.children(4, func(i int) {
			s.holder(&m, fmt.Sprint(i))
			s.log("%d ends", i)
		})
	}},
	{"mutex_holders_yield_twice", func(s *scene) {
		var m sync.Mutex
		s.children(3, func(i int) {
			for k := range 2 {
				s.holder(&m, fmt.Sprintf("%d.%d", i, k))
			}
		})
	}},
	// It unlocks and locks again before the woken one runs.
	{"mutex_barging", func(s *scene) {
		var m sync.Mutex
		m.Lock()
		s.children(2, func(i int) { s.locker(&m, i) })
		yield()
		for k := range 3 {
			m.Unlock()
			m.Lock()
			s.log("root has again %d", k)
		}
		m.Unlock()
		s.log("root ends")
	}},
	// The woken one loses, and goes to the front of the line.
	{"mutex_barging_then_yield", func(s *scene) {
		var m sync.Mutex
		m.Lock()
		s.children(3, func(i int) { s.locker(&m, i) })
		yield()
		for k := range 3 {
			m.Unlock()
			m.Lock()
			s.log("root has again %d", k)
			yield()
		}
		m.Unlock()
		s.log("root ends")
	}},
	{"mutex_unlock_then_yield", func(s *scene) {
		var m sync.Mutex
		m.Lock()
		s.children(3, func(i int) { s.locker(&m, i) })
		yield()
		m.Unlock()
		s.log("unlocked")
		yield()
		s.holder(&m, "root")
	}},
	{"mutex_unlock_between_spawns", func(s *scene) {
		var m sync.Mutex
		m.Lock()
		s.children(2, func(i int) { s.locker(&m, i) })
		yield()
		s.spawn(func() { s.holder(&m, "before") })
		m.Unlock()
		s.spawn(func() { s.holder(&m, "after") })
		s.log("root ends")
	}},
	// While one that was woken has not run yet, a second unlock wakes nobody else.
	{"mutex_two_unlocks_wake_one", func(s *scene) {
		var m sync.Mutex
		m.Lock()
		s.children(3, func(i int) {
			m.Lock()
			s.log("%d has", i)
			yield()
			yield()
			s.log("%d lets go", i)
			m.Unlock()
		})
		yield()
		m.Unlock()
		m.Lock()
		m.Unlock()
		s.log("root unlocked twice")
		yield()
		s.log("root ends")
	}},
	{"mutex_try_lock", func(s *scene) {
		var m sync.Mutex
		try := func(who string) {
			got := m.TryLock()
			s.log("%s %t", who, got)
		}
		try("free")
		try("held")
		s.children(2, func(i int) { s.locker(&m, i) })
		yield()
		try("waited for")
		m.Unlock()
		try("one is woken") // barges
		yield()
		s.log("root unlocks")
		m.Unlock()
		s.spawn(func() {
			try("child")
			m.Unlock()
		})
		yield()
		s.log("root ends")
	}},
	{"mutex_two_of_them", func(s *scene) {
		var a, b sync.Mutex
		s.children(3, func(i int) {
			a.Lock()
			s.log("%d has a", i)
			yield()
			b.Lock()
			s.log("%d has both", i)
			a.Unlock()
			yield()
			s.log("%d lets go", i)
			b.Unlock()
		})
	}},
	// The holder waits for a channel's value, which one sends who needs no lock.
	{"mutex_holder_waits_for_a_value", func(s *scene) {
		var m sync.Mutex
		ch := make(chan int)
		s.children(3, func(i int) {
			m.Lock()
			s.log("%d has", i)
			s.log("%d got %s", i, recv(ch))
			m.Unlock()
		})
		s.spawn(func() {
			for k := range 3 {
				s.sender(ch, k)
			}
		})
	}},

	// -- Mutex, when somebody starves: the unlocker gives it to the first in line and makes way.

	// One waits long, is woken, loses, and so starves: the next unlock gives the lock to it. It was the only one, so
	// that is the end of it.
	{"starving_alone", func(s *scene) {
		var m sync.Mutex
		m.Lock()
		s.spawn(func() { s.locker(&m, 0) })
		yield()
		s.starve()
		m.Unlock()
		m.Lock()
		s.log("root has again")
		yield()
		s.log("root gives")
		m.Unlock()
		m.Lock()
		s.log("root has the last")
		m.Unlock()
	}},
	// All have waited long: from hand to hand, in line, until the last.
	{"starving_from_hand_to_hand", func(s *scene) {
		var m sync.Mutex
		m.Lock()
		s.children(4, func(i int) {
			s.log("%d waits", i)
			m.Lock()
			s.log("%d has", i)
			m.Unlock()
		})
		yield()
		s.starve()
		m.Unlock()
		m.Lock()
		s.log("root has again")
		yield()
		s.log("root gives")
		m.Unlock()
		m.Lock()
		s.log("root has the last")
		m.Unlock()
	}},
	// They hold it over a yield. Who comes meanwhile queues, though the lock looks free between two holders.
	{"starving_newcomers_queue", func(s *scene) {
		var m sync.Mutex
		m.Lock()
		s.children(3, func(i int) { s.holder(&m, fmt.Sprint(i)) })
		yield()
		s.starve()
		m.Unlock()
		m.Lock()
		s.log("root has again")
		yield()
		s.children(2, func(i int) { s.holder(&m, fmt.Sprintf("new %d", i)) })
		s.log("root gives")
		m.Unlock()
		m.Lock()
		s.log("root has the last")
		m.Unlock()
	}},
	// The second in line has waited for a short time only: with it the starving ends, and its unlock may be barged into.
	{"starving_ends_with_a_short_wait", func(s *scene) {
		var m sync.Mutex
		m.Lock()
		s.spawn(func() { s.holder(&m, "long") })
		yield()
		s.starve()
		s.children(2, func(i int) {
			m.Lock()
			s.log("short %d has", i)
			m.Unlock()
			m.Lock()
			s.log("short %d has again", i)
			m.Unlock()
		})
		yield()
		m.Unlock()
		m.Lock()
		s.log("root has again")
		yield()
		s.log("root gives")
		m.Unlock()
	}},
	{"starving_try_lock", func(s *scene) {
		var m sync.Mutex
		m.Lock()
		s.children(2, func(i int) { s.holder(&m, fmt.Sprint(i)) })
		yield()
		s.starve()
		m.Unlock()
		m.Lock()
		yield()
		s.spawn(func() { s.log("try %t", m.TryLock()) })
		s.log("root gives")
		m.Unlock()
		m.Lock()
		s.log("root has the last")
		m.Unlock()
	}},
	// Long waits alone change nothing: the woken one finds the lock free and takes it, and so does the next.
	{"long_waits_without_a_loss", func(s *scene) {
		var m sync.Mutex
		m.Lock()
		s.children(3, func(i int) { s.locker(&m, i) })
		yield()
		s.starve()
		m.Unlock()
		s.log("root ends")
	}},

	// -- RWMutex: readers share; a writer that waits keeps new readers out; a writer lets those in when it leaves.

	{"rw_readers_share", func(s *scene) {
		var rw sync.RWMutex
		s.children(4, func(i int) { s.reader(&rw, i) })
	}},
	{"rw_writers_only", func(s *scene) {
		var rw sync.RWMutex
		s.children(4, func(i int) { s.writer(&rw, i) })
	}},
	{"rw_writer_waits_for_readers", func(s *scene) {
		var rw sync.RWMutex
		s.spawn(func() { s.writer(&rw, 0) })
		s.children(3, func(i int) {
			rw.RLock()
			s.log("r%d in", i)
			for range i + 2 {
				yield()
			}
			s.log("r%d out", i)
			rw.RUnlock()
			s.log("r%d ends", i)
		})
		yield()
		s.log("root ends")
	}},
	{"rw_waiting_writer_keeps_readers_out", func(s *scene) {
		var rw sync.RWMutex
		rw.RLock()
		s.spawn(func() { s.writer(&rw, 0) })
		yield()
		s.children(3, func(i int) { s.reader(&rw, i) })
		yield()
		s.log("root out")
		rw.RUnlock()
		s.log("root ends")
	}},
	{"rw_writer_leaves_to_readers", func(s *scene) {
		var rw sync.RWMutex
		rw.Lock()
		s.children(4, func(i int) { s.reader(&rw, i) })
		yield()
		s.log("root out")
		rw.Unlock()
		s.log("root ends")
	}},
	// Readers and writers have queued behind a writer: all readers come in, then a writer, and so on.
	{"rw_writer_leaves_to_both", func(s *scene) {
		var rw sync.RWMutex
		rw.Lock()
		for i := range 3 {
			s.spawn(func() { s.writer(&rw, i) })
			s.spawn(func() { s.reader(&rw, i) })
		}
		yield()
		s.log("root out")
		rw.Unlock()
		s.log("root ends")
	}},
	{"rw_reader_leaves_to_both", func(s *scene) {
		var rw sync.RWMutex
		rw.RLock()
		for i := range 3 {
			s.spawn(func() { s.reader(&rw, i) })
			s.spawn(func() { s.writer(&rw, i) })
		}
		yield()
		s.log("root out")
		rw.RUnlock()
		s.log("root ends")
	}},
	{"rw_readers_then_writers_by_turns", func(s *scene) {
		var rw sync.RWMutex
		s.children(2, func(i int) {
			for range 2 {
				s.reader(&rw, i)
				s.writer(&rw, i)
			}
		})
	}},
	// A writer that leaves and comes back finds the readers in: they were let in when it left.
	{"rw_writer_comes_back", func(s *scene) {
		var rw sync.RWMutex
		rw.Lock()
		s.children(2, func(i int) { s.reader(&rw, i) })
		yield()
		rw.Unlock()
		s.log("root out")
		rw.Lock()
		s.log("root in again")
		rw.Unlock()
	}},
	// With only writers in line the one that left may come back at once: they queue for a Mutex.
	{"rw_writer_barges", func(s *scene) {
		var rw sync.RWMutex
		rw.Lock()
		s.children(2, func(i int) { s.writer(&rw, i) })
		yield()
		rw.Unlock()
		s.log("root out")
		rw.Lock()
		s.log("root in again")
		yield()
		rw.Unlock()
		s.log("root ends")
	}},
	{"rw_tries", func(s *scene) {
		var rw sync.RWMutex
		try := func(state string) {
			r := rw.TryRLock()
			if r {
				rw.RUnlock()
			}
			w := rw.TryLock()
			if w {
				rw.Unlock()
			}
			s.log("%s %t %t", state, r, w)
		}
		try("free")
		rw.RLock()
		try("read")
		s.spawn(func() { s.writer(&rw, 0) })
		yield()
		try("a writer waits")
		rw.RUnlock()
		try("a writer is woken")
		yield()
		try("written")
		yield()
		try("free again")
	}},

	// -- Once.

	{"once_waiters", func(s *scene) {
		var once sync.Once
		s.children(4, func(i int) {
			s.log("%d asks", i)
			once.Do(func() {
				s.log("%d does it", i)
				yield()
				s.log("%d did it", i)
			})
			s.log("%d ends", i)
		})
	}},
	{"once_waiters_and_latecomer", func(s *scene) {
		var once sync.Once
		do := func(i int) {
			once.Do(func() {
				s.log("%d does it", i)
				yield()
			})
			s.log("%d ends", i)
		}
		s.children(3, do)
		yield()
		s.spawn(func() { do(3) })
		s.log("root ends")
	}},
	{"once_value", func(s *scene) {
		value := sync.OnceValue(func() int {
			s.log("computes")
			yield()
			return 7
		})
		s.children(3, func(i int) { s.log("%d has %d", i, value()) })
	}},

	// -- Context.

	{"context_cancel", func(s *scene) {
		ctx, cancel := context.WithCancel(context.Background())
		s.children(4, func(i int) { s.await(ctx, fmt.Sprint(i)) })
		yield()
		cancel()
		s.log("cancelled")
		cancel()
		yield()
		s.await(ctx, "root")
	}},
	// Parent, child, grandchild: each has two who wait for it.
	{"context_cancel_the_parent", func(s *scene) {
		a, cancel := context.WithCancel(context.Background())
		b, cancelB := context.WithCancel(a)
		c, cancelC := context.WithCancel(b)
		defer cancelB()
		defer cancelC()
		s.children(2, func(i int) {
			s.spawn(func() { s.await(c, fmt.Sprintf("c%d", i)) })
			s.spawn(func() { s.await(b, fmt.Sprintf("b%d", i)) })
			s.spawn(func() { s.await(a, fmt.Sprintf("a%d", i)) })
		})
		yield()
		yield()
		cancel()
		s.log("cancelled")
	}},
	{"context_cancel_the_child", func(s *scene) {
		a, cancelA := context.WithCancel(context.Background())
		b, cancelB := context.WithCancel(a)
		s.children(2, func(i int) {
			s.spawn(func() { s.await(a, fmt.Sprintf("a%d", i)) })
			s.spawn(func() { s.await(b, fmt.Sprintf("b%d", i)) })
		})
		yield()
		yield()
		cancelB()
		s.log("cancelled b")
		yield()
		cancelA()
		s.log("cancelled a")
	}},
	{"context_child_of_a_cancelled_one", func(s *scene) {
		a, cancelA := context.WithCancel(context.Background())
		cancelA()
		b, cancelB := context.WithCancel(a)
		defer cancelB()
		s.spawn(func() { s.log("child") })
		s.await(b, "root")
	}},
	{"context_cause", func(s *scene) {
		a, cancel := context.WithCancelCause(context.Background())
		b, cancelB := context.WithCancel(a)
		defer cancelB()
		s.spawn(func() {
			<-b.Done()
			s.log("%v because of %v", b.Err(), context.Cause(b))
		})
		yield()
		cancel(errors.New("rain"))
		s.log("cancelled")
	}},
	// The function gets a goroutine of its own, after those who wait have been woken.
	{"context_after_func", func(s *scene) {
		ctx, cancel := context.WithCancel(context.Background())
		s.live++
		context.AfterFunc(ctx, func() {
			s.log("function")
			s.end()
		})
		s.children(2, func(i int) { s.await(ctx, fmt.Sprint(i)) })
		yield()
		cancel()
		s.log("cancelled")
	}},
	{"context_after_func_stopped", func(s *scene) {
		ctx, cancel := context.WithCancel(context.Background())
		stop := context.AfterFunc(ctx, func() { s.log("function") })
		s.spawn(func() { s.await(ctx, "0") })
		yield()
		s.log("stop %t", stop())
		s.log("stop %t", stop())
		cancel()
		s.log("cancelled")
		yield()
		s.log("root ends")
	}},
	{"context_or_a_value", func(s *scene) {
		ctx, cancel := context.WithCancel(context.Background())
		ch := make(chan int)
		s.children(3, func(i int) {
			for {
				select {
				case v := <-ch:
					s.log("%d got %d", i, v)
				case <-ctx.Done():
					s.log("%d %v", i, ctx.Err())
					return
				}
			}
		})
		yield()
		for k := range 4 {
			ch <- k
			s.log("sent %d", k)
		}
		yield()
		cancel()
		s.log("cancelled")
	}},
	{"context_deadline", func(s *scene) {
		ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Microsecond)
		defer cancel()
		s.children(3, func(i int) { s.await(ctx, fmt.Sprint(i)) })
		yield()
		s.pass(2 * time.Millisecond)
		s.log("root")
		s.await(ctx, "root")
	}},

	// -- Timers that are due together, when the P looks again. They fire by deadline, and who was woken last runs first.

	{"sleepers_due_together", func(s *scene) {
		s.apart(func(i int, d time.Duration) {
			time.Sleep(d)
			s.log("%d", i)
		})
		yield()
		s.pass(4 * time.Millisecond)
		s.log("root ends")
	}},
	{"after_due_together", func(s *scene) {
		s.apart(func(i int, d time.Duration) {
			<-time.After(d)
			s.log("%d", i)
		})
		yield()
		s.pass(4 * time.Millisecond)
		s.log("root yields")
		yield()
		s.log("root ends")
	}},
	{"after_func_due_together", func(s *scene) {
		s.apart(func(i int, d time.Duration) {
			s.live++
			time.AfterFunc(d, func() {
				s.log("function %d", i)
				s.end()
			})
			s.log("%d", i)
		})
		yield()
		s.pass(4 * time.Millisecond)
		s.log("root ends")
	}},
	{"sleep_or_a_value", func(s *scene) {
		ch := make(chan int)
		s.children(2, func(i int) {
			select {
			case v := <-ch:
				s.log("%d got %d", i, v)
			case <-time.After(1500 * time.Microsecond):
				s.log("%d timed out", i)
			}
		})
		yield()
		ch <- 1
		s.log("sent")
		yield()
		s.pass(2 * time.Millisecond)
		s.log("root yields")
		yield()
		s.log("root ends")
	}},
}

// member is wg.Go, counted as a goroutine of the case.
func (s *scene) member(wg *sync.WaitGroup, f func()) {
	s.live++
	wg.Go(func() {
		f()
		s.end()
	})
}

func newCond() (*sync.Mutex, *sync.Cond) {
	m := new(sync.Mutex)
	return m, sync.NewCond(m)
}

func (s *scene) condWaiter(m *sync.Mutex, c *sync.Cond, i int) {
	m.Lock()
	s.log("%d waits", i)
	c.Wait()
	s.log("%d'", i)
	m.Unlock()
}

// locker waits for the lock and lets go at once.
func (s *scene) locker(m *sync.Mutex, i int) {
	s.log("%d waits", i)
	m.Lock()
	s.log("%d has", i)
	m.Unlock()
	s.log("%d ends", i)
}

func (s *scene) reader(rw *sync.RWMutex, i int) {
	rw.RLock()
	s.log("r%d in", i)
	yield()
	s.log("r%d out", i)
	rw.RUnlock()
}

func (s *scene) writer(rw *sync.RWMutex, i int) {
	rw.Lock()
	s.log("w%d in", i)
	yield()
	s.log("w%d out", i)
	rw.Unlock()
}

func (s *scene) await(ctx context.Context, name string) {
	<-ctx.Done()
	s.log("%s %v", name, ctx.Err())
}

// apart starts four children, each with a time to wait; the times are far enough apart for a machine that has other
// things to do now and then.
func (s *scene) apart(f func(i int, d time.Duration)) {
	for i, us := range []int{2800, 1000, 3400, 1600, 2200} {
		s.spawn(func() { f(i, time.Duration(us)*time.Microsecond) })
	}
}

// play runs one case, again until the machine has let it be, and gives its log.
func play(c testCase) []string {
	for {
		s := &scene{done: make(chan struct{})}
		start := time.Now()
		s.spawn(func() { c.run(s) })
		<-s.done
		if time.Since(start) < s.passed+500*time.Microsecond && !s.sliced {
			return s.entries
		}
	}
}

func report() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Written by `go run tests/golden/sync.go`; do not edit. Each line: a case, then what it logged, in order.\n")
	fmt.Fprintf(&out, "version: %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, c := range cases {
		fmt.Fprintf(&out, "%s: %s\n", c.name, strings.Join(play(c), ", "))
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
	flag.Parse()
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	time.Sleep(5 * time.Millisecond) // let the runtime's own goroutines start and park
	out := report()
	if *runs > 0 {
		check(*runs, out)
		return
	}
	os.Stdout.Write(out)
}
