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
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	parbuckle "parbuckle.example/go"
)

// serve starts a registry and a client of it.
func serve(t *testing.T, options ...parbuckle.ServerOption) (*parbuckle.Server, *parbuckle.Client) {
	t.Helper()
	server, err := parbuckle.Serve(t.Context(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, connect(t)
}

func connect(t *testing.T, options ...parbuckle.ClientOption) *parbuckle.Client {
	t.Helper()
	options = append([]parbuckle.ClientOption{parbuckle.WithKeychain(parbuckle.AnonymousKeychain())}, options...)
	client, err := parbuckle.NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return client
}

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func TestRoundTrip(t *testing.T) {
	ctx := t.Context()
	server, client := serve(t)
	base, target := server.Registry()+"/base:1", server.Registry()+"/app:1"
	if err := client.Push(ctx, base, tiny(t)); err != nil {
		t.Fatal(err)
	}

	pulled := must[*parbuckle.Image](t)(client.Pull(ctx, base))
	var calls int
	layer := must[*parbuckle.Layer](t)(parbuckle.NewLayerBuilder().
		AddBytes("app/run", 0o755, []byte("#!/bin/sh\n")).
		AddSymlink("app/latest", "run").
		Remove("hello").
		Build(ctx, parbuckle.WithSink(client.Sink(target)), parbuckle.WithCompression("gzip", 9),
			parbuckle.WithProgress(func(done, total uint64) { calls++ })))
	if calls == 0 {
		t.Error("no progress was reported")
	}
	made := must[*parbuckle.Image](t)(pulled.Edit().
		AddLayer(layer).
		SetHistory(parbuckle.History{CreatedBy: "test", Comment: "a layer", Created: time.Unix(1, 0)}).
		SetEnv("APP_MODE", "production").SetEnv("GONE", "soon").UnsetEnv("GONE").
		SetEntrypoint("/app/run", "-v").SetCmd("x").SetUser("app").SetWorkingDir("/app").
		SetLabel("kept", "yes").SetLabel("gone", "soon").UnsetLabel("gone").
		SetAnnotation("note", "one").SetAnnotation("gone", "soon").UnsetAnnotation("gone").
		AddExposedPort("1").ClearExposedPorts().AddExposedPort("80").
		AddVolume("/gone").ClearVolumes().AddVolume("/data").
		SetStopSignal("SIGINT").SetAuthor("me").SetCreated(time.Unix(1e9, 5e8)).
		SetSubject(pulled.Descriptor()).
		Build(ctx))
	if err := client.Push(ctx, target, made, parbuckle.WithJobs(2), parbuckle.WithMountFrom(base)); err != nil {
		t.Fatal(err)
	}

	again := must[*parbuckle.Image](t)(client.Pull(ctx, target, parbuckle.WithPlatform("linux/amd64")))
	if again.Digest() != made.Digest() || !bytes.Equal(again.Manifest(), made.Manifest()) {
		t.Errorf("pushed %s and pulled %s", made.Digest(), again.Digest())
	}
	if err := again.Validate(ctx, parbuckle.WithJobs(2)); err != nil {
		t.Error(err)
	}
	if d := again.Descriptor(); d.Digest() != again.Digest() || d.MediaType() != again.MediaType() ||
		d.Size() != uint64(len(again.Manifest())) || d.ArtifactType() != "" || d.Platform() != "" || len(d.Annotations()) != 0 {
		t.Errorf("descriptor %v of %s", d, again.MediaType())
	}
	if notes := again.Annotations(); !maps.Equal(notes, map[string]string{"note": "one"}) {
		t.Errorf("annotations %v", notes)
	}
	checkConfig(t, must[*parbuckle.Config](t)(again.Config(ctx)))
	layers := again.Layers()
	if len(layers) != 2 || layers[1].Descriptor().Digest() != layer.Descriptor().Digest() {
		t.Fatalf("layers %v", layers)
	}
	diffID := must[string](t)(layer.DiffID(ctx))
	if found := must[string](t)(layers[1].DiffID(ctx)); found != diffID {
		t.Errorf("diff id %s instead of %s", found, diffID)
	}
	names := []string{}
	archive := tar.NewReader(open(t, layers[1].OpenUncompressed))
	for {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
	if !slices.Equal(names, []string{"app/run", "app/latest", ".wh.hello"}) {
		t.Errorf("the layer has %q", names)
	}
	if found := must[*parbuckle.Descriptor](t)(client.Resolve(ctx, target)); found.Digest() != made.Digest() {
		t.Errorf("resolved %v", found)
	}
}

func checkConfig(t *testing.T, config *parbuckle.Config) {
	t.Helper()
	mode, ok := config.LookupEnv("APP_MODE")
	_, gone := config.LookupEnv("GONE")
	for _, check := range []struct{ name, got, want any }{
		{"platform", config.Platform(), "linux/amd64"},
		{"created", config.Created().Equal(time.Unix(1e9, 5e8)), true},
		{"user", config.User(), "app"},
		{"working directory", config.WorkingDir(), "/app"},
		{"stop signal", config.StopSignal(), "SIGINT"},
		{"entry point", config.Entrypoint(), []string{"/app/run", "-v"}},
		{"command", config.Cmd(), []string{"x"}},
		{"environment", config.Env(), []string{"APP_MODE=production"}},
		{"APP_MODE", mode, "production"}, {"APP_MODE is set", ok, true}, {"GONE is set", gone, false},
		{"labels", config.Labels(), map[string]string{"kept": "yes"}},
		{"ports", config.ExposedPorts(), []string{"80"}},
		{"volumes", config.Volumes(), []string{"/data"}},
		{"diff ids", len(config.DiffIDs()), 2},
	} {
		if !reflect.DeepEqual(check.got, check.want) {
			t.Errorf("%s: %q instead of %q", check.name, check.got, check.want)
		}
	}
	var document struct {
		Author  string
		History []struct {
			CreatedBy string `json:"created_by"`
			Comment   string
			Created   time.Time
		}
	}
	if err := json.Unmarshal(config.JSON(), &document); err != nil {
		t.Fatal(err)
	}
	last := document.History[len(document.History)-1]
	if document.Author != "me" || last.CreatedBy != "test" || last.Comment != "a layer" || !last.Created.Equal(time.Unix(1, 0)) {
		t.Errorf("author and history: %+v", document)
	}
}

func TestConfigs(t *testing.T) {
	ctx := t.Context()
	json := []byte(`{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"x":1}`)
	config := must[*parbuckle.Config](t)(parbuckle.ParseConfig(json))
	image := must[*parbuckle.Image](t)(parbuckle.Scratch().SetConfig(config).Build(ctx, parbuckle.WithFormat("docker")))
	if !strings.HasPrefix(image.MediaType(), "application/vnd.docker.") {
		t.Errorf("media type %s", image.MediaType())
	}
	if found := must[*parbuckle.Config](t)(image.Config(ctx)); !bytes.Equal(found.JSON(), json) || found.Cmd() != nil {
		t.Errorf("config %s", found.JSON())
	}
	if _, err := parbuckle.ParseConfig([]byte("{")); !errors.Is(err, parbuckle.Malformed) {
		t.Errorf("got %v", err)
	}
	if _, err := parbuckle.ParseConfig(nil); !errors.Is(err, parbuckle.Malformed) {
		t.Errorf("got %v", err)
	}
	if !config.Created().IsZero() {
		t.Errorf("created %v", config.Created())
	}
}

func TestIndex(t *testing.T) {
	ctx := t.Context()
	server, client := serve(t)
	image := tiny(t)
	if err := client.Push(ctx, server.Registry()+"/multi:amd64", image); err != nil {
		t.Fatal(err)
	}
	amd64 := entry{
		"mediaType": image.MediaType(), "digest": image.Digest(), "size": len(image.Manifest()),
		"platform": entry{"os": "linux", "architecture": "amd64"}, "annotations": entry{"n": "v"},
	}
	child := putIndex(t, server, "child", amd64)
	digest := putIndex(t, server, "latest", amd64, child)["digest"]

	index := must[*parbuckle.Index](t)(client.PullIndex(ctx, server.Registry()+"/multi"))
	named := slices.Collect(index.Manifests())
	if index.Digest() != digest || index.Descriptor().Digest() != digest || index.Len() != 2 || len(named) != 2 {
		t.Fatalf("index %s names %v", index.Digest(), named)
	}
	if named[0].Platform() != "linux/amd64" || named[0].Annotations()["n"] != "v" || index.Annotations()["about"] != "index" {
		t.Errorf("platform %q, annotations %v and %v", named[0].Platform(), named[0].Annotations(), index.Annotations())
	}
	if len(index.Manifest()) != int(index.Descriptor().Size()) {
		t.Errorf("%d bytes of manifest", len(index.Manifest()))
	}
	for _, which := range []string{"linux/amd64", image.Digest()} {
		if found := must[*parbuckle.Image](t)(index.Image(ctx, which)); found.Digest() != image.Digest() {
			t.Errorf("%s is %s", which, found.Digest())
		}
	}
	if found := must[*parbuckle.Index](t)(index.Child(ctx, child["digest"].(string))); found.Digest() != child["digest"] {
		t.Errorf("child is %s", found.Digest())
	}
	if _, err := index.Image(ctx, "linux/s390x"); !errors.Is(err, parbuckle.NotFound) {
		t.Errorf("got %v", err)
	}
	if err := client.PushIndex(ctx, server.Registry()+"/copy:1", index); err != nil {
		t.Fatal(err)
	}
	copied := must[*parbuckle.Descriptor](t)(client.Resolve(ctx, server.Registry()+"/copy:1", parbuckle.WithPlatform("linux/amd64")))
	if copied.Digest() != image.Digest() {
		t.Errorf("the copy has %v", copied)
	}
}

func TestReferences(t *testing.T) {
	ref := must[parbuckle.Ref](t)(parbuckle.ParseRef("ubuntu"))
	if ref.Registry() != "index.docker.io" || ref.Repository() != "library/ubuntu" || ref.Tag() != "latest" || ref.Digest() != "" {
		t.Errorf("parsed %+v", ref)
	}
	tagged := must[parbuckle.Ref](t)(ref.WithTag("24.04"))
	if tagged.String() != "index.docker.io/library/ubuntu:24.04" {
		t.Errorf("tagged %v", tagged)
	}
	digest := "sha256:" + strings.Repeat("a", 64)
	pinned := must[parbuckle.Ref](t)(tagged.WithDigest(digest))
	if pinned.Tag() != "" || pinned.Digest() != digest {
		t.Errorf("pinned %v", pinned)
	}
	if again := must[parbuckle.Ref](t)(parbuckle.ParseRef(pinned.String())); again != pinned {
		t.Errorf("%v is not %v", again, pinned)
	}
	for _, wrong := range []func() (parbuckle.Ref, error){
		func() (parbuckle.Ref, error) { return parbuckle.ParseRef("A B") },
		func() (parbuckle.Ref, error) { return parbuckle.ParseRef("a\x00b") },
		func() (parbuckle.Ref, error) { return parbuckle.ParseRef("\xff") },
		func() (parbuckle.Ref, error) { return ref.WithTag("+") },
		func() (parbuckle.Ref, error) { return ref.WithDigest("md5:1") },
		func() (parbuckle.Ref, error) { return parbuckle.Ref{}.WithTag("1") },
	} {
		if ref, err := wrong(); !errors.Is(err, parbuckle.InvalidArgument) {
			t.Errorf("got %v, %v", ref, err)
		}
	}
}

func TestServer(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	server, _ := serve(t, parbuckle.ServeTestTLS("registry.test"), parbuckle.ServeUser("me", "pw"),
		parbuckle.ServeTokens(time.Minute), parbuckle.ServeAnonymousReads(), parbuckle.ServeFromDir(dir))
	if !strings.HasPrefix(server.URL(), "https://") || !strings.Contains(server.CA(), "BEGIN CERTIFICATE") {
		t.Fatalf("server at %s", server.URL())
	}
	_, port, _ := strings.Cut(server.Registry(), ":")
	reference := "localhost:" + port + "/private/app:1"

	if err := connect(t).Push(ctx, reference, tiny(t)); !errors.Is(err, parbuckle.TLS) {
		t.Errorf("without the certificate: %v", err)
	}
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, []byte(server.CA()), 0o644); err != nil {
		t.Fatal(err)
	}
	owner := connect(t, parbuckle.WithCAFile(ca), parbuckle.WithUserAgent("go-test"),
		parbuckle.WithTimeouts(time.Second, time.Minute, time.Minute),
		parbuckle.WithKeychain(parbuckle.ChainKeychain(parbuckle.AnonymousKeychain(),
			parbuckle.BasicKeychain("localhost:"+port, "me", "pw"))))
	if err := owner.Push(ctx, reference, tiny(t)); err != nil {
		t.Fatal(err)
	}
	guest := connect(t, parbuckle.WithCA(server.CA()))
	if _, err := guest.Pull(ctx, reference); err != nil {
		t.Error(err)
	}
	if err := guest.Push(ctx, reference, tiny(t)); !errors.Is(err, parbuckle.Unauthenticated) && !errors.Is(err, parbuckle.Denied) {
		t.Errorf("a guest's push: %v", err)
	}
	stranger := connect(t, parbuckle.WithCA(server.CA()), parbuckle.WithKeychain(parbuckle.BearerKeychain("localhost:"+port, "x")))
	if err := stranger.Push(ctx, reference, tiny(t)); !errors.Is(err, parbuckle.Unauthenticated) {
		t.Errorf("a wrong token: %v", err)
	}
	requests := must[[]parbuckle.Request](t)(server.Requests())
	if !slices.ContainsFunc(requests, func(r parbuckle.Request) bool {
		return r.Method == "PUT" && strings.HasSuffix(r.Path, "/manifests/1") && r.Status == 201 &&
			strings.HasPrefix(r.UserAgent, "go-test ") && r.Received > 0
	}) {
		t.Errorf("no push among %+v", requests)
	}
	if err := server.Stop(ctx); err != nil {
		t.Error(err)
	}
	if _, err := guest.Pull(ctx, reference); err == nil {
		t.Error("a stopped server serves")
	}
	if _, err := parbuckle.Serve(ctx, parbuckle.ServeFault("GET", "/v2/", 0, "nonsense")); !errors.Is(err, parbuckle.InvalidArgument) {
		t.Errorf("got %v", err)
	}
}

func TestRetries(t *testing.T) {
	ctx := t.Context()
	server, client := serve(t, parbuckle.ServeFault("GET", "*", 1, "503"), parbuckle.ServeFault("PUT", "*", 0, "500"))
	reference := server.Registry() + "/a:1"
	err := connect(t, parbuckle.WithRetry(1, 0)).Push(ctx, reference, tiny(t))
	var failure *parbuckle.Error
	if !errors.As(err, &failure) || failure.Code != parbuckle.Unavailable || failure.HTTPStatus != 500 || failure.RetryAfter < 0 {
		t.Errorf("got %#v", err)
	}
	if _, err := client.Pull(ctx, reference); !errors.Is(err, parbuckle.NotFound) {
		t.Errorf("got %v", err)
	}
	requests := must[[]parbuckle.Request](t)(server.Requests())
	if !slices.ContainsFunc(requests, func(r parbuckle.Request) bool { return r.Fault == "500" }) {
		t.Errorf("no fault among %+v", requests)
	}
	if errors.As(err, &failure); failure.Error() == "" || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestMistakes: what can't be, and who says so.
func TestMistakes(t *testing.T) {
	ctx := t.Context()
	server, client := serve(t)
	reference := server.Registry() + "/a:1"
	image := tiny(t)
	layer := image.Layers()[0]
	for name, err := range map[string]error{
		"option not read":   client.Push(ctx, reference, image, parbuckle.WithPlatform("linux/amd64")),
		"wrong platform":    second(client.Pull(ctx, reference, parbuckle.WithPlatform("linux//v8"))),
		"no jobs":           client.Push(ctx, reference, image, parbuckle.WithJobs(0)),
		"zero sink":         second(parbuckle.LayerFromBytes(ctx, nil, parbuckle.WithSink(parbuckle.Sink{}))),
		"wrong sink":        second(parbuckle.LayerFromBytes(ctx, nil, parbuckle.WithSink(client.Sink("?")))),
		"wrong compression": second(parbuckle.LayerFromBytes(ctx, nil, parbuckle.WithCompression("lzma", 0))),
		"wrong level":       second(parbuckle.LayerFromBytes(ctx, nil, parbuckle.WithCompression("gzip", 1<<40))),
		"wrong format":      second(parbuckle.Scratch().Build(ctx, parbuckle.WithFormat("?"))),
		"wrong mount":       client.Push(ctx, reference, image, parbuckle.WithMountFrom("?")),
		"NUL in a value":    second(image.Edit().SetEnv("A", "b\x00c").Build(ctx)),
		"no UTF-8":          second(image.Edit().SetCmd("a", "\xff").Build(ctx)),
		"wrong port":        second(image.Edit().AddExposedPort("http").SetEnv("A", "b").Build(ctx)),
		"early history":     second(image.Edit().SetHistory(parbuckle.History{}).AddLayer(layer).Build(ctx)),
		"path out of layer": second(parbuckle.NewLayerBuilder().AddBytes("../x", 0o644, nil).Build(ctx)),
		"wrong mode":        second(parbuckle.NewLayerBuilder().AddBytes("x", fs.ModeDir|0o755, nil).Build(ctx)),
		"NUL in a path":     second(parbuckle.LayerFromFile(ctx, "a\x00b")),
		"keychain":          second(parbuckle.NewClient(parbuckle.WithKeychain(parbuckle.BasicKeychain("r", "u", "\xff")))),
		"wrong timeout":     second(parbuckle.NewClient(parbuckle.WithTimeouts(0, 0, 0))),
		"no tries":          second(parbuckle.NewClient(parbuckle.WithRetry(0, 0))),
		"wrong nth":         second(parbuckle.Serve(ctx, parbuckle.ServeFault("*", "*", -1, "500"))),
		"wrong address":     second(parbuckle.Serve(ctx, parbuckle.ServeAt("here"))),
	} {
		if !errors.Is(err, parbuckle.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClosed: what is closed answers, and what was got from it works on.
func TestClosed(t *testing.T) {
	ctx := t.Context()
	server, client := serve(t)
	reference := server.Registry() + "/a:1"
	if err := client.Push(ctx, reference, tiny(t)); err != nil {
		t.Fatal(err)
	}
	other := connect(t)
	remote := must[*parbuckle.Image](t)(other.Pull(ctx, reference))
	digest := remote.Digest()
	for range 2 {
		if err := other.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	image := must[*parbuckle.Image](t)(client.Pull(ctx, reference))
	layer := image.Layers()[0]
	reader := must[io.ReadCloser](t)(layer.Open(ctx))
	image.Close()
	if content := must[[]byte](t)(io.ReadAll(reader)); uint64(len(content)) != layer.Descriptor().Size() {
		t.Errorf("read %d bytes after the image was closed", len(content))
	}
	reader.Close()
	reader.Close()
	layer.Close()
	layer.Close()
	writer := must[*parbuckle.LayerWriter](t)(parbuckle.NewLayerWriter(ctx))
	writer.Close()
	index := &parbuckle.Index{}

	for name, err := range map[string]error{
		"client: pull":             second(other.Pull(ctx, reference)),
		"client: push":             other.Push(ctx, reference, remote),
		"client: resolve":          second(other.Resolve(ctx, reference)),
		"client: stats":            second(other.Stats()),
		"client: sink":             second(parbuckle.LayerFromBytes(ctx, nil, parbuckle.WithSink(other.Sink(reference)))),
		"client's image: config":   second(remote.Config(ctx)),
		"client's image: layer":    second(remote.Layers()[0].Open(ctx)),
		"image: config":            second(image.Config(ctx)),
		"image: validate":          image.Validate(ctx),
		"image: push":              client.Push(ctx, reference, image),
		"image: edit":              second(image.Edit().SetUser("x").Build(ctx)),
		"index: image":             second(index.Image(ctx, "linux/amd64")),
		"index: push":              client.PushIndex(ctx, reference, index),
		"layer: open":              second(layer.Open(ctx)),
		"layer: open uncompressed": second(layer.OpenUncompressed(ctx)),
		"layer: diff id":           second(layer.DiffID(ctx)),
		"layer: add":               second(parbuckle.Scratch().AddLayer(layer).Build(ctx)),
		"layer: push":              client.PushLayer(ctx, reference, layer),
		"writer: write":            second(writer.Write([]byte("x"))),
		"writer: finish":           second(writer.Finish(ctx)),
		"reader: read":             second(reader.Read(make([]byte, 1))),
	} {
		if !errors.Is(err, parbuckle.InvalidState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := reader.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if remote.Digest() != digest || len(remote.Manifest()) == 0 {
		t.Error("an image lost its facts with its client")
	}
	if image.Digest() != "" || image.Manifest() != nil || image.Layers() != nil || image.Descriptor() != nil || layer.Descriptor() != nil {
		t.Error("a closed image has facts")
	}
	server.Close()
	if err := server.Stop(ctx); !errors.Is(err, parbuckle.InvalidState) || server.URL() != "" {
		t.Errorf("server: %v", err)
	}
}

func TestLibrary(t *testing.T) {
	if parbuckle.Version() == "" || !json.Valid([]byte(parbuckle.BuildInfo())) || parbuckle.HasFeature("no such") {
		t.Error(parbuckle.Version(), parbuckle.BuildInfo())
	}
	for code, name := range map[parbuckle.Code]string{
		parbuckle.Cancelled: "CANCELLED", parbuckle.TimedOut: "TIMED_OUT", parbuckle.InvalidArgument: "INVALID_ARGUMENT",
		parbuckle.InvalidState: "INVALID_STATE", parbuckle.NotFound: "NOT_FOUND", parbuckle.AlreadyExists: "ALREADY_EXISTS",
		parbuckle.Unauthenticated: "UNAUTHENTICATED", parbuckle.Denied: "DENIED", parbuckle.RateLimited: "RATE_LIMITED",
		parbuckle.Unavailable: "UNAVAILABLE", parbuckle.Protocol: "PROTOCOL", parbuckle.Malformed: "MALFORMED",
		parbuckle.DigestMismatch: "DIGEST_MISMATCH", parbuckle.Unsupported: "UNSUPPORTED",
		parbuckle.LimitExceeded: "LIMIT_EXCEEDED", parbuckle.IO: "IO", parbuckle.TLS: "TLS",
		parbuckle.Callback: "CALLBACK", parbuckle.Forked: "FORKED", parbuckle.Internal: "INTERNAL",
	} {
		if code.Error() != name {
			t.Errorf("%d is %s, not %s", int32(code), code.Error(), name)
		}
	}
	if printed := fmt.Sprintf("%v %+v %#v", parbuckle.BasicKeychain("r", "u", "hush"), parbuckle.BearerKeychain("r", "hush"), parbuckle.DefaultKeychain()); strings.Contains(printed, "hush") {
		t.Errorf("a keychain prints as %s", printed)
	}
}

func second[T any](_ T, err error) error { return err }

// entry is a descriptor in JSON.
type entry map[string]any

// putIndex puts an index into the repository "multi", and gives its descriptor.
func putIndex(t *testing.T, server *parbuckle.Server, tag string, manifests ...entry) entry {
	t.Helper()
	const mediaType = "application/vnd.oci.image.index.v1+json"
	document := must[[]byte](t)(json.Marshal(entry{
		"schemaVersion": 2, "mediaType": mediaType, "manifests": manifests, "annotations": entry{"about": "index"},
	}))
	url := server.URL() + "/v2/multi/manifests/" + tag
	request := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), "PUT", url, bytes.NewReader(document)))
	request.Header.Set("Content-Type", mediaType)
	answer := must[*http.Response](t)(http.DefaultClient.Do(request))
	answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("putting an index: %s", answer.Status)
	}
	return entry{"mediaType": mediaType, "digest": fmt.Sprintf("sha256:%x", sha256.Sum256(document)), "size": len(document)}
}
