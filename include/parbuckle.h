/* parbuckle: container images for every language.
   Copyright the parbuckle authors. Licence: Apache-2.0.

   Errors     A function that can fail returns parb_error *: NULL is success, anything else is yours to
              free. Where it fails, no output was written. There is no errno and nothing per thread.
   Ownership  What arrives through "T **out", and what _new, _clone and _parse give, is yours: give it to its
              _free once, in any order. What is returned as const, or through "const char **out", is lent: it
              lives as long as the handle that was the first argument. Arguments are only borrowed for the
              duration of the call; no function consumes a handle.
   Threads    A handle passed as const may be used by any number of threads at once; any other by one thread
              at a time, whichever (two at once get PARB_INVALID_STATE, not corruption).
   NULL       options and ctx may be NULL everywhere; _free(NULL) is fine; NULL for another handle is
              PARB_INVALID_ARGUMENT, or a getter's neutral value. The same goes for a handle of another type.
   Waiting    Whatever can block takes a ctx, which cancels it or bounds it in time, and has a twin named
              ..._start that returns at once with a parb_op. On threads of the library (callbacks), calls that
              wait answer PARB_INVALID_STATE.
   Setters    Never fail. The call that uses a builder or options reports the first mistake made in it.
   Text       NUL-terminated UTF-8. Paths: the platform's bytes. Digests, platforms, media types and times are
              text in their standard form.
   Callbacks  (cb, user, destroy): user is passed first, destroy is called with it exactly once. None is ever
              required.
   Forks      In a forked child, I/O on inherited handles answers PARB_FORKED; a new client works.
   docs/ABI.md has the reasons. */

#ifndef PARB_H
#define PARB_H

/* Generated from src/ffi by cbindgen; not to be edited. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARB_VERSION_MAJOR 0
#define PARB_VERSION_MINOR 1
#define PARB_VERSION_PATCH 0
#define PARB_VERSION_NUMBER \
  ((PARB_VERSION_MAJOR << 24) | (PARB_VERSION_MINOR << 16) | (PARB_VERSION_PATCH << 8))

#if defined(_WIN32) && !defined(PARB_STATIC)
#define PARB_API __declspec(dllimport)
#elif defined(__GNUC__)
#define PARB_API __attribute__((visibility("default")))
#else
#define PARB_API
#endif

/* An error that nobody looks at is a leak; so is a handle. */
#if defined(__GNUC__)
#define PARB_CHECK __attribute__((warn_unused_result))
#else
#define PARB_CHECK
#endif

/* The kinds of failures, of type parb_code. Numbers are append-only. */
enum {
  PARB_OK = 0,
  PARB_CANCELLED = 1,         /* the ctx was cancelled */
  PARB_TIMED_OUT = 2,         /* a deadline or one of the client's time limits passed */
  PARB_INVALID_ARGUMENT = 3,  /* an argument makes no sense; the message names it */
  PARB_INVALID_STATE = 4,     /* not now: closed, finished, or used by two threads at once */
  PARB_NOT_FOUND = 5,         /* no such repository, tag, manifest, blob or file */
  PARB_ALREADY_EXISTS = 6,    /* there already, and not to be replaced */
  PARB_UNAUTHENTICATED = 7,   /* the registry wants other, or any, credentials */
  PARB_DENIED = 8,            /* the credentials are good and don't allow this */
  PARB_RATE_LIMITED = 9,      /* the registry asked for fewer requests */
  PARB_UNAVAILABLE = 10,      /* the host can't be reached, or fails by itself */
  PARB_PROTOCOL = 11,         /* the registry answered against the protocol */
  PARB_MALFORMED = 12,        /* a document or stream is not what it says it is */
  PARB_DIGEST_MISMATCH = 13,  /* content does not have the digest or size it was named by */
  PARB_UNSUPPORTED = 14,      /* valid, but not something this library does */
  PARB_LIMIT_EXCEEDED = 15,   /* one of the named limits would be passed */
  PARB_IO = 16,               /* the operating system refused: file, disk, pipe */
  PARB_TLS = 17,              /* no trusted TLS connection came about */
  PARB_CALLBACK = 18,         /* a callback of the host failed */
  PARB_FORKED = 19,           /* made before a fork, and this is the child */
  PARB_INTERNAL = 20          /* a bug in this library */
};

/* ---- Types ----------------------------------------------------------------------------------- */

/**
 * An archive of images that is open to be read. Immutable, shared between threads; images that came out of it keep
 * its file open. Yours to free.
 */
typedef struct parb_archive parb_archive;

/**
 * Blobs and manifests that images, indexes and layers are made of: bytes, values, or a callback that opens them.
 * Setters never fail: the call that is given the blobs reports the first mistake. One thread at a time. Yours to free.
 */
typedef struct parb_blobs parb_blobs;

/**
 * Bytes that the library hands out. Yours to free.
 */
typedef struct parb_buf parb_buf;

/**
 * A cache of blobs in a directory, shared between threads, and its directory between processes. Yours to free.
 */
typedef struct parb_cache parb_cache;

/**
 * Talks to registries: a pool of connections, tokens and counters that calls share. Shared between threads; values
 * made through it keep it alive, so the order of frees does not matter. Yours to free.
 */
typedef struct parb_client parb_client;

/**
 * How a client is to be. Calls on any number of threads may use it while nobody changes it.
 * Yours to free.
 */
typedef struct parb_client_options parb_client_options;

/**
 * An image's config. Immutable. Yours to free.
 */
typedef struct parb_config parb_config;

/**
 * Bounds calls: cancel, deadline, progress. Shared freely between threads and calls. Yours to free.
 */
typedef struct parb_ctx parb_ctx;

/**
 * A Docker-compatible daemon (dockerd, podman's service) that answered once. It holds no connection: each call makes
 * its own. Immutable, shared between threads. Yours to free.
 */
typedef struct parb_daemon parb_daemon;

/**
 * Media type, digest and size of content, with what is said about it. Immutable. Yours to free, unless it is lent
 * (const).
 */
typedef struct parb_descriptor parb_descriptor;

/**
 * A failure; NULL is success. Yours to free.
 */
typedef struct parb_error parb_error;

/**
 * Something that a call tells on its way. Lent to the callback for its duration.
 */
typedef struct parb_event parb_event;

/**
 * A list of files. Immutable, shared between threads. Yours to free.
 */
typedef struct parb_files parb_files;

/**
 * An image: immutable, shared between threads, keeps alive what its blobs are read from. Yours to free.
 */
typedef struct parb_image parb_image;

/**
 * Notes changes to an image. Calls on any number of threads may use it while nobody changes it.
 * Yours to free.
 */
typedef struct parb_image_builder parb_image_builder;

/**
 * An index: images by platform, or other indexes. Immutable, shared between threads. Yours to free.
 */
typedef struct parb_index parb_index;

/**
 * Notes changes to an index, which are made in their order. One thread at a time. Yours to free.
 */
typedef struct parb_index_builder parb_index_builder;

/**
 * Which credentials go to which registry. Immutable, shared between threads. Yours to free.
 */
typedef struct parb_keychain parb_keychain;

/**
 * A layer: complete, immutable, shared between threads, keeps alive what its bytes are read from. Yours to free.
 */
typedef struct parb_layer parb_layer;

/**
 * Puts a small layer together, entry by entry. Calls on any number of threads may use it while nobody changes it.
 * Yours to free.
 */
typedef struct parb_layer_builder parb_layer_builder;

/**
 * Takes in a layer's tar piece by piece. One thread at a time. Yours to free.
 */
typedef struct parb_layer_writer parb_layer_writer;

/**
 * An OCI image layout: images and indexes in a directory. Several processes may work in one at once. Immutable,
 * shared between threads: index.json is read anew by each call. Yours to free.
 */
typedef struct parb_layout parb_layout;

/**
 * Pairs of texts, sorted by key. Only lent.
 */
typedef struct parb_map parb_map;

/**
 * Chooses entries of an index: of each kind of condition one must hold, of several kinds all; without any, every
 * entry is meant. Setters never fail: the call that is given the matcher reports the first mistake. Calls on any number
 * of threads may use it while nobody changes it. Yours to free.
 */
typedef struct parb_matcher parb_matcher;

/**
 * A store of images and indexes in memory, shared between threads. Yours to free.
 */
typedef struct parb_memory parb_memory;

/**
 * A call under way, started by a function whose name ends in _start. Its outcome is there when it is done (wait for
 * it, be called, or use a queue) and is taken once, by the parb_op_take_ function of its result or by parb_op_finish.
 * Yours to free.
 */
typedef struct parb_op parb_op;

/**
 * What a call may be told beside its arguments. Setters never fail: the call that is given the options reports the
 * first mistake in them. Calls on any number of threads may use them while nobody changes them.
 * Yours to free.
 */
typedef struct parb_options parb_options;

/**
 * Tells which operations are done, by tags of the host's choice. Shared between threads. Yours to free.
 */
typedef struct parb_queue parb_queue;

/**
 * A stream of verified bytes. One thread at a time. Yours to free.
 */
typedef struct parb_reader parb_reader;

/**
 * A parsed reference: registry, repository, tag, digest. Immutable. Yours to free.
 */
typedef struct parb_ref parb_ref;

/**
 * What an examination found: a list of findings, empty where all is well. Immutable. Yours to free.
 */
typedef struct parb_report parb_report;

/**
 * A registry that serves in this process until it is stopped or freed. Shared between threads. Yours to free.
 */
typedef struct parb_server parb_server;

/**
 * How a registry server is to be. Calls on any number of threads may use it while nobody changes it.
 * Yours to free.
 */
typedef struct parb_server_options parb_server_options;

/**
 * Where the bytes of new layers go. Immutable, shared between threads. Yours to free.
 */
typedef struct parb_sink parb_sink;

/**
 * A stream of the host. It is used up by the first call that reads it. Yours to free.
 */
typedef struct parb_source parb_source;

/**
 * A list of texts. Yours to free, unless it is lent (const).
 */
typedef struct parb_strings parb_strings;

/**
 * The kind of a failure: one of the PARB_ constants. Always 32 bits.
 */
typedef int32_t parb_code;

/**
 * Called once, when `user` is not needed any more; on any thread.
 */
typedef void (*parb_destroy_cb)(void *user);

/**
 * Told of an event. Runs on a thread of the library, one event after the other, and may lag behind the call: `destroy`
 * is the sign that no more will come. It may call everything that does not wait.
 */
typedef void (*parb_event_cb)(void *user, const parb_event *event);

/**
 * Called when an operation is done, on a thread of the library. It may call everything that does not wait.
 */
typedef void (*parb_done_cb)(void *user);

/**
 * Reads up to `cap` bytes into `buf` and writes their number to `out_n`; 0 is the end. Runs on a thread of its own and
 * may wait. Returns NULL, or an error made by parb_error_new.
 */
typedef parb_error *(*parb_read_cb)(void *user, uint8_t *buf, size_t cap, size_t *out_n);

/**
 * Goes back to the start of a stream. Returns NULL, or an error made by parb_error_new.
 */
typedef parb_error *(*parb_rewind_cb)(void *user);

/**
 * Opens a blob of the host: `out` takes a source of parb_source_new whose first byte is the blob's at `offset`, and
 * which belongs to the library then. `blob` lives until the callback returns. It runs on a thread of its own and may
 * wait. Returns NULL, or an error made by parb_error_new (PARB_NOT_FOUND: there is no such blob).
 */
typedef parb_error *(*parb_open_cb)(void *user, const parb_descriptor *blob, uint64_t offset, parb_source **out);

/**
 * Tells whether the host has a blob: 1 into `out_exists` if so, 0 if not, -1 if it has to be opened to find out. Runs
 * on a thread of its own and may wait. Returns NULL, or an error made by parb_error_new.
 */
typedef parb_error *(*parb_exists_cb)(void *user, const parb_descriptor *blob, int32_t *out_exists);

