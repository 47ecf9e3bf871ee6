module k3s-lite.local/bench

go 1.24
