// Package parbuckle pulls, inspects, changes, stores and pushes container images. It is a thin cgo layer over
// libparbuckle, which pkg-config must find.
//
// A client talks to registries; images, indexes and layers are values that never change; a [Builder] makes a new
// image from one of them:
//
//	client, err := parbuckle.NewClient()
//	if err != nil {
//		return err
//	}
//	defer client.Close(ctx)
//
//	base, err := client.Pull(ctx, "registry.example/base:1")
//	if err != nil {
//		return err
//	}
//	// Compressed and uploaded in one go; the push below finds it there.
//	layer, err := parbuckle.LayerFromFile(ctx, "app.tar", parbuckle.WithSink(client.Sink("registry.example/app")))
//	if err != nil {
//		return err
//	}
//	app, err := base.Edit().AddLayer(layer).SetEnv("APP_MODE", "production").Build(ctx)
//	if err != nil {
//		return err
//	}
//	return client.Push(ctx, "registry.example/app:1", app)
//
// Images and indexes also lie in layouts ([OpenLayout]), archives ([OpenArchive], [WriteArchive]), daemons
// ([ConnectDaemon]) and memory ([NewMemoryStore]), and can be read through a [Cache]. [Image.FS] is the file system of
// an image as an [io/fs.FS]. [Index.Edit] changes indexes; methods such as [Image.Rebase] make changes with new layers.
// [Image.Examine] and [Image.Compare] report what they find.
//
// # Contexts
//
// Whatever may wait takes a context first, and returns soon after that ends. No call but [LayerWriter.Write],
// [Client.Close], [Serve] and [Server.Stop] holds an operating-system thread while it waits: one goroutine of this
// package learns which calls are done and wakes those who wait, so thousands of calls at once cost goroutines only.
//
// # Errors
//
// Every failure is an [*Error]. It can be asked in three ways: errors.As for its fields, errors.Is with a [Code] for
// its kind, and errors.Is with [context.Canceled] or [context.DeadlineExceeded] for calls that their context ended.
//
// # Closing
//
// A [Client], a [Server], a [LayerWriter], what [Layer.Open] and its like give, and the files of an [FS] are to be
// closed. Whatever else has a method Close may be: the collector does it too, sooner or later. Closing a layer that was
// made without a sink gives back the temporary file it lies in. Afterwards methods that can fail answer [InvalidState],
// and the others a zero value. The remaining types hold nothing but memory.
//
// All values may be used by many goroutines at once, but for builders, options, readers and writers.
package parbuckle

// #cgo pkg-config: parbuckle
// #include <parbuckle.h>
import "C"

import "sync"

// Version is the version of the library that the program runs with, such as "0.1.0".
func Version() string { return C.GoString(C.parb_version()) }

// BuildInfo says how the library was built, as a JSON object: "version", "rustc", "tls", "features".
func BuildInfo() string { return C.GoString(C.parb_build_info()) }

// HasFeature tells whether the library was built with a Cargo feature.
func HasFeature(name string) bool {
	var a arena
	defer a.free()
	text := a.text("feature", name)
	return a.err == nil && bool(C.parb_has_feature(text))
}

// checkVersion refuses a library that is older than the header this package was compiled with.
var checkVersion = sync.OnceValue(func() error {
	if C.parb_version_number() < C.PARB_VERSION_NUMBER {
		return newError(Unsupported, "libparbuckle "+Version()+" is older than the header this program was built with")
	}
	return nil
})
