module k3s-lite.dev/components/pause

go 1.26.0
