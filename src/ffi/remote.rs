//! Registries: resolve, pull, push.

use crate::ffi::boundary::{Pointer, bounds, call, put_waited};
use crate::ffi::client::parb_client;
use crate::ffi::context::parb_ctx;
use crate::ffi::error::parb_error;
use crate::ffi::image::{ImageHandle, parb_image};
use crate::ffi::index::{IndexHandle, parb_index};
use crate::ffi::layer::parb_layer;
use crate::ffi::op::{parb_op, start};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::reference::{DescriptorHandle, parb_descriptor, parb_ref};
use crate::{Client, Context, Descriptor, Image, Index, Options, Reference, Result, Task};

/// What all calls here begin with.
unsafe fn arguments<'a>(
    client: *const parb_client,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<(&'a Client, &'a Reference, Options, Context)> {
    let reference = reference.get("reference")?.reference();
    Ok((client.get("client")?, reference, options_of(options)?, bounds(ctx)?))
}

/// What a reference names: media type, digest, size; with the option platform, the image for it in an index. Blocks on
/// the network.
///
/// Errors: PARB_NOT_FOUND, PARB_UNAUTHENTICATED, PARB_DENIED, PARB_UNAVAILABLE; PARB_DIGEST_MISMATCH: the answer is not
/// what the reference's digest names.
///
/// @param options  platform
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_resolve(
    client: *const parb_client,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_descriptor,
) -> *mut parb_error {
    call(|| put_waited(out, || resolve(client, reference, options, ctx), DescriptorHandle::new))
}

/// parb_resolve that returns at once; the descriptor comes from parb_op_take_descriptor.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_resolve_start(
    client: *const parb_client,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || resolve(client, reference, options, ctx)))
}

unsafe fn resolve(
    client: *const parb_client,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Descriptor>> {
    let (client, reference, options, ctx) = arguments(client, reference, options, ctx)?;
    Ok(client.resolve(reference, &options, &ctx))
}

/// The image that a reference names; of an index, the one for the option platform (linux/amd64 without it). Its
/// manifest is fetched and verified now, its config and layers when they are asked for. Blocks on the network.
///
/// Errors: as for parb_resolve; PARB_NOT_FOUND also where the index has no such platform; PARB_MALFORMED,
/// PARB_UNSUPPORTED (schema 1) for what is no image.
///
/// @param options  platform
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_pull(
    client: *const parb_client,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| put_waited(out, || pull(client, reference, options, ctx), ImageHandle::new))
}

/// parb_pull that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_pull_start(
    client: *const parb_client,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || pull(client, reference, options, ctx)))
}

unsafe fn pull(
    client: *const parb_client,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Image>> {
    let (client, reference, options, ctx) = arguments(client, reference, options, ctx)?;
    Ok(client.pull(reference, &options, &ctx))
}

/// The index that a reference names. Blocks on the network.
///
/// Errors: as for parb_resolve; PARB_INVALID_ARGUMENT: it names an image.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_pull_index(
    client: *const parb_client,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_index,
) -> *mut parb_error {
    call(|| put_waited(out, || pull_index(client, reference, options, ctx), IndexHandle::new))
}

/// parb_pull_index that returns at once; the index comes from parb_op_take_index.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_pull_index_start(
    client: *const parb_client,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || pull_index(client, reference, options, ctx)))
}

unsafe fn pull_index(
    client: *const parb_client,
    reference: *const parb_ref,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<Index>> {
    let (client, reference, options, ctx) = arguments(client, reference, options, ctx)?;
    Ok(client.pull_index(reference, &options, &ctx))
}

/// Puts an image where the reference says: first the blobs that the repository lacks, each once, then the manifest;
/// the tag moves last. Blocks on the network.
///
/// Errors: PARB_UNAUTHENTICATED, PARB_DENIED; PARB_DIGEST_MISMATCH: the reference has a digest that is not the
/// image's, or a blob's source gives other bytes than it promised; PARB_UNAVAILABLE.
///
/// @param options  jobs, mount_from, foreign_layers
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_push(
    client: *const parb_client,
    reference: *const parb_ref,
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| push(client, reference, image, options, ctx)?.wait())
}

/// parb_push that returns at once; the outcome comes from parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_push_start(
    client: *const parb_client,
    reference: *const parb_ref,
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || push(client, reference, image, options, ctx)))
}

unsafe fn push(
    client: *const parb_client,
    reference: *const parb_ref,
    image: *const parb_image,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    let (client, reference, options, ctx) = arguments(client, reference, options, ctx)?;
    Ok(client.push(reference, image.get("image")?.image(), &options, &ctx))
}

/// Puts an index, and everything below it, where the reference says. Blocks on the network.
///
/// Errors: as for parb_push; PARB_LIMIT_EXCEEDED: it nests too deep, or names too much.
///
/// @param options  jobs, mount_from, foreign_layers
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_push_index(
    client: *const parb_client,
    reference: *const parb_ref,
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| push_index(client, reference, index, options, ctx)?.wait())
}

/// parb_push_index that returns at once; the outcome comes from parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_push_index_start(
    client: *const parb_client,
    reference: *const parb_ref,
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || push_index(client, reference, index, options, ctx)))
}

unsafe fn push_index(
    client: *const parb_client,
    reference: *const parb_ref,
    index: *const parb_index,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    let (client, reference, options, ctx) = arguments(client, reference, options, ctx)?;
    Ok(client.push_index(reference, index.get("index")?.index(), &options, &ctx))
}

/// Makes sure that a layer's blob is in a repository. Blocks on the network.
///
/// Errors: as for parb_push.
///
/// @param repository  its tag and digest play no part
/// @param options     jobs, mount_from
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_push_layer(
    client: *const parb_client,
    repository: *const parb_ref,
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> *mut parb_error {
    call(|| push_layer(client, repository, layer, options, ctx)?.wait())
}

/// parb_push_layer that returns at once; the outcome comes from parb_op_finish.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_push_layer_start(
    client: *const parb_client,
    repository: *const parb_ref,
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| start(out, || push_layer(client, repository, layer, options, ctx)))
}

unsafe fn push_layer(
    client: *const parb_client,
    repository: *const parb_ref,
    layer: *const parb_layer,
    options: *const parb_options,
    ctx: *const parb_ctx,
) -> Result<Task<()>> {
    let repository = repository.get("repository")?.reference();
    let (client, options, ctx) = (client.get("client")?, options_of(options)?, bounds(ctx)?);
    Ok(client.push_layer(repository, layer.get("layer")?.layer(), &options, &ctx))
}
