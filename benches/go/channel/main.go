// The workloads of benches/channel/workloads.rs that Go has a counterpart of, under the same names.
//
//	channel                      each workload: its name and nanoseconds an operation
//	channel -times N NAME        N operations of the one, after a quarter as many to warm up
//	channel -list                the names
package main

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"time"
)

type cell struct {
	name string
	run  func(times int)
}

var cells = []cell{
	{"ping-pong cap 0", func(n int) { pingPong(n, 0) }},
	{"ping-pong cap 1", func(n int) { pingPong(n, 1) }},
	{"ping-pong cap 100", func(n int) { pingPong(n, 100) }},
	{"stream 1:1 cap 0", func(n int) { stream(n, 1, 1, 0) }},
	{"stream 1:1 cap 1", func(n int) { stream(n, 1, 1, 1) }},
	{"stream 1:1 cap 100", func(n int) { stream(n, 1, 1, 100) }},
	{"stream 4:1 cap 0", func(n int) { stream(n, 4, 1, 0) }},
	{"stream 4:1 cap 1", func(n int) { stream(n, 4, 1, 1) }},
	{"stream 4:1 cap 100", func(n int) { stream(n, 4, 1, 100) }},
	{"stream 64:1 cap 100", func(n int) { stream(n, 64, 1, 100) }},
	{"stream 4:4 cap 0", func(n int) { stream(n, 4, 4, 0) }},
	{"stream 4:4 cap 1", func(n int) { stream(n, 4, 4, 1) }},
	{"stream 4:4 cap 100", func(n int) { stream(n, 4, 4, 100) }},
	{"stream 64:64 cap 100", func(n int) { stream(n, 64, 64, 100) }},
	{"1000 items 4 workers", workers},
}

func pingPong(times, capacity int) {
	ping, pong := make(chan uint64, capacity), make(chan uint64, capacity)
	var ended sync.WaitGroup
	ended.Add(2)
	go func() {
		defer ended.Done()
		for value := range ping {
			pong <- value
		}
	}()
	go func() {
		defer ended.Done()
		for n := range uint64(times) {
			ping <- n
			if <-pong != n {
				panic("another value came back")
			}
		}
		close(ping)
	}()
	ended.Wait()
}

func stream(times, senders, receivers, capacity int) {
	values := make(chan uint64, capacity)
	share := (times + senders - 1) / senders
	var sent, received sync.WaitGroup
	received.Add(receivers)
	for range receivers {
		go func() {
			defer received.Done()
			for range values {
			}
		}()
	}
	sent.Add(senders)
	for range senders {
		go func() {
			defer sent.Done()
			for n := range uint64(share) {
				values <- n
			}
		}()
	}
	sent.Wait()
	close(values)
	received.Wait()
}

func workers(times int) {
	const items, count = 1000, 4
	for range times {
		jobs, results := make(chan uint64, 100), make(chan uint64, 100)
		for range count {
			go func() {
				for item := range jobs {
					results <- item * 2
				}
			}()
		}
		go func() {
			for item := range uint64(items) {
				jobs <- item
			}
			close(jobs)
		}()
		sum := uint64(0)
		for range items {
			sum += <-results
		}
		if sum != items*(items-1) {
			panic("another sum")
		}
	}
}

func measure(run func(int), times int) float64 {
	run(max(times/4, 1))
	begun := time.Now()
	run(times)
	return float64(time.Since(begun).Nanoseconds()) / float64(times)
}

// fill says how many operations take some 20 ms.
func fill(run func(int)) int {
	for times := 64; ; times *= 4 {
		begun := time.Now()
		run(times)
		if took := time.Since(begun); took > 4*time.Millisecond {
			return max(1, int(float64(times)*0.02/took.Seconds()))
		}
	}
}

func main() {
	list := flag.Bool("list", false, "print the names of the workloads")
	times := flag.Int("times", 0, "how many operations")
	flag.Parse()
	found := false
	for _, c := range cells {
		if flag.NArg() > 0 && flag.Arg(0) != c.name {
			continue
		}
		found = true
		if *list {
			fmt.Println(c.name)
			continue
		}
		n := *times
		if n <= 0 {
			n = fill(c.run)
		}
		fmt.Printf("%s %.2f\n", c.name, measure(c.run, n))
	}
	if !found {
		fmt.Fprintf(os.Stderr, "no workload is named %q\n", flag.Arg(0))
		os.Exit(2)
	}
}
