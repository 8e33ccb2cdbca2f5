package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"bytes"
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

// AddEmptyLayer adds a line of history for a step that made no layer.
func (b *Builder) AddEmptyLayer() *Builder {
	return b.change(func(_ *arena, c *C.parb_image_builder) { C.parb_image_builder_add_empty_layer(c) })
}

// RemoveLayer takes a layer away, counted from the base, as the layers are by now. Its line of history and its diff id
// go with it.
func (b *Builder) RemoveLayer(i int) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_remove_layer(c, C.size_t(a.count("layer", i)))
	})
}

// ReplaceLayer puts another layer in the place of one; its line of history stays unless [Builder.SetHistory] follows.
func (b *Builder) ReplaceLayer(i int, layer *Layer) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		lend(a, &layer.h, func(p *C.parb_layer) {
			C.parb_image_builder_replace_layer(c, C.size_t(a.count("layer", i)), p)
		})
	})
}

// History is what an image's history says of a layer.
type History struct {
	CreatedBy, Author, Comment string
	Created                    time.Time // the zero time: the image's time zero (1970)
}

// SetHistory says in the history of the layer (or step without one) added or replaced last where it comes from.
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

// SetLayerMediaType sets the media type of the layer added or replaced last, in place of the one that its content and
// the image's family give.
func (b *Builder) SetLayerMediaType(mediaType string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_layer_media_type(c, a.text("media type", mediaType))
	})
}

// SetLayerAnnotation sets an annotation of the descriptor of the layer added or replaced last.
func (b *Builder) SetLayerAnnotation(key, value string) *Builder {
	return b.layerAnnotation(key, &value)
}

// UnsetLayerAnnotation removes an annotation of the descriptor of the layer added or replaced last.
func (b *Builder) UnsetLayerAnnotation(key string) *Builder { return b.layerAnnotation(key, nil) }

func (b *Builder) layerAnnotation(key string, value *string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_layer_annotation(c, a.text("key", key), a.optional("value", value))
	})
}

// SetLayerURLs says where else the layer added or replaced last can be had; without URLs: nowhere. A layer that can be
// had elsewhere is pushed only with [WithForeignLayers].
func (b *Builder) SetLayerURLs(urls ...string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_layer_urls(c, a.list("URLs", urls))
	})
}

// AnnotateLayer sets an annotation of the descriptor of any layer, counted from the base.
func (b *Builder) AnnotateLayer(i int, key, value string) *Builder {
	return b.annotateLayer(i, key, &value)
}

// UnannotateLayer removes an annotation of the descriptor of any layer, counted from the base.
func (b *Builder) UnannotateLayer(i int, key string) *Builder { return b.annotateLayer(i, key, nil) }

func (b *Builder) annotateLayer(i int, key string, value *string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		n := C.size_t(a.count("layer", i))
		C.parb_image_builder_annotate_layer(c, n, a.text("key", key), a.optional("value", value))
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

// ClearEnv takes the whole environment away.
func (b *Builder) ClearEnv() *Builder {
	return b.change(func(_ *arena, c *C.parb_image_builder) { C.parb_image_builder_clear_env(c) })
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

// ClearLabels takes all labels away.
func (b *Builder) ClearLabels() *Builder {
	return b.change(func(_ *arena, c *C.parb_image_builder) { C.parb_image_builder_clear_labels(c) })
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

// ClearAnnotations takes all annotations of the manifest away.
func (b *Builder) ClearAnnotations() *Builder {
	return b.change(func(_ *arena, c *C.parb_image_builder) { C.parb_image_builder_clear_annotations(c) })
}

// SetConfigAnnotation sets an annotation of the config's descriptor.
func (b *Builder) SetConfigAnnotation(key, value string) *Builder {
	return b.configAnnotation(key, &value)
}

// UnsetConfigAnnotation removes an annotation of the config's descriptor.
func (b *Builder) UnsetConfigAnnotation(key string) *Builder { return b.configAnnotation(key, nil) }

func (b *Builder) configAnnotation(key string, value *string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_config_annotation(c, a.text("key", key), a.optional("value", value))
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

// Healthcheck is how to see whether a container is well.
type Healthcheck struct {
	Test        []string      // "NONE"; "CMD" and arguments; or "CMD-SHELL" and a command; nil: no such thing any more
	Interval    time.Duration // between two checks; 0 here and below: unsaid
	Timeout     time.Duration // for one check
	StartPeriod time.Duration // before failures count
	Retries     int           // how many failures make it unwell
}

// SetHealthcheck sets how to see whether a container is well. Members of the old one that the library does not know
// stay.
func (b *Builder) SetHealthcheck(check Healthcheck) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_healthcheck(c, a.list("test", check.Test), C.int64_t(check.Interval),
			C.int64_t(check.Timeout), C.int64_t(check.StartPeriod), C.int64_t(check.Retries))
	})
}

// SetShell sets the shell of build steps; without arguments it is removed.
func (b *Builder) SetShell(argv ...string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) { C.parb_image_builder_set_shell(c, a.list("shell", argv)) })
}

// SetOnBuild sets the build steps for images on top of this one; without any they are removed.
func (b *Builder) SetOnBuild(steps ...string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_on_build(c, a.list("steps", steps))
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

// SetRawConfig replaces the config by any bytes of any type, as artifacts have it. Of an image config's type, they must
// be one.
func (b *Builder) SetRawConfig(data []byte, mediaType string) *Builder {
	data = bytes.Clone(data)
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_raw_config(c, bytesAt(data), C.size_t(len(data)), a.text("media type", mediaType))
	})
}

// SetConfigMediaType says what the config is; its bytes stay.
func (b *Builder) SetConfigMediaType(mediaType string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_config_media_type(c, a.text("media type", mediaType))
	})
}

// SetMediaType says what the manifest is, and nothing else; it must be the type of an image manifest.
func (b *Builder) SetMediaType(mediaType string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_media_type(c, a.text("media type", mediaType))
	})
}

// SetFormat has manifest, config and every layer carry the media types of "docker" or "oci"; see [Image.Convert].
func (b *Builder) SetFormat(format string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_format(c, a.text("format", format))
	})
}

// SetArtifactType says what kind of artifact it is; "" removes it.
func (b *Builder) SetArtifactType(artifactType string) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		C.parb_image_builder_set_artifact_type(c, a.text("artifact type", artifactType))
	})
}

// SetSubject sets the manifest that the new one refers to (its subject). Without it the base's subject stays.
func (b *Builder) SetSubject(subject *Descriptor) *Builder {
	return b.change(func(a *arena, c *C.parb_image_builder) {
		lend(a, &subject.h, func(p *C.parb_descriptor) { C.parb_image_builder_set_subject(c, p) })
	})
}

// ClearSubject has the image refer to nothing any more.
func (b *Builder) ClearSubject() *Builder {
	return b.change(func(_ *arena, c *C.parb_image_builder) { C.parb_image_builder_clear_subject(c) })
}

// Build makes the image; the builder can go on and build again. Without changes it is the base itself. It moves no
// layer, and needs the network only where the base's config is not known yet.
func (b *Builder) Build(ctx context.Context, options ...Option) (*Image, error) {
	s := newSettings(options)
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
