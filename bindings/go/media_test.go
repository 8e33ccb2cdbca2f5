package parbuckle_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	parbuckle "parbuckle.example/go"
)

const name = "registry.example/app:1"

// random is an image of two layers, the same for the same seed.
func random(t *testing.T, seed uint64, options ...parbuckle.Option) *parbuckle.Image {
	t.Helper()
	return must[*parbuckle.Image](t)(parbuckle.RandomImage(t.Context(), 2, 50_000, seed, options...))
}

// same tells whether an image that came out of a medium is the one that went in: what does not keep manifests has to
// have its config.
func same(t *testing.T, got, want *parbuckle.Image, manifest bool) {
	t.Helper()
	if err := got.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if manifest && got.Digest() != want.Digest() {
		t.Errorf("%s became %s", want.Digest(), got.Digest())
	}
	was, is := must[*parbuckle.Config](t)(want.Config(t.Context())), must[*parbuckle.Config](t)(got.Config(t.Context()))
	if !slices.Equal(is.DiffIDs(), was.DiffIDs()) || len(is.DiffIDs()) == 0 {
		t.Errorf("diff ids %v became %v", was.DiffIDs(), is.DiffIDs())
	}
}

func TestLayout(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "below", "layout")
	if _, err := parbuckle.OpenLayout(ctx, path); !errors.Is(err, parbuckle.NotFound) {
		t.Errorf("got %v", err)
	}
	made := must[*parbuckle.Layout](t)(parbuckle.CreateLayout(ctx, path, parbuckle.WithDurable()))
	one, two := random(t, 1), random(t, 2)
	var moved uint64
	entry := must[*parbuckle.Descriptor](t)(made.AddImage(ctx, one, "one", parbuckle.WithJobs(2),
		parbuckle.WithProgress(func(done, _ uint64) { moved = done })))
	if entry.Digest() != one.Digest() || entry.Platform() != "linux/amd64" || moved < 100_000 {
		t.Errorf("entry %v for %q, %d bytes moved", entry, entry.Platform(), moved)
	}
	multi := must[*parbuckle.Index](t)(parbuckle.RandomIndex(ctx, 2, 1, 1000, 3))
	must[*parbuckle.Descriptor](t)(made.AddIndex(ctx, multi, ""))
	made.Close()

	layout := must[*parbuckle.Layout](t)(parbuckle.OpenLayout(ctx, path))
	if layout.Path() != path {
		t.Errorf("path %s", layout.Path())
	}
	same(t, must[*parbuckle.Image](t)(layout.Image(ctx, "one")), one, true)
	if child := must[*parbuckle.Index](t)(layout.Child(ctx, "")); child.Digest() != multi.Digest() {
		t.Errorf("child %s", child.Digest())
	}
	index := must[*parbuckle.Index](t)(layout.Index(ctx))
	if found := must[[]string](t)(index.Find(parbuckle.Matcher{Name: "one"})); index.Len() != 2 || !slices.Equal(found, []string{one.Digest()}) {
		t.Errorf("%d entries, found %v", index.Len(), found)
	}
	if _, err := layout.Image(ctx, ""); !errors.Is(err, parbuckle.InvalidArgument) {
		t.Errorf("which of two: %v", err)
	}

	must[*parbuckle.Descriptor](t)(layout.ReplaceImage(ctx, two, "one"))
	if err := layout.Annotate(ctx, parbuckle.Matcher{Name: "one"}, "k", "v"); err != nil {
		t.Fatal(err)
	}
	if err := layout.Unannotate(ctx, parbuckle.Matcher{Name: "none"}, "k"); !errors.Is(err, parbuckle.NotFound) {
		t.Errorf("got %v", err)
	}
	index = must[*parbuckle.Index](t)(layout.Index(ctx))
	if found := must[[]string](t)(index.Find(parbuckle.Matcher{Annotations: map[string]string{"k": "v"}})); !slices.Equal(found, []string{two.Digest()}) {
		t.Errorf("found %v", found)
	}
	if removed := must[[]string](t)(layout.GC(ctx)); len(removed) != 4 || !slices.Contains(removed, one.Digest()) {
		t.Errorf("collected %v", removed)
	}
	if removed := must[[]string](t)(layout.Remove(ctx, parbuckle.Matcher{Digests: []string{multi.Digest()}})); !slices.Equal(removed, []string{multi.Digest()}) {
		t.Errorf("removed %v", removed)
	}
	if report := must[*parbuckle.Report](t)(layout.Fsck(ctx)); report.Err() != nil || report.Len() != 0 || string(report.JSON()) != "[]" {
		t.Errorf("found %v", report)
	}
	layer := must[*parbuckle.Layer](t)(parbuckle.RandomLayer(ctx, 1000, 5, parbuckle.WithSink(layout.Sink())))
	if blob := blobOf(path, layer.Descriptor().Digest()); !exists(blob) {
		t.Errorf("%s is not there", blob)
	}

	if err := os.WriteFile(blobOf(path, two.Digest()), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	report := must[*parbuckle.Report](t)(layout.Fsck(ctx))
	if err := report.Err(); !errors.Is(err, parbuckle.DigestMismatch) || !strings.Contains(report.String(), two.Digest()) {
		t.Errorf("found %v", err)
	}
	if _, err := layout.Image(ctx, "one"); !errors.Is(err, parbuckle.DigestMismatch) {
		t.Errorf("got %v", err)
	}
}

