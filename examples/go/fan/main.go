// Fan-out/fan-in on Go: the program of examples/showcase/fan/gmprt.rs.
package main

import (
	"math"
	"sync"
	"time"

	"gmprt.example/showcase/run"
)

const (
	capacity   = 100 // items that each of the two channels holds
	timedEvery = 61  // each item whose number this divides is timed
)

// item is what travels: the number, later its square, and when the producer made it, if it is timed.
type item struct {
	value uint64
	fed   time.Duration
}

// tally is what the collector adds up.
type tally struct {
	sum, count uint64
	times      *run.Latencies
}

func (t *tally) add(it item) {
	t.sum += it.value
	t.count++
	if it.fed != 0 {
		t.times.Record(time.Since(epoch) - it.fed)
	}
}

var epoch = time.Now()

func newItem(n uint64) item {
	if n%timedEvery == 0 {
		return item{n, time.Since(epoch)}
	}
	return item{n, 0}
}

// quota is how many numbers one producer sends: up to a limit, or as many as the time allows. Its goroutine has a copy, so
// that no two write to one cache line, and puts it back at its end.
type quota struct {
	limit, made uint64
	over        *run.Over // nil where only the limit counts
}

func (q *quota) next() bool {
	if q.made == q.limit || q.over != nil && q.over.IsOver() {
		return false
	}
	q.made++
	return true
}

// fan is one run: producers, workers, this goroutine.
func fan(quotas []quota, workers int, tally *tally) {
	in, out := make(chan item, capacity), make(chan item, capacity)
	var feeding, working sync.WaitGroup
	feeding.Add(len(quotas))
	working.Add(workers)
	for i := range quotas {
		go func(q quota) { defer feeding.Done(); for q.next() { in <- newItem(q.made) }; quotas[i] = q }(quotas[i])
	}
	for i := 0; i < workers; i++ {
		go func() { defer working.Done(); for it := range in { out <- item{it.value * it.value, it.fed} } }()
	}
	go func() { feeding.Wait(); close(in); working.Wait(); close(out) }()
	for it := range out { tally.add(it) }
}

func main() {
	run.Main(func(spec *run.Spec) func() *run.Outcome {
		tally := &tally{times: run.NewLatencies()}
		quotas := make([]quota, spec.Producers)
		share, rest := spec.Items/uint64(spec.Producers), spec.Items%uint64(spec.Producers)
		for i := range quotas {
			quotas[i].limit = share
			if uint64(i) < rest {
				quotas[i].limit++
			}
		}
		return func() *run.Outcome {
			over := run.After(spec.Duration())
			for i := range quotas {
				if spec.Items == 0 {
					quotas[i].limit, quotas[i].over = math.MaxUint64, over
				}
			}
			start := time.Now()
			fan(quotas, spec.Workers, tally)
			outcome := &run.Outcome{Seconds: time.Since(start).Seconds(), Operations: tally.count, Latencies: tally.times.Recorded()}
			var made, sum uint64
			for _, q := range quotas {
				made += q.made
				for i := uint64(1); i <= q.made; i++ { // 1² + 2² + … + n², modulo 2^64, as the collector's
					sum += i * i
				}
			}
			if spec.Items != 0 && made != spec.Items {
				outcome.Fail("%d items were made, %d were asked for", made, spec.Items)
			}
			if tally.count != made || tally.sum != sum {
				outcome.Fail("%d items with the sum %d came, it should be %d with %d", tally.count, tally.sum, made, sum)
			}
			return outcome
		}
	})
}
