module k3s-lite.dev/components/init

go 1.26.0
