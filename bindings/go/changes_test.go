package parbuckle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	parbuckle "parbuckle.example/go"
)

// document is what tests look for in manifests.
type document struct {
	MediaType    string
	ArtifactType string
	Subject      *struct{ Digest string }
	Annotations  map[string]string
	Config       part
	Layers       []part
	Manifests    []part
}

type part struct {
	MediaType    string
	ArtifactType string
	Digest       string
	URLs         []string
	Annotations  map[string]string
}

func parse(t *testing.T, manifest []byte) (parsed document) {
	t.Helper()
	if err := json.Unmarshal(manifest, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// valid builds an image, which has to be right.
func valid(t *testing.T, builder *parbuckle.Builder) *parbuckle.Image {
	t.Helper()
	image := must[*parbuckle.Image](t)(builder.Build(t.Context()))
	if report := must[*parbuckle.Report](t)(image.Examine(t.Context())); report.Err() != nil {
		t.Error(report)
	}
	return image
}

func layerOf(t *testing.T, path, content string, options ...parbuckle.Option) *parbuckle.Layer {
	t.Helper()
	return must[*parbuckle.Layer](t)(parbuckle.NewLayerBuilder().AddBytes(path, 0o640, []byte(content)).Build(t.Context(), options...))
}

func TestBuilderLayers(t *testing.T) {
	base := random(t, 1)
	one := layerOf(t, "one", "1")
	image := valid(t, base.Edit().
		RemoveLayer(0).
		ReplaceLayer(0, one).SetLayerAnnotation("k", "v").SetLayerAnnotation("gone", "x").UnsetLayerAnnotation("gone").
		SetHistory(parbuckle.History{CreatedBy: "replaced"}).
		AddEmptyLayer().SetHistory(parbuckle.History{CreatedBy: "empty"}).
		AddLayer(layerOf(t, "two", "2")).SetLayerURLs("https://layers.example/two").
		AnnotateLayer(1, "a", "b").AnnotateLayer(1, "gone", "x").UnannotateLayer(1, "gone"))
	layers := parse(t, image.Manifest()).Layers
	if len(layers) != 2 || layers[0].Digest != one.Descriptor().Digest() || layers[0].Annotations["k"] != "v" || len(layers[0].Annotations) != 1 {
		t.Fatalf("layers %+v", layers)
	}
	if !slices.Equal(layers[1].URLs, []string{"https://layers.example/two"}) || layers[1].Annotations["a"] != "b" || len(layers[1].Annotations) != 1 {
		t.Errorf("layer %+v", layers[1])
	}
	var config struct {
		History []struct {
			CreatedBy  string `json:"created_by"`
			EmptyLayer bool   `json:"empty_layer"`
		}
	}
	if err := json.Unmarshal(must[*parbuckle.Config](t)(image.Config(t.Context())).JSON(), &config); err != nil {
		t.Fatal(err)
	}
	if h := config.History; len(h) != 3 || h[0].CreatedBy != "replaced" || !h[1].EmptyLayer || h[1].CreatedBy != "empty" {
		t.Errorf("history %+v", h)
	}
	for name, wrong := range map[string]*parbuckle.Builder{
		"no such layer":  base.Edit().RemoveLayer(2),
		"negative layer": base.Edit().RemoveLayer(-1),
	} {
		if _, err := wrong.Build(t.Context()); !errors.Is(err, parbuckle.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBuilderFields(t *testing.T) {
	ctx := t.Context()
	base := valid(t, random(t, 1).Edit().SetEnv("A", "b").SetLabel("k", "v").SetAnnotation("k", "v").SetSubject(tiny(t).Descriptor()))
	image := valid(t, base.Edit().ClearEnv().ClearLabels().ClearAnnotations().ClearSubject().
		SetConfigAnnotation("c", "d").SetConfigAnnotation("gone", "x").UnsetConfigAnnotation("gone").
		SetHealthcheck(parbuckle.Healthcheck{Test: []string{"CMD", "true"}, Interval: time.Second, Retries: 3}).
		SetShell("/bin/sh", "-c").SetOnBuild("RUN true").SetArtifactType("application/x"))
	config := must[*parbuckle.Config](t)(image.Config(ctx))
	if len(config.Env()) != 0 || len(config.Labels()) != 0 || len(image.Annotations()) != 0 {
		t.Errorf("left: %v, %v, %v", config.Env(), config.Labels(), image.Annotations())
	}
	var inner struct {
		Config struct {
			Healthcheck struct {
				Test     []string
				Interval int64
				Retries  int
			}
			Shell, OnBuild []string
		}
	}
	if err := json.Unmarshal(config.JSON(), &inner); err != nil {
		t.Fatal(err)
	}
	check := inner.Config.Healthcheck
	if !slices.Equal(check.Test, []string{"CMD", "true"}) || check.Interval != 1e9 || check.Retries != 3 ||
		!slices.Equal(inner.Config.Shell, []string{"/bin/sh", "-c"}) || !slices.Equal(inner.Config.OnBuild, []string{"RUN true"}) {
		t.Errorf("config %s", config.JSON())
	}
	manifest := parse(t, image.Manifest())
	if manifest.Subject != nil || manifest.Config.Annotations["c"] != "d" || len(manifest.Config.Annotations) != 1 || image.ArtifactType() != "application/x" {
		t.Errorf("manifest %s", image.Manifest())
	}

	docker := valid(t, random(t, 1, parbuckle.WithCompression("gzip", 0)).Edit().SetFormat("docker"))
	if !strings.HasPrefix(docker.MediaType(), "application/vnd.docker.") {
		t.Errorf("media type %s", docker.MediaType())
	}
	artifact := must[*parbuckle.Image](t)(parbuckle.Scratch().SetRawConfig([]byte("{}"), "application/y").
		SetConfigMediaType("application/z").AddLayer(must[*parbuckle.Layer](t)(parbuckle.FixedLayer([]byte("text"), "text/plain"))).
		SetLayerMediaType("text/x").Build(ctx))
	if parsed := parse(t, artifact.Manifest()); parsed.Config.MediaType != "application/z" || parsed.Layers[0].MediaType != "text/x" || artifact.ArtifactType() != "application/z" {
		t.Errorf("artifact %s", artifact.Manifest())
	}
	renamed := must[*parbuckle.Image](t)(random(t, 1).Edit().SetMediaType("application/vnd.docker.distribution.manifest.v2+json").Build(ctx))
	if renamed.MediaType() != "application/vnd.docker.distribution.manifest.v2+json" {
		t.Errorf("media type %s", renamed.MediaType())
	}
}

func TestChanges(t *testing.T) {
	ctx := t.Context()
	base := valid(t, parbuckle.Scratch().AddLayer(layerOf(t, "etc/motd", "hello")).SetPlatform("linux/amd64").SetCreated(time.Unix(1e9, 0)))
	t.Run("recompress", func(t *testing.T) {
		zstd := must[*parbuckle.Image](t)(base.Recompress(ctx, parbuckle.WithCompression("zstd", 0), parbuckle.WithJobs(1)))
		if found := zstd.Layers()[0].Descriptor().MediaType(); !strings.HasSuffix(found, "+zstd") {
			t.Errorf("layer is %s", found)
		}
		same(t, zstd, base, false)
	})
	t.Run("time", func(t *testing.T) {
		at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
		timed := must[*parbuckle.Image](t)(base.WithTime(ctx, at))
		header := must[*tar.Header](t)(tar.NewReader(open(t, timed.Layers()[0].OpenUncompressed)).Next())
		if created := must[*parbuckle.Config](t)(timed.Config(ctx)).Created(); !created.Equal(at) || !header.ModTime.Equal(at) {
			t.Errorf("created %v, changed %v", created, header.ModTime)
		}
	})
	t.Run("canonical", func(t *testing.T) {
		one := must[*parbuckle.Image](t)(base.Canonical(ctx))
		two := must[*parbuckle.Image](t)(valid(t, base.Edit().SetCreated(time.Unix(2e9, 0))).Canonical(ctx))
		if one.Digest() != two.Digest() {
			t.Errorf("%s and %s", one.Digest(), two.Digest())
		}
	})
	t.Run("rebase", func(t *testing.T) {
		app := valid(t, base.Edit().AddLayer(layerOf(t, "app", "x")))
		newer := valid(t, base.Edit().AddLayer(layerOf(t, "fix", "y")))
		rebased := must[*parbuckle.Image](t)(app.Rebase(ctx, base, newer, name))
		if layers := rebased.Layers(); len(layers) != 3 || layers[1].Descriptor().Digest() != newer.Layers()[1].Descriptor().Digest() {
			t.Errorf("layers %v", layers)
		}
		if rebased.Annotations()["org.opencontainers.image.base.name"] != name {
			t.Errorf("annotations %v", rebased.Annotations())
		}
		if _, err := app.Rebase(ctx, newer, base, ""); !errors.Is(err, parbuckle.InvalidArgument) {
			t.Errorf("got %v", err)
		}
		index := func(image *parbuckle.Image) *parbuckle.Index {
			return must[*parbuckle.Index](t)(parbuckle.ScratchIndex().AddImage(image).Build(ctx))
		}
		all := must[*parbuckle.Index](t)(index(app).Rebase(ctx, index(base), index(newer), name))
		if found := must[*parbuckle.Image](t)(all.Image(ctx, "linux/amd64")); found.Digest() != rebased.Digest() {
			t.Errorf("%s in the index", found.Digest())
		}
	})
	t.Run("convert", func(t *testing.T) {
		docker := must[*parbuckle.Image](t)(base.Convert(ctx, "docker"))
		if again := must[*parbuckle.Image](t)(docker.Convert(ctx, "oci")); again.Digest() != base.Digest() || docker.Digest() == base.Digest() {
			t.Errorf("%s, %s, %s", base.Digest(), docker.Digest(), again.Digest())
		}
		index := must[*parbuckle.Index](t)(parbuckle.ScratchIndex().AddImage(base).Build(ctx))
		if list := must[*parbuckle.Index](t)(index.Convert(ctx, "docker")); list.Descriptor().MediaType() != "application/vnd.docker.distribution.manifest.list.v2+json" {
			t.Errorf("media type %s", list.Descriptor().MediaType())
		}
	})
	t.Run("for windows", func(t *testing.T) {
		layer := must[*parbuckle.Layer](t)(base.Layers()[0].ForWindows(ctx, parbuckle.WithCompression("none", 0)))
		var names []string
		for archive := tar.NewReader(open(t, layer.OpenUncompressed)); ; {
			header, err := archive.Next()
			if err == io.EOF {
				break
			}
			names = append(names, must[*tar.Header](t)(header, err).Name)
		}
		if !slices.Contains(names, "Files/etc/motd") {
			t.Errorf("the layer has %q", names)
		}
	})
	t.Run("edit and remove a file", func(t *testing.T) {
		edited := must[*parbuckle.Image](t)(base.EditFile(ctx, "/etc/motd", []byte("bye")))
		header := must[*tar.Header](t)(tar.NewReader(open(t, edited.Layers()[1].OpenUncompressed)).Next())
		if header.Name != "etc/motd" || header.Mode != 0o640 || header.Size != 3 {
			t.Errorf("the layer has %+v", header)
		}
		removed := must[*parbuckle.Image](t)(edited.RemoveFile(ctx, "etc/motd"))
		header = must[*tar.Header](t)(tar.NewReader(open(t, removed.Layers()[2].OpenUncompressed)).Next())
		if header.Name != "etc/.wh.motd" {
			t.Errorf("the layer has %+v", header)
		}
		if _, err := removed.RemoveFile(ctx, "etc/motd"); !errors.Is(err, parbuckle.NotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTOC(t *testing.T) {
	ctx := t.Context()
	layer := must[*parbuckle.Layer](t)(parbuckle.NewLayerBuilder().AddBytes("a", 0o644, []byte("first")).AddSymlink("b", "a").
		Build(ctx, parbuckle.WithCompression("estargz", 0)))
	var entries []string
	for entry, err := range layer.TOC(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, fmt.Sprintf("%s %s %d %s", entry.Path, entry.Type, entry.Size, entry.Link))
	}
	if !layer.HasTOC() || !slices.Equal(entries, []string{".no.prefetch.landmark reg 1 ", "a reg 5 ", "b symlink 0 a"}) {
		t.Errorf("%v, contents %q", layer.HasTOC(), entries)
	}
	for _, layer := range []*parbuckle.Layer{layer, layerOf(t, "a", "first")} {
		if content := must[[]byte](t)(io.ReadAll(open(t, func(ctx context.Context) (io.ReadCloser, error) { return layer.OpenFile(ctx, "/a") }))); string(content) != "first" {
			t.Errorf("read %q", content)
		}
		if _, err := layer.OpenFile(ctx, "c"); !errors.Is(err, parbuckle.NotFound) {
			t.Errorf("got %v", err)
		}
	}
	for _, err := range layerOf(t, "a", "first").TOC(ctx) {
		if !errors.Is(err, parbuckle.NotFound) {
			t.Errorf("got %v", err)
		}
	}
}

func TestIndexBuilder(t *testing.T) {
	ctx := t.Context()
	amd64 := random(t, 1)
	arm64 := valid(t, random(t, 2).Edit().SetPlatform("linux/arm64").SetAnnotation("from", "manifest"))
	nested := must[*parbuckle.Index](t)(parbuckle.RandomIndex(ctx, 2, 1, 1000, 3))
	builder := parbuckle.ScratchIndex().
		AddImage(amd64).SetEntryAnnotation("k", "v").SetEntryAnnotation("gone", "x").UnsetEntryAnnotation("gone").
		SetEntryURLs("https://images.example/amd64").SetEntryArtifactType("application/x").
		AddImage(arm64).SetEntryPlatform("linux/arm64/v8").
		AddIndex(nested).AddChildren(nested).
		SetAnnotation("about", "index").SetAnnotation("gone", "x").UnsetAnnotation("gone").
		SetSubject(amd64.Descriptor()).SetArtifactType("application/y")
	index := must[*parbuckle.Index](t)(builder.Build(ctx))
	manifest := parse(t, index.Manifest())
	entries := manifest.Manifests
	if len(entries) != 5 || manifest.Subject.Digest != amd64.Digest() || manifest.ArtifactType != "application/y" || len(index.Annotations()) != 1 {
		t.Fatalf("index %s", index.Manifest())
	}
	if e := entries[0]; e.Annotations["k"] != "v" || len(e.Annotations) != 1 || len(e.URLs) != 1 || e.ArtifactType != "application/x" {
		t.Errorf("entry %+v", e)
	}
	if entries[1].Annotations["from"] != "manifest" || entries[2].Digest != nested.Digest() {
		t.Errorf("entries %+v", entries)
	}
	if found := index.Platforms(); !slices.Equal(found, []string{"linux/amd64", "linux/arm64/v8"}) {
		t.Errorf("platforms %v", found)
	}
	if size := must[uint64](t)(index.Size(ctx)); size < amd64.Size()+arm64.Size() || amd64.Size() < 100_000 {
		t.Errorf("%d bytes", size)
	}
	if err := index.Validate(ctx); err != nil {
		t.Error(err)
	}

	count := func(builder *parbuckle.IndexBuilder) int {
		return must[*parbuckle.Index](t)(builder.Build(ctx)).Len()
	}
	arm := parbuckle.Matcher{Platforms: []string{"linux/arm64"}}
	for name, check := range map[string]struct{ got, want int }{
		"remove":  {count(index.Edit().Remove(arm)), 4},
		"keep":    {count(index.Edit().Keep(arm)), 1},
		"flatten": {count(index.Edit().Flatten()), 6},
		"all":     {count(index.Edit().Remove(parbuckle.Matcher{})), 0},
		"type":    {count(index.Edit().Keep(parbuckle.Matcher{MediaTypes: []string{nested.Descriptor().MediaType()}})), 1},
		"both":    {count(index.Edit().Keep(parbuckle.Matcher{ArtifactTypes: []string{"application/x"}, Annotated: []string{"k"}})), 1},
	} {
		if check.got != check.want {
			t.Errorf("%s: %d entries instead of %d", name, check.got, check.want)
		}
	}
	changed := must[*parbuckle.Index](t)(index.Edit().Annotate(arm, "n", "m").Unannotate(parbuckle.Matcher{}, "k").ClearSubject().Build(ctx))
	if m := parse(t, changed.Manifest()); m.Manifests[1].Annotations["n"] != "m" || len(m.Manifests[0].Annotations) != 0 || m.Subject != nil {
		t.Errorf("index %s", changed.Manifest())
	}
	list := must[*parbuckle.Index](t)(parbuckle.ScratchIndex().Build(ctx, parbuckle.WithFormat("docker")))
	if again := must[*parbuckle.Index](t)(list.Edit().SetFormat("oci").Build(ctx)); again.Descriptor().MediaType() == list.Descriptor().MediaType() {
		t.Errorf("still %s", again.Descriptor().MediaType())
	}
	for name, err := range map[string]error{
		"matcher": second(index.Edit().Keep(parbuckle.Matcher{Digests: []string{"?"}}).Build(ctx)),
		"find":    second(index.Find(parbuckle.Matcher{Platforms: []string{"a\x00b"}})),
		"early":   second(parbuckle.ScratchIndex().SetEntryPlatform("linux/amd64").Build(ctx)),
	} {
		if !errors.Is(err, parbuckle.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReports(t *testing.T) {
	ctx := t.Context()
	image := random(t, 1)
	if report := must[*parbuckle.Report](t)(image.Compare(ctx, image)); report.Len() != 0 || report.Err() != nil || report.String() != "" {
		t.Errorf("differs from itself: %v", report)
	}
	other := valid(t, image.Edit().SetUser("x").AddLayer(layerOf(t, "a", "1")))
	report := must[*parbuckle.Report](t)(image.Compare(ctx, other))
	var subjects []string
	for finding := range report.Findings() {
		if finding.Code != parbuckle.DigestMismatch || finding.Message == "" {
			t.Errorf("finding %+v", finding)
		}
		subjects = append(subjects, finding.Subject)
	}
	var listed []struct{ Code, Subject, Message string }
	if err := json.Unmarshal(must[[]byte](t)(json.Marshal(report)), &listed); err != nil || len(listed) != len(subjects) || len(listed) < 2 {
		t.Errorf("%d findings, %d in JSON, %v", len(subjects), len(listed), err)
	}
	err := report.Err()
	var first parbuckle.Finding
	if !errors.Is(err, parbuckle.DigestMismatch) || errors.Is(err, parbuckle.Malformed) || !errors.As(err, &first) || first.Subject != subjects[0] {
		t.Errorf("got %v", err)
	}
	one, two := layerOf(t, "a", "1"), layerOf(t, "a", "2")
	if report := must[*parbuckle.Report](t)(one.Compare(ctx, two, parbuckle.WithFiles())); !strings.Contains(report.String(), "a") || report.Len() == 0 {
		t.Errorf("found %v", report)
	}
	index := must[*parbuckle.Index](t)(parbuckle.ScratchIndex().AddImage(image).Build(ctx))
	edited := must[*parbuckle.Index](t)(parbuckle.ScratchIndex().AddImage(other).Build(ctx))
	if report := must[*parbuckle.Report](t)(index.Compare(ctx, edited)); report.Len() == 0 {
		t.Error("two indexes are the same")
	}

	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:` + strings.Repeat("0", 64) + `"]}}`)
	wrong := must[*parbuckle.Image](t)(parbuckle.ImageFromParts(ctx, manifestOf(config, one), parbuckle.Parts{
		Bytes: [][]byte{config}, Layers: []*parbuckle.Layer{one},
	}))
	if report := must[*parbuckle.Report](t)(wrong.Examine(ctx, parbuckle.WithJobs(1))); !errors.Is(report.Err(), parbuckle.DigestMismatch) {
		t.Errorf("found %v", report)
	}
	if report := must[*parbuckle.Report](t)(wrong.Examine(ctx, parbuckle.WithFast())); report.Err() != nil {
		t.Errorf("found without reading: %v", report)
	}
	if err := wrong.Validate(ctx); !errors.Is(err, parbuckle.DigestMismatch) {
		t.Errorf("got %v", err)
	}
	if report := must[*parbuckle.Report](t)(index.Examine(ctx)); report.Err() != nil {
		t.Error(report)
	}
	if err := one.Validate(ctx); err != nil {
		t.Error(err)
	}
}

func manifestOf(config []byte, layer *parbuckle.Layer) []byte {
	d := layer.Descriptor()
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%x","size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		sha256.Sum256(config), len(config), d.MediaType(), d.Digest(), d.Size())
}

// shop has blobs, and counts what is done with them.
type shop struct {
	blobs          map[string][]byte
	opened, closed atomic.Int32
	seekable       bool
	mu             sync.Mutex
	fail           error
}

// shopOf has everything of an image but its manifest.
func shopOf(t *testing.T, image *parbuckle.Image) *shop {
	s := &shop{blobs: map[string][]byte{}}
	for _, layer := range image.Layers() {
		s.blobs[layer.Descriptor().Digest()] = must[[]byte](t)(io.ReadAll(open(t, layer.Open)))
	}
	config := must[*parbuckle.Config](t)(image.Config(t.Context())).JSON()
	s.blobs[fmt.Sprintf("sha256:%x", sha256.Sum256(config))] = config
	return s
}

func (s *shop) open(_ context.Context, blob *parbuckle.Descriptor) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	data, ok := s.blobs[blob.Digest()]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: blob.Digest(), Err: fs.ErrNotExist}
	}
	s.opened.Add(1)
	closer := closerFunc(func() { s.closed.Add(1) })
	if s.seekable {
		return struct {
			io.ReadSeeker
			io.Closer
		}{bytes.NewReader(data), closer}, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(data), closer}, nil
}

func (s *shop) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

type closerFunc func()

func (f closerFunc) Close() error { f(); return nil }

func TestParts(t *testing.T) {
	ctx := t.Context()
	image := random(t, 1)
	shop := shopOf(t, image)
	made := must[*parbuckle.Image](t)(parbuckle.ImageFromParts(ctx, image.Manifest(), parbuckle.Parts{Open: shop.open}))
	same(t, made, image, true)
	for range 100 {
		if shop.closed.Load() == shop.opened.Load() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if opened, closed := shop.opened.Load(), shop.closed.Load(); opened < 3 || closed != opened {
		t.Errorf("%d opened, %d closed", opened, closed)
	}

	broken := errors.New("broken")
	shop.failWith(broken)
	fresh := func(parts parbuckle.Parts) *parbuckle.Image {
		return must[*parbuckle.Image](t)(parbuckle.ImageFromParts(ctx, image.Manifest(), parts))
	}
	if _, err := fresh(parbuckle.Parts{Open: shop.open}).Config(ctx); !errors.Is(err, broken) || !errors.Is(err, parbuckle.Callback) {
		t.Errorf("an opener's error became %v", err)
	}
	shop.failWith(nil)
	for name, parts := range map[string]parbuckle.Parts{
		"panic": {Open: func(context.Context, *parbuckle.Descriptor) (io.ReadCloser, error) { panic("no such thing") }},
		"none":  {Open: func(context.Context, *parbuckle.Descriptor) (io.ReadCloser, error) { return nil, nil }},
		"read": {Open: func(context.Context, *parbuckle.Descriptor) (io.ReadCloser, error) {
			return io.NopCloser(failing{broken}), nil
		}},
	} {
		if _, err := fresh(parts).Config(ctx); !errors.Is(err, parbuckle.Callback) || errors.Is(err, broken) != (name == "read") {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := parbuckle.Parts{Open: func(context.Context, *parbuckle.Descriptor) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("{}")), nil
	}}
	if _, err := fresh(wrong).Config(ctx); !errors.Is(err, parbuckle.DigestMismatch) {
		t.Errorf("got %v", err)
	}

	gone := layerOf(t, "gone", "x").Descriptor()
	facts := parbuckle.LayerFacts{MediaType: gone.MediaType(), Digest: gone.Digest(), Size: gone.Size()}
	missing := must[*parbuckle.Layer](t)(parbuckle.LayerFromParts(ctx, facts, parbuckle.Parts{Open: shop.open}))
	if err := missing.Validate(ctx); !errors.Is(err, parbuckle.NotFound) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := parbuckle.LayerFromParts(ctx, facts, parbuckle.Parts{}); !errors.Is(err, parbuckle.NotFound) {
		t.Errorf("got %v", err)
	}

	// The context is what the functions get, and Exists is asked first.
	key := new(int)
	var asked, seen atomic.Int32
	exists := must[*parbuckle.Image](t)(parbuckle.ImageFromParts(context.WithValue(ctx, key, 1), image.Manifest(), parbuckle.Parts{
		Open: func(ctx context.Context, blob *parbuckle.Descriptor) (io.ReadCloser, error) {
			if ctx.Value(key) == 1 {
				seen.Add(1)
			}
			return shop.open(ctx, blob)
		},
		Exists: func(context.Context, *parbuckle.Descriptor) (bool, error) { asked.Add(1); return true, nil },
	}))
	report := must[*parbuckle.Report](t)(exists.Examine(ctx, parbuckle.WithFast()))
	if report.Err() != nil || asked.Load() != 2 || seen.Load() != 1 {
		t.Errorf("%v; asked %d times, opened %d times", report, asked.Load(), seen.Load())
	}
	if _, err := parbuckle.ImageFromParts(ctx, image.Manifest(), parbuckle.Parts{Exists: func(context.Context, *parbuckle.Descriptor) (bool, error) { return true, nil }}); !errors.Is(err, parbuckle.InvalidArgument) {
		t.Errorf("got %v", err)
	}

	// Values among the parts, and a layer that is known well.
	index := must[*parbuckle.Index](t)(parbuckle.ScratchIndex().AddImage(image).Build(ctx))
	again := must[*parbuckle.Index](t)(parbuckle.IndexFromParts(ctx, index.Manifest(), parbuckle.Parts{Images: []*parbuckle.Image{image}, Indexes: []*parbuckle.Index{index}}))
	if err := again.Validate(ctx); err != nil || again.Digest() != index.Digest() {
		t.Errorf("%s became %s: %v", index.Digest(), again.Digest(), err)
	}
	d := image.Layers()[0].Descriptor()
	known := must[*parbuckle.Layer](t)(parbuckle.LayerFromParts(ctx, parbuckle.LayerFacts{
		MediaType: d.MediaType(), Digest: d.Digest(), Size: d.Size(), DiffID: d.Digest(), UncompressedSize: int64(d.Size()),
	}, parbuckle.Parts{Open: func(context.Context, *parbuckle.Descriptor) (io.ReadCloser, error) { panic("opened") }}))
	if id := must[string](t)(known.DiffID(ctx)); id != d.Digest() || must[uint64](t)(known.UncompressedSize(ctx)) != d.Size() {
		t.Errorf("diff id %s", id)
	}
}

// TestPartsAgain: an upload that breaks goes on with a stream from where it broke, whether it can be positioned or not.
func TestPartsAgain(t *testing.T) {
	ctx := t.Context()
	image := must[*parbuckle.Image](t)(parbuckle.RandomImage(ctx, 1, 3<<20, 1))
	for _, seekable := range []bool{true, false} {
		server, client := serve(t, parbuckle.ServeFault("PUT", "/v2/a/blobs/*", 1, "reset@50%"))
		shop := shopOf(t, image)
		shop.seekable = seekable
		made := must[*parbuckle.Image](t)(parbuckle.ImageFromParts(ctx, image.Manifest(), parbuckle.Parts{Open: shop.open}))
		if err := client.Push(ctx, server.Registry()+"/a:1", made); err != nil {
			t.Fatal(err)
		}
		if shop.opened.Load() < 3 {
			t.Errorf("%d opened: nothing broke", shop.opened.Load())
		}
		same(t, must[*parbuckle.Image](t)(client.Pull(ctx, server.Registry()+"/a:1")), image, true)
	}
}

// TestPartsCollected: the functions of parts are forgotten with the last value that needs them.
func TestPartsCollected(t *testing.T) {
	collected := make(chan struct{})
	func() {
		image := random(t, 1)
		shop := shopOf(t, image)
		runtime.AddCleanup(shop, func(struct{}) { close(collected) }, struct{}{})
		made := must[*parbuckle.Image](t)(parbuckle.ImageFromParts(t.Context(), image.Manifest(), parbuckle.Parts{Open: shop.open}))
		same(t, made, image, true)
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-collected:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Error("they are kept")
}

// TestPartsEnd: a call whose context ends does not wait for a function of the program.
func TestPartsEnd(t *testing.T) {
	image := random(t, 1)
	release := make(chan struct{})
	made := must[*parbuckle.Image](t)(parbuckle.ImageFromParts(t.Context(), image.Manifest(), parbuckle.Parts{
		Open: func(context.Context, *parbuckle.Descriptor) (io.ReadCloser, error) {
			<-release
			return nil, fs.ErrNotExist
		},
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	started := time.Now()
	layout := must[*parbuckle.Layout](t)(parbuckle.CreateLayout(ctx, t.TempDir()))
	if _, err := layout.AddImage(ctx, made, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(started); took > 100*time.Millisecond+prompt {
		t.Errorf("took %v", took)
	}
	close(release)
}

func TestRandomAndEmpty(t *testing.T) {
	ctx := t.Context()
	if random(t, 1).Digest() != random(t, 1).Digest() || random(t, 1).Digest() == random(t, 2).Digest() {
		t.Error("seeds make no difference, or others do")
	}
	layer := must[*parbuckle.Layer](t)(parbuckle.RandomLayer(ctx, 1000, 1))
	if size := must[uint64](t)(layer.UncompressedSize(ctx)); size < 1000 || size != layer.Descriptor().Size() {
		t.Errorf("%d bytes", size)
	}
	index := must[*parbuckle.Index](t)(parbuckle.RandomIndex(ctx, 2, 1, 100, 1, parbuckle.WithFormat("docker")))
	if again := must[*parbuckle.Index](t)(parbuckle.RandomIndex(ctx, 2, 1, 100, 1, parbuckle.WithFormat("docker"))); again.Digest() != index.Digest() || index.Len() != 2 {
		t.Errorf("%s and %s", again.Digest(), index.Digest())
	}
	empty := must[*parbuckle.Image](t)(parbuckle.EmptyImage(parbuckle.WithFormat("docker")))
	if !strings.HasPrefix(empty.MediaType(), "application/vnd.docker.") || len(empty.Layers()) != 0 {
		t.Errorf("media type %s", empty.MediaType())
	}
	if nothing := must[*parbuckle.Index](t)(parbuckle.EmptyIndex()); nothing.Len() != 0 {
		t.Errorf("%d entries", nothing.Len())
	}
	config := must[*parbuckle.Config](t)(random(t, 1).Config(ctx)).JSON()
	made := must[*parbuckle.Image](t)(parbuckle.ImageFromConfig(ctx, config, random(t, 1).Layers()))
	same(t, made, random(t, 1), true)
	for name, err := range map[string]error{
		"layers":     second(parbuckle.RandomImage(ctx, -1, 1, 1)),
		"too many":   second(parbuckle.RandomIndex(ctx, 1001, 1, 1, 1)),
		"format":     second(parbuckle.EmptyImage(parbuckle.WithFormat("?"))),
		"unread":     second(parbuckle.EmptyIndex(parbuckle.WithJobs(1))),
		"media type": second(parbuckle.FixedLayer(nil, "a\x00b")),
	} {
		if !errors.Is(err, parbuckle.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
