// Token bucket on Go: the program of examples/showcase/token/gmprt.rs. The bucket is a buffered channel.
package main

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"gmprt.example/showcase/run"
)

const (
	tick       = 10 * time.Millisecond // the ticker puts one token in for each
	capacity   = 100                   // tokens that the bucket holds at most; it starts empty
	timedEvery = 61                    // in a closed loop each request of a client whose number this divides is timed
)

// refill is what the ticker puts in.
type refill struct {
	start        time.Time
	ticks, putIn uint64
	left         int // tokens in the bucket at the end
}

// until is the ticker: it puts in what each tick brings, as far as there is room, until the end. The ticks are counted
// from the start, so those that a late ticker missed give their token too.
func (r *refill) until(end <-chan struct{}, bucket chan<- struct{}) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			for ; r.ticks < uint64(now.Sub(r.start)/tick); r.ticks++ {
				select {
				case bucket <- struct{}{}:
					r.putIn++
				default: // it is full
				}
			}
		case <-end:
			r.left = len(bucket)
			return
		}
	}
}

// take takes a token if there is one.
func take(bucket <-chan struct{}) bool {
	select {
	case <-bucket:
		return true
	default:
		return false
	}
}

// schedule says when the requests of an open loop arrive: one after the other at equal distances, each at the next
// client. In a closed loop the rate is 0.
type schedule struct {
	start                   time.Time
	clients, rate, requests uint64
}

// total is what all clients counted.
type total struct{ asked, accepted, refused atomic.Uint64 }

// client is who asks, and what it was told. Its goroutine has a copy, so that no two write to one cache line.
type client struct {
	number                   int
	schedule                 schedule
	over                     *run.Over
	asked, accepted, refused uint64
	timed                    bool
	since                    time.Time // when the present request was made, or ought to have been, if it is timed
	latencies                *run.Shards
	total                    *total
}

// nextArrival is when to ask next, until the schedule is over.
func (c *client) nextArrival() (time.Time, bool) {
	s := &c.schedule
	request := c.asked*s.clients + uint64(c.number)
	if request >= s.requests {
		return time.Time{}, false
	}
	c.asked++
	c.timed, c.since = true, s.start.Add(time.Duration(request*uint64(time.Second)/s.rate))
	return c.since, true
}

// asksAgain asks, unless the time is over.
func (c *client) asksAgain() bool {
	if c.over.IsOver() {
		return false
	}
	c.asked++
	if c.timed = c.asked%timedEvery == 0; c.timed {
		c.since = time.Now()
	}
	return true
}

// decided notes the answer, and how long it took.
func (c *client) decided(accepted bool) {
	if c.timed {
		c.latencies.Record(c.number, time.Since(c.since))
	}
	if accepted {
		c.accepted++
	} else {
		c.refused++
	}
}

// end leaves what was counted with all others'.
func (c *client) end() {
	c.total.asked.Add(c.asked)
	c.total.accepted.Add(c.accepted)
	c.total.refused.Add(c.refused)
}

// serve runs a goroutine for each client, which asks as ask does. This goroutine is the ticker meanwhile.
func serve(clients []client, refill *refill, ask func(*client, chan struct{})) {
	bucket, end := make(chan struct{}, capacity), make(chan struct{})
	var asking sync.WaitGroup
	asking.Add(len(clients))
	for i := range clients {
		go func(c client) { // its own, far from the next one's
			ask(&c, bucket)
			c.end()
			asking.Done()
		}(clients[i])
	}
	go func() {
		asking.Wait()
		close(end)
	}()
	refill.until(end, bucket)
}

// open is a client in the open loop: it sleeps until its next arrival, then asks.
func open(c *client, bucket chan struct{}) {
	for arrival, ok := c.nextArrival(); ok; arrival, ok = c.nextArrival() {
		time.Sleep(time.Until(arrival))
		c.decided(take(bucket))
	}
}

// closed is a client in the closed loop: it asks again once it is answered and the others have had their turn.
func closed(c *client, bucket chan struct{}) {
	for c.asksAgain() {
		runtime.Gosched()
		c.decided(take(bucket))
	}
}

func main() {
	run.Main(func(spec *run.Spec) func() *run.Outcome {
		schedule := schedule{
			clients:  uint64(spec.Clients),
			rate:     uint64(spec.Rate),
			requests: uint64(math.Round(float64(spec.Rate) * spec.Seconds)),
		}
		total, latencies, clients := new(total), run.NewShards(), make([]client, spec.Clients)
		for i := range clients {
			clients[i].number = i // touched before memory is looked at, as in Rust
		}
		return func() *run.Outcome {
			over := run.After(spec.Duration())
			schedule.start = time.Now()
			for i := range clients {
				clients[i] = client{number: i, schedule: schedule, over: over, latencies: latencies, total: total}
			}
			refill := &refill{start: schedule.start}
			if spec.Rate == 0 {
				serve(clients, refill, closed)
			} else {
				serve(clients, refill, open)
			}
			outcome := &run.Outcome{Seconds: time.Since(schedule.start).Seconds(), Latencies: latencies.Recorded()}
			asked, accepted, refused := total.asked.Load(), total.accepted.Load(), total.refused.Load()
			outcome.Operations = asked
			outcome.Counts = map[string]uint64{"accepted": accepted, "refused": refused}
			if spec.Rate != 0 && asked != schedule.requests {
				outcome.Fail("%d requests were made, %d were scheduled", asked, schedule.requests)
			}
			if accepted+refused != asked {
				outcome.Fail("%d requests were accepted and %d refused, but %d were made", accepted, refused, asked)
			}
			if accepted > refill.putIn {
				outcome.Fail("%d requests were accepted, but only %d tokens were put in", accepted, refill.putIn)
			}
			if accepted+uint64(refill.left) != refill.putIn {
				outcome.Fail("%d tokens were put in, but %d taken and %d left", refill.putIn, accepted, refill.left)
			}
			return outcome
		}
	})
}
