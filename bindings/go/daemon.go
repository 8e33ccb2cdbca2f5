package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"context"
	"encoding/json"
)

// Daemon is a Docker-compatible daemon (dockerd, podman's service) that answered once. It holds no connection.
type Daemon struct {
	h handle[*C.parb_daemon]
}

func newDaemon(p *C.parb_daemon) *Daemon {
	daemon := &Daemon{}
	daemon.h.own(p, "daemon", func(p *C.parb_daemon) { C.parb_daemon_free(p) })
	return daemon
}

// ConnectDaemon asks a daemon which API it speaks. The host is unix://PATH, tcp://HOST[:PORT], http://… or https://…;
// "": what DOCKER_HOST names, else unix:///var/run/docker.sock. DOCKER_API_VERSION, DOCKER_TLS_VERIFY and
// DOCKER_CERT_PATH mean what they mean to docker.
func ConnectDaemon(ctx context.Context, host string) (*Daemon, error) {
	s := newSettings(nil)
	defer s.free()
	text := s.filled("host", host)
	return call(ctx, s, starterOf(func(bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_daemon_connect_start(text, s.c, bound, op)
	}), func(op *C.parb_op, out **C.parb_daemon) *C.parb_error { return C.parb_op_take_daemon(op, out) }, newDaemon)
}

// Close frees the daemon's handle; images that came from it stay good.
func (d *Daemon) Close() error {
	d.h.close()
	return nil
}

// Host is the address that the daemon was reached at.
func (d *Daemon) Host() string {
	return get(&d.h, func(p *C.parb_daemon) string { return C.GoString(C.parb_daemon_host(p)) })
}

// APIVersion is the API version that is spoken with the daemon, such as "1.41".
func (d *Daemon) APIVersion() string {
	return get(&d.h, func(p *C.parb_daemon) string { return C.GoString(C.parb_daemon_api_version(p)) })
}

// Ping asks whether the daemon answers still.
func (d *Daemon) Ping(ctx context.Context) error {
	return do(ctx, &settings{}, on(&d.h, func(p *C.parb_daemon, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_daemon_ping_start(p, nil, bound, op)
	}))
}

// Version is what the daemon tells of itself, in its own words (GET /version).
func (d *Daemon) Version(ctx context.Context) (json.RawMessage, error) {
	return d.tells(ctx, "", func(p *C.parb_daemon, _ *C.char, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_daemon_version_start(p, nil, bound, op)
	})
}

// DaemonImage is what a daemon's list says of one of its images.
type DaemonImage struct {
	ID       string `json:"Id"`
	RepoTags []string
	Created  int64 // seconds since 1970
	Size     int64
	Labels   map[string]string
	Raw      json.RawMessage `json:"-"` // all of it, in the daemon's own words
}

// UnmarshalJSON keeps what it reads in Raw.
func (d *DaemonImage) UnmarshalJSON(data []byte) error {
	type plain DaemonImage
	if err := json.Unmarshal(data, (*plain)(d)); err != nil {
		return err
	}
	d.Raw = append(json.RawMessage(nil), data...)
	return nil
}

// List is the images that the daemon has whose names match a pattern such as "app" or "app:*"; "": all.
func (d *Daemon) List(ctx context.Context, pattern string) ([]DaemonImage, error) {
	text, err := d.tells(ctx, pattern, func(p *C.parb_daemon, pattern *C.char, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_daemon_list_start(p, pattern, nil, bound, op)
	})
	if err != nil {
		return nil, err
	}
	var images []DaemonImage
	if err := json.Unmarshal(text, &images); err != nil {
		failed := newCause(Protocol, "the daemon's list of images is none", err)
		failed.Subject = d.Host()
		return nil, failed
	}
	return images, nil
}

// Inspect is what the daemon knows of one image, by a name or an id, in its own words (GET /images/NAME/json).
func (d *Daemon) Inspect(ctx context.Context, name string) (json.RawMessage, error) {
	return d.tells(ctx, name, func(p *C.parb_daemon, name *C.char, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_daemon_inspect_start(p, name, nil, bound, op)
	})
}

