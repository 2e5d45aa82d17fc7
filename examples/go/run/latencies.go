package run

import (
	"math/bits"
	"sync"
	"time"
)

// Latencies counts durations in buckets that are at most 1 % wide: below 128 ns each nanosecond has its own, above it
// each power of two is cut into 64. Its memory is taken, and touched, when it is made.
type Latencies struct{ buckets []uint64 }

// NewLatencies makes an empty one.
func NewLatencies() *Latencies {
	l := &Latencies{make([]uint64, 64*60)}
	for i := range l.buckets {
		l.buckets[i] = 1
	}
	clear(l.buckets)
	return l
}

// Record counts one duration. It never allocates.
func (l *Latencies) Record(took time.Duration) { l.buckets[bucket(uint64(max(took, 0)))]++ }

// Recorded lists nanoseconds and how many took so long, ascending.
func (l *Latencies) Recorded() [][2]uint64 {
	recorded := [][2]uint64{}
	for i, count := range l.buckets {
		if count > 0 {
			recorded = append(recorded, [2]uint64{upper(i), count})
		}
	}
	return recorded
}

// bucket is the index of the bucket that holds ns.
func bucket(ns uint64) int {
	if ns < 128 {
		return int(ns)
	}
	shift := bits.Len64(ns) - 7 // leaves 64..127
	return shift*64 + int(ns>>shift)
}

// upper is the largest value of a bucket.
func upper(i int) uint64 {
	if i < 128 {
		return uint64(i)
	}
	shift := i/64 - 1
	return (uint64(i%64+64)+1)<<shift - 1
}

// Shards are Latencies that thousands of goroutines record in at once, in whichever shard is free, from n mod 16 on.
type Shards [16]struct {
	mu sync.Mutex
	*Latencies
}

// NewShards makes empty ones.
func NewShards() *Shards {
	s := new(Shards)
	for i := range s {
		s[i].Latencies = NewLatencies()
	}
	return s
}

// Record counts one duration of a goroutine.
func (s *Shards) Record(goroutine int, took time.Duration) {
	for i := goroutine; ; i++ {
		shard := &s[i%len(s)]
		if shard.mu.TryLock() {
			shard.Latencies.Record(took)
			shard.mu.Unlock()
			return
		}
	}
}

// Recorded lists nanoseconds and how many took so long, of all goroutines, ascending.
func (s *Shards) Recorded() [][2]uint64 {
	all := NewLatencies()
	for i := range s {
		for j, count := range s[i].buckets {
			all.buckets[j] += count
		}
	}
	return all.Recorded()
}
