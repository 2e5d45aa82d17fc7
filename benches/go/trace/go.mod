module gmprt.dev/bench/trace

go 1.22
