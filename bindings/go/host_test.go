package parbuckle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	parbuckle "parbuckle.example/go"
)

// prompt is how long a call may go on after its context ended; a loaded machine is given ten times what is promised.
const prompt = 2 * time.Second

// TestContexts: a context that ends ends the call, and the error says so in all the ways it can be asked.
func TestContexts(t *testing.T) {
	server, client := serve(t, parbuckle.ServeFault("GET", "/v2/stalled/manifests/*", 0, "stall"),
		parbuckle.ServeFault("GET", "/v2/stalled/blobs/*", 0, "stall"), parbuckle.ServeFault("PATCH", "/v2/stalled/*", 0, "stall"),
		parbuckle.ServeFault("PUT", "/v2/stalled/blobs/*", 0, "stall"))
	stalled := server.Registry() + "/stalled:1"
	fine := server.Registry() + "/fine:1"
	layer := must[*parbuckle.Layer](t)(parbuckle.LayerFromReader(t.Context(), bigTar(4<<20)))
	image := must[*parbuckle.Image](t)(parbuckle.Scratch().AddLayer(layer).SetPlatform("linux/amd64").Build(t.Context()))
	if err := client.Push(t.Context(), fine, image); err != nil {
		t.Fatal(err)
	}
	reason := errors.New("the user has gone home")

	calls := map[string]func(context.Context) error{
		"pull":    func(ctx context.Context) error { return second(client.Pull(ctx, stalled)) },
		"resolve": func(ctx context.Context) error { return second(client.Resolve(ctx, stalled)) },
		"push":    func(ctx context.Context) error { return client.Push(ctx, stalled, image) },
		"layer from a reader": func(ctx context.Context) error {
			return second(parbuckle.LayerFromReader(ctx, bigTar(1<<30), parbuckle.WithSink(client.Sink(stalled))))
		},
		"layer from a file": func(ctx context.Context) error {
			return second(parbuckle.LayerFromFile(ctx, "/dev/zero", parbuckle.WithSink(client.Sink(fine))))
		},
	}
	for name, call := range calls {
		for _, end := range []struct {
			name   string
			start  func() (context.Context, func())
			code   parbuckle.Code
			expect []error
		}{
			{"cancelled", func() (context.Context, func()) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(100*time.Millisecond, cancel)
				return ctx, cancel
			}, parbuckle.Cancelled, []error{context.Canceled}},
			{"cancelled for a reason", func() (context.Context, func()) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(100*time.Millisecond, func() { cancel(reason) })
				return ctx, func() { cancel(nil) }
			}, parbuckle.Cancelled, []error{context.Canceled, reason}},
			{"deadline", func() (context.Context, func()) {
				return withCancel(context.WithTimeout(t.Context(), 100*time.Millisecond))
			}, parbuckle.TimedOut, []error{context.DeadlineExceeded}},
			{"ended before", func() (context.Context, func()) {
				return withCancel(context.WithDeadline(t.Context(), time.Now()))
			}, parbuckle.TimedOut, []error{context.DeadlineExceeded}},
		} {
			if name == "layer from a file" && end.name != "ended before" {
				continue // /dev/zero ends by itself: it is no tar
			}
			ctx, cancel := end.start()
			started := time.Now()
			err := call(ctx)
			if took := time.Since(started); took > 100*time.Millisecond+prompt {
				t.Errorf("%s, %s: took %v", name, end.name, took)
			}
			var failure *parbuckle.Error
			if !errors.As(err, &failure) || failure.Code != end.code {
				t.Errorf("%s, %s: %v", name, end.name, err)
			}
			for _, expected := range end.expect {
				if !errors.Is(err, expected) {
					t.Errorf("%s, %s: %v is not %v", name, end.name, err, expected)
				}
			}
			cancel()
		}
	}
}

func withCancel(ctx context.Context, cancel context.CancelFunc) (context.Context, func()) {
	return ctx, cancel
}

