module gmprt.dev/bench/channel

go 1.22
