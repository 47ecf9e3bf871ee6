package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Check is one question that is asked every Spec.IntervalUs until the answer is yes.
type Check struct {
	Name          string
	Kind          string // http(s): GET Url is 200 · cri: RuntimeService.Version on the socket Url
	Url           string
	Ca, Cert, Key string
}

// NodeCheck asks for the condition Ready and, from then on, tries to make Pod and waits for Running.
type NodeCheck struct {
	Check
	Node string
	Pod  json.RawMessage // made in the namespace default; null: none
}

// look asks all questions at once, each on a connection of its own that is kept.
func look(spec Spec, seen *sightings, stop chan struct{}) {
	pause := time.Duration(spec.IntervalUs) * time.Microsecond
	until := func(attempt func() bool) bool {
		for !attempt() {
			select {
			case <-stop:
				return false
			case <-time.After(pause):
			}
		}
		return true
	}
	for _, c := range spec.Checks {
		go func() {
			client := &lazyClient{Check: c}
			if until(client.isReady) {
				seen.note(c.Name, now())
			}
		}()
	}
	if spec.Node != nil {
		go lookAtNode(*spec.Node, seen, until)
	}
}

func lookAtNode(node NodeCheck, seen *sightings, until func(func() bool) bool) {
	api := &lazyClient{Check: node.Check}
	var answer struct {
		Status struct {
			Phase      string
			Conditions []struct{ Type, Status string }
		}
	}
	get := func(path string) bool {
		answer.Status.Phase, answer.Status.Conditions = "", nil
		code, body := api.do("GET", node.Url+path, nil)
		if strings.Contains(path, "/pods/") {
			seen.Lock()
			seen.lastPod = string(body)
			seen.Unlock()
		}
		return code == 200 && json.Unmarshal(body, &answer) == nil
	}
	has := func(condition string) bool {
		for _, c := range answer.Status.Conditions {
			if c.Type == condition && c.Status == "True" {
				return true
			}
		}
		return false
	}
	if !until(func() bool { return get("/api/v1/nodes/"+node.Node) && has("Ready") }) {
		return
	}
	seen.note("node", now())
	if string(node.Pod) == "null" || len(node.Pod) == 0 {
		return
	}
	pods := "/api/v1/namespaces/default/pods"
	if !until(func() bool {
		code, body := api.do("POST", node.Url+pods, node.Pod)
		seen.Lock()
		seen.lastPod = string(body)
		seen.Unlock()
		// 409: it was made by a request whose answer came too late.
		return code == 201 || code == 409
	}) {
		return
	}
	seen.note("pod-made", now())
	var meta struct{ Metadata struct{ Name string } }
	check(json.Unmarshal(node.Pod, &meta))
	if until(func() bool {
		return get(pods+"/"+meta.Metadata.Name) && answer.Status.Phase == "Running" && has("Ready")
	}) {
		seen.note("pod", now())
	}
}

// lazyClient waits for its certificates, which the arm may have yet to write.
type lazyClient struct {
	Check
	client *http.Client
}

func (l *lazyClient) isReady() bool {
	if l.Kind != "cri" {
		code, _ := l.do("GET", l.Url, nil)
		return code == 200
	}
	// A gRPC call with an empty message: VersionRequest needs no field.
	code, _ := l.do("POST", "http://cri/runtime.v1.RuntimeService/Version", make([]byte, 5))
	return code == 200
}

func (l *lazyClient) do(method, url string, body []byte) (int, []byte) {
	if l.client == nil {
		l.client = l.connect()
	}
	if l.client == nil {
		return 0, nil
	}
	context, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(context, method, url, bytes.NewReader(body))
	check(err)
	request.Header.Set("Content-Type", "application/json")
	if l.Kind == "cri" {
		request.Header.Set("Content-Type", "application/grpc")
		request.Header.Set("TE", "trailers")
	}
	response, err := l.client.Do(request)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil
	}
	if l.Kind == "cri" && response.Trailer.Get("Grpc-Status") != "0" {
		return 0, nil
	}
	return response.StatusCode, answer
}

func (l *lazyClient) connect() *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}
	if l.Kind == "cri" {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			// The folder is named after the data directory: any.
			found, _ := filepath.Glob(l.Url)
			if len(found) == 0 {
				return nil, os.ErrNotExist
			}
			return new(net.Dialer).DialContext(ctx, "unix", found[0])
		}
	}
	if strings.HasPrefix(l.Url, "https:") {
		authority, err := os.ReadFile(l.Ca)
		if err != nil {
			return nil
		}
		config := &tls.Config{RootCAs: x509.NewCertPool()}
		if !config.RootCAs.AppendCertsFromPEM(authority) {
			return nil
		}
		if l.Cert != "" {
			pair, err := tls.LoadX509KeyPair(l.Cert, l.Key)
			if err != nil {
				return nil
			}
			config.Certificates = []tls.Certificate{pair}
		}
		transport.TLSClientConfig = config
	}
	return &http.Client{Transport: transport}
}
