package run

import "testing"

func TestEachBucketHoldsItsValuesAndIsNarrow(t *testing.T) {
	for ns := uint64(0); ns < 1<<62; ns = ns + 1 + ns/50 {
		i := bucket(ns)
		if up := upper(i); up < ns || up-ns > ns/64+1 || bucket(up) != i || bucket(up+1) != i+1 {
			t.Fatalf("%d ns: bucket %d up to %d", ns, i, up)
		}
	}
}