#ifdef __cplusplus
extern "C" {
#endif

/* ---- 1. The library (4 functions) ------------------------------------------------------------ */

/**
 * The library's version, such as "0.1.0". Static text.
 *
 * @since 0.1
 */
PARB_API const char *parb_version(void);

/**
 * The library's version as a number: major << 24 | minor << 16 | patch << 8. Compare it with PARB_VERSION_NUMBER to
 * refuse a library that is older than the header a program was compiled with.
 *
 * @since 0.1
 */
PARB_API uint32_t parb_version_number(void);

/**
 * How the library was built, as a JSON object: "version", "rustc", "tls", "features" (an array). Static text.
 *
 * @since 0.1
 */
PARB_API const char *parb_build_info(void);

/**
 * Whether the library was built with the Cargo feature `name`. NULL and unknown names: false.
 *
 * @since 0.1
 */
PARB_API bool parb_has_feature(const char *name);

/* ---- 2. Errors (13 functions) ---------------------------------------------------------------- */

/**
 * Makes an error for a callback to return. `code` is usually PARB_CALLBACK; an unknown number becomes that. `user`
 * comes out of parb_error_user at the other end, so that an exception can be raised again as itself; `destroy` (may
 * be NULL) is called with it once, when the last copy of the error is gone.
 *
 * @param message  what happened, in UTF-8; NULL: no text
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_error_new(
    parb_code code, const char *message, void *user, parb_destroy_cb destroy);

/**
 * Another handle for the same error; NULL for NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_error_clone(const parb_error *error);

/**
 * Frees an error. NULL is fine. Not for errors that parb_error_cause lent.
 *
 * @since 0.1
 */
PARB_API void parb_error_free(parb_error *error);

/**
 * The kind of the failure; PARB_OK for NULL.
 *
 * @since 0.1
 */
PARB_API parb_code parb_error_code(const parb_error *error);

/**
 * The name of a code without its prefix, such as "NOT_FOUND"; "OK" for 0, "UNKNOWN" for other numbers. Static text.
 *
 * @since 0.1
 */
PARB_API const char *parb_error_code_name(parb_code code);

/**
 * What happened, without the subject and the cause; "" for NULL. Lives as long as the error.
 *
 * @since 0.1
 */
PARB_API const char *parb_error_message(const parb_error *error);

/**
 * The reference, URL or path concerned, credentials removed; NULL where there is none. Lives as long as the error.
 *
 * @since 0.1
 */
PARB_API const char *parb_error_subject(const parb_error *error);

/**
 * The registry's own code, such as "MANIFEST_UNKNOWN"; NULL where there is none. Lives as long as the error.
 *
 * @since 0.1
 */
PARB_API const char *parb_error_registry_code(const parb_error *error);

/**
 * The HTTP status that was answered; 0 where there was none.
 *
 * @since 0.1
 */
PARB_API int32_t parb_error_http_status(const parb_error *error);

/**
 * The operating system's number (errno); 0 where there was none.
 *
 * @since 0.1
 */
PARB_API int32_t parb_error_os_code(const parb_error *error);

/**
 * Whether the failure passes by itself: -1: nothing says so (a host that could not be reached at all is among these);
 * 0: try again now; else wait so many milliseconds first.
 *
 * @since 0.1
 */
PARB_API int64_t parb_error_retry_after_ms(const parb_error *error);

/**
 * What lies behind the error; NULL where nothing does. Lives as long as the error; not to be freed.
 *
 * @since 0.1
 */
PARB_API const parb_error *parb_error_cause(const parb_error *error);

/**
 * What parb_error_new was given as `user`, here or in a cause; NULL where nothing was. Lives as long as the error.
 *
 * @since 0.1
 */
PARB_API void *parb_error_user(const parb_error *error);

/* ---- 3. Events, and the context (12 functions) ----------------------------------------------- */

/**
 * What happened: "download", "upload", "exists", "mount", "compress", "retry", "cache", "skip"; new kinds may come.
 * Lives as long as the event.
 *
 * @since 0.1
 */
PARB_API const char *parb_event_kind(const parb_event *event);

/**
 * The digest, reference or path concerned; "" where there is none. Lives as long as the event.
 *
 * @since 0.1
 */
PARB_API const char *parb_event_subject(const parb_event *event);

/**
 * Bytes of the subject so far.
 *
 * @since 0.1
 */
PARB_API uint64_t parb_event_done(const parb_event *event);

/**
 * Bytes of the subject; UINT64_MAX where that is not known.
 *
 * @since 0.1
 */
PARB_API uint64_t parb_event_total(const parb_event *event);

/**
 * Why, for people: of a "retry", what failed; "" where there is nothing to say. Lives as long as the event.
 *
 * @since 0.1
 */
PARB_API const char *parb_event_message(const parb_event *event);

/**
 * A context. NULL where `parent` is neither NULL nor a context of this process.
 *
 * @param parent  the new context ends with it, and tells it of its progress; NULL: none
 * @since 0.1
 */
PARB_API PARB_CHECK parb_ctx *parb_ctx_new(const parb_ctx *parent);

/**
 * Frees a context. NULL is fine. Calls under it go on, bounded as they were.
 *
 * @since 0.1
 */
PARB_API void parb_ctx_free(parb_ctx *ctx);

/**
 * Ends the context so many milliseconds from now; less than 0: now. Calls that run already keep the deadline they
 * started with. Of a context and those above it, the earliest deadline counts.
 *
 * @since 0.1
 */
PARB_API void parb_ctx_set_timeout_ms(parb_ctx *ctx, int64_t timeout_ms);

/**
 * Has `cb` told of each event of the calls under this context, in place of who was told before; NULL: nobody. To be
 * set before the calls. Who must not be called from foreign threads polls parb_ctx_progress instead.
 *
 * @param destroy  called once with `user` when no more events will come; NULL: nothing is called
 * @since 0.1
 */
PARB_API void parb_ctx_set_progress(
    parb_ctx *ctx, parb_event_cb cb, void *user, parb_destroy_cb destroy);

/**
 * Ends every call under this context and those below it, at once. Any thread may call it, at any time before
 * parb_ctx_free.
 *
 * @since 0.1
 */
PARB_API void parb_ctx_cancel(const parb_ctx *ctx);

/**
 * Whether parb_ctx_cancel was called here or above. false for NULL.
 *
 * @since 0.1
 */
PARB_API bool parb_ctx_is_cancelled(const parb_ctx *ctx);

/**
 * How many bytes the calls under this context have moved, and how many they know they will, so far. Both outputs may
 * be NULL; they are 0 where `ctx` is none.
 *
 * @since 0.1
 */
PARB_API void parb_ctx_progress(const parb_ctx *ctx, uint64_t *out_done, uint64_t *out_total);

/* ---- 4. Operations (21 functions) ------------------------------------------------------------ */

/**
 * Whether the operation is done, so that nothing about it waits any more. false for NULL.
 *
 * @since 0.1
 */
PARB_API bool parb_op_is_done(const parb_op *op);

/**
 * Blocks until the operation is done or `ctx` ends; the operation itself runs on. NULL: it is done, and its outcome,
 * good or bad, is still to be taken.
 *
 * Errors: PARB_CANCELLED, PARB_TIMED_OUT: `ctx` ended first. PARB_INVALID_STATE: on a thread of the library.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_wait(const parb_op *op, const parb_ctx *ctx);

/**
 * Ends the operation; unless it was done, its outcome will be PARB_CANCELLED. Returns at once.
 *
 * @since 0.1
 */
PARB_API void parb_op_cancel(const parb_op *op);

/**
 * Has `cb` called once when the operation is done, or now if it is, on a thread of the library. It may call everything
 * that does not wait, parb_op_take_image and its like included. Where 64 callbacks of the host run already, only
 * `destroy` is called; the outcome can be taken all the same.
 *
 * Errors: PARB_FORKED: the operation belongs to the parent process. `destroy` is called all the same.
 *
 * @param destroy  called once with `user` when `cb` has returned or will not be called; may be NULL
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_on_done(
    parb_op *op, parb_done_cb cb, void *user, parb_destroy_cb destroy);

/**
 * Takes the outcome of an operation without a result, such as a push.
 *
 * Errors: those of the call; PARB_INVALID_STATE: still running, taken already, or it has a result of its own.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_finish(parb_op *op);

/**
 * Takes an image out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_image(parb_op *op, parb_image **out);

/**
 * Takes a cache out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_cache(parb_op *op, parb_cache **out);

/**
 * Takes an index out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_index(parb_op *op, parb_index **out);

/**
 * Takes a layer out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_layer(parb_op *op, parb_layer **out);

/**
 * Takes a layer writer out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_layer_writer(parb_op *op, parb_layer_writer **out);

/**
 * Takes a config out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_config(parb_op *op, parb_config **out);

/**
 * Takes a descriptor out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_descriptor(parb_op *op, parb_descriptor **out);

/**
 * Takes a reader out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_reader(parb_op *op, parb_reader **out);

/**
 * Takes bytes out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_buf(parb_op *op, parb_buf **out);

/**
 * Takes a list of texts out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_strings(parb_op *op, parb_strings **out);

/**
 * Takes an archive out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_archive(parb_op *op, parb_archive **out);

/**
 * Takes a report out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_report(parb_op *op, parb_report **out);

/**
 * Takes a daemon out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_daemon(parb_op *op, parb_daemon **out);

/**
 * Takes a layout out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_layout(parb_op *op, parb_layout **out);

/**
 * Takes a list of files out of an operation. Errors: as for parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_op_take_files(parb_op *op, parb_files **out);

/**
 * Frees an operation. NULL is fine. One that still runs is cancelled; this never waits for it, and a queue it was
 * added to still gives its tag.
 *
 * @since 0.1
 */
PARB_API void parb_op_free(parb_op *op);

/* ---- 5. Completion queues (6 functions) ------------------------------------------------------ */

/**
 * A queue.
 *
 * Errors: PARB_IO: no descriptor is to be had.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_queue_new(parb_queue **out);

/**
 * Frees a queue. NULL is fine. Takes that wait come back with PARB_INVALID_STATE; tags not taken yet are dropped; the
 * operations live on. No other thread may use the queue's pointer from then on, but for takes that wait already.
 *
 * @since 0.1
 */
PARB_API void parb_queue_free(parb_queue *queue);

/**
 * A file descriptor that is readable while there are tags to take. Poll it, and leave its content alone; it lives as
 * long as the queue. -1 for NULL.
 *
 * @since 0.1
 */
PARB_API ptrdiff_t parb_queue_fd(const parb_queue *queue);

/**
 * Has the queue give `tag` once when `op` is done, or now if it is. An operation may be in several queues.
 *
 * Errors: PARB_FORKED: the operation belongs to the parent process.
 *
 * @param tag  anything, also a number; it is never looked at
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_queue_add(const parb_queue *queue, parb_op *op, void *tag);

/**
 * Takes up to `cap` tags into `out_tags`, and writes their number to `out_n`. Blocks until there is one, `timeout_ms`
 * have passed, or parb_queue_wake was called; in both of the latter cases the number is 0.
 *
 * Errors: PARB_INVALID_STATE: the queue was freed, or this is a thread of the library and would have to wait.
 *
 * @param timeout_ms  0: does not wait; less than 0: waits as long as it takes
 * @param cap         how many tags `out_tags` has room for: 1 or more
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_queue_take(
    const parb_queue *queue, int64_t timeout_ms, void **out_tags, size_t cap, size_t *out_n);

/**
 * Makes one take come back without a tag: one that waits, or the next one.
 *
 * @since 0.1
 */
PARB_API void parb_queue_wake(const parb_queue *queue);

/* ---- 6. Bytes, lists, maps (12 functions) ---------------------------------------------------- */

/**
 * The bytes; NULL for NULL. Lives as long as the buf.
 *
 * @since 0.1
 */
PARB_API const uint8_t *parb_buf_data(const parb_buf *buf);

/**
 * How many bytes there are.
 *
 * @since 0.1
 */
PARB_API size_t parb_buf_len(const parb_buf *buf);

/**
 * Frees bytes. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_buf_free(parb_buf *buf);

/**
 * A list of copies of these texts. NULL where one of them is NULL or not UTF-8.
 *
 * @param items  NULL with a `count` of 0: an empty list
 * @since 0.1
 */
PARB_API PARB_CHECK parb_strings *parb_strings_new(const char *const *items, size_t count);

/**
 * Adds a copy of a text; NULL and what is not UTF-8 is not added. What parb_strings_at gave stays valid.
 *
 * @since 0.1
 */
PARB_API void parb_strings_add(parb_strings *list, const char *text);

/**
 * How many texts there are.
 *
 * @since 0.1
 */
PARB_API size_t parb_strings_count(const parb_strings *list);

/**
 * One text; NULL past the end. Lives as long as the list.
 *
 * @since 0.1
 */
PARB_API const char *parb_strings_at(const parb_strings *list, size_t i);

/**
 * Frees a list of yours. NULL is fine. Not for lists that are lent (const).
 *
 * @since 0.1
 */
PARB_API void parb_strings_free(parb_strings *list);

/**
 * How many pairs there are.
 *
 * @since 0.1
 */
PARB_API size_t parb_map_count(const parb_map *map);

/**
 * One key; NULL past the end. Lives as long as the map.
 *
 * @since 0.1
 */
PARB_API const char *parb_map_key_at(const parb_map *map, size_t i);

/**
 * One value; NULL past the end. Lives as long as the map.
 *
 * @since 0.1
 */
PARB_API const char *parb_map_value_at(const parb_map *map, size_t i);

/**
 * The value of a key; NULL where there is none. Lives as long as the map.
 *
 * @since 0.1
 */
PARB_API const char *parb_map_get(const parb_map *map, const char *key);

/* ---- 7. Reports of what an examination found (6 functions) ----------------------------------- */

/**
 * Frees a report. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_report_free(parb_report *report);

/**
 * How many findings there are; 0: all is well.
 *
 * @since 0.1
 */
PARB_API size_t parb_report_count(const parb_report *report);

/**
 * What kind of thing a finding is; PARB_OK past the end.
 *
 * @since 0.1
 */
PARB_API parb_code parb_report_code_at(const parb_report *report, size_t i);

/**
 * What a finding concerns: a digest, a path, a field. Lives as long as the report; NULL past the end.
 *
 * @since 0.1
 */
PARB_API const char *parb_report_subject_at(const parb_report *report, size_t i);

/**
 * What is wrong there, for people. Lives as long as the report; NULL past the end.
 *
 * @since 0.1
 */
PARB_API const char *parb_report_message_at(const parb_report *report, size_t i);

/**
 * All findings as a JSON list of objects with "code", "subject" and "message". Lives as long as the report.
 *
 * @since 0.1
 */
PARB_API const char *parb_report_json(const parb_report *report);

/* ---- 8. Options of a call (14 functions) ----------------------------------------------------- */

/**
 * Options with nothing set.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_options *parb_options_new(void);

/**
 * Frees options. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_options_free(parb_options *options);

/**
 * Which platform's image is meant where a name stands for several. Read by parb_resolve, parb_pull, and what gives an
 * image of an archive, a layout or memory.
 *
 * @param platform  os/architecture[/variant][:os.version], such as "linux/arm64/v8"
 * @since 0.1
 */
PARB_API void parb_options_set_platform(parb_options *options, const char *platform);

/**
 * How many blobs are moved at once, at most. Read by what pushes; by what validates, examines or checks images, layouts
 * and caches; by what fills layouts, archives and memory; and, for layers that are made at once (1 without it), by
 * parb_image_recompress, parb_image_with_time and parb_image_canonical.
 *
 * @param jobs  1 or more; large blobs are never more than 4 at once
 * @since 0.1
 */
PARB_API void parb_options_set_jobs(parb_options *options, uint32_t jobs);

/**
 * Where a new layer's bytes go; without it, to a file without a name in $TMPDIR. Read by parb_layer_from_file and
 * the others that make a layer, by parb_archive_image and parb_daemon_image.
 *
 * @since 0.1
 */
PARB_API void parb_options_set_sink(parb_options *options, const parb_sink *sink);

/**
 * How a new layer is compressed. Without it a plain tar becomes gzip, and a tar that is gzip or zstd stays as it is.
 * "estargz" is gzip with a table of contents, so that single files can be read out of the layer; everything that
 * reads gzip reads it. What is eStargz already stays as it is. (To find that out, gzip is kept in a file without a
 * name in $TMPDIR.) An entry that eStargz has no words for is PARB_UNSUPPORTED: a sparse file, a name that is not
 * UTF-8, a type that no file system knows. Read by parb_layer_from_file and the others that make a layer or change one,
 * parb_image_recompress among them, and by parb_archive_image and parb_daemon_image.
 *
 * @param name   "gzip", "zstd", "none" or "estargz"
 * @param level  0: the default (gzip and estargz 2, zstd 3); else gzip and estargz 1 to 9, zstd 1 to 19
 * @since 0.1
 */
PARB_API void parb_options_set_compression(parb_options *options, const char *name, int32_t level);

/**
 * Whose media types a new image or index carries. Read by the builders where there is no base ("oci" without it), by
 * parb_archive_image ("docker" without it, where the archive has no manifest), and by what makes images and indexes
 * of nothing, of parts or at random.
 *
 * @param oci_or_docker  "oci" or "docker"
 * @since 0.1
 */
PARB_API void parb_options_set_format(parb_options *options, const char *oci_or_docker);

/**
 * The form of a new archive. Read by parb_archive_write and parb_archive_write_fd ("docker" without it).
 *
 * @param format  "docker", "oci", or "legacy": that of docker save before 1.10
 * @since 0.1
 */
PARB_API void parb_options_set_archive_format(parb_options *options, const char *format);

/**
 * A repository of the same registry that may have the blobs already, so that they need not be sent. (Blobs of an
 * image that was pulled from that registry are found without it.) Read by parb_push, parb_push_index,
 * parb_push_layer.
 *
 * @since 0.1
 */
PARB_API void parb_options_set_mount_from(parb_options *options, const parb_ref *repository);

/**
 * Take non-distributable ("foreign") layers along, which are left out otherwise. Read by what pushes, and by what fills
 * layouts, archives and memory.
 *
 * @since 0.1
 */
PARB_API void parb_options_set_foreign_layers(parb_options *options);

/**
 * Flush files and directories before the call is done, so that it survives a power cut. Read by parb_layout_create and
 * by what changes a layout.
 *
 * @since 0.1
 */
PARB_API void parb_options_set_durable(parb_options *options);

/**
 * Keep layers decompressed, too, so that they are decompressed once. Read by parb_cache_open.
 *
 * @since 0.1
 */
PARB_API void parb_options_set_uncompressed(parb_options *options);

/**
 * Look only whether layers are there, and read none. Read by parb_image_examine, parb_index_examine.
 *
 * @since 0.1
 */
PARB_API void parb_options_set_fast(parb_options *options);

/**
 * Compare the files in layers that differ. Read by parb_image_compare, parb_index_compare, parb_layer_compare.
 *
 * @since 0.1
 */
PARB_API void parb_options_set_files(parb_options *options);

/* ---- 9. References and descriptors (18 functions) -------------------------------------------- */

/**
 * Parses a reference and fills in the defaults: registry index.docker.io, "library/" before single names there, tag
 * "latest" where neither tag nor digest is given. Never blocks.
 *
 * Errors: PARB_INVALID_ARGUMENT: what is wrong, with the text as subject.
 *
 * @param text     [registry/]repository[:tag][@digest]
 * @param options  none are read yet
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_ref_parse(
    const char *text, const parb_options *options, parb_ref **out);

/**
 * The same repository under another tag, without a digest.
 *
 * Errors: PARB_INVALID_ARGUMENT: not a tag.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_ref_with_tag(
    const parb_ref *reference, const char *tag, parb_ref **out);

/**
 * The same repository with a digest, without a tag.
 *
 * Errors: PARB_INVALID_ARGUMENT: not a digest.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_ref_with_digest(
    const parb_ref *reference, const char *digest, parb_ref **out);

/**
 * Another handle for the same reference; NULL for NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_ref *parb_ref_clone(const parb_ref *reference);

/**
 * The whole reference, fully qualified. Lives as long as the reference.
 *
 * @since 0.1
 */
PARB_API const char *parb_ref_text(const parb_ref *reference);

/**
 * The registry's host, and its port if one was given. Lives as long as the reference.
 *
 * @since 0.1
 */
PARB_API const char *parb_ref_registry(const parb_ref *reference);

/**
 * The repository within the registry, such as "library/ubuntu". Lives as long as the reference.
 *
 * @since 0.1
 */
PARB_API const char *parb_ref_repository(const parb_ref *reference);

/**
 * The tag; NULL where only a digest was given. Lives as long as the reference.
 *
 * @since 0.1
 */
PARB_API const char *parb_ref_tag(const parb_ref *reference);

/**
 * The digest; NULL where none was given. Lives as long as the reference.
 *
 * @since 0.1
 */
PARB_API const char *parb_ref_digest(const parb_ref *reference);

/**
 * Frees a reference. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_ref_free(parb_ref *reference);

/**
 * A descriptor of your own with the same content; NULL for NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_descriptor *parb_descriptor_clone(const parb_descriptor *descriptor);

/**
 * What the content is. Lives as long as the descriptor.
 *
 * @since 0.1
 */
PARB_API const char *parb_descriptor_media_type(const parb_descriptor *descriptor);

/**
 * The content's digest, such as "sha256:...". Lives as long as the descriptor.
 *
 * @since 0.1
 */
PARB_API const char *parb_descriptor_digest(const parb_descriptor *descriptor);

/**
 * The content's size in bytes.
 *
 * @since 0.1
 */
PARB_API uint64_t parb_descriptor_size(const parb_descriptor *descriptor);

/**
 * What it runs on, such as "linux/arm64/v8"; NULL where that is not said. Lives as long as the descriptor.
 *
 * @since 0.1
 */
PARB_API const char *parb_descriptor_platform(const parb_descriptor *descriptor);

/**
 * What kind of artifact it is; NULL where that is not said. Lives as long as the descriptor.
 *
 * @since 0.1
 */
PARB_API const char *parb_descriptor_artifact_type(const parb_descriptor *descriptor);

/**
 * The annotations, possibly none. Lives as long as the descriptor.
 *
 * @since 0.1
 */
PARB_API const parb_map *parb_descriptor_annotations(const parb_descriptor *descriptor);

/**
 * Frees a descriptor of yours. NULL is fine. Not for those that are lent (const).
 *
 * @since 0.1
 */
PARB_API void parb_descriptor_free(parb_descriptor *descriptor);

/* ---- 10. Matchers (8 functions) -------------------------------------------------------------- */

/**
 * A matcher that means every entry.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_matcher *parb_matcher_new(void);

/**
 * Frees a matcher. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_matcher_free(parb_matcher *matcher);

/**
 * Means the entry with this digest.
 *
 * @since 0.1
 */
PARB_API void parb_matcher_add_digest(parb_matcher *matcher, const char *digest);

/**
 * Means entries for this platform and no other: what it names must be the same, but for an os.version that may go on
 * after a dot; what it leaves out does not matter, and what names no platform is not meant. Names are compared in
 * normal form, in which arm without a variant is v7, arm64 v8 and amd64 v1. (That an image runs on a higher variant,
 * too, counts only where one image is picked, as by parb_index_image.)
 *
 * @param platform  os/architecture[/variant][:os.version]
 * @since 0.1
 */
PARB_API void parb_matcher_add_platform(parb_matcher *matcher, const char *platform);

/**
 * Means entries of this media type.
 *
 * @since 0.1
 */
PARB_API void parb_matcher_add_media_type(parb_matcher *matcher, const char *media_type);

/**
 * Means manifests of artifacts of this type.
 *
 * @since 0.1
 */
PARB_API void parb_matcher_add_artifact_type(parb_matcher *matcher, const char *artifact_type);

/**
 * Means entries with this annotation. Several of them must all be there.
 *
 * @param value  NULL: whatever it is
 * @since 0.1
 */
PARB_API void parb_matcher_add_annotation(
    parb_matcher *matcher, const char *key, const char *value);

/**
 * Means the entry that a layout names so: its annotation org.opencontainers.image.ref.name, or containerd's
 * io.containerd.image.name. Of several names one must hold.
 *
 * @since 0.1
 */
PARB_API void parb_matcher_set_name(parb_matcher *matcher, const char *name);

/* ---- 11. Images (15 functions) --------------------------------------------------------------- */

/**
 * Another handle for the same image; NULL for NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_image *parb_image_clone(const parb_image *image);

/**
 * Frees an image. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_image_free(parb_image *image);

/**
 * Media type, digest and size of the manifest. Lives as long as the image.
 *
 * @since 0.1
 */
PARB_API const parb_descriptor *parb_image_descriptor(const parb_image *image);

/**
 * The digest of the manifest. Lives as long as the image.
 *
 * @since 0.1
 */
PARB_API const char *parb_image_digest(const parb_image *image);

/**
 * The media type of the manifest. Lives as long as the image.
 *
 * @since 0.1
 */
PARB_API const char *parb_image_media_type(const parb_image *image);

/**
 * The manifest's exact bytes. They live as long as the image; NULL for NULL.
 *
 * @param out_len  how many there are; may be NULL
 * @since 0.1
 */
PARB_API const uint8_t *parb_image_manifest(const parb_image *image, size_t *out_len);

/**
 * The manifest's annotations, possibly none. Lives as long as the image.
 *
 * @since 0.1
 */
PARB_API const parb_map *parb_image_annotations(const parb_image *image);

/**
 * What kind of artifact the image is: what its manifest says, else the media type of its config. Lives as long as
 * the image.
 *
 * @since 0.1
 */
PARB_API const char *parb_image_artifact_type(const parb_image *image);

/**
 * Bytes of manifest, config and layers together.
 *
 * @since 0.1
 */
PARB_API uint64_t parb_image_size(const parb_image *image);

/**
 * How many layers the image has.
 *
 * @since 0.1
 */
PARB_API size_t parb_image_layer_count(const parb_image *image);

/**
 * A layer of the image, base first. Never blocks; nothing is read yet.
 *
 * Errors: PARB_INVALID_ARGUMENT: past the end.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_layer_at(
    const parb_image *image, size_t i, parb_layer **out);

/**
 * The image's config. Blocks on the network the first time, and answers from memory afterwards.
 *
 * Errors: those of the network; PARB_DIGEST_MISMATCH; PARB_MALFORMED: not an image config; PARB_LIMIT_EXCEEDED: over
 * 8 MiB; PARB_INVALID_STATE: its client was closed.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_config(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_config **out);

/**
 * parb_image_config that returns at once; the config comes from parb_op_take_config.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_config_start(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Reads every blob of the image to its end and checks all that parb_image_examine does. Blocks while it reads.
 *
 * Errors: PARB_DIGEST_MISMATCH, PARB_MALFORMED with the blob's digest as subject; those of the network.
 *
 * @param options  jobs
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_validate(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx);

/**
 * parb_image_validate that returns at once; the outcome comes from parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_validate_start(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/* ---- 12. Image configs (16 functions) -------------------------------------------------------- */

/**
 * Reads a config. Never blocks.
 *
 * Errors: PARB_MALFORMED: not an image config, or a text in it holds U+0000, which no C string can.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_config_parse(
    const uint8_t *json, size_t len, const parb_options *options, parb_config **out);

/**
 * Frees a config. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_config_free(parb_config *config);

/**
 * The config's exact bytes. They live as long as the config; NULL for NULL.
 *
 * @param out_len  how many there are; may be NULL
 * @since 0.1
 */
PARB_API const uint8_t *parb_config_json(const parb_config *config, size_t *out_len);

/**
 * What the image runs on, such as "linux/arm64/v8"; NULL where that is not said. Lives as long as the config.
 *
 * @since 0.1
 */
PARB_API const char *parb_config_platform(const parb_config *config);

/**
 * When the image was made, in RFC 3339; NULL where that is not said. Lives as long as the config.
 *
 * @since 0.1
 */
PARB_API const char *parb_config_created(const parb_config *config);

/**
 * The user; NULL where there is none. Lives as long as the config.
 *
 * @since 0.1
 */
PARB_API const char *parb_config_user(const parb_config *config);

/**
 * The working directory; NULL where there is none. Lives as long as the config.
 *
 * @since 0.1
 */
PARB_API const char *parb_config_working_dir(const parb_config *config);

/**
 * The entry point; NULL where there is none. Lives as long as the config.
 *
 * @since 0.1
 */
PARB_API const parb_strings *parb_config_entrypoint(const parb_config *config);

/**
 * The command; NULL where there is none. Lives as long as the config.
 *
 * @since 0.1
 */
PARB_API const parb_strings *parb_config_cmd(const parb_config *config);

/**
 * The environment, each entry "NAME=VALUE", possibly none. Lives as long as the config.
 *
 * @since 0.1
 */
PARB_API const parb_strings *parb_config_env(const parb_config *config);

/**
 * One variable's value; NULL where it is not set. Lives as long as the config.
 *
 * @since 0.1
 */
PARB_API const char *parb_config_env_get(const parb_config *config, const char *name);

/**
 * The labels, possibly none. Lives as long as the config.
 *
 * @since 0.1
 */
PARB_API const parb_map *parb_config_labels(const parb_config *config);

/**
 * The exposed ports, such as "80/tcp", possibly none. Lives as long as the config.
 *
 * @since 0.1
 */
PARB_API const parb_strings *parb_config_exposed_ports(const parb_config *config);

/**
 * The volumes, possibly none. Lives as long as the config.
 *
 * @since 0.1
 */
PARB_API const parb_strings *parb_config_volumes(const parb_config *config);

/**
 * The stop signal; NULL where there is none. Lives as long as the config.
 *
 * @since 0.1
 */
PARB_API const char *parb_config_stop_signal(const parb_config *config);

/**
 * The digests of the uncompressed layers, base first. Lives as long as the config.
 *
 * @since 0.1
 */
PARB_API const parb_strings *parb_config_diff_ids(const parb_config *config);

/* ---- 13. Indexes (15 functions) -------------------------------------------------------------- */

/**
 * Another handle for the same index; NULL for NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_index *parb_index_clone(const parb_index *index);

/**
 * Frees an index. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_index_free(parb_index *index);

/**
 * Media type, digest and size of the index. Lives as long as the index.
 *
 * @since 0.1
 */
PARB_API const parb_descriptor *parb_index_descriptor(const parb_index *index);

/**
 * The index's exact bytes. They live as long as the index; NULL for NULL.
 *
 * @param out_len  how many there are; may be NULL
 * @since 0.1
 */
PARB_API const uint8_t *parb_index_manifest(const parb_index *index, size_t *out_len);

/**
 * The index's annotations, possibly none. Lives as long as the index.
 *
 * @since 0.1
 */
PARB_API const parb_map *parb_index_annotations(const parb_index *index);

/**
 * How many manifests the index names.
 *
 * @since 0.1
 */
PARB_API size_t parb_index_count(const parb_index *index);

/**
 * One of them; NULL past the end. Lives as long as the index.
 *
 * @since 0.1
 */
PARB_API const parb_descriptor *parb_index_at(const parb_index *index, size_t i);

/**
 * The platforms that its entries name, each once. Never blocks.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_platforms(const parb_index *index, parb_strings **out);

/**
 * The digests of the entries that are meant, in their order. Nested indexes are not looked into. Never blocks.
 *
 * Errors: the first mistake in the matcher.
 *
 * @param matcher  NULL: all entries
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_find(
    const parb_index *index, const parb_matcher *matcher, parb_strings **out);

/**
 * Bytes of the index and of everything below it, each manifest and blob counted once. Blocks while it reads the
 * manifests, the first time, and answers from memory afterwards.
 *
 * Errors: those of reading them; PARB_LIMIT_EXCEEDED: it nests too deep, or names too much.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_size(
    const parb_index *index, const parb_options *options, const parb_ctx *ctx, uint64_t *out_size);

/**
 * parb_index_size that returns at once. After parb_op_finish the call itself answers from memory.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_size_start(
    const parb_index *index, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * The image with this digest, or for this platform: of all that run there the one that fits best, the very variant
 * before lower ones, and the first of equals. For a platform nested indexes are looked into, each where it stands among
 * the entries, unless its entry says that it is for something else; what names no platform is taken for linux/amd64,
 * after what does. Every call that reads the option platform finds the same. Blocks on the network.
 *
 * Errors: PARB_NOT_FOUND: the index names none; for a platform, the message lists those that there are;
 * PARB_INVALID_ARGUMENT: the digest is an index's.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_image(
    const parb_index *index, const char *digest_or_platform, const parb_options *options,
    const parb_ctx *ctx, parb_image **out);

/**
 * parb_index_image that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_image_start(
    const parb_index *index, const char *digest_or_platform, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * The nested index with this digest. Blocks on the network.
 *
 * Errors: PARB_NOT_FOUND: the index names none; PARB_INVALID_ARGUMENT: the digest is an image's.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_child(
    const parb_index *index, const char *digest, const parb_options *options, const parb_ctx *ctx,
    parb_index **out);

/**
 * parb_index_child that returns at once; the index comes from parb_op_take_index.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_child_start(
    const parb_index *index, const char *digest, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/* ---- 14. Layers (40 functions) --------------------------------------------------------------- */

/**
 * A repository as a sink: new layers are uploaded while they are compressed, and a push of an image that has them
 * finds them there. Never blocks.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 *
 * @param repository  its tag and digest play no part
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_sink_repository(
    const parb_client *client, const parb_ref *repository, parb_sink **out);

/**
 * Frees a sink. NULL is fine. Layers that were written into it stay.
 *
 * @since 0.1
 */
PARB_API void parb_sink_free(parb_sink *sink);

/**
 * Makes a layer from a file: a tar, plain or compressed with gzip or zstd; its bytes tell which, not its name. It is
 * read once, compressed once if it is plain, and written into the options' sink on the way; if that breaks, the file
 * is read again. Blocks until the layer is in its sink.
 *
 * Errors: PARB_NOT_FOUND, PARB_IO with the path as subject; PARB_MALFORMED: no tar; PARB_INVALID_ARGUMENT: a
 * directory; those of the sink.
 *
 * @param options  sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_from_file(
    const char *path, const parb_options *options, const parb_ctx *ctx, parb_layer **out);

/**
 * parb_layer_from_file that returns at once; the layer comes from parb_op_take_layer.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_from_file_start(
    const char *path, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Makes a layer from a directory's content: names sorted, owner 0:0, modification time 0 or $SOURCE_DATE_EPOCH, so
 * that the same content is the same layer. Blocks until the layer is in its sink.
 *
 * Errors: as for parb_layer_from_file; PARB_IO: a file changed its size while it was read.
 *
 * @param options  sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_from_dir(
    const char *path, const parb_options *options, const parb_ctx *ctx, parb_layer **out);

/**
 * parb_layer_from_dir that returns at once; the layer comes from parb_op_take_layer.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_from_dir_start(
    const char *path, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Makes a layer from a tar in memory, which is copied. Blocks until the layer is in its sink.
 *
 * Errors: as for parb_layer_from_file.
 *
 * @param options  sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_from_bytes(
    const uint8_t *tar, size_t len, const parb_options *options, const parb_ctx *ctx,
    parb_layer **out);

/**
 * parb_layer_from_bytes that returns at once; the layer comes from parb_op_take_layer.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_from_bytes_start(
    const uint8_t *tar, size_t len, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * Makes a layer from a stream of the host, which is read on a thread of the library (at most 64 of them at once). If
 * an upload breaks, the stream is rewound where it can be; else its compressed bytes were kept in a file without a
 * name in $TMPDIR. The source is used up, whatever comes out. Blocks until the layer is in its sink.
 *
 * Errors: as for parb_layer_from_file; what the callback returned; PARB_INVALID_STATE: the source was used before;
 * PARB_LIMIT_EXCEEDED: too many callbacks of the host are running.
 *
 * @param options  sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_from_source(
    parb_source *source, const parb_options *options, const parb_ctx *ctx, parb_layer **out);

/**
 * parb_layer_from_source that returns at once; the layer comes from parb_op_take_layer.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_from_source_start(
    parb_source *source, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Opens a writer for a layer's tar (plain, or compressed with gzip or zstd) into the options' sink. Blocks on the
 * network where the sink is a repository.
 *
 * Errors: those of the sink; PARB_IO: no file in $TMPDIR; PARB_INVALID_ARGUMENT: an option that is not read.
 *
 * @param options  sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_writer_new(
    const parb_options *options, const parb_ctx *ctx, parb_layer_writer **out);

/**
 * parb_layer_writer_new that returns at once; the writer comes from parb_op_take_layer_writer.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_writer_new_start(
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Takes in the next bytes, all of them. Blocks while the compressor or the sink are behind.
 *
 * Errors: those of the sink; PARB_MALFORMED: no tar. After an error the writer is of no more use, but for
 * PARB_CANCELLED and PARB_TIMED_OUT before anything was taken in.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_writer_write(
    parb_layer_writer *writer, const uint8_t *tar, size_t len, const parb_ctx *ctx);

/**
 * Ends the tar and gives the layer. Blocks until the layer is in its sink. The writer is of no more use, and still to
 * be freed.
 *
 * Errors: those of the sink; PARB_MALFORMED: no tar; PARB_INVALID_STATE: finished before.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_writer_finish(
    parb_layer_writer *writer, const parb_options *options, const parb_ctx *ctx, parb_layer **out);

/**
 * parb_layer_writer_finish that returns at once; the layer comes from parb_op_take_layer.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_writer_finish_start(
    parb_layer_writer *writer, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Frees a writer. NULL is fine. One that was not finished leaves nothing behind.
 *
 * @since 0.1
 */
PARB_API void parb_layer_writer_free(parb_layer_writer *writer);

/**
 * Another handle for the same layer; NULL for NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_layer *parb_layer_clone(const parb_layer *layer);

/**
 * Frees a layer. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_layer_free(parb_layer *layer);

/**
 * Media type, digest and size of the layer's blob. Lives as long as the layer.
 *
 * @since 0.1
 */
PARB_API const parb_descriptor *parb_layer_descriptor(const parb_layer *layer);

/**
 * The digest of the layer's uncompressed tar: from the image's config, else by reading the layer. Blocks on the
 * network the first time, and answers from memory afterwards. What it gives lives as long as the layer.
 *
 * Errors: as for parb_image_config and parb_layer_open.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_diff_id(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, const char **out);

/**
 * parb_layer_diff_id that returns at once. After parb_op_finish the call itself answers from memory.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_diff_id_start(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Bytes of the layer's uncompressed tar: as its maker knew, else by reading the layer. Blocks on the network the first
 * time, and answers from memory afterwards.
 *
 * Errors: as for parb_layer_open_uncompressed.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_uncompressed_size(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, uint64_t *out_size);

/**
 * parb_layer_uncompressed_size that returns at once. After parb_op_finish the call itself answers from memory.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_uncompressed_size_start(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Opens the layer's bytes as they are stored. Blocks on the network until they begin to come.
 *
 * Errors: PARB_NOT_FOUND and others of the network; PARB_INVALID_STATE: its client was closed.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_open(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, parb_reader **out);

/**
 * parb_layer_open that returns at once; the reader comes from parb_op_take_reader.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_open_start(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Opens the layer's tar, decompressed if it is compressed. Blocks on the network until it begins to come.
 *
 * Errors: as for parb_layer_open; PARB_MALFORMED while reading: the compression is broken.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_open_uncompressed(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, parb_reader **out);

/**
 * parb_layer_open_uncompressed that returns at once; the reader comes from parb_op_take_reader.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_open_uncompressed_start(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * A builder of a small layer, without entries. Parent directories are not added by themselves.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_layer_builder *parb_layer_builder_new(void);

/**
 * Adds a file with this content, which is copied.
 *
 * @param path  within the layer: relative, without ".."
 * @param mode  permission bits, such as 0644
 * @since 0.1
 */
PARB_API void parb_layer_builder_add_bytes(
    parb_layer_builder *builder, const char *path, uint32_t mode, const uint8_t *data, size_t len);

/**
 * Adds a local file, directory (with all that is in it) or symbolic link under a name of its own. It is read when the
 * layer is built.
 *
 * @since 0.1
 */
PARB_API void parb_layer_builder_add_path(
    parb_layer_builder *builder, const char *local, const char *path);

/**
 * Adds a symbolic link.
 *
 * @since 0.1
 */
PARB_API void parb_layer_builder_add_symlink(
    parb_layer_builder *builder, const char *path, const char *target);

/**
 * Removes what the layers below have under this name (a whiteout).
 *
 * @since 0.1
 */
PARB_API void parb_layer_builder_remove(parb_layer_builder *builder, const char *path);

/**
 * Makes the layer, with its entries in the order they were added. Blocks until the layer is in its sink.
 *
 * Errors: the first mistake of the setters; as for parb_layer_from_dir.
 *
 * @param options  sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_builder_build(
    const parb_layer_builder *builder, const parb_options *options, const parb_ctx *ctx,
    parb_layer **out);

/**
 * parb_layer_builder_build that returns at once; the layer comes from parb_op_take_layer.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_builder_build_start(
    const parb_layer_builder *builder, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * Frees a builder. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_layer_builder_free(parb_layer_builder *builder);

/**
 * Reads up to `cap` bytes into `buf`, at least one; 0 is the end, which comes only if every byte was right. Blocks
 * until there are some. A call that was cancelled loses none.
 *
 * Errors: PARB_DIGEST_MISMATCH: the content is not what was named; those of the network.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_reader_read(
    parb_reader *reader, uint8_t *buf, size_t cap, const parb_ctx *ctx, size_t *out_n);

/**
 * Starts to read the next piece, of whatever size it comes; it comes from parb_op_take_buf, and an empty one is the
 * end. One at a time.
 *
 * Errors: PARB_INVALID_STATE: two threads at once; those of parb_reader_read come out of the operation.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_reader_next_start(
    parb_reader *reader, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Frees a reader. NULL is fine. What was not read yet is not fetched.
 *
 * @since 0.1
 */
PARB_API void parb_reader_free(parb_reader *reader);

/**
 * A stream of the host. NULL where `read` is NULL; `destroy` is called all the same.
 *
 * @param rewind   goes back to the start; NULL: it can't
 * @param destroy  called once with `user` when the stream is not needed any more; may be NULL
 * @since 0.1
 */
PARB_API PARB_CHECK parb_source *parb_source_new(
    parb_read_cb read, parb_rewind_cb rewind, void *user, parb_destroy_cb destroy);

/**
 * Frees a source. NULL is fine. One that is being read is destroyed when its callback returns.
 *
 * @since 0.1
 */
PARB_API void parb_source_free(parb_source *source);

/* ---- 15. Single files of layers, by the layer's table of contents where there is one (5 functions)  */

/**
 * Whether the layer's descriptor tells of a table of contents, as those of eStargz and zstd:chunked layers do: then
 * single files are read without the rest. Never blocks.
 *
 * @since 0.1
 */
PARB_API bool parb_layer_has_toc(const parb_layer *layer);

/**
 * The layer's table of contents as a JSON list in the tar's order: objects with "path", "type" ("dir", "reg",
 * "symlink", "hardlink", "char", "block", "fifo"), "size", "mode", "uid", "gid", and where there is something to say
 * "user", "group", "mtime", "link", "devMajor", "devMinor", "xattrs" (values in base64), "digest". Blocks on the
 * network the first time.
 *
 * Errors: PARB_NOT_FOUND: the descriptor tells of none; PARB_DIGEST_MISMATCH, PARB_MALFORMED: it is not what the
 * descriptor promises; PARB_LIMIT_EXCEEDED: larger than 50 MiB; PARB_UNSUPPORTED: of another version.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_toc_json(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, parb_buf **out);

/**
 * parb_layer_toc_json that returns at once; the JSON comes from parb_op_take_buf.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_toc_json_start(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Opens one file of the layer. With a table of contents only what is needed is fetched, and each part is verified;
 * without one the layer is read once and verified, before this returns. Hard links are followed. Of several entries
 * of the same name the last one counts; other layers play no part. Blocks on the network.
 *
 * Errors: PARB_NOT_FOUND: no such file; PARB_INVALID_ARGUMENT: it is no file; those of parb_layer_open, and, where the
 * descriptor tells of a table of contents, of parb_layer_toc_json.
 *
 * @param path     as in the tar; a leading "/" or "./" plays no part
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_open_file(
    const parb_layer *layer, const char *path, const parb_options *options, const parb_ctx *ctx,
    parb_reader **out);

/**
 * parb_layer_open_file that returns at once; the reader comes from parb_op_take_reader.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_open_file_start(
    const parb_layer *layer, const char *path, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/* ---- 16. Image builders (41 functions) ------------------------------------------------------- */

/**
 * A builder without changes. NULL where `base` is neither NULL nor an image.
 *
 * @param base  what is changed; NULL: an image from scratch
 * @since 0.1
 */
PARB_API PARB_CHECK parb_image_builder *parb_image_builder_new(const parb_image *base);

/**
 * Puts a layer on top, with one history entry of time zero. Its media type follows the base's family.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_add_layer(parb_image_builder *builder, const parb_layer *layer);

/**
 * Adds a line of history for a step that made no layer.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_add_empty_layer(parb_image_builder *builder);

/**
 * Takes a layer away, counted from the base, as the layers are by now. Its line of history and its diff id go with
 * it. There must be such a layer.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_remove_layer(parb_image_builder *builder, size_t i);

/**
 * Puts another layer in the place of one; its line of history stays unless parb_image_builder_set_history follows.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_replace_layer(
    parb_image_builder *builder, size_t i, const parb_layer *layer);

/**
 * What the history says of the layer (or step without one) added or replaced last. Each text may be NULL: nothing is
 * said. Of an image without history that a layer is replaced in, every layer gets a line. Building fails with
 * PARB_INVALID_ARGUMENT where there is no image config to hold it.
 *
 * @param rfc3339  when; NULL: time zero
 * @since 0.1
 */
PARB_API void parb_image_builder_set_history(
    parb_image_builder *builder, const char *created_by, const char *author, const char *comment,
    const char *rfc3339);

/**
 * The media type of the layer added or replaced last, in place of the one that its content and the image's family
 * give.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_layer_media_type(
    parb_image_builder *builder, const char *media_type);

/**
 * Sets an annotation of the descriptor of the layer added or replaced last.
 *
 * @param value  NULL: the annotation is removed
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_layer_annotation(
    parb_image_builder *builder, const char *key, const char *value);

/**
 * Where else the layer added or replaced last can be had. A layer that can be had elsewhere is pushed only with
 * parb_options_set_foreign_layers.
 *
 * @param urls  NULL: nowhere
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_layer_urls(
    parb_image_builder *builder, const parb_strings *urls);

/**
 * Sets an annotation of the descriptor of any layer, counted from the base.
 *
 * @param value  NULL: the annotation is removed
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_annotate_layer(
    parb_image_builder *builder, size_t i, const char *key, const char *value);

/**
 * Sets an environment variable: where it stands, or at the end.
 *
 * @param value  NULL: the variable is removed
 * @since 0.1
 */
PARB_API void parb_image_builder_set_env(
    parb_image_builder *builder, const char *name, const char *value);

/**
 * Takes the whole environment away.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_clear_env(parb_image_builder *builder);

/**
 * Sets the entry point; the command stays as it is.
 *
 * @param argv  NULL: it is removed
 * @since 0.1
 */
PARB_API void parb_image_builder_set_entrypoint(
    parb_image_builder *builder, const parb_strings *argv);

/**
 * Sets the command.
 *
 * @param argv  NULL: it is removed
 * @since 0.1
 */
PARB_API void parb_image_builder_set_cmd(parb_image_builder *builder, const parb_strings *argv);

/**
 * Sets the user.
 *
 * @param user  NULL or "": it is removed
 * @since 0.1
 */
PARB_API void parb_image_builder_set_user(parb_image_builder *builder, const char *user);

/**
 * Sets the working directory.
 *
 * @param path  NULL or "": it is removed
 * @since 0.1
 */
PARB_API void parb_image_builder_set_working_dir(parb_image_builder *builder, const char *path);

/**
 * Sets a label of the config.
 *
 * @param value  NULL: the label is removed
 * @since 0.1
 */
PARB_API void parb_image_builder_set_label(
    parb_image_builder *builder, const char *key, const char *value);

/**
 * Takes all labels away.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_clear_labels(parb_image_builder *builder);

/**
 * Sets an annotation of the manifest.
 *
 * @param value  NULL: the annotation is removed
 * @since 0.1
 */
PARB_API void parb_image_builder_set_annotation(
    parb_image_builder *builder, const char *key, const char *value);

/**
 * Takes all annotations of the manifest away.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_clear_annotations(parb_image_builder *builder);

/**
 * Sets an annotation of the config's descriptor.
 *
 * @param value  NULL: the annotation is removed
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_config_annotation(
    parb_image_builder *builder, const char *key, const char *value);

/**
 * Adds an exposed port.
 *
 * @param port  such as "80/tcp" or "80"; NULL: all there are so far are dropped
 * @since 0.1
 */
PARB_API void parb_image_builder_add_exposed_port(parb_image_builder *builder, const char *port);

/**
 * Adds a volume.
 *
 * @param path  NULL: all there are so far are dropped
 * @since 0.1
 */
PARB_API void parb_image_builder_add_volume(parb_image_builder *builder, const char *path);

/**
 * Sets the stop signal.
 *
 * @param signal  such as "SIGTERM"; NULL or "": it is removed
 * @since 0.1
 */
PARB_API void parb_image_builder_set_stop_signal(parb_image_builder *builder, const char *signal);

/**
 * Sets how to see whether a container is well. Members of the old one that this library does not know stay.
 *
 * @param test            "NONE"; "CMD" and arguments; or "CMD-SHELL" and a command. NULL: no such thing any more
 * @param interval_ns     nanoseconds between two checks; 0 here and below: unsaid
 * @param timeout_ns      nanoseconds for one check
 * @param start_period_ns nanoseconds before failures count
 * @param retries         how many failures make it unwell
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_healthcheck(
    parb_image_builder *builder, const parb_strings *test, int64_t interval_ns, int64_t timeout_ns,
    int64_t start_period_ns, int64_t retries);

/**
 * Sets the shell of build steps.
 *
 * @param argv  NULL: it is removed
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_shell(parb_image_builder *builder, const parb_strings *argv);

/**
 * Sets the build steps for images on top of this one.
 *
 * @param steps  NULL: it is removed
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_on_build(
    parb_image_builder *builder, const parb_strings *steps);

/**
 * Sets what the image runs on.
 *
 * @param platform  os/architecture[/variant][:os.version]
 * @since 0.1
 */
PARB_API void parb_image_builder_set_platform(parb_image_builder *builder, const char *platform);

/**
 * Sets when the image was made. Without it the base's time stays: never "now".
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_created(parb_image_builder *builder, const char *rfc3339);

/**
 * Sets the author.
 *
 * @param author  NULL or "": it is removed
 * @since 0.1
 */
PARB_API void parb_image_builder_set_author(parb_image_builder *builder, const char *author);

/**
 * Replaces the whole config by this one, byte for byte unless more changes follow.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_config(parb_image_builder *builder, const parb_config *config);

/**
 * Replaces the config by any bytes of any type, as artifacts have it. Of an image config's type, they must be one.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_raw_config(
    parb_image_builder *builder, const uint8_t *data, size_t len, const char *media_type);

/**
 * Says what the config is; its bytes stay.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_config_media_type(
    parb_image_builder *builder, const char *media_type);

/**
 * Says what the manifest is, and nothing else; it must be the type of an image manifest.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_media_type(
    parb_image_builder *builder, const char *media_type);

/**
 * Has manifest, config and every layer carry Docker's media types, or OCI's; parb_image_convert says what has none.
 *
 * @param oci_or_docker  "oci" or "docker"
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_format(parb_image_builder *builder, const char *oci_or_docker);

/**
 * Says what kind of artifact it is.
 *
 * @param artifact_type  NULL or "": it is removed
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_artifact_type(
    parb_image_builder *builder, const char *artifact_type);

/**
 * Sets the manifest that the new one refers to (its subject). Without it the base's subject stays.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_set_subject(
    parb_image_builder *builder, const parb_descriptor *subject);

/**
 * Refers to nothing any more.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_clear_subject(parb_image_builder *builder);

/**
 * Makes the image; the builder can go on and build again. Without changes it is the base itself. Moves no layer;
 * blocks on the network where the base's config is not known yet.
 *
 * Errors: the first mistake of the setters; those of parb_image_config; PARB_INVALID_ARGUMENT: the changes don't fit
 * each other; PARB_UNSUPPORTED: the format has no word for something; PARB_INVALID_STATE: two threads at once.
 *
 * @param options  format, where there is no base
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_builder_build(
    const parb_image_builder *builder, const parb_options *options, const parb_ctx *ctx,
    parb_image **out);

/**
 * parb_image_builder_build that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_builder_build_start(
    const parb_image_builder *builder, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * Frees a builder. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_image_builder_free(parb_image_builder *builder);

/* ---- 17. Index builders (19 functions) ------------------------------------------------------- */

/**
 * A builder without changes. NULL where `base` is neither NULL nor an index.
 *
 * @param base  what is changed; NULL: an index from scratch
 * @since 0.1
 */
PARB_API PARB_CHECK parb_index_builder *parb_index_builder_new(const parb_index *base);

/**
 * Adds an image. Its entry says what its config says it runs on, what annotations its manifest has, and as artifact
 * type the manifest's, or else the config's media type.
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_add_image(parb_index_builder *builder, const parb_image *image);

/**
 * Adds an index as one entry, with its annotations and artifact type.
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_add_index(parb_index_builder *builder, const parb_index *index);

/**
 * Adds every entry of an index, each as it stands there.
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_add_children(parb_index_builder *builder, const parb_index *index);

/**
 * What the entry added last runs on, whatever its config says.
 *
 * @param platform  os/architecture[/variant][:os.version]; NULL: nothing is said
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_set_entry_platform(
    parb_index_builder *builder, const char *platform);

/**
 * Sets an annotation of the entry added last.
 *
 * @param value  NULL: the annotation is removed
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_set_entry_annotation(
    parb_index_builder *builder, const char *key, const char *value);

/**
 * Where else the entry added last can be had.
 *
 * @param urls  NULL: nowhere
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_set_entry_urls(
    parb_index_builder *builder, const parb_strings *urls);

/**
 * What kind of artifact the entry added last is the manifest of.
 *
 * @param artifact_type  NULL or "": nothing is said
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_set_entry_artifact_type(
    parb_index_builder *builder, const char *artifact_type);

/**
 * Takes away the entries that are meant.
 *
 * @param matcher  has to be there; one without any condition means all of them
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_remove(parb_index_builder *builder, const parb_matcher *matcher);

/**
 * Takes away all but the entries that are meant.
 *
 * @param matcher  NULL: all of them
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_keep(parb_index_builder *builder, const parb_matcher *matcher);

/**
 * Sets an annotation of the entries that are meant.
 *
 * @param matcher  NULL: all of them
 * @param value    NULL: the annotation is removed
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_annotate(
    parb_index_builder *builder, const parb_matcher *matcher, const char *key, const char *value);

/**
 * Puts the entries of nested indexes in the place of these indexes, however deep.
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_flatten(parb_index_builder *builder);

/**
 * Sets an annotation of the index.
 *
 * @param value  NULL: the annotation is removed
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_set_annotation(
    parb_index_builder *builder, const char *key, const char *value);

/**
 * Sets the manifest that the index refers to (its subject).
 *
 * @param subject  NULL: it refers to nothing
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_set_subject(
    parb_index_builder *builder, const parb_descriptor *subject);

/**
 * Says what kind of artifact the index is.
 *
 * @param artifact_type  NULL or "": nothing is said
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_set_artifact_type(
    parb_index_builder *builder, const char *artifact_type);

/**
 * Makes it an OCI index or a Docker manifest list. Its entries stay as they are; parb_index_convert changes them, too.
 *
 * @param oci_or_docker  "oci" or "docker"
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_set_format(parb_index_builder *builder, const char *oci_or_docker);

/**
 * Makes the index; the builder can go on and build again. Without changes it is the base itself. Moves no image;
 * blocks on the network for the configs of added images, and for nested indexes where they are flattened.
 *
 * Errors: the first mistake of the setters; those of parb_image_config and parb_index_child; PARB_INVALID_STATE: two
 * threads at once.
 *
 * @param options  format, where there is no base
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_builder_build(
    const parb_index_builder *builder, const parb_options *options, const parb_ctx *ctx,
    parb_index **out);

/**
 * parb_index_builder_build that returns at once; the index comes from parb_op_take_index.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_builder_build_start(
    const parb_index_builder *builder, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * Frees a builder. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_index_builder_free(parb_index_builder *builder);

/* ---- 18. Changes that make new layers, or take several images (20 functions) ----------------- */

/**
 * The image with every layer compressed as the options say, or plain layers as gzip where they don't, streaming: the
 * diff ids, and with them the config, stay, and are verified on the way. Only "estargz" puts entries of its own into
 * the layers, and the config gets their new diff ids. Layers that are compressed so already are kept, unless a level
 * is asked for (of eStargz, those whose descriptors name their tables); layers that their makers host themselves, and
 * what is no layer, are left alone. Media types follow the content (in a Docker image zstd has the OCI's). Blocks
 * while layers are read and written.
 *
 * Errors: PARB_DIGEST_MISMATCH; PARB_MALFORMED, for "estargz": the config has another number of diff ids than there
 * are layers; PARB_UNSUPPORTED: eStargz has no words for an entry; those of the network and the sink.
 *
 * @param options  compression, sink, jobs
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_recompress(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_image **out);

/**
 * parb_image_recompress that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_recompress_start(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * The image with one time everywhere: in every entry of every layer, in the config and in its history. All else stays:
 * extended attributes, sparse and long names, devices, the kind of compression, members of the config that are not
 * known. Layers that their makers host themselves are left alone. The same input gives the same digest. Blocks while
 * layers are read and written.
 *
 * Errors: PARB_INVALID_ARGUMENT: no time, or one that no tar can hold; PARB_MALFORMED: a layer that is no tar; those
 * of the network and the sink.
 *
 * @param rfc3339  the time; the zero time 0001-01-01T00:00:00Z is 1970 in the layers, as in the reference
 * @param options  compression (by default each layer's own), sink, jobs
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_with_time(
    const parb_image *image, const char *rfc3339, const parb_options *options, const parb_ctx *ctx,
    parb_image **out);

/**
 * parb_image_with_time that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_with_time_start(
    const parb_image *image, const char *rfc3339, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * parb_image_with_time with the zero time; the config's container, docker_version and Hostname are removed as well, so
 * that builds that differ only in when and where they ran give one digest. Blocks as that does.
 *
 * Errors: those of parb_image_with_time.
 *
 * @param options  compression (by default each layer's own), sink, jobs
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_canonical(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_image **out);

/**
 * parb_image_canonical that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_canonical_start(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * The image on another base: layers and history of the old base, which must be the image's lowest layers, give way to
 * the new one's. The platform is the new base's; all else stays the image's, its media types included. The annotations
 * org.opencontainers.image.base.digest and base.name follow, where they are there or `name` is given. Moves no layer;
 * blocks on the network where a config is not known yet.
 *
 * Errors: PARB_INVALID_ARGUMENT: the image is not on that base; PARB_MALFORMED: history and layers don't agree; those
 * of parb_image_config.
 *
 * @param name     what the new base is called in the annotations; NULL: the name stays as it is
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_rebase(
    const parb_image *image, const parb_image *old_base, const parb_image *new_base,
    const char *name, const parb_options *options, const parb_ctx *ctx, parb_image **out);

/**
 * parb_image_rebase that returns at once; the image comes from parb_op_take_image. `name` may be NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_rebase_start(
    const parb_image *image, const parb_image *old_base, const parb_image *new_base,
    const char *name, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * parb_image_rebase for every image of an index, with the images of the bases for its platform. What is no image
 * stays; attestations of images that changed are left out, as they no longer hold. Blocks on the network.
 *
 * Errors: those of parb_image_rebase; PARB_NOT_FOUND: a base has no image for a platform.
 *
 * @param name     what the new base is called in the annotations; NULL: the name stays as it is
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_rebase(
    const parb_index *index, const parb_index *old_base, const parb_index *new_base,
    const char *name, const parb_options *options, const parb_ctx *ctx, parb_index **out);

/**
 * parb_index_rebase that returns at once; the index comes from parb_op_take_index. `name` may be NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_rebase_start(
    const parb_index *index, const parb_index *old_base, const parb_index *new_base,
    const char *name, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * The image in Docker's or OCI's media types: manifest, config and layers. No blob changes; an image that is of that
 * kind already is given back. Blocks no longer than a moment.
 *
 * Errors: PARB_UNSUPPORTED: Docker has no type for zstd layers (recompress first) and for artifacts.
 *
 * @param oci_or_docker  "oci" or "docker"
 * @param options        none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_convert(
    const parb_image *image, const char *oci_or_docker, const parb_options *options,
    const parb_ctx *ctx, parb_image **out);

/**
 * parb_image_convert that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_convert_start(
    const parb_image *image, const char *oci_or_docker, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * parb_image_convert for an index, and for all images and indexes below it. Blocks on the network.
 *
 * Errors: those of parb_image_convert; those of reading the manifests.
 *
 * @param oci_or_docker  "oci" or "docker"
 * @param options        none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_convert(
    const parb_index *index, const char *oci_or_docker, const parb_options *options,
    const parb_ctx *ctx, parb_index **out);

/**
 * parb_index_convert that returns at once; the index comes from parb_op_take_index.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_convert_start(
    const parb_index *index, const char *oci_or_docker, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * The layer in the form that Windows images want: everything below Files/, beside an empty Hives/, with the owner that
 * Windows needs. Hard links point there, too. A layer that is in this form already is given back. Blocks while the
 * layer is read and written.
 *
 * Errors: PARB_MALFORMED: no tar; PARB_INVALID_ARGUMENT: partly in this form; those of the network and the sink.
 *
 * @param options  sink, compression (by default the layer's own)
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_for_windows(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, parb_layer **out);

/**
 * parb_layer_for_windows that returns at once; the layer comes from parb_op_take_layer.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_for_windows_start(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * The image with another content of one file, which is a layer on top. Mode and owner of the file that was there stay;
 * a new one is 0644 and root's. Symbolic links are followed within the image, at the path itself too, as by
 * parb_image_open_file; where one leads to nothing, the file is made there. Blocks while the layers are searched for
 * the old file and the new layer is written.
 *
 * Errors: PARB_INVALID_ARGUMENT: the path is none, or names a directory; those of the network and the sink.
 *
 * @param path     from the root of the image's file system, with or without a leading slash
 * @param options  sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_edit_file(
    const parb_image *image, const char *path, const uint8_t *data, size_t len,
    const parb_options *options, const parb_ctx *ctx, parb_image **out);

/**
 * parb_image_edit_file that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_edit_file_start(
    const parb_image *image, const char *path, const uint8_t *data, size_t len,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * The image without a file, or without a directory and all that is in it, by a layer on top that hides it. Blocks
 * while the new layer is written.
 *
 * Errors: PARB_INVALID_ARGUMENT: the path is none; PARB_NOT_FOUND: there is nothing of this name; those of the network
 * and the sink.
 *
 * @param path     from the root of the image's file system, with or without a leading slash
 * @param options  sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_remove_file(
    const parb_image *image, const char *path, const parb_options *options, const parb_ctx *ctx,
    parb_image **out);

/**
 * parb_image_remove_file that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_remove_file_start(
    const parb_image *image, const char *path, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/* ---- 19. The file systems of images, and what is in layers (27 functions) -------------------- */

/**
 * Opens the file system of an image as one tar: what a container made of it sees. Whiteouts are applied; names are
 * relative to the root; hard links come after their targets; nothing lies behind a symbolic link. The same image gives
 * the same bytes. Blocks on the network until it begins to come. What is read is verified by the reader's end.
 *
 * Errors: PARB_UNSUPPORTED: a layer that is no file system; while reading also PARB_MALFORMED: layers that no engine
 * could unpack; PARB_DIGEST_MISMATCH.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_filesystem(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_reader **out);

/**
 * parb_image_filesystem that returns at once; the reader comes from parb_op_take_reader.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_filesystem_start(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Makes an image with one layer in place of all: the tar of parb_image_filesystem, compressed straight into the sink.
 * The history becomes one entry, whose comment has the old one as JSON. All else in config and manifest stays. Blocks
 * while it reads and writes.
 *
 * Errors: as for parb_image_filesystem; PARB_UNSUPPORTED: no image config; those of the sink.
 *
 * @param options  sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_flatten(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_image **out);

/**
 * parb_image_flatten that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_flatten_start(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Makes an index whose images are flattened as by parb_image_flatten. Attestations are left out; what has no image
 * config stays as it is. Blocks while it reads and writes.
 *
 * Errors: as for parb_image_flatten.
 *
 * @param options  sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_flatten(
    const parb_index *index, const parb_options *options, const parb_ctx *ctx, parb_index **out);

/**
 * parb_index_flatten that returns at once; the index comes from parb_op_take_index.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_flatten_start(
    const parb_index *index, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Lists every path of an image's file system: a directory before what is in it, sorted by name, each with the layer it
 * comes from. Every layer is read and verified. Blocks while it reads.
 *
 * Errors: as for parb_image_filesystem; PARB_LIMIT_EXCEEDED: more than a million files.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_files(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_files **out);

/**
 * parb_image_files that returns at once; the list comes from parb_op_take_files.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_files_start(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Lists a layer's own entries in their order, whiteouts among them. Blocks while it reads the layer.
 *
 * Errors: PARB_MALFORMED: no tar; PARB_LIMIT_EXCEEDED: more than a million entries; those of parb_layer_open.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_files(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, parb_files **out);

/**
 * parb_layer_files that returns at once; the list comes from parb_op_take_files.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_files_start(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Opens one file of an image; symbolic links are followed within the image. Layers are read from the topmost down to
 * the one that has the file, and that one to its end: the content is verified before the first byte. Blocks until then.
 *
 * Errors: PARB_NOT_FOUND; PARB_INVALID_ARGUMENT: no regular file; as for parb_image_filesystem.
 *
 * @param path     as in parb_files_path_at, or with a '/' in front; not necessarily UTF-8
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_open_file(
    const parb_image *image, const char *path, const parb_options *options, const parb_ctx *ctx,
    parb_reader **out);

/**
 * parb_image_open_file that returns at once; the reader comes from parb_op_take_reader.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_open_file_start(
    const parb_image *image, const char *path, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * Frees a list of files. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_files_free(parb_files *files);

/**
 * How many files there are.
 *
 * @since 0.1
 */
PARB_API size_t parb_files_count(const parb_files *files);

/**
 * The path, relative to the root, which is "."; as it stands in the layer, so not necessarily UTF-8. Lives as long as
 * the list; NULL past the end.
 *
 * @since 0.1
 */
PARB_API const char *parb_files_path_at(const parb_files *files, size_t i);

/**
 * What it is: 'f' a regular file, 'd' a directory, 'l' a symbolic link, 'h' a hard link (another name of a file before
 * it), 'c' and 'b' a character and a block device, 'p' a named pipe. In layers also 'w' a whiteout of that path, 'o'
 * one of everything in that directory, '?' what is no file. 0 past the end.
 *
 * @since 0.1
 */
PARB_API uint32_t parb_files_kind_at(const parb_files *files, size_t i);

/**
 * Permission bits, set-id bits and the sticky bit.
 *
 * @since 0.1
 */
PARB_API uint32_t parb_files_mode_at(const parb_files *files, size_t i);

/**
 * How many bytes of content there are; 0 for all but files and hard links.
 *
 * @since 0.1
 */
PARB_API uint64_t parb_files_size_at(const parb_files *files, size_t i);

/**
 * The owner's number.
 *
 * @since 0.1
 */
PARB_API uint64_t parb_files_uid_at(const parb_files *files, size_t i);

/**
 * The group's number.
 *
 * @since 0.1
 */
PARB_API uint64_t parb_files_gid_at(const parb_files *files, size_t i);

/**
 * When it was changed, in seconds since 1970.
 *
 * @since 0.1
 */
PARB_API int64_t parb_files_mtime_at(const parb_files *files, size_t i);

/**
 * The part of a second that belongs to it, in nanoseconds.
 *
 * @since 0.1
 */
PARB_API uint32_t parb_files_mtime_ns_at(const parb_files *files, size_t i);

/**
 * Where a link leads: a symbolic one as it says, a hard one by the path of the file; empty for all else. Lives as long
 * as the list; NULL past the end.
 *
 * @since 0.1
 */
PARB_API const char *parb_files_link_at(const parb_files *files, size_t i);

/**
 * The numbers of a device; 0 and 0 for all else. `out_minor` may be NULL.
 *
 * @return the major number
 * @since 0.1
 */
PARB_API uint32_t parb_files_device_at(const parb_files *files, size_t i, uint32_t *out_minor);

/**
 * The layer it comes from, base first and counted from 0; 0 in the list of a layer.
 *
 * @since 0.1
 */
PARB_API size_t parb_files_layer_at(const parb_files *files, size_t i);

/**
 * The names of its extended attributes; NULL where it has none. Lives as long as the list.
 *
 * @since 0.1
 */
PARB_API const parb_strings *parb_files_xattr_names_at(const parb_files *files, size_t i);

/**
 * The value of one of them; NULL where it has none of that name. Lives as long as the list.
 *
 * @param name     such as "security.capability"
 * @param out_len  how many bytes it has; may be NULL
 * @since 0.1
 */
PARB_API const uint8_t *parb_files_xattr_at(
    const parb_files *files, size_t i, const char *name, size_t *out_len);

/* ---- 20. Parts (15 functions) ---------------------------------------------------------------- */

/**
 * No blobs yet.
 * @since 0.1
 */
PARB_API PARB_CHECK parb_blobs *parb_blobs_new(void);

/**
 * Frees blobs. NULL is fine. Values that were made of them keep what they need.
 * @since 0.1
 */
PARB_API void parb_blobs_free(parb_blobs *blobs);

/**
 * Adds a config, a manifest or any other blob, which is copied and found by its digest.
 * @since 0.1
 */
PARB_API void parb_blobs_add_bytes(parb_blobs *blobs, const uint8_t *data, size_t len);

/**
 * Adds a layer, wherever its bytes lie.
 * @since 0.1
 */
PARB_API void parb_blobs_add_layer(parb_blobs *blobs, const parb_layer *layer);

/**
 * Adds an image: its manifest, its config and its layers.
 * @since 0.1
 */
PARB_API void parb_blobs_add_image(parb_blobs *blobs, const parb_image *image);

/**
 * Adds an index, with all that is below it.
 * @since 0.1
 */
PARB_API void parb_blobs_add_index(parb_blobs *blobs, const parb_index *index);

/**
 * Has every other blob opened by the host when it is read, at most 64 at once. What comes is verified as from anywhere.
 * A call that fails or is cancelled does not wait for callbacks that still run: what they use stays until `destroy`.
 *
 * @param exists   asked where only that is of interest; NULL: blobs are opened to find out
 * @param destroy  called once with `user` when neither the blobs nor a value made of them needs it any more
 * @since 0.1
 */
PARB_API void parb_blobs_set_open(
    parb_blobs *blobs, parb_open_cb open, parb_exists_cb exists, void *user,
    parb_destroy_cb destroy);

/**
 * An image from its manifest; config and layers are among `blobs`, stand in their descriptors ("data"), or are opened
 * when they are read. Non-distributable layers may be missing. Never blocks.
 *
 * Errors: the first mistake in `blobs`; PARB_MALFORMED, PARB_UNSUPPORTED: no image manifest; PARB_NOT_FOUND with the
 * digest of a blob that is not among the parts.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_from_parts(
    const uint8_t *manifest, size_t len, const parb_blobs *blobs, const parb_options *options,
    parb_image **out);

/**
 * An index from its document; what it names is among `blobs`, or opened when it is read. Never blocks.
 *
 * Errors: the first mistake in `blobs`; PARB_MALFORMED, PARB_UNSUPPORTED: no index.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_from_parts(
    const uint8_t *index, size_t len, const parb_blobs *blobs, const parb_options *options,
    parb_index **out);

/**
 * A layer whose bytes are among `blobs`, stand in its descriptor ("data"), or are opened when they are read. What is
 * said of it is checked when it is read: reading its tar fails with PARB_DIGEST_MISMATCH where that has another
 * digest or size. Never blocks.
 *
 * Errors: the first mistake in `blobs`; PARB_NOT_FOUND: no part has it.
 *
 * @param diff_id            the digest of its uncompressed tar; NULL: found out by reading it, when it is asked for
 * @param uncompressed_size  bytes of that tar, which parb_layer_uncompressed_size gives; -1: found out by reading it
 * @param options            none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_from_parts(
    const char *media_type, const char *digest, uint64_t size, const char *diff_id,
    int64_t uncompressed_size, const parb_blobs *blobs, const parb_options *options,
    parb_layer **out);

/**
 * A layer of these very bytes, which are copied, whatever they are. Never blocks.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_fixed(
    const uint8_t *data, size_t len, const char *media_type, const parb_options *options,
    parb_layer **out);

/**
 * An image of no layers. Never blocks.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 *
 * @param options  format
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_empty(const parb_options *options, parb_image **out);

/**
 * An index of nothing. Never blocks.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 *
 * @param options  format
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_empty(const parb_options *options, parb_index **out);

/**
 * An image from its config, which stays byte for byte, and its layers; the manifest is made for them. Blocks while it
 * reads layers whose diff ids are not known.
 *
 * Errors: PARB_MALFORMED: no image config, or its diff ids are not those of the layers; as for parb_layer_diff_id.
 *
 * @param options  format
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_from_config(
    const uint8_t *config, size_t len, const parb_layer *const *layers, size_t count,
    const parb_options *options, const parb_ctx *ctx, parb_image **out);

/**
 * parb_image_from_config that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_from_config_start(
    const uint8_t *config, size_t len, const parb_layer *const *layers, size_t count,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/* ---- 21. Random content (6 functions) -------------------------------------------------------- */

/**
 * A layer with one file of so many random bytes; not compressed unless the options say so. Blocks until it is in its
 * sink.
 *
 * Errors: those of the sink.
 *
 * @param options  sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_random(
    uint64_t size, uint64_t seed, const parb_options *options, const parb_ctx *ctx,
    parb_layer **out);

/**
 * parb_layer_random that returns at once; the layer comes from parb_op_take_layer.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_random_start(
    uint64_t size, uint64_t seed, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * An image of so many random layers, for linux/amd64. Blocks until they are in their sink.
 *
 * Errors: PARB_INVALID_ARGUMENT: more than 1000 layers; those of the sink.
 *
 * @param options  format, sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_random(
    uint32_t layers, uint64_t layer_size, uint64_t seed, const parb_options *options,
    const parb_ctx *ctx, parb_image **out);

/**
 * parb_image_random that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_random_start(
    uint32_t layers, uint64_t layer_size, uint64_t seed, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * An index of so many random images. Blocks until their layers are in their sink.
 *
 * Errors: PARB_INVALID_ARGUMENT: more than 1000 images, or layers of one; those of the sink.
 *
 * @param options  format, sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_random(
    uint32_t images, uint32_t layers, uint64_t layer_size, uint64_t seed,
    const parb_options *options, const parb_ctx *ctx, parb_index **out);

/**
 * parb_index_random that returns at once; the index comes from parb_op_take_index.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_random_start(
    uint32_t images, uint32_t layers, uint64_t layer_size, uint64_t seed,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/* ---- 22. Examination (14 functions) ---------------------------------------------------------- */

/**
 * Everything that is wrong with an image: digests, sizes and diff ids of all blobs, however they are compressed; media
 * types that say otherwise than the bytes; paths that come twice in one layer; tables of contents (eStargz,
 * zstd:chunked) that say otherwise than their layers; what config, history and manifest say of each other. What is
 * wrong with a layer has its digest as subject, and the entry in the message. Layers that their makers host themselves
 * are left out, and told of as events ("skip"). Blocks while it reads every blob; with the option fast only the config
 * is read. (A layer that ends like eStargz without an annotation that says so is read twice.)
 *
 * Errors: PARB_CANCELLED, PARB_TIMED_OUT; all else is in the report.
 *
 * @param options  jobs, fast
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_examine(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_report **out);

/**
 * parb_image_examine that returns at once; the report comes from parb_op_take_report.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_examine_start(
    const parb_image *image, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * As parb_image_examine, of the index and everything below it, and whether its entries say what the images are. Blocks
 * while it reads.
 *
 * Errors: as for parb_image_examine.
 *
 * @param options  jobs, fast
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_examine(
    const parb_index *index, const parb_options *options, const parb_ctx *ctx, parb_report **out);

/**
 * parb_index_examine that returns at once; the report comes from parb_op_take_report.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_examine_start(
    const parb_index *index, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * As parb_image_validate, of the index and everything below it. Blocks while it reads.
 *
 * Errors: the first thing that parb_index_examine would report.
 *
 * @param options  jobs
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_validate(
    const parb_index *index, const parb_options *options, const parb_ctx *ctx);

/**
 * parb_index_validate that returns at once; the outcome comes from parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_validate_start(
    const parb_index *index, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Reads a layer to its end and checks digest, size, diff id, media type and tar. Blocks while it reads.
 *
 * Errors: the first thing that is wrong, with the layer's digest as subject.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_validate(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx);

/**
 * parb_layer_validate that returns at once; the outcome comes from parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_validate_start(
    const parb_layer *layer, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Every difference between two images, in manifests, configs and layers: a report whose findings have the code
 * PARB_DIGEST_MISMATCH and the field as subject. Blocks while it reads the configs.
 *
 * Errors: those of reading.
 *
 * @param options  files: layers that differ are compared file by file
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_compare(
    const parb_image *image, const parb_image *other, const parb_options *options,
    const parb_ctx *ctx, parb_report **out);

/**
 * parb_image_compare that returns at once; the report comes from parb_op_take_report.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_compare_start(
    const parb_image *image, const parb_image *other, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * Every difference between two indexes, and between the images below them of the same platform or place: a report
 * whose findings have the code PARB_DIGEST_MISMATCH and the field as subject. Blocks while it reads the manifests
 * and configs.
 *
 * Errors: those of reading.
 *
 * @param options  files: layers that differ are compared file by file
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_compare(
    const parb_index *index, const parb_index *other, const parb_options *options,
    const parb_ctx *ctx, parb_report **out);

/**
 * parb_index_compare that returns at once; the report comes from parb_op_take_report.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_compare_start(
    const parb_index *index, const parb_index *other, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * Every difference between two layers: a report whose findings have the code PARB_DIGEST_MISMATCH and the field as
 * subject. Blocks while it reads layers whose diff ids are not known.
 *
 * Errors: those of reading.
 *
 * @param options  files: layers that differ are compared file by file
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_compare(
    const parb_layer *layer, const parb_layer *other, const parb_options *options,
    const parb_ctx *ctx, parb_report **out);

/**
 * parb_layer_compare that returns at once; the report comes from parb_op_take_report.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_compare_start(
    const parb_layer *layer, const parb_layer *other, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/* ---- 23. OCI image layouts in directories (30 functions) ------------------------------------- */

/**
 * Opens a layout that is there. Blocks on the disk.
 *
 * Errors: PARB_NOT_FOUND: there is none; PARB_MALFORMED, PARB_UNSUPPORTED: oci-layout or index.json is not what it has
 * to be.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_open(
    const char *path, const parb_options *options, const parb_ctx *ctx, parb_layout **out);

/**
 * parb_layout_open that returns at once; the layout comes from parb_op_take_layout.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_open_start(
    const char *path, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Opens a layout, or makes one without entries where there is none, with the directories above it. Blocks on the disk.
 *
 * Errors: as for parb_layout_open, where something else is there; PARB_IO.
 *
 * @param options  durable
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_create(
    const char *path, const parb_options *options, const parb_ctx *ctx, parb_layout **out);

/**
 * parb_layout_create that returns at once; the layout comes from parb_op_take_layout.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_create_start(
    const char *path, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Another handle for the same layout; NULL for NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_layout *parb_layout_clone(const parb_layout *layout);

/**
 * Frees a layout. NULL is fine. The directory stays.
 *
 * @since 0.1
 */
PARB_API void parb_layout_free(parb_layout *layout);

/**
 * The directory, as it was given. Lives as long as the layout.
 *
 * @since 0.1
 */
PARB_API const char *parb_layout_path(const parb_layout *layout);

/**
 * index.json as it is now: its entries, and the images and indexes they name. Blocks on the disk.
 *
 * Errors: PARB_MALFORMED, PARB_LIMIT_EXCEEDED (over 8 MiB), PARB_IO.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_index(
    const parb_layout *layout, const parb_options *options, const parb_ctx *ctx, parb_index **out);

/**
 * parb_layout_index that returns at once; the index comes from parb_op_take_index.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_index_start(
    const parb_layout *layout, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * An image of the layout. Where an index is meant, it is the index's image for the options' platform. Blocks on the
 * disk.
 *
 * Errors: PARB_NOT_FOUND; PARB_INVALID_ARGUMENT: several are meant, and the message lists them; PARB_DIGEST_MISMATCH,
 * PARB_MALFORMED: it is damaged.
 *
 * @param which  a name (annotation org.opencontainers.image.ref.name or io.containerd.image.name), a digest or a
 *               platform; NULL: the only image there is
 * @param options  platform (linux/amd64 by default)
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_image(
    const parb_layout *layout, const char *which, const parb_options *options, const parb_ctx *ctx,
    parb_image **out);

/**
 * parb_layout_image that returns at once; the image comes from parb_op_take_image.
 *
 * @param which  NULL: the only image there is
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_image_start(
    const parb_layout *layout, const char *which, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * A nested index of the layout. Blocks on the disk.
 *
 * Errors: as for parb_layout_image; PARB_INVALID_ARGUMENT: it is an image.
 *
 * @param which  a name or a digest; NULL: the only index there is
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_child(
    const parb_layout *layout, const char *which, const parb_options *options, const parb_ctx *ctx,
    parb_index **out);

/**
 * parb_layout_child that returns at once; the index comes from parb_op_take_index.
 *
 * @param which  NULL: the only index there is
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_child_start(
    const parb_layout *layout, const char *which, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * Puts an image into the layout: the blobs it lacks, then an entry at the end of index.json, unless one of the same
 * digest and name is there. The entry is the image's own descriptor with this name or none, and with the platform of
 * its config. Several entries may have one name. A blob that is there with the right size is not written again. Blocks
 * while blobs are moved.
 *
 * Errors: PARB_DIGEST_MISMATCH: a source gives other bytes than promised; those of the source; PARB_IO.
 *
 * @param name  of the entry; NULL: it has none
 * @param options  jobs, foreign_layers, durable
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_add_image(
    const parb_layout *layout, const parb_image *image, const char *name,
    const parb_options *options, const parb_ctx *ctx, parb_descriptor **out);

/**
 * parb_layout_add_image that returns at once; the entry comes from parb_op_take_descriptor.
 *
 * @param name  NULL: the entry has none
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_add_image_start(
    const parb_layout *layout, const parb_image *image, const char *name,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Puts an index and everything below it into the layout; otherwise as parb_layout_add_image. Blocks while blobs are
 * moved.
 *
 * Errors: as for parb_layout_add_image; PARB_LIMIT_EXCEEDED: it nests too deep.
 *
 * @param name  of the entry; NULL: it has none
 * @param options  jobs, foreign_layers, durable
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_add_index(
    const parb_layout *layout, const parb_index *index, const char *name,
    const parb_options *options, const parb_ctx *ctx, parb_descriptor **out);

/**
 * parb_layout_add_index that returns at once; the entry comes from parb_op_take_descriptor.
 *
 * @param name  NULL: the entry has none
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_add_index_start(
    const parb_layout *layout, const parb_index *index, const char *name,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * parb_layout_add_image in the place of the entries with this name: they go, and their blobs stay until parb_layout_gc.
 * It keeps the name in full that containerd gave them. Without a name it takes the place of the entries of this digest
 * that have none, and names of it stay. Blocks while blobs are moved.
 *
 * Errors: as for parb_layout_add_image; PARB_INVALID_ARGUMENT: the name is short for several names in full.
 *
 * @param name  of the entry; NULL: it has none
 * @param options  jobs, foreign_layers, durable
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_replace_image(
    const parb_layout *layout, const parb_image *image, const char *name,
    const parb_options *options, const parb_ctx *ctx, parb_descriptor **out);

/**
 * parb_layout_replace_image that returns at once; the entry comes from parb_op_take_descriptor.
 *
 * @param name  NULL: the entry has none
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_replace_image_start(
    const parb_layout *layout, const parb_image *image, const char *name,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * parb_layout_add_index in the place of entries as parb_layout_replace_image. Blocks while blobs are moved.
 *
 * Errors: as for parb_layout_add_index; PARB_INVALID_ARGUMENT: the name is short for several names in full.
 *
 * @param name  of the entry; NULL: it has none
 * @param options  jobs, foreign_layers, durable
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_replace_index(
    const parb_layout *layout, const parb_index *index, const char *name,
    const parb_options *options, const parb_ctx *ctx, parb_descriptor **out);

/**
 * parb_layout_replace_index that returns at once; the entry comes from parb_op_take_descriptor.
 *
 * @param name  NULL: the entry has none
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_replace_index_start(
    const parb_layout *layout, const parb_index *index, const char *name,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Takes entries out of index.json, and gives their digests. Their blobs stay until parb_layout_gc. Blocks on the disk.
 *
 * Errors: PARB_MALFORMED, PARB_IO.
 *
 * @param matcher  has to be there; one without any condition means every entry
 * @param options  durable
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_remove(
    const parb_layout *layout, const parb_matcher *matcher, const parb_options *options,
    const parb_ctx *ctx, parb_strings **out);

/**
 * parb_layout_remove that returns at once; the digests come from parb_op_take_strings.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_remove_start(
    const parb_layout *layout, const parb_matcher *matcher, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * Sets an annotation of entries of index.json. Blocks on the disk.
 *
 * Errors: PARB_NOT_FOUND: no entry is meant; PARB_INVALID_ARGUMENT: an empty key; PARB_MALFORMED, PARB_IO.
 *
 * @param matcher  NULL: every entry
 * @param value  NULL: the annotation is removed
 * @param options  durable
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_annotate(
    const parb_layout *layout, const parb_matcher *matcher, const char *key, const char *value,
    const parb_options *options, const parb_ctx *ctx);

/**
 * parb_layout_annotate that returns at once; the outcome comes from parb_op_finish.
 *
 * @param matcher  NULL: every entry
 * @param value    NULL: the annotation is removed
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_annotate_start(
    const parb_layout *layout, const parb_matcher *matcher, const char *key, const char *value,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Removes the blobs that nothing in index.json leads to, and what killed writers left; gives the digests and paths of
 * what was removed. Entries lead to everything below them, artifacts included, and to their subjects; what refers to a
 * kept manifest stays if it is an entry itself. Blocks until nobody puts blobs any more. Layers that were just written
 * into parb_sink_layout stay while they live. Programs other than this library don't know its locks: not while they
 * write.
 *
 * Errors: PARB_MALFORMED, PARB_DIGEST_MISMATCH: a manifest can't be read, so nothing is removed; PARB_IO.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_gc(
    const parb_layout *layout, const parb_options *options, const parb_ctx *ctx,
    parb_strings **out);

/**
 * parb_layout_gc that returns at once; the list comes from parb_op_take_strings.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_gc_start(
    const parb_layout *layout, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Reads every file of the layout and reports what is wrong: blobs that are missing, of another size or other content,
 * manifests that can't be read, files that don't belong there, entries that are there twice, what killed writers left.
 * Garbage is no damage. Findings have a digest or a path as subject. Blocks while it reads.
 *
 * Errors: PARB_NOT_FOUND: there is no directory; PARB_IO.
 *
 * @param options  jobs
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_fsck(
    const parb_layout *layout, const parb_options *options, const parb_ctx *ctx, parb_report **out);

/**
 * parb_layout_fsck that returns at once; the report comes from parb_op_take_report.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layout_fsck_start(
    const parb_layout *layout, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * A layout as a sink: new layers are written straight into it while they are compressed, and adding an image that has
 * them finds them there. They are garbage until then, but not collected while the layer lives. Never blocks.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_sink_layout(const parb_layout *layout, parb_sink **out);

/* ---- 24. Archives (26 functions) ------------------------------------------------------------- */

/**
 * Opens an archive: what docker save writes in all its forms, or an OCI layout in a tar. A file is indexed and read in
 * place, and is not to change as long as it is open. A pipe ("-": standard input), and an archive that is compressed
 * as a whole with gzip or zstd, goes into a file without a name in $TMPDIR. Blocks while it is read.
 *
 * Errors: PARB_NOT_FOUND, PARB_IO with the path as subject; PARB_MALFORMED: no archive of images, or cut off;
 * PARB_LIMIT_EXCEEDED: more than 100,000 entries, a manifest.json over 1 MiB.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_open(
    const char *path, const parb_options *options, const parb_ctx *ctx, parb_archive **out);

/**
 * parb_archive_open that returns at once; the archive comes from parb_op_take_archive.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_open_start(
    const char *path, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * parb_archive_open with what is open already. A file is read from its start, whatever its position; a pipe or socket
 * to its end, on a thread of the library. The descriptor is duplicated and stays yours. Blocks while it is read.
 *
 * Errors: as for parb_archive_open; PARB_IO: not an open descriptor.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_open_fd(
    int32_t fd, const parb_options *options, const parb_ctx *ctx, parb_archive **out);

/**
 * parb_archive_open_fd that returns at once; the archive comes from parb_op_take_archive.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_open_fd_start(
    int32_t fd, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * parb_archive_open with a stream of the host, which is read to its end on a thread of the library. The source is used
 * up, whatever comes out. Blocks while it is read.
 *
 * Errors: as for parb_archive_open; what the callback returned; PARB_INVALID_STATE: the source was used before;
 * PARB_LIMIT_EXCEEDED: too many callbacks of the host are running.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_open_source(
    parb_source *source, const parb_options *options, const parb_ctx *ctx, parb_archive **out);

/**
 * parb_archive_open_source that returns at once; the archive comes from parb_op_take_archive.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_open_source_start(
    parb_source *source, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Another handle for the same archive; NULL for NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_archive *parb_archive_clone(const parb_archive *archive);

/**
 * Frees an archive. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_archive_free(parb_archive *archive);

/**
 * The archive's form: "docker" (with a manifest.json, as docker save writes it since 1.10), "oci" or "legacy". Static
 * text; NULL for NULL.
 *
 * @since 0.1
 */
PARB_API const char *parb_archive_kind(const parb_archive *archive);

/**
 * The names of the images, in the archive's order: what its maker wrote, for which nobody vouches. Lives as long as
 * the archive.
 *
 * @since 0.1
 */
PARB_API const parb_strings *parb_archive_refs(const parb_archive *archive);

/**
 * An image of the archive. An archive of docker save has no manifests, so that one is made: of Docker's types, or of
 * OCI's with the option format. Layers that are compressed in it are read and hashed once for that: their names are
 * not trusted to be their digests, and the archive does not say these elsewhere. Layers stay as they are, plain ones
 * too, unless a sink or a compression is among the options: then plain layers are compressed, and those that are
 * compressed otherwise than asked for are compressed anew, in one pass into that sink. Where the archive has the
 * manifest too (OCI, Docker 25 and later) and nothing of that is asked for, it counts, and the digest with it. Blocks
 * while config and manifest are read, while layers are hashed or compressed, and on the sink.
 *
 * Errors: PARB_NOT_FOUND; PARB_INVALID_ARGUMENT: there are several images and none is named; PARB_MALFORMED:
 * manifest.json, config and layers don't fit; PARB_DIGEST_MISMATCH: content is not what its name says;
 * PARB_UNSUPPORTED: a sink, a compression or the format "docker" for an image of an OCI archive, or "estargz" for one
 * of docker save, whose config would name other diff ids (parb_image_recompress makes it); those of the sink.
 *
 * @param name     a name as it stands in the archive or fully written, or the digest of the manifest or the config;
 *                 NULL: the only image
 * @param options  platform, format, sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_image(
    const parb_archive *archive, const char *name, const parb_options *options, const parb_ctx *ctx,
    parb_image **out);

/**
 * parb_archive_image that returns at once; the image comes from parb_op_take_image.
 *
 * @param name  NULL: the only image
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_image_start(
    const parb_archive *archive, const char *name, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * An index of the archive. Blocks while it is read.
 *
 * Errors: PARB_UNSUPPORTED: the archive has no index; PARB_NOT_FOUND; PARB_INVALID_ARGUMENT: the name is an image's.
 *
 * @param name     its name or digest; NULL: index.json, which names all that is in the archive
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_index(
    const parb_archive *archive, const char *name, const parb_options *options, const parb_ctx *ctx,
    parb_index **out);

/**
 * parb_archive_index that returns at once; the index comes from parb_op_take_index.
 *
 * @param name  NULL: index.json
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_index_start(
    const parb_archive *archive, const char *name, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * Writes images into a new archive: of Docker's form with the same bytes as crane pull, or as the option
 * archive_format says. Layers stay as they are; the legacy form has them plain. A file comes about beside its place
 * and takes it when it is whole, so that nobody sees half of it; a pipe or device at that path, or "-" for standard
 * output, is written to in order. An image that is there several times is written once, with all its names. Blocks
 * until all is written.
 *
 * Errors: PARB_IO with the path as subject; PARB_INVALID_ARGUMENT: a name is no reference, or there are no images;
 * PARB_UNSUPPORTED: an artifact, in a form that has images only; PARB_DIGEST_MISMATCH: a blob is not what it should
 * be; those of the places that the blobs come from.
 *
 * @param refs     the name of each image, in the same order; "": it gets none. In Docker's form and in the legacy one a
 *                 name is a reference, which means "latest" without a tag, and no name with a digest; in OCI's it is
 *                 any text. NULL: no names at all
 * @param options  archive_format, jobs, foreign_layers (the legacy form has all layers, whatever it says)
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_write(
    const char *path, const parb_image *const *images, size_t count, const parb_strings *refs,
    const parb_options *options, const parb_ctx *ctx);

/**
 * parb_archive_write that returns at once; the outcome comes from parb_op_finish.
 *
 * @param refs  NULL: no names at all
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_write_start(
    const char *path, const parb_image *const *images, size_t count, const parb_strings *refs,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * parb_archive_write to what is open already, from its position on, in order: a pipe, a socket, a file. The descriptor
 * is duplicated and stays yours. A thread of the library writes to it and waits for whoever reads; where it waits, a
 * cancelled call returns and the thread stays until the other end reads on or is closed. Blocks until all is written.
 *
 * Errors: as for parb_archive_write; PARB_IO: not an open descriptor, or the other end was closed.
 *
 * @param refs     as for parb_archive_write; NULL: no names at all
 * @param options  archive_format, foreign_layers
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_write_fd(
    int32_t fd, const parb_image *const *images, size_t count, const parb_strings *refs,
    const parb_options *options, const parb_ctx *ctx);

/**
 * parb_archive_write_fd that returns at once; the outcome comes from parb_op_finish.
 *
 * @param refs  NULL: no names at all
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_write_fd_start(
    int32_t fd, const parb_image *const *images, size_t count, const parb_strings *refs,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Writes an index with all that it names into a new OCI archive, as parb_archive_write does. Its bytes, and so its
 * digest, stay. Blocks until all is written.
 *
 * Errors: as for parb_archive_write; PARB_UNSUPPORTED: the option archive_format is not "oci", or an entry is
 * neither an image nor an index; PARB_LIMIT_EXCEEDED: indexes nested deeper than 8, more than 16 MiB of manifests.
 *
 * @param name     what index.json calls it; NULL: nothing
 * @param options  archive_format, which has to be "oci"; jobs, foreign_layers
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_write_index(
    const char *path, const parb_index *index, const char *name, const parb_options *options,
    const parb_ctx *ctx);

/**
 * parb_archive_write_index that returns at once; the outcome comes from parb_op_finish.
 *
 * @param name  NULL: index.json calls it nothing
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_write_index_start(
    const char *path, const parb_index *index, const char *name, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * parb_archive_write_index to what is open already, as parb_archive_write_fd does. Blocks until all is written.
 *
 * Errors: as for parb_archive_write_index and parb_archive_write_fd.
 *
 * @param name     what index.json calls it; NULL: nothing
 * @param options  archive_format, which has to be "oci"; foreign_layers
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_write_index_fd(
    int32_t fd, const parb_index *index, const char *name, const parb_options *options,
    const parb_ctx *ctx);

/**
 * parb_archive_write_index_fd that returns at once; the outcome comes from parb_op_finish.
 *
 * @param name  NULL: index.json calls it nothing
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_write_index_fd_start(
    int32_t fd, const parb_index *index, const char *name, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * Writes images and indexes into one new OCI archive, the images first, otherwise as parb_archive_write and
 * parb_archive_write_index do. Blocks until all is written.
 *
 * Errors: as for parb_archive_write and parb_archive_write_index.
 *
 * @param refs     what index.json calls each image, and then each index, in the same order; "": nothing. NULL: no
 *                 names at all
 * @param options  archive_format, which has to be "oci" where there are indexes; jobs, foreign_layers
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_write_all(
    const char *path, const parb_image *const *images, size_t count,
    const parb_index *const *indexes, size_t index_count, const parb_strings *refs,
    const parb_options *options, const parb_ctx *ctx);

/**
 * parb_archive_write_all that returns at once; the outcome comes from parb_op_finish.
 *
 * @param refs  NULL: no names at all
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_write_all_start(
    const char *path, const parb_image *const *images, size_t count,
    const parb_index *const *indexes, size_t index_count, const parb_strings *refs,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * parb_archive_write_all to what is open already, as parb_archive_write_fd does. Blocks until all is written.
 *
 * Errors: as for parb_archive_write_all and parb_archive_write_fd.
 *
 * @param refs     as for parb_archive_write_all; NULL: no names at all
 * @param options  archive_format, which has to be "oci" where there are indexes; foreign_layers
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_write_all_fd(
    int32_t fd, const parb_image *const *images, size_t count, const parb_index *const *indexes,
    size_t index_count, const parb_strings *refs, const parb_options *options, const parb_ctx *ctx);

/**
 * parb_archive_write_all_fd that returns at once; the outcome comes from parb_op_finish.
 *
 * @param refs  NULL: no names at all
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_archive_write_all_fd_start(
    int32_t fd, const parb_image *const *images, size_t count, const parb_index *const *indexes,
    size_t index_count, const parb_strings *refs, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/* ---- 25. Caches (16 functions) --------------------------------------------------------------- */

/**
 * Opens the cache in a directory, or makes it, for its owner alone. Any number of processes may use it at once.
 * Every blob is checked against its digest before it is given; a wrong one is removed and read from its origin. Blocks
 * on the disk.
 *
 * Errors: PARB_IO, PARB_DENIED with the path as subject; PARB_INVALID_ARGUMENT.
 *
 * @param max_bytes  what is kept at most: what has not been used for longest goes
 * @param options    uncompressed
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_cache_open(
    const char *path, uint64_t max_bytes, const parb_options *options, const parb_ctx *ctx,
    parb_cache **out);

/**
 * parb_cache_open that returns at once; the cache comes from parb_op_take_cache.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_cache_open_start(
    const char *path, uint64_t max_bytes, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * Another handle for the same cache; NULL for NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_cache *parb_cache_clone(const parb_cache *cache);

/**
 * Frees a cache. NULL is fine. Its directory stays, and so does what values read through it need.
 * @since 0.1
 */
PARB_API void parb_cache_free(parb_cache *cache);

/**
 * How many bytes are kept. After a process was killed it may be too many, until the next eviction counts anew.
 * @since 0.1
 */
PARB_API uint64_t parb_cache_size(const parb_cache *cache);

/**
 * What the cache has done since it was opened, as a JSON object: "hits", "misses", "corrupt", "stored", "evicted",
 * "failed". New members may come. Never blocks.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_cache_stats(const parb_cache *cache, parb_buf **out);

/**
 * Removes everything. What is being read can be read to its end. Blocks on the disk.
 *
 * Errors: PARB_IO.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_cache_clear(
    const parb_cache *cache, const parb_options *options, const parb_ctx *ctx);

/**
 * parb_cache_clear that returns at once; the outcome comes from parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_cache_clear_start(
    const parb_cache *cache, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Removes one blob. Blocks on the disk.
 *
 * Errors: PARB_NOT_FOUND: it was not there; PARB_IO.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_cache_remove(
    const parb_cache *cache, const char *digest, const parb_options *options, const parb_ctx *ctx);

/**
 * parb_cache_remove that returns at once; the outcome comes from parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_cache_remove_start(
    const parb_cache *cache, const char *digest, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * Reads everything and reports what is not as it should be: content that has another digest than its name, strange
 * names, files of writers that are gone, more bytes than allowed. Changes nothing. Blocks while it reads.
 *
 * Errors: PARB_IO.
 *
 * @param options  jobs
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_cache_verify(
    const parb_cache *cache, const parb_options *options, const parb_ctx *ctx, parb_report **out);

/**
 * parb_cache_verify that returns at once; the report comes from parb_op_take_report.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_cache_verify_start(
    const parb_cache *cache, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * The same image, its config and layers read through a cache. Never blocks; nothing is read yet.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_image_cached(
    const parb_image *image, const parb_cache *cache, parb_image **out);

/**
 * The same index; all that is below it is read through a cache. Never blocks; nothing is read yet.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_index_cached(
    const parb_index *index, const parb_cache *cache, parb_index **out);

/**
 * The same layer, read through a cache. Never blocks; nothing is read yet.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_layer_cached(
    const parb_layer *layer, const parb_cache *cache, parb_layer **out);

/**
 * A cache as a sink. A layer that was written into it can be read for as long as a handle of it lives, evicted or not.
 * Never blocks.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_sink_cache(const parb_cache *cache, parb_sink **out);

/* ---- 26. Memory (15 functions) --------------------------------------------------------------- */

/**
 * An empty store.
 *
 * Errors: PARB_INVALID_ARGUMENT: 0 bytes.
 *
 * @param max_bytes  of manifests and blobs, at most
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_memory_new(uint64_t max_bytes, parb_memory **out);

/**
 * Another handle for the same store; NULL for NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_memory *parb_memory_clone(const parb_memory *memory);

/**
 * Frees a store. NULL is fine. Values that were had from it keep what they need.
 * @since 0.1
 */
PARB_API void parb_memory_free(parb_memory *memory);

/**
 * Takes an image in with all of its blobs, under a name that another one may have had: that one goes once this one is
 * in, so that there must be room for both. What is there already needs no room. What was put in without a name stays
 * until it is removed by its digest, whatever becomes of names that it has besides. Blocks while it reads.
 *
 * Errors: PARB_LIMIT_EXCEEDED: there is no room; PARB_DIGEST_MISMATCH and others of reading.
 *
 * @param name     NULL: it is found by its digest alone
 * @param options  jobs, foreign_layers
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_memory_put_image(
    const parb_memory *memory, const char *name, const parb_image *image,
    const parb_options *options, const parb_ctx *ctx);

/**
 * parb_memory_put_image that returns at once; the outcome comes from parb_op_finish.
 *
 * @param name  NULL: it is found by its digest alone
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_memory_put_image_start(
    const parb_memory *memory, const char *name, const parb_image *image,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Takes an index in with all that is below it, under a name that another one may have had; otherwise as
 * parb_memory_put_image. Blocks while it reads.
 *
 * Errors: PARB_LIMIT_EXCEEDED: there is no room; PARB_DIGEST_MISMATCH and others of reading.
 *
 * @param name     NULL: it is found by its digest alone
 * @param options  jobs, foreign_layers
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_memory_put_index(
    const parb_memory *memory, const char *name, const parb_index *index,
    const parb_options *options, const parb_ctx *ctx);

/**
 * parb_memory_put_index that returns at once; the outcome comes from parb_op_finish.
 *
 * @param name  NULL: it is found by its digest alone
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_memory_put_index_start(
    const parb_memory *memory, const char *name, const parb_index *index,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * The image with this name or digest, or below an index with one; of an index, the one for the option platform. For as
 * long as the image or a layer of it lives, all of it stays in the store, removed or not. Blocks for a moment.
 *
 * Errors: PARB_NOT_FOUND; PARB_INVALID_ARGUMENT: it is an index, and no platform is set.
 *
 * @param options  platform
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_memory_image(
    const parb_memory *memory, const char *name_or_digest, const parb_options *options,
    const parb_ctx *ctx, parb_image **out);

/**
 * parb_memory_image that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_memory_image_start(
    const parb_memory *memory, const char *name_or_digest, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * The index with this name or digest; it stays in the store for as long as it lives, removed or not. Blocks for a
 * moment.
 *
 * Errors: PARB_NOT_FOUND; PARB_INVALID_ARGUMENT: it is an image.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_memory_index(
    const parb_memory *memory, const char *name_or_digest, const parb_options *options,
    const parb_ctx *ctx, parb_index **out);

/**
 * parb_memory_index that returns at once; the index comes from parb_op_take_index.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_memory_index_start(
    const parb_memory *memory, const char *name_or_digest, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * Takes a name away, or an image or index by its digest with all its names. What can't be reached from a name, from
 * what was put in without one, or from a value that was had, is gone. Never blocks.
 *
 * Errors: PARB_NOT_FOUND; PARB_INVALID_STATE: it is there as a part of something else only, which the message names.
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_memory_remove(
    const parb_memory *memory, const char *name_or_digest);

/**
 * Every name, sorted. Never blocks.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_memory_names(const parb_memory *memory, parb_strings **out);

/**
 * How many bytes are in it, with those on their way in.
 * @since 0.1
 */
PARB_API uint64_t parb_memory_size(const parb_memory *memory);

/**
 * A store in memory as a sink. A layer that was made into it stays there while it lives, and for as long as what is put
 * in with it. Never blocks.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_sink_memory(const parb_memory *memory, parb_sink **out);

/* ---- 27. Credentials (7 functions) ----------------------------------------------------------- */

/**
 * What docker login or podman login left behind, read here and now: $DOCKER_CONFIG or ~/.docker, $REGISTRY_AUTH_FILE,
 * podman's own places; none of them there: nobody is known. A file that can't be read is reported by the first call
 * that needs it. This is what a client has that was told nothing else.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_keychain *parb_keychain_default(void);

/**
 * No credentials for anybody.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_keychain *parb_keychain_anonymous(void);

/**
 * User and password for one registry. NULL where an argument is NULL or not UTF-8.
 *
 * @param registry  host, or host:port
 * @since 0.1
 */
PARB_API PARB_CHECK parb_keychain *parb_keychain_basic(
    const char *registry, const char *user, const char *password);

/**
 * A token for one registry, sent as it is. NULL where an argument is NULL or not UTF-8.
 *
 * @param registry  host, or host:port
 * @since 0.1
 */
PARB_API PARB_CHECK parb_keychain *parb_keychain_bearer(const char *registry, const char *token);

/**
 * Several keychains: the first that knows something is believed. NULL where one of them is no keychain.
 *
 * @param list  NULL with a `count` of 0: as parb_keychain_anonymous
 * @since 0.1
 */
PARB_API PARB_CHECK parb_keychain *parb_keychain_chain(
    const parb_keychain *const *list, size_t count);

/**
 * Another handle for the same keychain; NULL for NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_keychain *parb_keychain_clone(const parb_keychain *keychain);

/**
 * Frees a keychain. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_keychain_free(parb_keychain *keychain);

/* ---- 28. The client (13 functions) ----------------------------------------------------------- */

/**
 * Options with nothing set.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_client_options *parb_client_options_new(void);

/**
 * Frees options. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_client_options_free(parb_client_options *options);

/**
 * Where credentials come from; without it, parb_keychain_default.
 *
 * @since 0.1
 */
PARB_API void parb_client_options_set_keychain(
    parb_client_options *options, const parb_keychain *keychain);

/**
 * What stands first in the User-Agent header; "parbuckle/VERSION" follows it.
 *
 * @since 0.1
 */
PARB_API void parb_client_options_set_user_agent(parb_client_options *options, const char *text);

/**
 * Trusts the certificates of a PEM file besides the system's. The file is read by parb_client_new.
 *
 * @since 0.1
 */
PARB_API void parb_client_options_add_ca_file(parb_client_options *options, const char *path);

/**
 * Trusts certificates given as PEM text besides the system's.
 *
 * @since 0.1
 */
PARB_API void parb_client_options_add_ca_pem(parb_client_options *options, const char *pem);

/**
 * Speaks to one registry without TLS. Loopback names (localhost, 127.0.0.0/8, ::1) need no listing. A private address
 * that is listed is still asked by TLS first.
 *
 * @param registry  host, or host:port, as references write it
 * @since 0.1
 */
PARB_API void parb_client_options_add_plain_http(
    parb_client_options *options, const char *registry);

/**
 * How long to wait, in milliseconds, for a connection (10,000 without this call), for an answer's first byte (30,000)
 * and for the next byte of a body (30,000).
 *
 * @since 0.1
 */
PARB_API void parb_client_options_set_timeouts_ms(
    parb_client_options *options, int64_t connect, int64_t first_byte, int64_t idle);

/**
 * How often a request is tried at most (5 without this call), and how many milliseconds lie between the first two
 * tries (250); the delay doubles from try to try. What a registry asks for (Retry-After, up to a minute) goes before.
 *
 * @since 0.1
 */
PARB_API void parb_client_options_set_retry(
    parb_client_options *options, uint32_t attempts, int64_t first_delay_ms);

/**
 * A client. Reads the environment, and the files it and the options name, on the calling thread; opens no connection.
 *
 * Errors: the first mistake in the options; PARB_MALFORMED, PARB_IO, PARB_NOT_FOUND for certificates and credentials.
 *
 * @param options  NULL: the defaults
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_client_new(
    const parb_client_options *options, parb_client **out);

/**
 * What the client has done so far, as a JSON object: bytes and threads of each stage, requests, retries. New members
 * may come. Never blocks.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_client_stats(const parb_client *client, parb_buf **out);

/**
 * Ends everything that runs on the client, and blocks until it is gone or `ctx` ends. Afterwards the client and the
 * values made through it answer PARB_INVALID_STATE to what needs the network, and keep their facts.
 *
 * Errors: PARB_TIMED_OUT, PARB_CANCELLED: `ctx` ended first; everything is ending, and calling again waits on.
 * PARB_INVALID_STATE: on a thread of the library. PARB_FORKED.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_client_close(const parb_client *client, const parb_ctx *ctx);

/**
 * Frees the handle. NULL is fine; never waits. Calls that run and values made through the client go on.
 *
 * @since 0.1
 */
PARB_API void parb_client_free(parb_client *client);

/* ---- 29. Registries (12 functions) ----------------------------------------------------------- */

/**
 * What a reference names: media type, digest, size; with the option platform, the image for it in an index, the
 * same that parb_pull gives. Blocks on the network.
 *
 * Errors: PARB_NOT_FOUND, PARB_UNAUTHENTICATED, PARB_DENIED, PARB_UNAVAILABLE; PARB_DIGEST_MISMATCH: the answer is not
 * what the reference's digest names.
 *
 * @param options  platform
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_resolve(
    const parb_client *client, const parb_ref *reference, const parb_options *options,
    const parb_ctx *ctx, parb_descriptor **out);

/**
 * parb_resolve that returns at once; the descriptor comes from parb_op_take_descriptor.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_resolve_start(
    const parb_client *client, const parb_ref *reference, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * The image that a reference names; of an index, the one for the option platform (linux/amd64 without it). Its
 * manifest is fetched and verified now, its config and layers when they are asked for. Blocks on the network.
 *
 * Errors: as for parb_resolve; PARB_NOT_FOUND also where the index has no such platform; PARB_MALFORMED,
 * PARB_UNSUPPORTED (schema 1) for what is no image.
 *
 * @param options  platform
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_pull(
    const parb_client *client, const parb_ref *reference, const parb_options *options,
    const parb_ctx *ctx, parb_image **out);

/**
 * parb_pull that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_pull_start(
    const parb_client *client, const parb_ref *reference, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * The index that a reference names. Blocks on the network.
 *
 * Errors: as for parb_resolve; PARB_INVALID_ARGUMENT: it names an image.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_pull_index(
    const parb_client *client, const parb_ref *reference, const parb_options *options,
    const parb_ctx *ctx, parb_index **out);

/**
 * parb_pull_index that returns at once; the index comes from parb_op_take_index.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_pull_index_start(
    const parb_client *client, const parb_ref *reference, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * Puts an image where the reference says: first the blobs that the repository lacks, each once, then the manifest;
 * the tag moves last. Blocks on the network.
 *
 * Errors: PARB_UNAUTHENTICATED, PARB_DENIED; PARB_DIGEST_MISMATCH: the reference has a digest that is not the
 * image's, or a blob's source gives other bytes than it promised; PARB_UNAVAILABLE.
 *
 * @param options  jobs, mount_from, foreign_layers
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_push(
    const parb_client *client, const parb_ref *reference, const parb_image *image,
    const parb_options *options, const parb_ctx *ctx);

/**
 * parb_push that returns at once; the outcome comes from parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_push_start(
    const parb_client *client, const parb_ref *reference, const parb_image *image,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Puts an index, and everything below it, where the reference says. Blocks on the network.
 *
 * Errors: as for parb_push; PARB_LIMIT_EXCEEDED: it nests too deep, or names too much.
 *
 * @param options  jobs, mount_from, foreign_layers
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_push_index(
    const parb_client *client, const parb_ref *reference, const parb_index *index,
    const parb_options *options, const parb_ctx *ctx);

/**
 * parb_push_index that returns at once; the outcome comes from parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_push_index_start(
    const parb_client *client, const parb_ref *reference, const parb_index *index,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Makes sure that a layer's blob is in a repository. Blocks on the network.
 *
 * Errors: as for parb_push.
 *
 * @param repository  its tag and digest play no part
 * @param options     jobs, mount_from
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_push_layer(
    const parb_client *client, const parb_ref *repository, const parb_layer *layer,
    const parb_options *options, const parb_ctx *ctx);

/**
 * parb_push_layer that returns at once; the outcome comes from parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_push_layer_start(
    const parb_client *client, const parb_ref *repository, const parb_layer *layer,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/* ---- 30. Docker-compatible daemons (28 functions) -------------------------------------------- */

/**
 * Asks a daemon which API it speaks. `host` is unix://PATH, tcp://HOST[:PORT], http://... or https://...; NULL: what
 * DOCKER_HOST names, else unix:///var/run/docker.sock. DOCKER_API_VERSION goes before what the daemon would choose.
 * With DOCKER_TLS_VERIFY or DOCKER_CERT_PATH, tcp is TLS and always verified: by that directory's ca.pem (~/.docker
 * without one), or the system's authorities if there is none; cert.pem and key.pem there show who we are. The
 * environment and the files are read on the calling thread. Blocks until the daemon answers.
 *
 * Errors: PARB_UNAVAILABLE: nobody listens (the subject is the address); PARB_DENIED: the socket is not ours to use;
 * PARB_TLS; PARB_INVALID_ARGUMENT, PARB_UNSUPPORTED: the address; PARB_UNSUPPORTED: its API is too old;
 * PARB_PROTOCOL: something else answers; PARB_TIMED_OUT.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_connect(
    const char *host, const parb_options *options, const parb_ctx *ctx, parb_daemon **out);

/**
 * parb_daemon_connect that returns at once; the daemon comes from parb_op_take_daemon. `host` may be NULL there too.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_connect_start(
    const char *host, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Another handle for the same daemon; NULL for NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_daemon *parb_daemon_clone(const parb_daemon *daemon);

/**
 * Frees a daemon's handle. NULL is fine; images that came from it stay good.
 *
 * @since 0.1
 */
PARB_API void parb_daemon_free(parb_daemon *daemon);

/**
 * The address that the daemon was reached at. Lives as long as the handle.
 *
 * @since 0.1
 */
PARB_API const char *parb_daemon_host(const parb_daemon *daemon);

/**
 * The API version that is spoken with it, such as "1.41". Lives as long as the handle.
 *
 * @since 0.1
 */
PARB_API const char *parb_daemon_api_version(const parb_daemon *daemon);

/**
 * Whether the daemon answers still. Blocks until it does.
 *
 * Errors: as for parb_daemon_connect.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_ping(
    const parb_daemon *daemon, const parb_options *options, const parb_ctx *ctx);

/**
 * parb_daemon_ping that returns at once; the outcome comes from parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_ping_start(
    const parb_daemon *daemon, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * What the daemon tells of itself, as JSON in its own words (GET /version). Blocks on the daemon.
 *
 * Errors: as for parb_daemon_connect; PARB_LIMIT_EXCEEDED: an answer over 8 MiB.
 *
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_version(
    const parb_daemon *daemon, const parb_options *options, const parb_ctx *ctx, parb_buf **out);

/**
 * parb_daemon_version that returns at once; the text comes from parb_op_take_buf.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_version_start(
    const parb_daemon *daemon, const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * The images that the daemon has, as JSON in its own words (GET /images/json): an array of objects with Id, RepoTags,
 * Created, Size and more. Blocks on the daemon.
 *
 * Errors: as for parb_daemon_connect; PARB_LIMIT_EXCEEDED: an answer over 8 MiB.
 *
 * @param reference  a pattern that names have to match, such as "app" or "app:*"; NULL: all images
 * @param options    none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_list(
    const parb_daemon *daemon, const char *reference, const parb_options *options,
    const parb_ctx *ctx, parb_buf **out);

/**
 * parb_daemon_list that returns at once; the text comes from parb_op_take_buf. Without a reference: NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_list_start(
    const parb_daemon *daemon, const char *reference, const parb_options *options,
    const parb_ctx *ctx, parb_op **out);

/**
 * What the daemon knows of one image, as JSON in its own words (GET /images/NAME/json). Its Id is the digest of the
 * image's config, or, where the daemon keeps manifests, of the manifest. Blocks on the daemon.
 *
 * Errors: PARB_NOT_FOUND, with the name as subject; else as for parb_daemon_list.
 *
 * @param name     a name, with or without a tag, or an id
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_inspect(
    const parb_daemon *daemon, const char *name, const parb_options *options, const parb_ctx *ctx,
    parb_buf **out);

/**
 * parb_daemon_inspect that returns at once; the text comes from parb_op_take_buf.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_inspect_start(
    const parb_daemon *daemon, const char *name, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * How an image came about, its last step first, as JSON in the daemon's own words (GET /images/NAME/history). Blocks
 * on the daemon.
 *
 * Errors: PARB_NOT_FOUND, with the name as subject; else as for parb_daemon_list.
 *
 * @param name     a name, with or without a tag, or an id
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_history(
    const parb_daemon *daemon, const char *name, const parb_options *options, const parb_ctx *ctx,
    parb_buf **out);

/**
 * parb_daemon_history that returns at once; the text comes from parb_op_take_buf.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_history_start(
    const parb_daemon *daemon, const char *name, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * An image of the daemon. All of it is read now, into a file without a name in $TMPDIR that is gone with the last
 * value that reads it. The config is the daemon's, byte for byte, and checked against the image's id; the layers are
 * plain tars, and the manifest over them is made here: daemons keep none. With a sink or a compression in the options
 * the layers are compressed on the way. Blocks while the daemon sends it.
 *
 * Errors: PARB_NOT_FOUND, with the name as subject; PARB_UNAVAILABLE with the daemon's words; PARB_DIGEST_MISMATCH:
 * it sent another image; PARB_MALFORMED: it sent none; PARB_UNSUPPORTED: "estargz", which would change the config
 * (parb_image_recompress makes it); PARB_IO: the disk.
 *
 * @param name     a name, with or without a tag, or an id
 * @param options  format: whose media types the manifest carries ("docker" without it); sink, compression
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_image(
    const parb_daemon *daemon, const char *name, const parb_options *options, const parb_ctx *ctx,
    parb_image **out);

/**
 * parb_daemon_image that returns at once; the image comes from parb_op_take_image.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_image_start(
    const parb_daemon *daemon, const char *name, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * Gives the daemon an image. Layers go from where they lie to the daemon, checked on their way; no file is made (but
 * for layers of zstd, which become plain for daemons before Docker 23). Where the daemon has an image of this config
 * already, it only gets the name. The result is what the daemon said, such as "Loaded image: app:1"; an empty list
 * where it had the image. Blocks until the daemon has stored it.
 *
 * Errors: those of reading the image; PARB_INVALID_ARGUMENT: a reference without a tag; PARB_UNAVAILABLE with the
 * daemon's words: it could not store it, even if it answered 200.
 *
 * @param reference  the name to give it, taken from an image that has it; NULL: none
 * @param options    none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_load(
    const parb_daemon *daemon, const parb_image *image, const parb_ref *reference,
    const parb_options *options, const parb_ctx *ctx, parb_strings **out);

/**
 * parb_daemon_load that returns at once; the list comes from parb_op_take_strings. Without a reference: NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_load_start(
    const parb_daemon *daemon, const parb_image *image, const parb_ref *reference,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * parb_daemon_load for the image of an index that is meant for the option platform (linux/amd64 without it): daemons
 * take no indexes. Blocks until the daemon has stored it.
 *
 * Errors: PARB_NOT_FOUND: the index has no such platform; else as for parb_daemon_load.
 *
 * @param reference  the name to give it; NULL: none
 * @param options    platform
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_load_index(
    const parb_daemon *daemon, const parb_index *index, const parb_ref *reference,
    const parb_options *options, const parb_ctx *ctx, parb_strings **out);

/**
 * parb_daemon_load_index that returns at once; the list comes from parb_op_take_strings. Without a reference: NULL.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_load_index_start(
    const parb_daemon *daemon, const parb_index *index, const parb_ref *reference,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Gives the daemon an archive as it is, of any kind that the daemon reads; the names in it become names of the
 * daemon's images, so its maker is trusted with them. The result is what the daemon said. Blocks until it has stored
 * it.
 *
 * Errors: PARB_NOT_FOUND, PARB_IO: the file; PARB_UNAVAILABLE with the daemon's words: it could not store it.
 *
 * @param path     a regular file
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_load_archive(
    const parb_daemon *daemon, const char *path, const parb_options *options, const parb_ctx *ctx,
    parb_strings **out);

/**
 * parb_daemon_load_archive that returns at once; the list comes from parb_op_take_strings.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_load_archive_start(
    const parb_daemon *daemon, const char *path, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/**
 * Gives an image one more name; an image that had the name loses it. Blocks on the daemon.
 *
 * Errors: PARB_NOT_FOUND, with the name as subject; PARB_INVALID_ARGUMENT: a reference without a tag.
 *
 * @param name       what the image is called now: a name or an id
 * @param reference  the name it gets
 * @param options    none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_tag(
    const parb_daemon *daemon, const char *name, const parb_ref *reference,
    const parb_options *options, const parb_ctx *ctx);

/**
 * parb_daemon_tag that returns at once; the outcome comes from parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_tag_start(
    const parb_daemon *daemon, const char *name, const parb_ref *reference,
    const parb_options *options, const parb_ctx *ctx, parb_op **out);

/**
 * Takes a name away, and with an image's last name the image. By id, an image with several names is not removed.
 * Blocks on the daemon.
 *
 * Errors: PARB_NOT_FOUND, with the name as subject; PARB_INVALID_STATE: a container or another name uses it.
 *
 * @param name     a name, with or without a tag, or an id
 * @param options  none are read
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_remove(
    const parb_daemon *daemon, const char *name, const parb_options *options, const parb_ctx *ctx);

/**
 * parb_daemon_remove that returns at once; the outcome comes from parb_op_finish.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_daemon_remove_start(
    const parb_daemon *daemon, const char *name, const parb_options *options, const parb_ctx *ctx,
    parb_op **out);

/* ---- 31. The registry server (16 functions) -------------------------------------------------- */

/**
 * Options of a registry in memory on 127.0.0.1, a free port, for everybody.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_server_options *parb_server_options_new(void);

/**
 * Frees options. NULL is fine.
 *
 * @since 0.1
 */
PARB_API void parb_server_options_free(parb_server_options *options);

/**
 * Where to listen.
 *
 * @param address  IP:PORT; port 0: a free one
 * @since 0.1
 */
PARB_API void parb_server_options_set_address(parb_server_options *options, const char *address);

/**
 * Keeps everything in a directory, which is made if need be, instead of in memory. What was acknowledged is there
 * after a crash.
 *
 * @since 0.1
 */
PARB_API void parb_server_options_set_storage_dir(parb_server_options *options, const char *path);

/**
 * Lets a user in, by basic authentication, and nobody without.
 *
 * @since 0.1
 */
PARB_API void parb_server_options_add_user(
    parb_server_options *options, const char *user, const char *password);

/**
 * Has the users show tokens, which the server itself gives them for their passwords.
 *
 * @param expires_in_s  how long a token is good for, in seconds: 1 or more
 * @since 0.1
 */
PARB_API void parb_server_options_set_token_auth(
    parb_server_options *options, int64_t expires_in_s);

/**
 * Lets everybody read; only users write.
 *
 * @since 0.1
 */
PARB_API void parb_server_options_set_anonymous_read(parb_server_options *options);

/**
 * Serves by TLS with this certificate and key, both PEM files.
 *
 * @since 0.1
 */
PARB_API void parb_server_options_set_tls_files(
    parb_server_options *options, const char *cert_path, const char *key_path);

/**
 * Serves by TLS with a certificate for this name (and localhost) from an authority made for the occasion, which
 * parb_server_ca_pem gives. For tests.
 *
 * @since 0.1
 */
PARB_API void parb_server_options_set_tls_domain(parb_server_options *options, const char *domain);

/**
 * Has the server do something wrong, for tests of clients.
 *
 * @param method  such as "GET"; "*": any
 * @param path    of the URL; '*' stands for any text
 * @param nth     which of the requests that fit, from 1; 0: all of them
 * @param fault   "reset@50%", "stall", "truncate", "wrong-digest", "drop-reply", "delay=MS", "401 expired",
 *                "429 retry-after=1", "500", "503", "status=NNN"
 * @since 0.1
 */
PARB_API void parb_server_options_add_fault(
    parb_server_options *options, const char *method, const char *path, uint32_t nth,
    const char *fault);

/**
 * Starts a registry; blocks until it serves.
 *
 * Errors: the first mistake in the options; PARB_IO: the address or directory can't be used.
 *
 * @param options  NULL: the defaults
 * @param ctx      bounds the start only
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_serve(
    const parb_server_options *options, const parb_ctx *ctx, parb_server **out);

/**
 * Where the server is, such as "http://127.0.0.1:5000". Lives as long as the server.
 *
 * @since 0.1
 */
PARB_API const char *parb_server_url(const parb_server *server);

/**
 * The certificate of the server's own authority, in PEM; NULL where it has none. Lives as long as the server.
 *
 * @since 0.1
 */
PARB_API const char *parb_server_ca_pem(const parb_server *server);

/**
 * The requests so far, oldest first, each a JSON object: "n", "method", "path", "query", "status", "sent", "received",
 * "user_agent", "ms", and "fault" where one fired. Only so many of the latest are kept. Never blocks.
 *
 * Errors: PARB_INVALID_ARGUMENT.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_server_requests(const parb_server *server, parb_strings **out);

/**
 * Stops taking requests and blocks until those that run are done, or `ctx` ends. The handle is still to be freed.
 *
 * Errors: PARB_TIMED_OUT, PARB_CANCELLED: `ctx` ended first. PARB_INVALID_STATE: on a thread of the library.
 *
 * @since 0.1
 */
PARB_API PARB_CHECK parb_error *parb_server_stop(const parb_server *server, const parb_ctx *ctx);

/**
 * Stops a server without waiting, and frees it. NULL is fine. What lay in memory is gone.
 *
 * @since 0.1
 */
PARB_API void parb_server_free(parb_server *server);

#ifdef __cplusplus
}
#endif

#endif /* PARB_H */
