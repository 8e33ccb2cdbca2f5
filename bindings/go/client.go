package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"context"
	"encoding/json"
	"time"
)

// Client talks to registries: connections, tokens and counters that its calls share.
type Client struct {
	h handle[*C.parb_client]
}

// ClientOption says how a client is to be.
type ClientOption func(*clientSettings)

type clientSettings struct {
	arena
	c *C.parb_client_options
}

// WithKeychain says where credentials come from; without it, [DefaultKeychain].
func WithKeychain(keychain Keychain) ClientOption {
	return func(s *clientSettings) {
		c := keychain.make(&s.arena)
		C.parb_client_options_set_keychain(s.c, c)
		C.parb_keychain_free(c)
	}
}

// WithUserAgent sets what stands first in the User-Agent header; "parbuckle/VERSION" follows it.
func WithUserAgent(text string) ClientOption {
	return func(s *clientSettings) {
		C.parb_client_options_set_user_agent(s.c, s.text("user agent", text))
	}
}

// WithCAFile trusts the certificates of a PEM file besides the system's.
func WithCAFile(path string) ClientOption {
	return func(s *clientSettings) { C.parb_client_options_add_ca_file(s.c, s.text("path", path)) }
}

// WithCA trusts certificates given as PEM text besides the system's.
func WithCA(pem string) ClientOption {
	return func(s *clientSettings) { C.parb_client_options_add_ca_pem(s.c, s.text("pem", pem)) }
}

// WithPlainHTTP speaks to one registry (host, or host:port) without TLS. Loopback names need no listing; a private
// address that is listed is still asked by TLS first.
func WithPlainHTTP(registry string) ClientOption {
	return func(s *clientSettings) {
		C.parb_client_options_add_plain_http(s.c, s.text("registry", registry))
	}
}

// WithTimeouts says how long to wait for a connection (10 s without it), for an answer's first byte (30 s), and for the
// next byte of a body (30 s).
func WithTimeouts(connect, firstByte, idle time.Duration) ClientOption {
	return func(s *clientSettings) {
		C.parb_client_options_set_timeouts_ms(s.c, millis(connect), millis(firstByte), millis(idle))
	}
}

// WithRetry says how often a request is tried at most (5 without it), and how long to wait before the second try
// (250 ms); the delay doubles from try to try. What a registry asks for (Retry-After, up to a minute) goes before.
func WithRetry(attempts int, firstDelay time.Duration) ClientOption {
	return func(s *clientSettings) {
		attempts := max(0, min(attempts, 1<<16)) // stays out of range where it is
		C.parb_client_options_set_retry(s.c, C.uint32_t(attempts), millis(firstDelay))
	}
}

// NewClient makes a client. It reads the environment, and the files it and the options name, and opens no connection.
func NewClient(options ...ClientOption) (*Client, error) {
	if err := checkVersion(); err != nil {
		return nil, err
	}
	s := &clientSettings{c: C.parb_client_options_new()}
	defer s.free()
	defer C.parb_client_options_free(s.c)
	for _, option := range options {
		option(s)
	}
	if s.err != nil {
		return nil, s.err
	}
	var p *C.parb_client
	if e := C.parb_client_new(s.c, &p); e != nil {
		return nil, failure(context.Background(), e)
	}
	client := &Client{}
	client.h.own(p, "client", func(p *C.parb_client) { C.parb_client_free(p) })
	return client, nil
}

// Close ends everything that runs on the client, and waits until it is gone. Afterwards the client, and values made
// through it where they need the network, answer [InvalidState]. If ctx ends first, everything is ending all the same,
// and calling again waits on. Closing a closed client is fine.
func (c *Client) Close(ctx context.Context) error {
	p, err := c.h.acquire()
	if err != nil {
		return nil
	}
	bound, release := bind(ctx)
	err = failure(ctx, C.parb_client_close(p, bound))
	release()
	c.h.release()
	if err == nil {
		c.h.close()
	}
	return err
}

// Resolve tells what a reference names; with [WithPlatform], the image for it in an index.
func (c *Client) Resolve(ctx context.Context, reference string, options ...Option) (*Descriptor, error) {
	return lookUp(ctx, c, reference, options, func(s *settings, p *C.parb_client, r *C.parb_ref, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_resolve_start(p, r, s.c, bound, op)
	}, takeDescriptor, newDescriptor)
}

// Pull gives the image that a reference names; of an index, the one for [WithPlatform] (linux/amd64 without it). Its
// manifest is fetched and verified now, its config and layers when they are asked for.
func (c *Client) Pull(ctx context.Context, reference string, options ...Option) (*Image, error) {
	return lookUp(ctx, c, reference, options, func(s *settings, p *C.parb_client, r *C.parb_ref, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_pull_start(p, r, s.c, bound, op)
	}, takeImage, newImage)
}