// TestReaderEnds: a Read that waits is ended by the context, and by Close.
func TestReaderEnds(t *testing.T) {
	server, client := serve(t, parbuckle.ServeFault("GET", "/v2/*/blobs/*", 0, "stall"))
	reference := server.Registry() + "/a:1"
	layer := must[*parbuckle.Layer](t)(parbuckle.LayerFromReader(t.Context(), bigTar(4<<20)))
	if err := client.Push(t.Context(), reference, must[*parbuckle.Image](t)(parbuckle.Scratch().AddLayer(layer).Build(t.Context()))); err != nil {
		t.Fatal(err)
	}
	remote := must[*parbuckle.Image](t)(client.Pull(t.Context(), reference)).Layers()[0]
	for name, end := range map[string]func(cancel context.CancelFunc, reader io.Closer){
		"context": func(cancel context.CancelFunc, _ io.Closer) { cancel() },
		"close":   func(_ context.CancelFunc, reader io.Closer) { reader.Close() },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		reader := must[io.ReadCloser](t)(remote.Open(ctx))
		ended := make(chan error)
		go func() {
			_, err := io.Copy(io.Discard, reader)
			ended <- err
		}()
		time.Sleep(100 * time.Millisecond)
		end(cancel, reader)
		select {
		case err := <-ended:
			if name == "context" && !errors.Is(err, context.Canceled) || name == "close" && !errors.Is(err, os.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(prompt):
			t.Errorf("%s does not end a Read", name)
		}
		reader.Close()
		cancel()
	}
}

// TestSteady: transfers that were cancelled leave nothing behind.
func TestSteady(t *testing.T) {
	server, client := serve(t, parbuckle.ServeFault("GET", "/v2/*/blobs/*", 0, "stall"), parbuckle.ServeFault("PATCH", "*", 0, "delay=100"))
	reference := server.Registry() + "/a:1"
	layer := must[*parbuckle.Layer](t)(parbuckle.LayerFromReader(t.Context(), bigTar(2<<20)))
	image := must[*parbuckle.Image](t)(parbuckle.Scratch().AddLayer(layer).SetPlatform("linux/amd64").Build(t.Context()))
	if err := client.Push(t.Context(), reference, image); err != nil {
		t.Fatal(err)
	}
	transfer := func(client *parbuckle.Client, remote *parbuckle.Image, i int) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%40)*time.Millisecond)
		defer cancel()
		var err error
		switch i % 3 {
		case 0:
			err = remote.Validate(ctx)
		case 1:
			err = client.Push(ctx, fmt.Sprintf("%s/%d:1", server.Registry(), i), image)
		default:
			err = second(parbuckle.LayerFromReader(ctx, bigTar(8<<20), parbuckle.WithSink(client.Sink(reference))))
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("transfer %d: %v", i, err)
		}
	}
	run := func(from, to int) {
		client := must[*parbuckle.Client](t)(parbuckle.NewClient())
		defer client.Close(t.Context()) // and with it the connections it keeps for later
		remote := must[*parbuckle.Image](t)(client.Pull(t.Context(), reference))
		for i := from; i < to; i += 10 {
			var group group
			for k := range 10 {
				group.Go(func() { transfer(client, remote, i+k) })
			}
			group.Wait()
		}
	}
	run(0, 30)
	before := settled(t)
	run(30, 330)
	var after usage
	for range 50 {
		if after = settled(t); after.atMost(before) {
			return
		}
	}
	t.Errorf("before: %+v, after 300 cancelled transfers: %+v", before, after)
}

// TestThousandPulls: calls that wait hold no thread.
func TestThousandPulls(t *testing.T) {
	const pulls = 1000
	server, client := serve(t, parbuckle.ServeFault("GET", "/v2/*/manifests/slow", 0, "delay=1500"))
	image := tiny(t)
	for _, tag := range []string{"fast", "slow"} {
		if err := client.Push(t.Context(), server.Registry()+"/a:"+tag, image); err != nil {
			t.Fatal(err)
		}
	}
	var failed atomic.Value
	before := settled(t)
	var group group
	for range pulls {
		group.Go(func() {
			pulled, err := client.Pull(t.Context(), server.Registry()+"/a:slow")
			switch {
			case err != nil:
				failed.Store(err)
			case pulled.Digest() != image.Digest():
				failed.Store(fmt.Errorf("pulled %s", pulled.Digest()))
			}
		})
	}
	time.Sleep(time.Second)
	during := measure(t)
	if running := during.goroutines - before.goroutines; running < pulls/2 {
		t.Fatalf("only %d pulls are waiting: this shows nothing", running)
	}
	t.Logf("%d threads before, %d during", before.threads, during.threads)
	if during.threads > before.threads+16 {
		t.Errorf("%d threads while %d pulls wait, %d before", during.threads, pulls, before.threads)
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		t.Error(err)
	}
}

// TestChildren: a host that starts processes while transfers run, and waits for them, lives.
func TestChildren(t *testing.T) {
	server, client := serve(t)
	image := must[*parbuckle.Image](t)(parbuckle.Scratch().
		AddLayer(must[*parbuckle.Layer](t)(parbuckle.LayerFromReader(t.Context(), bigTar(1<<20)))).
		SetPlatform("linux/amd64").Build(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	var transfers atomic.Int32
	var group group
	for worker := range 4 {
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				reference := fmt.Sprintf("%s/%d:%d", server.Registry(), worker, i)
				if err := client.Push(ctx, reference, image); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				pulled, err := client.Pull(ctx, reference)
				if err == nil {
					err = pulled.Validate(ctx)
				}
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				transfers.Add(1)
			}
		})
	}
	for range 50 {
		if err := exec.Command("true").Run(); err != nil {
			t.Error(err)
		}
	}
	for transfers.Load() < 10 {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	group.Wait()
}

