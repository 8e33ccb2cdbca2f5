package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"context"
	"time"
)

// Config is an image's config. It never changes; a [Builder] makes images with others.
type Config struct {
	h handle[*C.parb_config]
}

func newConfig(p *C.parb_config) *Config {
	config := &Config{}
	config.h.own(p, "config", func(p *C.parb_config) { C.parb_config_free(p) })
	return config
}

func takeConfig(op *C.parb_op, out **C.parb_config) *C.parb_error {
	return C.parb_op_take_config(op, out)
}

// ParseConfig reads a config, for [Builder.SetConfig].
func ParseConfig(json []byte) (*Config, error) {
	var p *C.parb_config
	if e := C.parb_config_parse(bytesAt(json), C.size_t(len(json)), nil, &p); e != nil {
		return nil, failure(context.Background(), e)
	}
	return newConfig(p), nil
}

// JSON is a copy of the config's exact bytes.
func (c *Config) JSON() []byte {
	return get(&c.h, func(p *C.parb_config) []byte {
		var n C.size_t
		data := C.parb_config_json(p, &n)
		return goBytes(data, n)
	})
}

// Platform is what the image runs on, such as "linux/arm64/v8"; "" where that is not said.
func (c *Config) Platform() string {
	return c.text(func(p *C.parb_config) *C.char { return C.parb_config_platform(p) })
}

// Created is when the image was made; the zero time where that is not said.
func (c *Config) Created() time.Time {
	text := c.text(func(p *C.parb_config) *C.char { return C.parb_config_created(p) })
	created, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{} // none: the library admits no config with another text
	}
	return created
}

// User is the user; "" where there is none.
func (c *Config) User() string {
	return c.text(func(p *C.parb_config) *C.char { return C.parb_config_user(p) })
}

// WorkingDir is the working directory; "" where there is none.
func (c *Config) WorkingDir() string {
	return c.text(func(p *C.parb_config) *C.char { return C.parb_config_working_dir(p) })
}

// StopSignal is the stop signal; "" where there is none.
func (c *Config) StopSignal() string {
	return c.text(func(p *C.parb_config) *C.char { return C.parb_config_stop_signal(p) })
}

// Entrypoint is the entry point; nil where there is none.
func (c *Config) Entrypoint() []string {
	return c.list(func(p *C.parb_config) *C.parb_strings { return C.parb_config_entrypoint(p) })
}

// Cmd is the command; nil where there is none.
func (c *Config) Cmd() []string {
	return c.list(func(p *C.parb_config) *C.parb_strings { return C.parb_config_cmd(p) })
}

// Env is the environment, each entry "NAME=VALUE".
func (c *Config) Env() []string {
	return c.list(func(p *C.parb_config) *C.parb_strings { return C.parb_config_env(p) })
}

// LookupEnv is one variable's value, and whether it is set.
func (c *Config) LookupEnv(name string) (value string, ok bool) {
	var a arena
	defer a.free()
	text := a.text("name", name)
	if a.err != nil {
		return "", false
	}
	found := get(&c.h, func(p *C.parb_config) *string {
		value := C.parb_config_env_get(p, text)
		if value == nil {
			return nil
		}
		copied := C.GoString(value)
		return &copied
	})
	if found == nil {
		return "", false
	}
	return *found, true
}

// Labels are the labels, possibly none.
func (c *Config) Labels() map[string]string {
	return get(&c.h, func(p *C.parb_config) map[string]string { return goMap(C.parb_config_labels(p)) })
}

// ExposedPorts are the exposed ports, such as "80/tcp".
func (c *Config) ExposedPorts() []string {
	return c.list(func(p *C.parb_config) *C.parb_strings { return C.parb_config_exposed_ports(p) })
}

// Volumes are the volumes.
func (c *Config) Volumes() []string {
	return c.list(func(p *C.parb_config) *C.parb_strings { return C.parb_config_volumes(p) })
}

// DiffIDs are the digests of the uncompressed layers, base first.
func (c *Config) DiffIDs() []string {
	return c.list(func(p *C.parb_config) *C.parb_strings { return C.parb_config_diff_ids(p) })
}

func (c *Config) text(of func(*C.parb_config) *C.char) string {
	return get(&c.h, func(p *C.parb_config) string { return C.GoString(of(p)) })
}

func (c *Config) list(of func(*C.parb_config) *C.parb_strings) []string {
	return get(&c.h, func(p *C.parb_config) []string { return goStrings(of(p)) })
}