// PullIndex gives the index that a reference names.
func (c *Client) PullIndex(ctx context.Context, reference string, options ...Option) (*Index, error) {
	return lookUp(ctx, c, reference, options, func(s *settings, p *C.parb_client, r *C.parb_ref, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_pull_index_start(p, r, s.c, bound, op)
	}, takeIndex, newIndex)
}

func lookUp[P, T any](
	ctx context.Context,
	c *Client,
	reference string,
	options []Option,
	start func(*settings, *C.parb_client, *C.parb_ref, *C.parb_ctx, **C.parb_op) *C.parb_error,
	take func(*C.parb_op, *P) *C.parb_error,
	wrap func(P) *T,
) (*T, error) {
	s, r, err := newCall(reference, options)
	if err != nil {
		return nil, err
	}
	defer s.free()
	return call(ctx, s, on(&c.h, func(p *C.parb_client, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return start(s, p, r, bound, op)
	}), take, wrap)
}

// Push puts an image where the reference says: first the blobs that the repository lacks, each once, then the
// manifest; the tag moves last.
func (c *Client) Push(ctx context.Context, reference string, image *Image, options ...Option) error {
	return send(ctx, c, reference, &image.h, options, func(s *settings, p *C.parb_client, r *C.parb_ref, i *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_push_start(p, r, i, s.c, bound, op)
	})
}

// PushIndex puts an index, and everything below it, where the reference says.
func (c *Client) PushIndex(ctx context.Context, reference string, index *Index, options ...Option) error {
	return send(ctx, c, reference, &index.h, options, func(s *settings, p *C.parb_client, r *C.parb_ref, i *C.parb_index, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_push_index_start(p, r, i, s.c, bound, op)
	})
}

// PushLayer makes sure that a layer's blob is in a repository; the reference's tag plays no part.
func (c *Client) PushLayer(ctx context.Context, repository string, layer *Layer, options ...Option) error {
	return send(ctx, c, repository, &layer.h, options, func(s *settings, p *C.parb_client, r *C.parb_ref, l *C.parb_layer, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_push_layer_start(p, r, l, s.c, bound, op)
	})
}

func send[P comparable](
	ctx context.Context,
	c *Client,
	reference string,
	what *handle[P],
	options []Option,
	start func(*settings, *C.parb_client, *C.parb_ref, P, *C.parb_ctx, **C.parb_op) *C.parb_error,
) error {
	s, r, err := newCall(reference, options)
	if err != nil {
		return err
	}
	defer s.free()
	return do(ctx, s, func(bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) {
		value, err := what.acquire()
		if err != nil {
			return nil, err
		}
		defer what.release()
		return on(&c.h, func(p *C.parb_client, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
			return start(s, p, r, value, bound, op)
		})(bound, op)
	})
}

// Stats is what a client has done so far, in bytes unless it says otherwise.
type Stats struct {
	CompressIn      uint64 `json:"compress_in"`      // into compressors: each byte of a plain tar once
	CompressOut     uint64 `json:"compress_out"`     // out of compressors
	CompressThreads uint64 `json:"compress_threads"` // threads that compressed
	HashBytes       uint64 `json:"hash_bytes"`       // hashed, for whatever digest
	InflateIn       uint64 `json:"inflate_in"`       // into decompressors
	InflateOut      uint64 `json:"inflate_out"`      // out of decompressors
	SpoolBytes      uint64 `json:"spool_bytes"`      // written to temporary files
	Uploaded        uint64 `json:"uploaded"`         // of request bodies
	Downloaded      uint64 `json:"downloaded"`       // of response bodies
	Requests        uint64 `json:"requests"`         // HTTP requests
	Retries         uint64 `json:"retries"`          // requests among them that repeat one that failed
}

// Stats tells what the client has done so far.
func (c *Client) Stats() (Stats, error) {
	var stats Stats
	p, err := c.h.acquire()
	if err != nil {
		return stats, err
	}
	defer c.h.release()
	var buf *C.parb_buf
	if e := C.parb_client_stats(p, &buf); e != nil {
		return stats, failure(context.Background(), e)
	}
	err = json.Unmarshal(goBuf(buf), &stats)
	return stats, err
}

// newCall is what most calls on a client need in C: options and a reference, freed with them.
func newCall(reference string, options []Option) (*settings, *C.parb_ref, error) {
	s := newSettings(options)
	if s.err != nil {
		s.free()
		return nil, nil, s.err
	}
	r, err := s.reference(reference)
	if err != nil {
		s.free()
		return nil, nil, err
	}
	return s, r, nil
}

func millis(d time.Duration) C.int64_t { return C.int64_t(d.Milliseconds()) }