// TestCloseWhileUsed: closing what others use is an error for them at worst.
func TestCloseWhileUsed(t *testing.T) {
	server, client := serve(t)
	reference := server.Registry() + "/a:1"
	if err := client.Push(t.Context(), reference, tiny(t)); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		client := connect(t)
		image := must[*parbuckle.Image](t)(client.Pull(t.Context(), reference))
		layer := image.Layers()[0]
		var group group
		for _, use := range []func() error{
			func() error { return second(client.Pull(t.Context(), reference)) },
			func() error { return second(image.Config(t.Context())) },
			func() error { return image.Validate(t.Context()) },
			func() error { return second(image.Edit().AddLayer(layer).Build(t.Context())) },
			func() error {
				reader, err := layer.Open(t.Context())
				if err == nil {
					defer reader.Close()
					_, err = io.Copy(io.Discard, reader)
				}
				return err
			},
			func() error { _ = image.Digest(); return client.Close(t.Context()) },
			func() error { return image.Close() },
			func() error { return layer.Close() },
		} {
			group.Go(func() {
				if err := use(); err != nil && !errors.Is(err, parbuckle.InvalidState) && !errors.Is(err, parbuckle.Cancelled) {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
}

// TestProgress: a call that takes its time tells how far it is.
func TestProgress(t *testing.T) {
	server, client := serve(t, parbuckle.ServeFault("PUT", "/v2/*/manifests/*", 0, "delay=300"))
	layer := must[*parbuckle.Layer](t)(parbuckle.LayerFromReader(t.Context(), bigTar(1<<20)))
	image := must[*parbuckle.Image](t)(parbuckle.Scratch().AddLayer(layer).Build(t.Context()))
	var calls int
	var last, all uint64
	err := client.Push(t.Context(), server.Registry()+"/a:1", image, parbuckle.WithProgress(func(done, total uint64) {
		calls++
		if done < last {
			t.Errorf("progress went back from %d to %d", last, done)
		}
		last, all = done, total
	}))
	if err != nil || calls < 3 || last != all || last < layer.Descriptor().Size() {
		t.Errorf("%d calls, %d of %d bytes, %v", calls, last, all, err)
	}
}

// TestCollected: what nobody closed is freed by the collector, and the library's threads end with the last of it.
func TestCollected(t *testing.T) {
	func() {
		server := must[*parbuckle.Server](t)(parbuckle.Serve(t.Context()))
		client := must[*parbuckle.Client](t)(parbuckle.NewClient())
		if err := client.Push(t.Context(), server.Registry()+"/a:1", tiny(t)); err != nil {
			t.Fatal(err)
		}
		image := must[*parbuckle.Image](t)(client.Pull(t.Context(), server.Registry()+"/a:1"))
		must[*parbuckle.Config](t)(image.Config(t.Context()))
		must[*parbuckle.LayerWriter](t)(parbuckle.NewLayerWriter(t.Context(), parbuckle.WithSink(client.Sink(server.Registry()+"/b"))))
		reader := must[io.ReadCloser](t)(image.Layers()[0].Open(t.Context()))
		if _, err := reader.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if len(threads(t, "parb")) == 0 {
			t.Fatal("the library has no threads: this shows nothing")
		}
	}()
	var left []string
	for range 100 {
		runtime.GC()
		if left = threads(t, "parb"); len(left) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("threads are left: %q", left)
}

// group is a sync.WaitGroup as Go 1.25 has it.
type group struct{ sync.WaitGroup }

func (g *group) Go(f func()) {
	g.Add(1)
	go func() {
		defer g.Done()
		f()
	}()
}

// usage is what a leak would make more of.
type usage struct{ goroutines, threads, files int }

// atMost allows for the threads that Go starts as it likes, and never ends.
func (u usage) atMost(other usage) bool {
	return u.goroutines <= other.goroutines && u.threads <= other.threads+4 && u.files <= other.files
}

// settled is what is there once idle connections and this package's goroutine have had time to go.
func settled(t *testing.T) usage {
	t.Helper()
	time.Sleep(300 * time.Millisecond)
	runtime.GC()
	return measure(t)
}

func measure(t *testing.T) usage {
	t.Helper()
	files := must[[]os.DirEntry](t)(os.ReadDir("/proc/self/fd"))
	return usage{runtime.NumGoroutine(), len(threads(t, "")), len(files)}
}

// threads are the names of the process's threads that begin so.
func threads(t *testing.T, prefix string) []string {
	t.Helper()
	var found []string
	for _, file := range must[[]string](t)(filepath.Glob("/proc/self/task/*/comm")) {
		name, err := os.ReadFile(file) // one that ended meanwhile has none
		if err == nil && strings.HasPrefix(string(name), prefix) {
			found = append(found, strings.TrimSpace(string(name)))
		}
	}
	return found
}