func blobOf(layout, digest string) string {
	return filepath.Join(layout, "blobs", strings.ReplaceAll(digest, ":", "/"))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestArchives(t *testing.T) {
	ctx := t.Context()
	image := random(t, 1, parbuckle.WithFormat("docker"))
	for _, kind := range []string{"docker", "oci", "legacy"} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "images.tar")
			images := []parbuckle.NamedImage{{name, image}, {"registry.example/other:2", image}}
			if err := parbuckle.WriteArchive(ctx, path, images, parbuckle.WithArchiveFormat(kind)); err != nil {
				t.Fatal(err)
			}
			archive := must[*parbuckle.Archive](t)(parbuckle.OpenArchive(ctx, path))
			form := strings.Replace(kind, "legacy", "docker", 1) // it has a manifest.json, too
			if archive.Kind() != form || len(archive.Refs()) != 2 || !slices.Contains(archive.Refs(), name) {
				t.Errorf("%s with %v", archive.Kind(), archive.Refs())
			}
			same(t, must[*parbuckle.Image](t)(archive.Image(ctx, name)), image, kind == "oci")
			if _, err := archive.Image(ctx, "registry.example/none:1"); !errors.Is(err, parbuckle.NotFound) {
				t.Errorf("got %v", err)
			}
			if kind != "oci" {
				if _, err := archive.Index(ctx, ""); !errors.Is(err, parbuckle.Unsupported) {
					t.Errorf("got %v", err)
				}
			}

			file := must[*os.File](t)(os.Open(path))
			defer file.Close()
			if archive := must[*parbuckle.Archive](t)(parbuckle.OpenArchiveFile(ctx, file)); archive.Kind() != form {
				t.Errorf("%s from a file", archive.Kind())
			}
			var stream bytes.Buffer
			if err := parbuckle.WriteArchiveTo(ctx, &stream, images, parbuckle.WithArchiveFormat(kind)); err != nil {
				t.Fatal(err)
			}
			if whole := must[[]byte](t)(os.ReadFile(path)); !bytes.Equal(stream.Bytes(), whole) {
				t.Errorf("%d bytes in a stream, %d in a file", stream.Len(), len(whole))
			}
			archive = must[*parbuckle.Archive](t)(parbuckle.OpenArchiveReader(ctx, &stream))
			same(t, must[*parbuckle.Image](t)(archive.Image(ctx, name)), image, kind == "oci")
			archive.Close()
			if _, err := archive.Image(ctx, ""); !errors.Is(err, parbuckle.InvalidState) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestIndexArchive(t *testing.T) {
	ctx := t.Context()
	index := must[*parbuckle.Index](t)(parbuckle.RandomIndex(ctx, 3, 1, 1000, 1))
	path := filepath.Join(t.TempDir(), "index.tar")
	if err := parbuckle.WriteIndexArchive(ctx, path, index, "multi"); err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	zip := gzip.NewWriter(&stream)
	if err := errors.Join(parbuckle.WriteIndexArchiveTo(ctx, zip, index, "multi"), zip.Close()); err != nil {
		t.Fatal(err)
	}
	for _, archive := range []*parbuckle.Archive{
		must[*parbuckle.Archive](t)(parbuckle.OpenArchive(ctx, path)),
		must[*parbuckle.Archive](t)(parbuckle.OpenArchiveReader(ctx, &stream)),
	} {
		found := must[*parbuckle.Index](t)(archive.Index(ctx, "multi"))
		if err := found.Validate(ctx); err != nil || found.Digest() != index.Digest() {
			t.Errorf("%s became %s: %v", index.Digest(), found.Digest(), err)
		}
		if all := must[*parbuckle.Index](t)(archive.Index(ctx, "")); all.Len() != 1 {
			t.Errorf("index.json has %d entries", all.Len())
		}
	}
}

// TestArchiveStreams: what goes wrong with the streams of the program.
func TestArchiveStreams(t *testing.T) {
	ctx := t.Context()
	images := []parbuckle.NamedImage{{name, random(t, 1)}}
	broken := errors.New("broken")
	if err := parbuckle.WriteArchiveTo(ctx, &fullWriter{left: 20_000, err: broken}, images); err != broken {
		t.Errorf("a writer's error became %v", err)
	}
	var whole bytes.Buffer
	if err := parbuckle.WriteArchiveTo(ctx, &whole, images); err != nil {
		t.Fatal(err)
	}
	half := bytes.NewReader(whole.Bytes()[:whole.Len()/2])
	_, err := parbuckle.OpenArchiveReader(ctx, io.MultiReader(half, failing{broken}))
	var failure *parbuckle.Error
	if !errors.Is(err, broken) || !errors.As(err, &failure) || failure.Code != parbuckle.Callback {
		t.Errorf("a reader's error became %v", err)
	}
	half.Seek(0, io.SeekStart)
	if _, err := parbuckle.OpenArchiveReader(ctx, half); !errors.Is(err, parbuckle.Malformed) {
		t.Errorf("half an archive: %v", err)
	}
	if _, err := parbuckle.OpenArchiveReader(ctx, panicking{}); !errors.Is(err, parbuckle.Callback) || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("a reader's panic became %v", err)
	}

	ending, cancel := context.WithCancel(ctx)
	err = parbuckle.WriteArchiveTo(ending, writerFunc(func(data []byte) (int, error) {
		cancel()
		return len(data), nil
	}), []parbuckle.NamedImage{{name, must[*parbuckle.Image](t)(parbuckle.RandomImage(ctx, 1, 20<<20, 1))}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	ending, cancel = context.WithCancel(ctx)
	_, err = parbuckle.OpenArchiveReader(ending, readerFunc(func(data []byte) (int, error) {
		cancel()
		clear(data)
		return len(data), nil
	}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		to.Write(whole.Bytes()[:1000])
		time.Sleep(50 * time.Millisecond) // the pipe is empty meanwhile
		to.Write(whole.Bytes()[1000:])
		to.Close()
	}()
	if archive := must[*parbuckle.Archive](t)(parbuckle.OpenArchiveFile(ctx, from)); len(archive.Refs()) != 1 {
		t.Errorf("%v from a pipe", archive.Refs())
	}
	from.Close()
	closed := must[*os.File](t)(os.CreateTemp(t.TempDir(), ""))
	closed.Close()
	if _, err := parbuckle.OpenArchiveFile(ctx, closed); !errors.Is(err, parbuckle.InvalidState) {
		t.Errorf("got %v", err)
	}
}

type fullWriter struct {
	left int
	err  error
}

func (w *fullWriter) Write(data []byte) (int, error) {
	if w.left -= len(data); w.left < 0 {
		return 0, w.err
	}
	return len(data), nil
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("no such thing") }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(data []byte) (int, error) { return f(data) }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(data []byte) (int, error) { return f(data) }

func TestCache(t *testing.T) {
	ctx := t.Context()
	server, client := serve(t)
	if err := client.Push(ctx, server.Registry()+"/app:1", random(t, 1)); err != nil {
		t.Fatal(err)
	}
	cache := must[*parbuckle.Cache](t)(parbuckle.OpenCache(ctx, filepath.Join(t.TempDir(), "cache"), 1<<30, parbuckle.WithUncompressed()))
	downloads := func() (count int) {
		for _, request := range must[[]parbuckle.Request](t)(server.Requests()) {
			if request.Method == "GET" && strings.Contains(request.Path, "/blobs/") {
				count++
			}
		}
		return count
	}
	for range 2 {
		pulled := must[*parbuckle.Image](t)(client.Pull(ctx, server.Registry()+"/app:1"))
		cached := must[*parbuckle.Image](t)(pulled.Cached(cache))
		if err := cached.Validate(ctx); err != nil || cached.Digest() != pulled.Digest() {
			t.Errorf("%s: %v", cached.Digest(), err)
		}
	}
	stats := must[parbuckle.CacheStats](t)(cache.Stats())
	if found := downloads(); found != 3 || stats.Hits < 3 || stats.Stored < 3 || cache.Size() < 100_000 {
		t.Errorf("%d downloads, %+v, %d bytes", found, stats, cache.Size())
	}
	if report := must[*parbuckle.Report](t)(cache.Verify(ctx, parbuckle.WithJobs(1))); report.Err() != nil {
		t.Error(report)
	}

	layer := must[*parbuckle.Layer](t)(parbuckle.RandomLayer(ctx, 1000, 9, parbuckle.WithSink(cache.Sink())))
	cached := must[*parbuckle.Layer](t)(layer.Cached(cache))
	if err := cached.Validate(ctx); err != nil {
		t.Error(err)
	}
	if err := cache.Remove(ctx, layer.Descriptor().Digest()); err != nil {
		t.Error(err)
	}
	if err := cache.Remove(ctx, layer.Descriptor().Digest()); !errors.Is(err, parbuckle.NotFound) {
		t.Errorf("got %v", err)
	}
	index := must[*parbuckle.Index](t)(parbuckle.RandomIndex(ctx, 2, 1, 1000, 1))
	if err := must[*parbuckle.Index](t)(index.Cached(cache)).Validate(ctx); err != nil {
		t.Error(err)
	}
	if err := cache.Clear(ctx); err != nil || cache.Size() != 0 {
		t.Errorf("%d bytes are left, %v", cache.Size(), err)
	}
	cache.Close()
	if _, err := layer.Cached(cache); !errors.Is(err, parbuckle.InvalidState) {
		t.Errorf("got %v", err)
	}
}

func TestMemory(t *testing.T) {
	ctx := t.Context()
	store := must[*parbuckle.MemoryStore](t)(parbuckle.NewMemoryStore(300_000))
	image := random(t, 1)
	index := must[*parbuckle.Index](t)(parbuckle.RandomIndex(ctx, 2, 1, 1000, 1))
	if err := errors.Join(store.PutImage(ctx, image, "app"), store.PutIndex(ctx, index, "")); err != nil {
		t.Fatal(err)
	}
	same(t, must[*parbuckle.Image](t)(store.Image(ctx, "app")), image, true)
	if found := must[*parbuckle.Index](t)(store.Index(ctx, index.Digest())); found.Digest() != index.Digest() {
		t.Errorf("%s became %s", index.Digest(), found.Digest())
	}
	if _, err := store.Index(ctx, "app"); !errors.Is(err, parbuckle.InvalidArgument) {
		t.Errorf("got %v", err)
	}
	if err := store.PutImage(ctx, must[*parbuckle.Image](t)(parbuckle.RandomImage(ctx, 1, 300_000, 1)), "big"); !errors.Is(err, parbuckle.LimitExceeded) {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(store.Names(), []string{"app"}) || store.Size() < 100_000 {
		t.Errorf("%v, %d bytes", store.Names(), store.Size())
	}
	layer := must[*parbuckle.Layer](t)(parbuckle.RandomLayer(ctx, 1000, 1, parbuckle.WithSink(store.Sink())))
	if err := layer.Validate(ctx); err != nil {
		t.Error(err)
	}
	if err := errors.Join(store.Remove("app"), store.Remove(index.Digest())); err != nil || len(store.Names()) != 0 {
		t.Errorf("%v, %v", store.Names(), err)
	}
	if err := store.Remove("app"); !errors.Is(err, parbuckle.NotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := parbuckle.NewMemoryStore(0); !errors.Is(err, parbuckle.InvalidArgument) {
		t.Errorf("got %v", err)
	}
	store.Close()
	if err := store.PutImage(ctx, image, ""); !errors.Is(err, parbuckle.InvalidState) || store.Names() != nil {
		t.Errorf("got %v", err)
	}
}

// TestDaemon wants dockerd or podman's service: eval "$(tests/daemons.sh start DIR)" starts both.
func TestDaemon(t *testing.T) {
	for _, name := range []string{"PARB_TEST_DOCKERD", "PARB_TEST_PODMAN"} {
		t.Run(name, func(t *testing.T) {
			host := os.Getenv(name)
			if host == "" {
				t.Skip(name + " is not set")
			}
			testDaemon(t, host)
		})
	}
}

func testDaemon(t *testing.T, host string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	daemon := must[*parbuckle.Daemon](t)(parbuckle.ConnectDaemon(ctx, host))
	if daemon.Host() != host || daemon.APIVersion() == "" {
		t.Errorf("%s speaks %s", daemon.Host(), daemon.APIVersion())
	}
	var version struct{ Version string }
	if err := errors.Join(daemon.Ping(ctx), json.Unmarshal(must[json.RawMessage](t)(daemon.Version(ctx)), &version)); err != nil || version.Version == "" {
		t.Errorf("version %q, %v", version.Version, err)
	}
	image := random(t, uint64(time.Now().UnixNano()))
	const tag = "parbuckle.example/go-test:1"
	if said := must[[]string](t)(daemon.Load(ctx, image, tag)); len(said) == 0 {
		t.Error("the daemon said nothing")
	}
	defer daemon.Remove(context.Background(), tag)
	same(t, must[*parbuckle.Image](t)(daemon.Image(ctx, tag)), image, false)
	images := must[[]parbuckle.DaemonImage](t)(daemon.List(ctx, tag))
	if len(images) != 1 || !slices.Contains(images[0].RepoTags, tag) || !json.Valid(images[0].Raw) || images[0].ID == "" {
		t.Errorf("listed %+v", images)
	}
	if err := daemon.Tag(ctx, tag, "parbuckle.example/go-test:2"); err != nil {
		t.Error(err)
	}
	var known struct{ RepoTags []string }
	if err := json.Unmarshal(must[json.RawMessage](t)(daemon.Inspect(ctx, tag)), &known); err != nil || len(known.RepoTags) != 2 {
		t.Errorf("%v, %v", known, err)
	}
	var steps []any
	if err := json.Unmarshal(must[json.RawMessage](t)(daemon.History(ctx, tag)), &steps); err != nil || len(steps) != 2 {
		t.Errorf("%v, %v", steps, err)
	}
	if err := errors.Join(daemon.Remove(ctx, "parbuckle.example/go-test:2"), daemon.Remove(ctx, tag)); err != nil {
		t.Error(err)
	}
	if _, err := daemon.Image(ctx, tag); !errors.Is(err, parbuckle.NotFound) {
		t.Errorf("got %v", err)
	}

	index := must[*parbuckle.Index](t)(parbuckle.ScratchIndex().AddImage(image).Build(ctx))
	must[[]string](t)(daemon.LoadIndex(ctx, index, tag, parbuckle.WithPlatform("linux/amd64")))
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := parbuckle.WriteArchive(ctx, path, []parbuckle.NamedImage{{tag, image}}); err != nil {
		t.Fatal(err)
	}
	if said := must[[]string](t)(daemon.LoadArchive(ctx, path)); !strings.Contains(strings.Join(said, "\n"), tag) {
		t.Errorf("the daemon said %q", said)
	}
}

func TestNoDaemon(t *testing.T) {
	missing := "unix://" + filepath.Join(t.TempDir(), "none.sock")
	_, err := parbuckle.ConnectDaemon(t.Context(), missing)
	var failure *parbuckle.Error
	if !errors.As(err, &failure) || failure.Code != parbuckle.Unavailable || !strings.Contains(failure.Subject, "none.sock") {
		t.Errorf("got %v", err)
	}
	if _, err := parbuckle.ConnectDaemon(t.Context(), "gopher://x"); err == nil {
		t.Error("a daemon answers by gopher")
	}
}
