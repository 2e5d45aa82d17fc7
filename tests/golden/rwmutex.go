// In which order Go's sync.RWMutex lets readers and writers in, with one P. tests/rwlock.rs plays the same cases on
// gmprt, and compares with tests/golden/rwmutex.txt.
//
//	go run tests/golden/rwmutex.go > tests/golden/rwmutex.txt    writes the expected lists
//	go run tests/golden/rwmutex.go -check 200                    plays each case 200 times; 9 of 10 must agree
//
// A case begins with the lock held. Goroutines come in the given order, each at once after the one before it has come:
// the starter yields after each `go`, so that the goroutine runs until it waits. `r0` is a reader, `w1` a writer; each
// logs its name while it has the lock, yields with the lock held, and unlocks. Then the holder unlocks.
//
// Yielding is goyield (to the tail of the P's own queue), as gmprt's `yield_now` is.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	_ "unsafe" // for go:linkname
)

//go:linkname goyield runtime.goyield
func goyield()

type scene struct {
	rw   sync.RWMutex
	log  []string
	wait sync.WaitGroup
}

// come starts readers and writers in that order. With `hold` each yields while it has the lock.
func (s *scene) come(names string, hold bool) {
	for _, name := range strings.Fields(names) {
		s.wait.Go(func() {
			if name[0] == 'r' {
				s.rw.RLock()
				defer s.rw.RUnlock()
			} else {
				s.rw.Lock()
				defer s.rw.Unlock()
			}
			s.log = append(s.log, name)
			if hold {
				goyield()
				s.log = append(s.log, name+"'")
			}
		})
		goyield()
	}
}

type testCase struct {
	name string
	run  func(s *scene)
}

func heldBy(writer bool, readers int, names string, hold bool) func(*scene) {
	return func(s *scene) {
		if writer {
			s.rw.Lock()
		}
		for range readers {
			s.rw.RLock()
		}
		s.come(names, hold)
		s.log = append(s.log, "unlock")
		if writer {
			s.rw.Unlock()
		}
		for range readers {
			s.rw.RUnlock()
		}
		s.log = append(s.log, "unlocked")
	}
}

var cases = []testCase{
	{"writer_then_readers", heldBy(true, 0, "r0 r1 r2 r3 r4", false)},
	{"writer_then_readers_that_hold", heldBy(true, 0, "r0 r1 r2 r3 r4", true)},
	{"writer_then_writers", heldBy(true, 0, "w0 w1 w2 w3", false)},
	{"writer_then_writers_that_hold", heldBy(true, 0, "w0 w1 w2 w3", true)},
	{"writer_then_both", heldBy(true, 0, "r0 w0 r1 w1 r2", false)},
	{"writer_then_both_that_hold", heldBy(true, 0, "r0 w0 r1 w1 r2", true)},
	{"writer_then_writers_first", heldBy(true, 0, "w0 w1 r0 r1", false)},
	{"writer_then_writers_first_that_hold", heldBy(true, 0, "w0 w1 r0 r1", true)},
	{"reader_then_writer", heldBy(false, 1, "w0", false)},
	{"reader_then_both", heldBy(false, 1, "w0 r0 r1 w1 r2", false)},
	{"reader_then_both_that_hold", heldBy(false, 1, "w0 r0 r1 w1 r2", true)},
	{"two_readers_then_both", heldBy(false, 2, "r0 w0 r1 w1 r2 w2", true)},
	{"two_readers_then_writers", heldBy(false, 2, "w0 w1 w2", false)},
	{"many_readers", heldBy(true, 0, "r0 r1 r2 r3 r4 r5 r6 r7 r8 r9 w0 r10 r11 r12 r13 r14 r15 r16 r17 r18 r19", false)},

	// A writer that unlocks and locks again gets past the one that it has woken.
	{"a_running_writer_gets_past", func(s *scene) {
		s.rw.Lock()
		s.come("w0 w1", false)
		for i := range 3 {
			s.log = append(s.log, fmt.Sprint("unlock ", i))
			s.rw.Unlock()
			s.rw.Lock()
		}
		s.log = append(s.log, "yield")
		goyield()
		s.log = append(s.log, "unlock")
		s.rw.Unlock()
		goyield()
		s.rw.Lock()
		s.log = append(s.log, "locked")
		s.rw.Unlock()
	}},
	// It does not get past readers: they have the lock as soon as it unlocks.
	{"a_running_writer_waits_for_readers", func(s *scene) {
		s.rw.Lock()
		s.come("r0 w0 r1", true)
		s.log = append(s.log, "unlock")
		s.rw.Unlock()
		s.rw.Lock()
		s.log = append(s.log, "locked")
		s.rw.Unlock()
	}},
	// A reader that comes while a writer waits for readers waits for that writer.
	{"a_late_reader_waits", func(s *scene) {
		s.rw.RLock()
		s.come("w0", true)
		s.log = append(s.log, fmt.Sprint("try ", s.rw.TryRLock()))
		s.come("r0 r1", true)
		s.rw.RUnlock()
		s.come("r2", true)
	}},
}

func play(c testCase) string {
	s := new(scene)
	done := make(chan struct{})
	go func() {
		c.run(s)
		s.wait.Wait()
		close(done)
	}()
	<-done
	return c.name + ": " + strings.Join(s.log, ", ")
}

func main() {
	check := flag.Int("check", 0, "play each case so often, and compare")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	if *check == 0 {
		fmt.Println("# Written by `go run tests/golden/rwmutex.go`; do not edit. Each line: a case, then what it logged, in order.")
		fmt.Println("version:", runtime.Version())
	}
	for _, c := range cases {
		plays := map[string]int{}
		for range max(*check, 1) {
			plays[play(c)]++
		}
		for order, times := range plays {
			if *check == 0 {
				fmt.Println(order)
			} else if times*10 >= *check && times*10 < *check*9 {
				// Now and then the monitor thread asks a goroutine whose time slice is over to make way: a rare order is no
				// failure, but a second frequent one, or none, is.
				fmt.Printf("%d of %d: %s\n", times, *check, order)
				defer os.Exit(1)
			}
		}
	}
}
