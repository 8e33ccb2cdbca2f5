package parbuckle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	parbuckle "parbuckle.example/go"
)

// TestStreams makes a layer of 100 MiB from a reader and reads it back.
func TestStreams(t *testing.T) {
	const size = 100 << 20
	ctx := t.Context()
	server, client := serve(t)
	var progress uint64
	sent := sha256.New()
	layer := must[*parbuckle.Layer](t)(parbuckle.LayerFromReader(ctx, io.TeeReader(bigTar(size), sent),
		parbuckle.WithSink(client.Sink(server.Registry()+"/big")),
		parbuckle.WithProgress(func(done, _ uint64) { progress = done })))
	if progress < size {
		t.Errorf("progress ended at %d", progress)
	}
	stats := must[parbuckle.Stats](t)(client.Stats())
	if stats.CompressIn != progress || stats.Uploaded < layer.Descriptor().Size() || stats.Requests == 0 {
		t.Errorf("stats %+v after %d bytes", stats, progress)
	}
	if diffID := must[string](t)(layer.DiffID(ctx)); diffID != digestOf(sent) {
		t.Errorf("diff id %s instead of %s", diffID, digestOf(sent))
	}
	image := must[*parbuckle.Image](t)(parbuckle.Scratch().SetPlatform("linux/amd64").AddLayer(layer).Build(ctx))
	if err := client.Push(ctx, server.Registry()+"/big:1", image); err != nil {
		t.Fatal(err)
	}

	pulled := must[*parbuckle.Image](t)(connect(t).Pull(ctx, server.Registry()+"/big:1")).Layers()[0]
	stored, plain := sha256.New(), sha256.New()
	if _, err := io.Copy(stored, open(t, pulled.Open)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(plain, open(t, pulled.OpenUncompressed)); err != nil {
		t.Fatal(err)
	}
	if digestOf(stored) != pulled.Descriptor().Digest() || digestOf(plain) != digestOf(sent) {
		t.Errorf("stored %s, plain %s", digestOf(stored), digestOf(plain))
	}
}

// TestLayerSources makes the same layer in every way there is.
func TestLayerSources(t *testing.T) {
	ctx := t.Context()
	archive := must[[]byte](t)(io.ReadAll(bigTar(1 << 10)))
	dir := t.TempDir()
	file := filepath.Join(dir, "layer.tar.gz")
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	zip.Write(archive)
	zip.Close()
	if err := os.WriteFile(file, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	sum.Write(archive)

	writer := must[*parbuckle.LayerWriter](t)(parbuckle.NewLayerWriter(ctx, parbuckle.WithCompression("zstd", 0)))
	defer writer.Close()
	for piece := range slices.Chunk(archive, 700) {
		if n, err := writer.Write(piece); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	layers := map[string]*parbuckle.Layer{
		"writer": must[*parbuckle.Layer](t)(writer.Finish(ctx)),
		"reader": must[*parbuckle.Layer](t)(parbuckle.LayerFromReader(ctx, bytes.NewReader(archive))),
		"bytes":  must[*parbuckle.Layer](t)(parbuckle.LayerFromBytes(ctx, archive, parbuckle.WithCompression("none", 0))),
		"file":   must[*parbuckle.Layer](t)(parbuckle.LayerFromFile(ctx, file)),
	}
	for name, layer := range layers {
		if diffID := must[string](t)(layer.DiffID(ctx)); diffID != digestOf(sum) {
			t.Errorf("%s: diff id %s instead of %s", name, diffID, digestOf(sum))
		}
		if plain := must[[]byte](t)(io.ReadAll(open(t, layer.OpenUncompressed))); !bytes.Equal(plain, archive) {
			t.Errorf("%s: %d bytes instead of %d", name, len(plain), len(archive))
		}
	}
	if stored := must[[]byte](t)(io.ReadAll(open(t, layers["file"].Open))); !bytes.Equal(stored, packed.Bytes()) {
		t.Error("a compressed file is not kept as it is")
	}
	if _, err := writer.Write(archive); !errors.Is(err, parbuckle.InvalidState) {
		t.Errorf("writing to a finished writer: %v", err)
	}

	if err := os.WriteFile(filepath.Join(dir, "b"), []byte("b"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := must[*parbuckle.Layer](t)(parbuckle.LayerFromDir(ctx, dir))
	second := must[*parbuckle.Layer](t)(parbuckle.LayerFromDir(ctx, dir))
	if first.Descriptor().Digest() != second.Descriptor().Digest() {
		t.Error("the same directory gives two layers")
	}
	added := must[*parbuckle.Layer](t)(parbuckle.NewLayerBuilder().AddPath(filepath.Join(dir, "b"), "c").Build(ctx))
	if header, err := tar.NewReader(open(t, added.OpenUncompressed)).Next(); err != nil || header.Name != "c" {
		t.Errorf("got %v, %v", header, err)
	}

	if _, err := parbuckle.LayerFromFile(ctx, filepath.Join(dir, "none")); !errors.Is(err, parbuckle.NotFound) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	broken := errors.New("broken")
	if _, err := parbuckle.LayerFromReader(ctx, io.MultiReader(bytes.NewReader(archive[:700]), failing{broken})); err != broken {
		t.Errorf("a reader's error became %v", err)
	}
	if _, err := parbuckle.LayerFromBytes(ctx, []byte("no tar")); !errors.Is(err, parbuckle.Malformed) {
		t.Errorf("got %v", err)
	}
}

func open(t *testing.T, how func(context.Context) (io.ReadCloser, error)) io.Reader {
	t.Helper()
	reader := must[io.ReadCloser](t)(how(t.Context()))
	t.Cleanup(func() { reader.Close() })
	return reader
}

func digestOf(h hash.Hash) string { return fmt.Sprintf("sha256:%x", h.Sum(nil)) }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// bigTar is a tar with one file of so many bytes (whole blocks of 512), which hardly compress.
func bigTar(size int64) io.Reader {
	var header bytes.Buffer
	if err := tar.NewWriter(&header).WriteHeader(&tar.Header{Name: "big", Mode: 0o644, Size: size}); err != nil {
		panic(err) // it fits
	}
	return io.MultiReader(&header, io.LimitReader(rand.NewChaCha8([32]byte{}), size), bytes.NewReader(make([]byte, 1024)))
}
