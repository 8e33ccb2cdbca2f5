// derive BASE TARGET LAYER.tar: pulls an image, puts a layer on it, changes its config, pushes it.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	parbuckle "parbuckle.example/go"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: derive BASE TARGET LAYER.tar")
		os.Exit(2)
	}
	digest, err := derive(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("go", digest)
}

func derive(from, to, tar string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client, err := parbuckle.NewClient(parbuckle.WithUserAgent("example-go"))
	if err != nil {
		return "", err
	}
	defer client.Close(ctx)

	base, err := client.Pull(ctx, from)
	if err != nil {
		return "", err
	}
	config, err := base.Config(ctx)
	if err != nil {
		return "", err
	}
	fmt.Printf("pulled %s: %s\n", from, config.Platform())
	for _, layer := range base.Layers() {
		fmt.Printf("  layer %s %11d bytes\n", layer.Descriptor().Digest(), layer.Descriptor().Size())
	}

	// The layer goes straight to the target, compressed on the way; build and push find it there.
	layer, err := parbuckle.LayerFromFile(ctx, tar, parbuckle.WithSink(client.Sink(to)))
	if err != nil {
		return "", err
	}
	made, err := base.Edit().AddLayer(layer).SetEnv("APP_MODE", "production").
		SetLabel("org.example.derived", "yes").SetWorkingDir("/app").Build(ctx)
	if err != nil {
		return "", err
	}
	return made.Digest(), client.Push(ctx, to, made)
}
