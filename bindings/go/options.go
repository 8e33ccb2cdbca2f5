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

// newSettings applies options. They are to be freed unless there is an error.
func newSettings(options []Option) (*settings, error) {
	s := &settings{}
	if len(options) == 0 {
		return s, nil
	}
	s.c = C.parb_options_new()
	for _, option := range options {
		option(s)
	}
	if s.err != nil {
		s.free()
		return nil, s.err
	}
	return s, nil
}

func (s *settings) free() {
	C.parb_options_free(s.c)
	s.arena.free()
}

func (s *settings) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// WithPlatform says which platform's image is meant where a reference names an index: os/architecture[/variant], such
// as "linux/arm64/v8". For [Client.Resolve] and [Client.Pull].
func WithPlatform(platform string) Option {
	return func(s *settings) { C.parb_options_set_platform(s.c, s.text("platform", platform)) }
}

// WithJobs bounds how many blobs are moved at once. For pushes and [Image.Validate].
func WithJobs(jobs int) Option {
	return func(s *settings) {
		if jobs < 1 {
			s.fail(newError(InvalidArgument, "jobs is less than 1"))
			return
		}
		C.parb_options_set_jobs(s.c, C.uint32_t(min(jobs, 1<<16)))
	}
}

// WithSink says where a new layer's bytes go; without it, to a file without a name in $TMPDIR. For whatever makes a
// layer.
func WithSink(sink Sink) Option {
	return func(s *settings) {
		c, err := sink.open(&s.arena)
		if err != nil {
			s.fail(err)
			return
		}
		C.parb_options_set_sink(s.c, c)
		C.parb_sink_free(c)
	}
}

// WithCompression says how a new layer is compressed: "gzip" (level 1 to 9), "zstd" (1 to 19) or "none"; level 0 is the
// default one. Without it a plain tar becomes gzip, and what is compressed stays as it is. For whatever makes a layer.
func WithCompression(name string, level int) Option {
	return func(s *settings) {
		level := max(-1, min(level, 1<<16)) // stays out of range where it is
		C.parb_options_set_compression(s.c, s.text("compression", name), C.int32_t(level))
	}
}

// WithFormat says whose media types a new image carries: "oci", as without it, or "docker". For [Builder.Build] of an
// image from scratch.
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

// WithForeignLayers has non-distributable layers pushed too, which are left out otherwise. For [Client.Push] and
// [Client.PushIndex].
func WithForeignLayers() Option {
	return func(s *settings) { C.parb_options_set_foreign_layers(s.c) }
}

// WithProgress has report called now and then, and once at the end, with the bytes that the call has moved and those
// that it knows it will. It runs in the goroutine of the caller, which it holds up.
func WithProgress(report func(done, total uint64)) Option {
	return func(s *settings) { s.progress = report }
}
