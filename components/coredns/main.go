// Package main is CoreDNS with its usual plugins, the cluster's DNS server.
package main

import (
	_ "github.com/coredns/coredns/core/plugin" // registers the plugins
	"github.com/coredns/coredns/coremain"
)

func main() { coremain.Run() }
