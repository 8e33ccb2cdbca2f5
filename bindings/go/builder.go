package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"context"
	"time"
)

// Builder notes changes to an image, which [Builder.Build] makes into a new one. The first mistake is reported there.
// What it was given (base, layers, configs) is to stay open until then. It is for one goroutine at a time.
type Builder struct {
	base    *Image
	changes []func(a *arena, builder *C.parb_image_builder)
}

// Scratch is a builder of an image without a base; see [WithFormat].
func Scratch() *Builder { return &Builder{} }

// Edit is a builder whose base is this image.
func (i *Image) Edit() *Builder { return &Builder{base: i} }

// AddLayer puts a layer on top, with one history entry of time zero. Its media type follows the base's family.
func (b *Builder) AddLayer(layer *Layer) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		lend(a, &layer.h, func(p *C.parb_layer) { C.parb_image_builder_add_layer(c, p) })
	})
}

// History is what an image's history says of a layer.
type History struct {
	CreatedBy, Author, Comment string
	Created                    time.Time // the zero time: the image's time zero (1970)
}

// SetHistory says in the history of the layer added last where it comes from.
func (b *Builder) SetHistory(history History) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		var created *C.char
		if !history.Created.IsZero() {
			created = a.text("created", history.Created.Format(time.RFC3339Nano))
		}
		C.parb_image_builder_set_history(c, a.filled("created by", history.CreatedBy),
			a.filled("author", history.Author), a.filled("comment", history.Comment), created)
	})
}

// SetEnv sets an environment variable: where it stands, or at the end.
func (b *Builder) SetEnv(name, value string) *Builder { return b.env(name, &value) }

// UnsetEnv removes an environment variable.
func (b *Builder) UnsetEnv(name string) *Builder { return b.env(name, nil) }

func (b *Builder) env(name string, value *string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_env(c, a.text("name", name), a.optional("value", value))
	})
}

// SetEntrypoint sets the entry point; without arguments it is removed. The command stays as it is.
func (b *Builder) SetEntrypoint(argv ...string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_entrypoint(c, a.list("entry point", argv))
	})
}

// SetCmd sets the command; without arguments it is removed.
func (b *Builder) SetCmd(argv ...string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_cmd(c, a.list("command", argv))
	})
}

// SetUser sets the user; "" removes it.
func (b *Builder) SetUser(user string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) { C.parb_image_builder_set_user(c, a.text("user", user)) })
}

// SetWorkingDir sets the working directory; "" removes it.
func (b *Builder) SetWorkingDir(path string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_working_dir(c, a.text("path", path))
	})
}

// SetLabel sets a label of the config.
func (b *Builder) SetLabel(key, value string) *Builder { return b.label(key, &value) }

// UnsetLabel removes a label of the config.
func (b *Builder) UnsetLabel(key string) *Builder { return b.label(key, nil) }

func (b *Builder) label(key string, value *string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_label(c, a.text("key", key), a.optional("value", value))
	})
}

// SetAnnotation sets an annotation of the manifest.
func (b *Builder) SetAnnotation(key, value string) *Builder { return b.annotation(key, &value) }

// UnsetAnnotation removes an annotation of the manifest.
func (b *Builder) UnsetAnnotation(key string) *Builder { return b.annotation(key, nil) }

func (b *Builder) annotation(key string, value *string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_annotation(c, a.text("key", key), a.optional("value", value))
	})
}

// AddExposedPort adds an exposed port, such as "80/tcp" or "80".
func (b *Builder) AddExposedPort(port string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_add_exposed_port(c, a.text("port", port))
	})
}

// ClearExposedPorts drops all exposed ports there are so far.
func (b *Builder) ClearExposedPorts() *Builder {
	return b.change(func(_ *arena, c *C.parb_image_builder) { C.parb_image_builder_add_exposed_port(c, nil) })
}

// AddVolume adds a volume.
func (b *Builder) AddVolume(path string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_add_volume(c, a.text("path", path))
	})
}

// ClearVolumes drops all volumes there are so far.
func (b *Builder) ClearVolumes() *Builder {
	return b.change(func(_ *arena, c *C.parb_image_builder) { C.parb_image_builder_add_volume(c, nil) })
}

// SetStopSignal sets the stop signal, such as "SIGTERM"; "" removes it.
func (b *Builder) SetStopSignal(signal string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_stop_signal(c, a.text("signal", signal))
	})
}

// SetPlatform sets what the image runs on: os/architecture[/variant][:os.version].
func (b *Builder) SetPlatform(platform string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_platform(c, a.text("platform", platform))
	})
}

// SetCreated sets when the image was made. Without it the base's time stays: never "now".
func (b *Builder) SetCreated(created time.Time) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_created(c, a.text("created", created.Format(time.RFC3339Nano)))
	})
}

// SetAuthor sets the author; "" removes it.
func (b *Builder) SetAuthor(author string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_author(c, a.text("author", author))
	})
}

// SetConfig replaces the whole config by this one, byte for byte unless more changes follow.
func (b *Builder) SetConfig(config *Config) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		lend(a, &config.h, func(p *C.parb_config) { C.parb_image_builder_set_config(c, p) })
	})
}

// SetSubject sets the manifest that the new one refers to (its subject). Without it the base's subject stays.
func (b *Builder) SetSubject(subject *Descriptor) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		lend(a, &subject.h, func(p *C.parb_descriptor) { C.parb_image_builder_set_subject(c, p) })
	})
}

// Build makes the image; the builder can go on and build again. Without changes it is the base itself. It moves no
// layer, and needs the network only where the base's config is not known yet.
func (b *Builder) Build(ctx context.Context, options ...Option) (*Image, error) {
	s, err := newSettings(options)
	if err != nil {
		return nil, err
	}
	defer s.free()
	return call(ctx, s, func(bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) {
		builder := b.open(&s.arena)
		defer C.parb_image_builder_free(builder)
		for _, change := range b.changes {
			change(&s.arena, builder)
		}
		if s.err != nil {
			return nil, s.err
		}
		return C.parb_image_builder_build_start(builder, s.c, bound, op), nil
	}, takeImage, newImage)
}

func (b *Builder) open(a *arena) (builder *C.parb_image_builder) {
	if b.base == nil {
		return C.parb_image_builder_new(nil)
	}
	lend(a, &b.base.h, func(p *C.parb_image) { builder = C.parb_image_builder_new(p) })
	return builder
}

func (b *Builder) change(change func(*arena, *C.parb_image_builder)) *Builder {
	b.changes = append(b.changes, change)
	return b
}

// lend gives a handle to a setter. A closed one is a mistake like others.
func lend[P comparable](a *arena, h *handle[P], set func(P)) {
	p, err := h.acquire()
	if err != nil {
		if a.err == nil {
			a.err = err
		}
		return
	}
	defer h.release()
	set(p)
}
