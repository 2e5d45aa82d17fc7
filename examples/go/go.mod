module gmprt.example/showcase

go 1.23
