package parbuckle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"time"

	parbuckle "parbuckle.example/go"
)

// Pull an image, put a layer on it, change its config, push it. The registry here is one of this process.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server, err := parbuckle.Serve(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := parbuckle.NewClient(parbuckle.WithUserAgent("example"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(ctx)
	base, err := parbuckle.Scratch().SetPlatform("linux/arm64").Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Push(ctx, server.Registry()+"/base:1", base); err != nil {
		log.Fatal(err)
	}

	pulled, err := client.Pull(ctx, server.Registry()+"/base:1")
	if err != nil {
		log.Fatal(err)
	}
	layer, err := parbuckle.NewLayerBuilder().AddBytes("app/run", 0o755, []byte("#!/bin/sh\n")).
		Build(ctx, parbuckle.WithSink(client.Sink(server.Registry()+"/app")))
	if err != nil {
		log.Fatal(err)
	}
	app, err := pulled.Edit().AddLayer(layer).SetEnv("APP_MODE", "production").SetCmd("/app/run").Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Push(ctx, server.Registry()+"/app:1", app); err != nil {
		log.Fatal(err)
	}
	config, err := app.Config(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(config.Platform(), config.Env(), config.Cmd(), len(app.Layers()))
	// Output: linux/arm64 [APP_MODE=production] [/app/run] 1
}

// Three readings of one failure.
func ExampleError() {
	client, err := parbuckle.NewClient(parbuckle.WithKeychain(parbuckle.AnonymousKeychain()))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err = client.Pull(ctx, "127.0.0.1:1/app:1")
	var failure *parbuckle.Error
	switch {
	case errors.Is(err, parbuckle.NotFound):
		fmt.Println("no such image")
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("too slow")
	case errors.As(err, &failure):
		fmt.Println(failure.Code, "-", failure.Message)
	}
	// Output: UNAVAILABLE - 127.0.0.1 refused the connection
}

// Lists the files of an image's layers.
func ExampleLayer_OpenUncompressed() {
	ctx := context.Background()
	layer, err := parbuckle.NewLayerBuilder().AddBytes("etc/motd", 0o644, []byte("hello\n")).Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer layer.Close()
	reader, err := layer.OpenUncompressed(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	for archive := tar.NewReader(reader); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(header.Name, header.Size)
	}
	// Output: etc/motd 6
}

// Writes a layer with archive/tar, straight into a repository.
func ExampleLayerWriter() {
	ctx := context.Background()
	server, err := parbuckle.Serve(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := parbuckle.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(ctx)

	writer, err := parbuckle.NewLayerWriter(ctx, parbuckle.WithSink(client.Sink(server.Registry()+"/app")))
	if err != nil {
		log.Fatal(err)
	}
	defer writer.Close()
	archive := tar.NewWriter(writer)
	if err := archive.AddFS(os.DirFS("testdata/files")); err != nil {
		log.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		log.Fatal(err)
	}
	layer, err := writer.Finish(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(layer.Descriptor().MediaType())
	// Output: application/vnd.oci.image.layer.v1.tar+gzip
}

// Goes through the platforms of an index.
func ExampleIndex_Manifests() {
	ctx := context.Background()
	client, err := parbuckle.NewClient()
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(ctx)
	index, err := client.PullIndex(ctx, "registry.example/multi:1")
	if err != nil {
		log.Fatal(err)
	}
	for manifest := range index.Manifests() {
		fmt.Println(manifest.Platform(), manifest.Digest())
	}
}

// Keeps images of two platforms in a layout, and takes one away.
func ExampleCreateLayout() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "layout")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	layout, err := parbuckle.CreateLayout(ctx, dir)
	if err != nil {
		log.Fatal(err)
	}
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		image, err := parbuckle.Scratch().SetPlatform(platform).Build(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := layout.AddImage(ctx, image, platform); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := layout.Remove(ctx, parbuckle.Matcher{Platforms: []string{"linux/arm64"}}); err != nil {
		log.Fatal(err)
	}
	if _, err := layout.GC(ctx); err != nil {
		log.Fatal(err)
	}
	report, err := layout.Fsck(ctx)
	if err != nil {
		log.Fatal(err)
	}
	index, err := layout.Index(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(index.Platforms(), report.Err())
	// Output: [linux/amd64] <nil>
}

// Goes through the files of an image.
func ExampleImage_FS() {
	ctx := context.Background()
	layer, err := parbuckle.NewLayerBuilder().AddBytes("etc/motd", 0o644, []byte("hello\n")).Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	image, err := parbuckle.Scratch().AddLayer(layer).Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fsys, err := image.FS(ctx)
	if err != nil {
		log.Fatal(err)
	}
	err = fs.WalkDir(fsys, ".", func(path string, entry fs.DirEntry, err error) error {
		fmt.Println(entry)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	motd, err := fs.ReadFile(fsys, "etc/motd")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", motd)
	// Output:
	// d ./
	// d etc/
	// - motd
	// hello
}

// Writes an archive as docker load reads it into a stream, and reads it back from one.
func ExampleWriteArchiveTo() {
	ctx := context.Background()
	image, err := parbuckle.RandomImage(ctx, 1, 1000, 42)
	if err != nil {
		log.Fatal(err)
	}
	var stream bytes.Buffer
	err = parbuckle.WriteArchiveTo(ctx, &stream, []parbuckle.NamedImage{{Name: "example.com/app:1", Image: image}})
	if err != nil {
		log.Fatal(err)
	}
	archive, err := parbuckle.OpenArchiveReader(ctx, &stream)
	if err != nil {
		log.Fatal(err)
	}
	defer archive.Close()
	fmt.Println(archive.Kind(), archive.Refs())
	// Output: docker [example.com/app:1]
}