// History is how an image came about, its last step first, in the daemon's own words (GET /images/NAME/history).
func (d *Daemon) History(ctx context.Context, name string) (json.RawMessage, error) {
	return d.tells(ctx, name, func(p *C.parb_daemon, name *C.char, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_daemon_history_start(p, name, nil, bound, op)
	})
}

func (d *Daemon) tells(
	ctx context.Context,
	name string,
	start func(*C.parb_daemon, *C.char, *C.parb_ctx, **C.parb_op) *C.parb_error,
) (json.RawMessage, error) {
	s := newSettings(nil)
	defer s.free()
	text := s.filled("name", name)
	told, err := call(ctx, s, on(&d.h, func(p *C.parb_daemon, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return start(p, text, bound, op)
	}), takeBuf, newBytes)
	if err != nil {
		return nil, err
	}
	return *told, nil
}

// Image is an image of the daemon, by a name or an id. All of it is read now, into a file without a name in $TMPDIR.
// The config is the daemon's, byte for byte; the layers are plain tars unless [WithSink] or [WithCompression] is given,
// and the manifest over them is made here, of Docker's types or of [WithFormat]'s.
func (d *Daemon) Image(ctx context.Context, name string, options ...Option) (*Image, error) {
	s := newSettings(options)
	defer s.free()
	text := s.text("name", name)
	return call(ctx, s, on(&d.h, func(p *C.parb_daemon, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_daemon_image_start(p, text, s.c, bound, op)
	}), takeImage, newImage)
}

// Load gives the daemon an image, and the image this name unless it is "". It gives what the daemon said, which is
// nothing where it had the image already.
func (d *Daemon) Load(ctx context.Context, image *Image, reference string, options ...Option) ([]string, error) {
	s := newSettings(options)
	defer s.free()
	loaded, r := s.image(image), s.referenceIn(reference)
	return list(call(ctx, s, on(&d.h, func(p *C.parb_daemon, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_daemon_load_start(p, loaded, r, s.c, bound, op)
	}), takeStrings, newStrings))
}

// LoadIndex is [Daemon.Load] for the image of an index that is meant for [WithPlatform] (linux/amd64 without it).
func (d *Daemon) LoadIndex(ctx context.Context, index *Index, reference string, options ...Option) ([]string, error) {
	s := newSettings(options)
	defer s.free()
	loaded, r := s.index(index), s.referenceIn(reference)
	return list(call(ctx, s, on(&d.h, func(p *C.parb_daemon, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_daemon_load_index_start(p, loaded, r, s.c, bound, op)
	}), takeStrings, newStrings))
}

// LoadArchive gives the daemon an archive as it is, of any kind that the daemon reads; the names in it become names of
// the daemon's images, so its maker is trusted with them. It gives what the daemon said.
func (d *Daemon) LoadArchive(ctx context.Context, path string, options ...Option) ([]string, error) {
	s := newSettings(options)
	defer s.free()
	text := s.text("path", path)
	return list(call(ctx, s, on(&d.h, func(p *C.parb_daemon, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_daemon_load_archive_start(p, text, s.c, bound, op)
	}), takeStrings, newStrings))
}

// Tag gives an image, by a name or an id, one more name; an image that had that name loses it.
func (d *Daemon) Tag(ctx context.Context, name, reference string) error {
	s, r, err := newCall(reference, nil)
	if err != nil {
		return err
	}
	defer s.free()
	text := s.text("name", name)
	return do(ctx, s, on(&d.h, func(p *C.parb_daemon, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_daemon_tag_start(p, text, r, s.c, bound, op)
	}))
}

// Remove takes a name away, and with an image's last name the image. By id, an image with several names is not removed.
func (d *Daemon) Remove(ctx context.Context, name string) error {
	s := newSettings(nil)
	defer s.free()
	text := s.text("name", name)
	return do(ctx, s, on(&d.h, func(p *C.parb_daemon, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_daemon_remove_start(p, text, s.c, bound, op)
	}))
}
