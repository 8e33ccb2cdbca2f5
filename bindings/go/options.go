package parbuckle

// #include <parbuckle.h>
import "C"

// Option tells a call something beside its arguments. A call refuses, with [InvalidArgument], an option that it does
// not read; [WithProgress] fits every call that takes options.
type Option func(*settings)

// settings are the options of one call, as C wants them.
type settings struct {
	arena
	c        *C.parb_options
	progress func(done, total uint64)
}

// newSettings applies options, which are to be freed. What is the matter with them, and with the texts and handles that
// the arena is given besides, is found in err; [await] looks at it before it starts a call.
func newSettings(options []Option) *settings {
	s := &settings{}
	if len(options) == 0 {
		return s
	}
	s.c = C.parb_options_new()
	for _, option := range options {
		option(s)
	}
	return s
}

func (s *settings) free() {
	C.parb_options_free(s.c)
	s.arena.free()
}

// WithPlatform says which platform's image is meant where a name stands for several: os/architecture[/variant], such as
// "linux/arm64/v8". For [Client.Resolve], [Client.Pull], [Layout.Image], [Archive.Image] and [Daemon.LoadIndex].
func WithPlatform(platform string) Option {
	return func(s *settings) { C.parb_options_set_platform(s.c, s.text("platform", platform)) }
}

// WithJobs bounds how many blobs are moved at once. For whatever moves or reads the blobs of whole images.
func WithJobs(jobs int) Option {
	return func(s *settings) {
		if jobs < 1 {
			s.fail(newError(InvalidArgument, "jobs is less than 1"))
			return
		}
		C.parb_options_set_jobs(s.c, C.uint32_t(min(jobs, 1<<16)))
	}
}

// WithSink says where a new layer's bytes go; without it, to a file without a name in $TMPDIR. For whatever makes
// layers, [Archive.Image] and [Daemon.Image].
func WithSink(sink Sink) Option {
	return func(s *settings) {
		c, err := sink.make(&s.arena)
		if err != nil {
			s.fail(err)
			return
		}
		C.parb_options_set_sink(s.c, c)
		C.parb_sink_free(c)
	}
}

// WithCompression says how a new layer is compressed: "gzip" (level 1 to 9), "zstd" (1 to 19), "none", or "estargz" (1
// to 9), which is gzip with a table of contents, so that single files can be read out of the layer. Level 0 is the
// default one. Without the option a plain tar becomes gzip, and what is compressed stays as it is. For whatever makes
// layers, [Archive.Image] and [Daemon.Image].
func WithCompression(name string, level int) Option {
	return func(s *settings) {
		level := max(-1, min(level, 1<<16)) // stays out of range where it is
		C.parb_options_set_compression(s.c, s.text("compression", name), C.int32_t(level))
	}
}

// WithFormat says whose media types a new image or index carries: "oci" or "docker". For [Builder.Build] and
// [IndexBuilder.Build] from scratch and what makes images of nothing, of parts or at random, where it is "oci" without
// it; for [Archive.Image] and [Daemon.Image], where it is "docker".
func WithFormat(format string) Option {
	return func(s *settings) { C.parb_options_set_format(s.c, s.text("format", format)) }
}

// WithMountFrom names a repository of the same registry that may have the blobs already, so that they need not be
// sent. (Blobs of an image that was pulled from that registry are found without it.) For pushes.
func WithMountFrom(repository string) Option {
	return func(s *settings) {
		reference, err := s.reference(repository)
		if err != nil {
			s.fail(err)
			return
		}
		C.parb_options_set_mount_from(s.c, reference)
	}
}

// WithArchiveFormat says which form a new archive has: "docker", as [WriteArchive] does without it, "oci", or "legacy",
// that of docker save before 1.10. For what writes archives.
func WithArchiveFormat(format string) Option {
	return func(s *settings) { C.parb_options_set_archive_format(s.c, s.text("archive format", format)) }
}

// WithForeignLayers takes non-distributable layers along, which are left out otherwise. For pushes, and for what puts
// whole images into layouts, archives and memory.
func WithForeignLayers() Option {
	return func(s *settings) { C.parb_options_set_foreign_layers(s.c) }
}

// WithDurable flushes files and directories before the call is done, so that it survives a power cut. For
// [CreateLayout] and what changes a layout.
func WithDurable() Option {
	return func(s *settings) { C.parb_options_set_durable(s.c) }
}

// WithUncompressed keeps layers decompressed, too, so that they are decompressed once. For [OpenCache].
func WithUncompressed() Option {
	return func(s *settings) { C.parb_options_set_uncompressed(s.c) }
}

// WithFast looks only whether layers are there, and reads none. For [Image.Examine] and [Index.Examine].
func WithFast() Option {
	return func(s *settings) { C.parb_options_set_fast(s.c) }
}

// WithFiles compares the files in layers that differ. For [Image.Compare], [Index.Compare] and [Layer.Compare].
func WithFiles() Option {
	return func(s *settings) { C.parb_options_set_files(s.c) }
}

// WithProgress has report called now and then, and once at the end, with the bytes that the call has moved and those
// that it knows it will. It runs in the goroutine of the caller, which it holds up.
func WithProgress(report func(done, total uint64)) Option {
	return func(s *settings) { s.progress = report }
}
