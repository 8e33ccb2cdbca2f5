package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// Server is a registry that serves in this process until it is stopped or closed.
type Server struct {
	h handle[*C.parb_server]
}

// ServerOption says how a registry server is to be.
type ServerOption func(*serverSettings)

type serverSettings struct {
	arena
	c *C.parb_server_options
}

// ServeAt says where to listen, IP:PORT; without it, at a free port of 127.0.0.1.
func ServeAt(address string) ServerOption {
	return func(s *serverSettings) { C.parb_server_options_set_address(s.c, s.text("address", address)) }
}

// ServeFromDir keeps everything in a directory, which is made if need be, instead of in memory.
func ServeFromDir(path string) ServerOption {
	return func(s *serverSettings) { C.parb_server_options_set_storage_dir(s.c, s.text("path", path)) }
}

// ServeUser lets a user in, by basic authentication, and nobody without.
func ServeUser(user, password string) ServerOption {
	return func(s *serverSettings) {
		C.parb_server_options_add_user(s.c, s.text("user", user), s.text("password", password))
	}
}

// ServeTokens has the users show tokens, which the server itself gives them for their passwords, good for so long: a
// second or more.
func ServeTokens(expiresIn time.Duration) ServerOption {
	return func(s *serverSettings) {
		C.parb_server_options_set_token_auth(s.c, C.int64_t(expiresIn/time.Second))
	}
}

// ServeAnonymousReads lets everybody read; only users write.
func ServeAnonymousReads() ServerOption {
	return func(s *serverSettings) { C.parb_server_options_set_anonymous_read(s.c) }
}

// ServeTLS serves by TLS with this certificate and key, both PEM files.
func ServeTLS(certPath, keyPath string) ServerOption {
	return func(s *serverSettings) {
		C.parb_server_options_set_tls_files(s.c, s.text("certificate", certPath), s.text("key", keyPath))
	}
}

// ServeTestTLS serves by TLS with a certificate for this name (and localhost) from an authority made for the occasion,
// which [Server.CA] gives.
func ServeTestTLS(domain string) ServerOption {
	return func(s *serverSettings) { C.parb_server_options_set_tls_domain(s.c, s.text("domain", domain)) }
}

// ServeFault has the server do something wrong, for tests of clients. The method may be "*", and so may parts of the
// path; nth says which of the requests that fit, from 1, or 0 for all of them. Faults are "reset@50%", "stall",
// "truncate", "wrong-digest", "drop-reply", "delay=MS", "401 expired", "429 retry-after=1", "500", "503", "status=NNN".
func ServeFault(method, path string, nth int, fault string) ServerOption {
	return func(s *serverSettings) {
		if nth < 0 || nth > 1<<30 {
			s.fail(newError(InvalidArgument, "nth is out of range"))
		}
		C.parb_server_options_add_fault(s.c, s.text("method", method), s.text("path", path), C.uint32_t(nth), s.text("fault", fault))
	}
}

// Serve starts a registry, in memory unless an option says otherwise. It serves when this returns. ctx bounds the start
// only.
func Serve(ctx context.Context, options ...ServerOption) (*Server, error) {
	if err := checkVersion(); err != nil {
		return nil, err
	}
	s := &serverSettings{c: C.parb_server_options_new()}
	defer s.free()
	defer C.parb_server_options_free(s.c)
	for _, option := range options {
		option(s)
	}
	if s.err != nil {
		return nil, s.err
	}
	bound, release := bind(ctx)
	defer release()
	var p *C.parb_server
	if e := C.parb_serve(s.c, bound, &p); e != nil {
		return nil, failure(ctx, e)
	}
	server := &Server{}
	server.h.own(p, "server", func(p *C.parb_server) { C.parb_server_free(p) })
	return server, nil
}

// URL is where the server is, such as "http://127.0.0.1:5000".
func (s *Server) URL() string {
	return get(&s.h, func(p *C.parb_server) string { return C.GoString(C.parb_server_url(p)) })
}

// Registry is the server's host and port, as references begin with them.
func (s *Server) Registry() string {
	_, registry, _ := strings.Cut(s.URL(), "://")
	return registry
}

// CA is the certificate of the server's own authority, in PEM, for [WithCA]; "" where it has none.
func (s *Server) CA() string {
	return get(&s.h, func(p *C.parb_server) string { return C.GoString(C.parb_server_ca_pem(p)) })
}

// Request is one of the requests that a server got.
type Request struct {
	N         uint64  `json:"n"`
	Method    string  `json:"method"`
	Path      string  `json:"path"`
	Query     string  `json:"query"`
	Status    int     `json:"status"`   // 0 until the answer begins, and where none ever did
	Sent      uint64  `json:"sent"`     // bytes of the answer's body
	Received  uint64  `json:"received"` // bytes of the request's body
	UserAgent string  `json:"user_agent"`
	Fault     string  `json:"fault"` // the fault that was played on it
	Error     string  `json:"error"` // a failure of the server itself
	MS        float64 `json:"ms"`
	Running   bool    `json:"running"`
}

// Requests are the requests so far, oldest first. Only so many of the latest are kept.
func (s *Server) Requests() ([]Request, error) {
	p, err := s.h.acquire()
	if err != nil {
		return nil, err
	}
	defer s.h.release()
	var lines *C.parb_strings
	if e := C.parb_server_requests(p, &lines); e != nil {
		return nil, failure(context.Background(), e)
	}
	defer C.parb_strings_free(lines)
	requests := make([]Request, int(C.parb_strings_count(lines)))
	for i, line := range goStrings(lines) {
		if err := json.Unmarshal([]byte(line), &requests[i]); err != nil {
			return nil, err
		}
	}
	return requests, nil
}

// Stop stops taking requests and waits until those that run are done, or ctx ends. The server is still to be closed.
func (s *Server) Stop(ctx context.Context) error {
	p, err := s.h.acquire()
	if err != nil {
		return err
	}
	defer s.h.release()
	bound, release := bind(ctx)
	defer release()
	return failure(ctx, C.parb_server_stop(p, bound))
}

// Close stops the server without waiting for requests. What lay in memory is gone.
func (s *Server) Close() error {
	s.h.close()
	return nil
}
