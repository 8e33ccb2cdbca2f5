# Generated from src/ffi by tests/it/tables.rs; not to be edited.
"""The C library's functions as ctypes sees them.

Handles, errors among them, are plain addresses: an int, or None for NULL. Text goes in and comes out as bytes. Where
no callback is meant, an empty one says so: ``parb_destroy_cb()``.
"""

from __future__ import annotations

from ctypes import (
    CDLL,
    CFUNCTYPE,
    POINTER,
    c_bool,
    c_char,
    c_char_p,
    c_int32,
    c_int64,
    c_size_t,
    c_ssize_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Final

VERSION: Final = "0.1.0"

#: The codes of errors by name, without their prefix.
CODES: Final[dict[str, int]] = {
    "OK": 0,
    "CANCELLED": 1,  # the ctx was cancelled
    "TIMED_OUT": 2,  # a deadline or one of the client's time limits passed
    "INVALID_ARGUMENT": 3,  # an argument makes no sense; the message names it
    "INVALID_STATE": 4,  # not now: closed, finished, or used by two threads at once
    "NOT_FOUND": 5,  # no such repository, tag, manifest, blob or file
    "ALREADY_EXISTS": 6,  # there already, and not to be replaced
    "UNAUTHENTICATED": 7,  # the registry wants other, or any, credentials
    "DENIED": 8,  # the credentials are good and don't allow this
    "RATE_LIMITED": 9,  # the registry asked for fewer requests
    "UNAVAILABLE": 10,  # the host can't be reached, or fails by itself
    "PROTOCOL": 11,  # the registry answered against the protocol
    "MALFORMED": 12,  # a document or stream is not what it says it is
    "DIGEST_MISMATCH": 13,  # content does not have the digest or size it was named by
    "UNSUPPORTED": 14,  # valid, but not something this library does
    "LIMIT_EXCEEDED": 15,  # one of the named limits would be passed
    "IO": 16,  # the operating system refused: file, disk, pipe
    "TLS": 17,  # no trusted TLS connection came about
    "CALLBACK": 18,  # a callback of the host failed
    "FORKED": 19,  # made before a fork, and this is the child
    "INTERNAL": 20,  # a bug in this library
}

# Handles.
parb_archive = c_void_p
parb_blobs = c_void_p
parb_buf = c_void_p
parb_cache = c_void_p
parb_client = c_void_p
parb_client_options = c_void_p
parb_config = c_void_p
parb_ctx = c_void_p
parb_daemon = c_void_p
parb_descriptor = c_void_p
parb_error = c_void_p
parb_event = c_void_p
parb_files = c_void_p
parb_image = c_void_p
parb_image_builder = c_void_p
parb_index = c_void_p
parb_index_builder = c_void_p
parb_keychain = c_void_p
parb_layer = c_void_p
parb_layer_builder = c_void_p
parb_layer_writer = c_void_p
parb_layout = c_void_p
parb_map = c_void_p
parb_matcher = c_void_p
parb_memory = c_void_p
parb_op = c_void_p
parb_options = c_void_p
parb_queue = c_void_p
parb_reader = c_void_p
parb_ref = c_void_p
parb_report = c_void_p
parb_server = c_void_p
parb_server_options = c_void_p
parb_sink = c_void_p
parb_source = c_void_p
parb_strings = c_void_p

# Callbacks.
parb_destroy_cb = CFUNCTYPE(None, c_void_p)
parb_read_cb = CFUNCTYPE(parb_error, c_void_p, c_void_p, c_size_t, POINTER(c_size_t))
parb_rewind_cb = CFUNCTYPE(parb_error, c_void_p)
parb_event_cb = CFUNCTYPE(None, c_void_p, parb_event)
parb_done_cb = CFUNCTYPE(None, c_void_p)
parb_open_cb = CFUNCTYPE(parb_error, c_void_p, parb_descriptor, c_uint64, POINTER(parb_source))
parb_exists_cb = CFUNCTYPE(parb_error, c_void_p, parb_descriptor, POINTER(c_int32))

#: What each function returns and takes.
FUNCTIONS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    # The library
    "parb_version": (c_char_p, ()),
    "parb_version_number": (c_uint32, ()),
    "parb_build_info": (c_char_p, ()),
    "parb_has_feature": (c_bool, (c_char_p,)),
    # Errors
    "parb_error_new": (parb_error, (c_int32, c_char_p, c_void_p, parb_destroy_cb)),
    "parb_error_clone": (parb_error, (parb_error,)),
    "parb_error_free": (None, (parb_error,)),
    "parb_error_code": (c_int32, (parb_error,)),
    "parb_error_code_name": (c_char_p, (c_int32,)),
    "parb_error_message": (c_char_p, (parb_error,)),
    "parb_error_subject": (c_char_p, (parb_error,)),
    "parb_error_registry_code": (c_char_p, (parb_error,)),
    "parb_error_http_status": (c_int32, (parb_error,)),
    "parb_error_os_code": (c_int32, (parb_error,)),
    "parb_error_retry_after_ms": (c_int64, (parb_error,)),
    "parb_error_cause": (parb_error, (parb_error,)),
    "parb_error_user": (c_void_p, (parb_error,)),
    # Events, and the context
    "parb_event_kind": (c_char_p, (parb_event,)),
    "parb_event_subject": (c_char_p, (parb_event,)),
    "parb_event_done": (c_uint64, (parb_event,)),
    "parb_event_total": (c_uint64, (parb_event,)),
    "parb_event_message": (c_char_p, (parb_event,)),
    "parb_ctx_new": (parb_ctx, (parb_ctx,)),
    "parb_ctx_free": (None, (parb_ctx,)),
    "parb_ctx_set_timeout_ms": (None, (parb_ctx, c_int64)),
    "parb_ctx_set_progress": (None, (parb_ctx, parb_event_cb, c_void_p, parb_destroy_cb)),
    "parb_ctx_cancel": (None, (parb_ctx,)),
    "parb_ctx_is_cancelled": (c_bool, (parb_ctx,)),
    "parb_ctx_progress": (None, (parb_ctx, POINTER(c_uint64), POINTER(c_uint64))),
    # Operations
    "parb_op_is_done": (c_bool, (parb_op,)),
    "parb_op_wait": (parb_error, (parb_op, parb_ctx)),
    "parb_op_cancel": (None, (parb_op,)),
    "parb_op_on_done": (parb_error, (parb_op, parb_done_cb, c_void_p, parb_destroy_cb)),
    "parb_op_finish": (parb_error, (parb_op,)),
    "parb_op_take_image": (parb_error, (parb_op, POINTER(parb_image))),
    "parb_op_take_cache": (parb_error, (parb_op, POINTER(parb_cache))),
    "parb_op_take_index": (parb_error, (parb_op, POINTER(parb_index))),
    "parb_op_take_layer": (parb_error, (parb_op, POINTER(parb_layer))),
    "parb_op_take_layer_writer": (parb_error, (parb_op, POINTER(parb_layer_writer))),
    "parb_op_take_config": (parb_error, (parb_op, POINTER(parb_config))),
    "parb_op_take_descriptor": (parb_error, (parb_op, POINTER(parb_descriptor))),
    "parb_op_take_reader": (parb_error, (parb_op, POINTER(parb_reader))),
    "parb_op_take_buf": (parb_error, (parb_op, POINTER(parb_buf))),
    "parb_op_take_strings": (parb_error, (parb_op, POINTER(parb_strings))),
    "parb_op_take_archive": (parb_error, (parb_op, POINTER(parb_archive))),
    "parb_op_take_report": (parb_error, (parb_op, POINTER(parb_report))),
    "parb_op_take_daemon": (parb_error, (parb_op, POINTER(parb_daemon))),
    "parb_op_take_layout": (parb_error, (parb_op, POINTER(parb_layout))),
    "parb_op_take_files": (parb_error, (parb_op, POINTER(parb_files))),
    "parb_op_free": (None, (parb_op,)),
    # Completion queues
    "parb_queue_new": (parb_error, (POINTER(parb_queue),)),
    "parb_queue_free": (None, (parb_queue,)),
    "parb_queue_fd": (c_ssize_t, (parb_queue,)),
    "parb_queue_add": (parb_error, (parb_queue, parb_op, c_void_p)),
    "parb_queue_take": (parb_error, (parb_queue, c_int64, POINTER(c_void_p), c_size_t, POINTER(c_size_t))),
    "parb_queue_wake": (None, (parb_queue,)),
    # Bytes, lists, maps
    "parb_buf_data": (c_void_p, (parb_buf,)),
    "parb_buf_len": (c_size_t, (parb_buf,)),
    "parb_buf_free": (None, (parb_buf,)),
    "parb_strings_new": (parb_strings, (POINTER(c_char_p), c_size_t)),
    "parb_strings_add": (None, (parb_strings, c_char_p)),
    "parb_strings_count": (c_size_t, (parb_strings,)),
    "parb_strings_at": (c_char_p, (parb_strings, c_size_t)),
    "parb_strings_free": (None, (parb_strings,)),
    "parb_map_count": (c_size_t, (parb_map,)),
    "parb_map_key_at": (c_char_p, (parb_map, c_size_t)),
    "parb_map_value_at": (c_char_p, (parb_map, c_size_t)),
    "parb_map_get": (c_char_p, (parb_map, c_char_p)),
    # Reports of what an examination found
    "parb_report_free": (None, (parb_report,)),
    "parb_report_count": (c_size_t, (parb_report,)),
    "parb_report_code_at": (c_int32, (parb_report, c_size_t)),
    "parb_report_subject_at": (c_char_p, (parb_report, c_size_t)),
    "parb_report_message_at": (c_char_p, (parb_report, c_size_t)),
    "parb_report_json": (c_char_p, (parb_report,)),
    # Options of a call
    "parb_options_new": (parb_options, ()),
    "parb_options_free": (None, (parb_options,)),
    "parb_options_set_platform": (None, (parb_options, c_char_p)),
    "parb_options_set_jobs": (None, (parb_options, c_uint32)),
    "parb_options_set_sink": (None, (parb_options, parb_sink)),
    "parb_options_set_compression": (None, (parb_options, c_char_p, c_int32)),
    "parb_options_set_format": (None, (parb_options, c_char_p)),
    "parb_options_set_archive_format": (None, (parb_options, c_char_p)),
    "parb_options_set_mount_from": (None, (parb_options, parb_ref)),
    "parb_options_set_foreign_layers": (None, (parb_options,)),
    "parb_options_set_durable": (None, (parb_options,)),
    "parb_options_set_uncompressed": (None, (parb_options,)),
    "parb_options_set_fast": (None, (parb_options,)),
    "parb_options_set_files": (None, (parb_options,)),
    # References and descriptors
    "parb_ref_parse": (parb_error, (c_char_p, parb_options, POINTER(parb_ref))),
    "parb_ref_with_tag": (parb_error, (parb_ref, c_char_p, POINTER(parb_ref))),
    "parb_ref_with_digest": (parb_error, (parb_ref, c_char_p, POINTER(parb_ref))),
    "parb_ref_clone": (parb_ref, (parb_ref,)),
    "parb_ref_text": (c_char_p, (parb_ref,)),
    "parb_ref_registry": (c_char_p, (parb_ref,)),
    "parb_ref_repository": (c_char_p, (parb_ref,)),
    "parb_ref_tag": (c_char_p, (parb_ref,)),
    "parb_ref_digest": (c_char_p, (parb_ref,)),
    "parb_ref_free": (None, (parb_ref,)),
    "parb_descriptor_clone": (parb_descriptor, (parb_descriptor,)),
    "parb_descriptor_media_type": (c_char_p, (parb_descriptor,)),
    "parb_descriptor_digest": (c_char_p, (parb_descriptor,)),
    "parb_descriptor_size": (c_uint64, (parb_descriptor,)),
    "parb_descriptor_platform": (c_char_p, (parb_descriptor,)),
    "parb_descriptor_artifact_type": (c_char_p, (parb_descriptor,)),
    "parb_descriptor_annotations": (parb_map, (parb_descriptor,)),
    "parb_descriptor_free": (None, (parb_descriptor,)),
    # Matchers
    "parb_matcher_new": (parb_matcher, ()),
    "parb_matcher_free": (None, (parb_matcher,)),
    "parb_matcher_add_digest": (None, (parb_matcher, c_char_p)),
    "parb_matcher_add_platform": (None, (parb_matcher, c_char_p)),
    "parb_matcher_add_media_type": (None, (parb_matcher, c_char_p)),
    "parb_matcher_add_artifact_type": (None, (parb_matcher, c_char_p)),
    "parb_matcher_add_annotation": (None, (parb_matcher, c_char_p, c_char_p)),
    "parb_matcher_set_name": (None, (parb_matcher, c_char_p)),
    # Images
    "parb_image_clone": (parb_image, (parb_image,)),
    "parb_image_free": (None, (parb_image,)),
    "parb_image_descriptor": (parb_descriptor, (parb_image,)),
    "parb_image_digest": (c_char_p, (parb_image,)),
    "parb_image_media_type": (c_char_p, (parb_image,)),
    "parb_image_manifest": (c_void_p, (parb_image, POINTER(c_size_t))),
    "parb_image_annotations": (parb_map, (parb_image,)),
    "parb_image_artifact_type": (c_char_p, (parb_image,)),
    "parb_image_size": (c_uint64, (parb_image,)),
    "parb_image_layer_count": (c_size_t, (parb_image,)),
    "parb_image_layer_at": (parb_error, (parb_image, c_size_t, POINTER(parb_layer))),
    "parb_image_config": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_config))),
    "parb_image_config_start": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_validate": (parb_error, (parb_image, parb_options, parb_ctx)),
    "parb_image_validate_start": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_op))),
    # Image configs
    "parb_config_parse": (parb_error, (c_void_p, c_size_t, parb_options, POINTER(parb_config))),
    "parb_config_free": (None, (parb_config,)),
    "parb_config_json": (c_void_p, (parb_config, POINTER(c_size_t))),
    "parb_config_platform": (c_char_p, (parb_config,)),
    "parb_config_created": (c_char_p, (parb_config,)),
    "parb_config_user": (c_char_p, (parb_config,)),
    "parb_config_working_dir": (c_char_p, (parb_config,)),
    "parb_config_entrypoint": (parb_strings, (parb_config,)),
    "parb_config_cmd": (parb_strings, (parb_config,)),
    "parb_config_env": (parb_strings, (parb_config,)),
    "parb_config_env_get": (c_char_p, (parb_config, c_char_p)),
    "parb_config_labels": (parb_map, (parb_config,)),
    "parb_config_exposed_ports": (parb_strings, (parb_config,)),
    "parb_config_volumes": (parb_strings, (parb_config,)),
    "parb_config_stop_signal": (c_char_p, (parb_config,)),
    "parb_config_diff_ids": (parb_strings, (parb_config,)),
    # Indexes
    "parb_index_clone": (parb_index, (parb_index,)),
    "parb_index_free": (None, (parb_index,)),
    "parb_index_descriptor": (parb_descriptor, (parb_index,)),
    "parb_index_manifest": (c_void_p, (parb_index, POINTER(c_size_t))),
    "parb_index_annotations": (parb_map, (parb_index,)),
    "parb_index_count": (c_size_t, (parb_index,)),
    "parb_index_at": (parb_descriptor, (parb_index, c_size_t)),
    "parb_index_platforms": (parb_error, (parb_index, POINTER(parb_strings))),
    "parb_index_find": (parb_error, (parb_index, parb_matcher, POINTER(parb_strings))),
    "parb_index_size": (parb_error, (parb_index, parb_options, parb_ctx, POINTER(c_uint64))),
    "parb_index_size_start": (parb_error, (parb_index, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_index_image": (parb_error, (parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_index_image_start": (parb_error, (parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_index_child": (parb_error, (parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_index))),
    "parb_index_child_start": (parb_error, (parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    # Layers
    "parb_sink_repository": (parb_error, (parb_client, parb_ref, POINTER(parb_sink))),
    "parb_sink_free": (None, (parb_sink,)),
    "parb_layer_from_file": (parb_error, (c_char_p, parb_options, parb_ctx, POINTER(parb_layer))),
    "parb_layer_from_file_start": (parb_error, (c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_from_dir": (parb_error, (c_char_p, parb_options, parb_ctx, POINTER(parb_layer))),
    "parb_layer_from_dir_start": (parb_error, (c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_from_bytes": (parb_error, (c_void_p, c_size_t, parb_options, parb_ctx, POINTER(parb_layer))),
    "parb_layer_from_bytes_start": (parb_error, (c_void_p, c_size_t, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_from_source": (parb_error, (parb_source, parb_options, parb_ctx, POINTER(parb_layer))),
    "parb_layer_from_source_start": (parb_error, (parb_source, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_writer_new": (parb_error, (parb_options, parb_ctx, POINTER(parb_layer_writer))),
    "parb_layer_writer_new_start": (parb_error, (parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_writer_write": (parb_error, (parb_layer_writer, c_void_p, c_size_t, parb_ctx)),
    "parb_layer_writer_finish": (parb_error, (parb_layer_writer, parb_options, parb_ctx, POINTER(parb_layer))),
    "parb_layer_writer_finish_start": (parb_error, (parb_layer_writer, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_writer_free": (None, (parb_layer_writer,)),
    "parb_layer_clone": (parb_layer, (parb_layer,)),
    "parb_layer_free": (None, (parb_layer,)),
    "parb_layer_descriptor": (parb_descriptor, (parb_layer,)),
    "parb_layer_diff_id": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(c_char_p))),
    "parb_layer_diff_id_start": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_uncompressed_size": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(c_uint64))),
    "parb_layer_uncompressed_size_start": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_open": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(parb_reader))),
    "parb_layer_open_start": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_open_uncompressed": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(parb_reader))),
    "parb_layer_open_uncompressed_start": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_builder_new": (parb_layer_builder, ()),
    "parb_layer_builder_add_bytes": (None, (parb_layer_builder, c_char_p, c_uint32, c_void_p, c_size_t)),
    "parb_layer_builder_add_path": (None, (parb_layer_builder, c_char_p, c_char_p)),
    "parb_layer_builder_add_symlink": (None, (parb_layer_builder, c_char_p, c_char_p)),
    "parb_layer_builder_remove": (None, (parb_layer_builder, c_char_p)),
    "parb_layer_builder_build": (parb_error, (parb_layer_builder, parb_options, parb_ctx, POINTER(parb_layer))),
    "parb_layer_builder_build_start": (parb_error, (parb_layer_builder, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_builder_free": (None, (parb_layer_builder,)),
    "parb_reader_read": (parb_error, (parb_reader, c_void_p, c_size_t, parb_ctx, POINTER(c_size_t))),
    "parb_reader_next_start": (parb_error, (parb_reader, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_reader_free": (None, (parb_reader,)),
    "parb_source_new": (parb_source, (parb_read_cb, parb_rewind_cb, c_void_p, parb_destroy_cb)),
    "parb_source_free": (None, (parb_source,)),
    # Single files of layers, by the layer's table of contents where there is one
    "parb_layer_has_toc": (c_bool, (parb_layer,)),
    "parb_layer_toc_json": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(parb_buf))),
    "parb_layer_toc_json_start": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_open_file": (parb_error, (parb_layer, c_char_p, parb_options, parb_ctx, POINTER(parb_reader))),
    "parb_layer_open_file_start": (parb_error, (parb_layer, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    # Image builders
    "parb_image_builder_new": (parb_image_builder, (parb_image,)),
    "parb_image_builder_add_layer": (None, (parb_image_builder, parb_layer)),
    "parb_image_builder_add_empty_layer": (None, (parb_image_builder,)),
    "parb_image_builder_remove_layer": (None, (parb_image_builder, c_size_t)),
    "parb_image_builder_replace_layer": (None, (parb_image_builder, c_size_t, parb_layer)),
    "parb_image_builder_set_history": (None, (parb_image_builder, c_char_p, c_char_p, c_char_p, c_char_p)),
    "parb_image_builder_set_layer_media_type": (None, (parb_image_builder, c_char_p)),
    "parb_image_builder_set_layer_annotation": (None, (parb_image_builder, c_char_p, c_char_p)),
    "parb_image_builder_set_layer_urls": (None, (parb_image_builder, parb_strings)),
    "parb_image_builder_annotate_layer": (None, (parb_image_builder, c_size_t, c_char_p, c_char_p)),
    "parb_image_builder_set_env": (None, (parb_image_builder, c_char_p, c_char_p)),
    "parb_image_builder_clear_env": (None, (parb_image_builder,)),
    "parb_image_builder_set_entrypoint": (None, (parb_image_builder, parb_strings)),
    "parb_image_builder_set_cmd": (None, (parb_image_builder, parb_strings)),
    "parb_image_builder_set_user": (None, (parb_image_builder, c_char_p)),
    "parb_image_builder_set_working_dir": (None, (parb_image_builder, c_char_p)),
    "parb_image_builder_set_label": (None, (parb_image_builder, c_char_p, c_char_p)),
    "parb_image_builder_clear_labels": (None, (parb_image_builder,)),
    "parb_image_builder_set_annotation": (None, (parb_image_builder, c_char_p, c_char_p)),
    "parb_image_builder_clear_annotations": (None, (parb_image_builder,)),
    "parb_image_builder_set_config_annotation": (None, (parb_image_builder, c_char_p, c_char_p)),
    "parb_image_builder_add_exposed_port": (None, (parb_image_builder, c_char_p)),
    "parb_image_builder_add_volume": (None, (parb_image_builder, c_char_p)),
    "parb_image_builder_set_stop_signal": (None, (parb_image_builder, c_char_p)),
    "parb_image_builder_set_healthcheck": (None, (parb_image_builder, parb_strings, c_int64, c_int64, c_int64, c_int64)),
    "parb_image_builder_set_shell": (None, (parb_image_builder, parb_strings)),
    "parb_image_builder_set_on_build": (None, (parb_image_builder, parb_strings)),
    "parb_image_builder_set_platform": (None, (parb_image_builder, c_char_p)),
    "parb_image_builder_set_created": (None, (parb_image_builder, c_char_p)),
    "parb_image_builder_set_author": (None, (parb_image_builder, c_char_p)),
    "parb_image_builder_set_config": (None, (parb_image_builder, parb_config)),
    "parb_image_builder_set_raw_config": (None, (parb_image_builder, c_void_p, c_size_t, c_char_p)),
    "parb_image_builder_set_config_media_type": (None, (parb_image_builder, c_char_p)),
    "parb_image_builder_set_media_type": (None, (parb_image_builder, c_char_p)),
    "parb_image_builder_set_format": (None, (parb_image_builder, c_char_p)),
    "parb_image_builder_set_artifact_type": (None, (parb_image_builder, c_char_p)),
    "parb_image_builder_set_subject": (None, (parb_image_builder, parb_descriptor)),
    "parb_image_builder_clear_subject": (None, (parb_image_builder,)),
    "parb_image_builder_build": (parb_error, (parb_image_builder, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_image_builder_build_start": (parb_error, (parb_image_builder, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_builder_free": (None, (parb_image_builder,)),
    # Index builders
    "parb_index_builder_new": (parb_index_builder, (parb_index,)),
    "parb_index_builder_add_image": (None, (parb_index_builder, parb_image)),
    "parb_index_builder_add_index": (None, (parb_index_builder, parb_index)),
    "parb_index_builder_add_children": (None, (parb_index_builder, parb_index)),
    "parb_index_builder_set_entry_platform": (None, (parb_index_builder, c_char_p)),
    "parb_index_builder_set_entry_annotation": (None, (parb_index_builder, c_char_p, c_char_p)),
    "parb_index_builder_set_entry_urls": (None, (parb_index_builder, parb_strings)),
    "parb_index_builder_set_entry_artifact_type": (None, (parb_index_builder, c_char_p)),
    "parb_index_builder_remove": (None, (parb_index_builder, parb_matcher)),
    "parb_index_builder_keep": (None, (parb_index_builder, parb_matcher)),
    "parb_index_builder_annotate": (None, (parb_index_builder, parb_matcher, c_char_p, c_char_p)),
    "parb_index_builder_flatten": (None, (parb_index_builder,)),
    "parb_index_builder_set_annotation": (None, (parb_index_builder, c_char_p, c_char_p)),
    "parb_index_builder_set_subject": (None, (parb_index_builder, parb_descriptor)),
    "parb_index_builder_set_artifact_type": (None, (parb_index_builder, c_char_p)),
    "parb_index_builder_set_format": (None, (parb_index_builder, c_char_p)),
    "parb_index_builder_build": (parb_error, (parb_index_builder, parb_options, parb_ctx, POINTER(parb_index))),
    "parb_index_builder_build_start": (parb_error, (parb_index_builder, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_index_builder_free": (None, (parb_index_builder,)),
    # Changes that make new layers, or take several images
    "parb_image_recompress": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_image_recompress_start": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_with_time": (parb_error, (parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_image_with_time_start": (parb_error, (parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_canonical": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_image_canonical_start": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_rebase": (parb_error, (parb_image, parb_image, parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_image_rebase_start": (parb_error, (parb_image, parb_image, parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_index_rebase": (parb_error, (parb_index, parb_index, parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_index))),
    "parb_index_rebase_start": (parb_error, (parb_index, parb_index, parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_convert": (parb_error, (parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_image_convert_start": (parb_error, (parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_index_convert": (parb_error, (parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_index))),
    "parb_index_convert_start": (parb_error, (parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_for_windows": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(parb_layer))),
    "parb_layer_for_windows_start": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_edit_file": (parb_error, (parb_image, c_char_p, c_void_p, c_size_t, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_image_edit_file_start": (parb_error, (parb_image, c_char_p, c_void_p, c_size_t, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_remove_file": (parb_error, (parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_image_remove_file_start": (parb_error, (parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    # The file systems of images, and what is in layers
    "parb_image_filesystem": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_reader))),
    "parb_image_filesystem_start": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_flatten": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_image_flatten_start": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_index_flatten": (parb_error, (parb_index, parb_options, parb_ctx, POINTER(parb_index))),
    "parb_index_flatten_start": (parb_error, (parb_index, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_files": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_files))),
    "parb_image_files_start": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_files": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(parb_files))),
    "parb_layer_files_start": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_open_file": (parb_error, (parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_reader))),
    "parb_image_open_file_start": (parb_error, (parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_files_free": (None, (parb_files,)),
    "parb_files_count": (c_size_t, (parb_files,)),
    "parb_files_path_at": (c_char_p, (parb_files, c_size_t)),
    "parb_files_kind_at": (c_uint32, (parb_files, c_size_t)),
    "parb_files_mode_at": (c_uint32, (parb_files, c_size_t)),
    "parb_files_size_at": (c_uint64, (parb_files, c_size_t)),
    "parb_files_uid_at": (c_uint64, (parb_files, c_size_t)),
    "parb_files_gid_at": (c_uint64, (parb_files, c_size_t)),
    "parb_files_mtime_at": (c_int64, (parb_files, c_size_t)),
    "parb_files_mtime_ns_at": (c_uint32, (parb_files, c_size_t)),
    "parb_files_link_at": (c_char_p, (parb_files, c_size_t)),
    "parb_files_device_at": (c_uint32, (parb_files, c_size_t, POINTER(c_uint32))),
    "parb_files_layer_at": (c_size_t, (parb_files, c_size_t)),
    "parb_files_xattr_names_at": (parb_strings, (parb_files, c_size_t)),
    "parb_files_xattr_at": (c_void_p, (parb_files, c_size_t, c_char_p, POINTER(c_size_t))),
    # Parts
    "parb_blobs_new": (parb_blobs, ()),
    "parb_blobs_free": (None, (parb_blobs,)),
    "parb_blobs_add_bytes": (None, (parb_blobs, c_void_p, c_size_t)),
    "parb_blobs_add_layer": (None, (parb_blobs, parb_layer)),
    "parb_blobs_add_image": (None, (parb_blobs, parb_image)),
    "parb_blobs_add_index": (None, (parb_blobs, parb_index)),
    "parb_blobs_set_open": (None, (parb_blobs, parb_open_cb, parb_exists_cb, c_void_p, parb_destroy_cb)),
    "parb_image_from_parts": (parb_error, (c_void_p, c_size_t, parb_blobs, parb_options, POINTER(parb_image))),
    "parb_index_from_parts": (parb_error, (c_void_p, c_size_t, parb_blobs, parb_options, POINTER(parb_index))),
    "parb_layer_from_parts": (parb_error, (c_char_p, c_char_p, c_uint64, c_char_p, c_int64, parb_blobs, parb_options, POINTER(parb_layer))),
    "parb_layer_fixed": (parb_error, (c_void_p, c_size_t, c_char_p, parb_options, POINTER(parb_layer))),
    "parb_image_empty": (parb_error, (parb_options, POINTER(parb_image))),
    "parb_index_empty": (parb_error, (parb_options, POINTER(parb_index))),
    "parb_image_from_config": (parb_error, (c_void_p, c_size_t, POINTER(parb_layer), c_size_t, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_image_from_config_start": (parb_error, (c_void_p, c_size_t, POINTER(parb_layer), c_size_t, parb_options, parb_ctx, POINTER(parb_op))),
    # Random content
    "parb_layer_random": (parb_error, (c_uint64, c_uint64, parb_options, parb_ctx, POINTER(parb_layer))),
    "parb_layer_random_start": (parb_error, (c_uint64, c_uint64, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_random": (parb_error, (c_uint32, c_uint64, c_uint64, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_image_random_start": (parb_error, (c_uint32, c_uint64, c_uint64, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_index_random": (parb_error, (c_uint32, c_uint32, c_uint64, c_uint64, parb_options, parb_ctx, POINTER(parb_index))),
    "parb_index_random_start": (parb_error, (c_uint32, c_uint32, c_uint64, c_uint64, parb_options, parb_ctx, POINTER(parb_op))),
    # Examination
    "parb_image_examine": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_report))),
    "parb_image_examine_start": (parb_error, (parb_image, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_index_examine": (parb_error, (parb_index, parb_options, parb_ctx, POINTER(parb_report))),
    "parb_index_examine_start": (parb_error, (parb_index, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_index_validate": (parb_error, (parb_index, parb_options, parb_ctx)),
    "parb_index_validate_start": (parb_error, (parb_index, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_validate": (parb_error, (parb_layer, parb_options, parb_ctx)),
    "parb_layer_validate_start": (parb_error, (parb_layer, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_compare": (parb_error, (parb_image, parb_image, parb_options, parb_ctx, POINTER(parb_report))),
    "parb_image_compare_start": (parb_error, (parb_image, parb_image, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_index_compare": (parb_error, (parb_index, parb_index, parb_options, parb_ctx, POINTER(parb_report))),
    "parb_index_compare_start": (parb_error, (parb_index, parb_index, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layer_compare": (parb_error, (parb_layer, parb_layer, parb_options, parb_ctx, POINTER(parb_report))),
    "parb_layer_compare_start": (parb_error, (parb_layer, parb_layer, parb_options, parb_ctx, POINTER(parb_op))),
    # OCI image layouts in directories
    "parb_layout_open": (parb_error, (c_char_p, parb_options, parb_ctx, POINTER(parb_layout))),
    "parb_layout_open_start": (parb_error, (c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layout_create": (parb_error, (c_char_p, parb_options, parb_ctx, POINTER(parb_layout))),
    "parb_layout_create_start": (parb_error, (c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layout_clone": (parb_layout, (parb_layout,)),
    "parb_layout_free": (None, (parb_layout,)),
    "parb_layout_path": (c_char_p, (parb_layout,)),
    "parb_layout_index": (parb_error, (parb_layout, parb_options, parb_ctx, POINTER(parb_index))),
    "parb_layout_index_start": (parb_error, (parb_layout, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layout_image": (parb_error, (parb_layout, c_char_p, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_layout_image_start": (parb_error, (parb_layout, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layout_child": (parb_error, (parb_layout, c_char_p, parb_options, parb_ctx, POINTER(parb_index))),
    "parb_layout_child_start": (parb_error, (parb_layout, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layout_add_image": (parb_error, (parb_layout, parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_descriptor))),
    "parb_layout_add_image_start": (parb_error, (parb_layout, parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layout_add_index": (parb_error, (parb_layout, parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_descriptor))),
    "parb_layout_add_index_start": (parb_error, (parb_layout, parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layout_replace_image": (parb_error, (parb_layout, parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_descriptor))),
    "parb_layout_replace_image_start": (parb_error, (parb_layout, parb_image, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layout_replace_index": (parb_error, (parb_layout, parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_descriptor))),
    "parb_layout_replace_index_start": (parb_error, (parb_layout, parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layout_remove": (parb_error, (parb_layout, parb_matcher, parb_options, parb_ctx, POINTER(parb_strings))),
    "parb_layout_remove_start": (parb_error, (parb_layout, parb_matcher, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layout_annotate": (parb_error, (parb_layout, parb_matcher, c_char_p, c_char_p, parb_options, parb_ctx)),
    "parb_layout_annotate_start": (parb_error, (parb_layout, parb_matcher, c_char_p, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layout_gc": (parb_error, (parb_layout, parb_options, parb_ctx, POINTER(parb_strings))),
    "parb_layout_gc_start": (parb_error, (parb_layout, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_layout_fsck": (parb_error, (parb_layout, parb_options, parb_ctx, POINTER(parb_report))),
    "parb_layout_fsck_start": (parb_error, (parb_layout, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_sink_layout": (parb_error, (parb_layout, POINTER(parb_sink))),
    # Archives
    "parb_archive_open": (parb_error, (c_char_p, parb_options, parb_ctx, POINTER(parb_archive))),
    "parb_archive_open_start": (parb_error, (c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_archive_open_fd": (parb_error, (c_int32, parb_options, parb_ctx, POINTER(parb_archive))),
    "parb_archive_open_fd_start": (parb_error, (c_int32, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_archive_open_source": (parb_error, (parb_source, parb_options, parb_ctx, POINTER(parb_archive))),
    "parb_archive_open_source_start": (parb_error, (parb_source, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_archive_clone": (parb_archive, (parb_archive,)),
    "parb_archive_free": (None, (parb_archive,)),
    "parb_archive_kind": (c_char_p, (parb_archive,)),
    "parb_archive_refs": (parb_strings, (parb_archive,)),
    "parb_archive_image": (parb_error, (parb_archive, c_char_p, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_archive_image_start": (parb_error, (parb_archive, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_archive_index": (parb_error, (parb_archive, c_char_p, parb_options, parb_ctx, POINTER(parb_index))),
    "parb_archive_index_start": (parb_error, (parb_archive, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_archive_write": (parb_error, (c_char_p, POINTER(parb_image), c_size_t, parb_strings, parb_options, parb_ctx)),
    "parb_archive_write_start": (parb_error, (c_char_p, POINTER(parb_image), c_size_t, parb_strings, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_archive_write_fd": (parb_error, (c_int32, POINTER(parb_image), c_size_t, parb_strings, parb_options, parb_ctx)),
    "parb_archive_write_fd_start": (parb_error, (c_int32, POINTER(parb_image), c_size_t, parb_strings, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_archive_write_index": (parb_error, (c_char_p, parb_index, c_char_p, parb_options, parb_ctx)),
    "parb_archive_write_index_start": (parb_error, (c_char_p, parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_archive_write_index_fd": (parb_error, (c_int32, parb_index, c_char_p, parb_options, parb_ctx)),
    "parb_archive_write_index_fd_start": (parb_error, (c_int32, parb_index, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    # Caches
    "parb_cache_open": (parb_error, (c_char_p, c_uint64, parb_options, parb_ctx, POINTER(parb_cache))),
    "parb_cache_open_start": (parb_error, (c_char_p, c_uint64, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_cache_clone": (parb_cache, (parb_cache,)),
    "parb_cache_free": (None, (parb_cache,)),
    "parb_cache_size": (c_uint64, (parb_cache,)),
    "parb_cache_stats": (parb_error, (parb_cache, POINTER(parb_buf))),
    "parb_cache_clear": (parb_error, (parb_cache, parb_options, parb_ctx)),
    "parb_cache_clear_start": (parb_error, (parb_cache, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_cache_remove": (parb_error, (parb_cache, c_char_p, parb_options, parb_ctx)),
    "parb_cache_remove_start": (parb_error, (parb_cache, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_cache_verify": (parb_error, (parb_cache, parb_options, parb_ctx, POINTER(parb_report))),
    "parb_cache_verify_start": (parb_error, (parb_cache, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_image_cached": (parb_error, (parb_image, parb_cache, POINTER(parb_image))),
    "parb_index_cached": (parb_error, (parb_index, parb_cache, POINTER(parb_index))),
    "parb_layer_cached": (parb_error, (parb_layer, parb_cache, POINTER(parb_layer))),
    "parb_sink_cache": (parb_error, (parb_cache, POINTER(parb_sink))),
    # Memory
    "parb_memory_new": (parb_error, (c_uint64, POINTER(parb_memory))),
    "parb_memory_clone": (parb_memory, (parb_memory,)),
    "parb_memory_free": (None, (parb_memory,)),
    "parb_memory_put_image": (parb_error, (parb_memory, c_char_p, parb_image, parb_options, parb_ctx)),
    "parb_memory_put_image_start": (parb_error, (parb_memory, c_char_p, parb_image, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_memory_put_index": (parb_error, (parb_memory, c_char_p, parb_index, parb_options, parb_ctx)),
    "parb_memory_put_index_start": (parb_error, (parb_memory, c_char_p, parb_index, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_memory_image": (parb_error, (parb_memory, c_char_p, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_memory_image_start": (parb_error, (parb_memory, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_memory_index": (parb_error, (parb_memory, c_char_p, parb_options, parb_ctx, POINTER(parb_index))),
    "parb_memory_index_start": (parb_error, (parb_memory, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_memory_remove": (parb_error, (parb_memory, c_char_p)),
    "parb_memory_names": (parb_error, (parb_memory, POINTER(parb_strings))),
    "parb_memory_size": (c_uint64, (parb_memory,)),
    "parb_sink_memory": (parb_error, (parb_memory, POINTER(parb_sink))),
    # Credentials
    "parb_keychain_default": (parb_keychain, ()),
    "parb_keychain_anonymous": (parb_keychain, ()),
    "parb_keychain_basic": (parb_keychain, (c_char_p, c_char_p, c_char_p)),
    "parb_keychain_bearer": (parb_keychain, (c_char_p, c_char_p)),
    "parb_keychain_chain": (parb_keychain, (POINTER(parb_keychain), c_size_t)),
    "parb_keychain_clone": (parb_keychain, (parb_keychain,)),
    "parb_keychain_free": (None, (parb_keychain,)),
    # The client
    "parb_client_options_new": (parb_client_options, ()),
    "parb_client_options_free": (None, (parb_client_options,)),
    "parb_client_options_set_keychain": (None, (parb_client_options, parb_keychain)),
    "parb_client_options_set_user_agent": (None, (parb_client_options, c_char_p)),
    "parb_client_options_add_ca_file": (None, (parb_client_options, c_char_p)),
    "parb_client_options_add_ca_pem": (None, (parb_client_options, c_char_p)),
    "parb_client_options_add_plain_http": (None, (parb_client_options, c_char_p)),
    "parb_client_options_set_timeouts_ms": (None, (parb_client_options, c_int64, c_int64, c_int64)),
    "parb_client_options_set_retry": (None, (parb_client_options, c_uint32, c_int64)),
    "parb_client_new": (parb_error, (parb_client_options, POINTER(parb_client))),
    "parb_client_stats": (parb_error, (parb_client, POINTER(parb_buf))),
    "parb_client_close": (parb_error, (parb_client, parb_ctx)),
    "parb_client_free": (None, (parb_client,)),
    # Registries
    "parb_resolve": (parb_error, (parb_client, parb_ref, parb_options, parb_ctx, POINTER(parb_descriptor))),
    "parb_resolve_start": (parb_error, (parb_client, parb_ref, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_pull": (parb_error, (parb_client, parb_ref, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_pull_start": (parb_error, (parb_client, parb_ref, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_pull_index": (parb_error, (parb_client, parb_ref, parb_options, parb_ctx, POINTER(parb_index))),
    "parb_pull_index_start": (parb_error, (parb_client, parb_ref, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_push": (parb_error, (parb_client, parb_ref, parb_image, parb_options, parb_ctx)),
    "parb_push_start": (parb_error, (parb_client, parb_ref, parb_image, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_push_index": (parb_error, (parb_client, parb_ref, parb_index, parb_options, parb_ctx)),
    "parb_push_index_start": (parb_error, (parb_client, parb_ref, parb_index, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_push_layer": (parb_error, (parb_client, parb_ref, parb_layer, parb_options, parb_ctx)),
    "parb_push_layer_start": (parb_error, (parb_client, parb_ref, parb_layer, parb_options, parb_ctx, POINTER(parb_op))),
    # Docker-compatible daemons
    "parb_daemon_connect": (parb_error, (c_char_p, parb_options, parb_ctx, POINTER(parb_daemon))),
    "parb_daemon_connect_start": (parb_error, (c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_daemon_clone": (parb_daemon, (parb_daemon,)),
    "parb_daemon_free": (None, (parb_daemon,)),
    "parb_daemon_host": (c_char_p, (parb_daemon,)),
    "parb_daemon_api_version": (c_char_p, (parb_daemon,)),
    "parb_daemon_ping": (parb_error, (parb_daemon, parb_options, parb_ctx)),
    "parb_daemon_ping_start": (parb_error, (parb_daemon, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_daemon_version": (parb_error, (parb_daemon, parb_options, parb_ctx, POINTER(parb_buf))),
    "parb_daemon_version_start": (parb_error, (parb_daemon, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_daemon_list": (parb_error, (parb_daemon, c_char_p, parb_options, parb_ctx, POINTER(parb_buf))),
    "parb_daemon_list_start": (parb_error, (parb_daemon, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_daemon_inspect": (parb_error, (parb_daemon, c_char_p, parb_options, parb_ctx, POINTER(parb_buf))),
    "parb_daemon_inspect_start": (parb_error, (parb_daemon, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_daemon_history": (parb_error, (parb_daemon, c_char_p, parb_options, parb_ctx, POINTER(parb_buf))),
    "parb_daemon_history_start": (parb_error, (parb_daemon, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_daemon_image": (parb_error, (parb_daemon, c_char_p, parb_options, parb_ctx, POINTER(parb_image))),
    "parb_daemon_image_start": (parb_error, (parb_daemon, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_daemon_load": (parb_error, (parb_daemon, parb_image, parb_ref, parb_options, parb_ctx, POINTER(parb_strings))),
    "parb_daemon_load_start": (parb_error, (parb_daemon, parb_image, parb_ref, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_daemon_load_index": (parb_error, (parb_daemon, parb_index, parb_ref, parb_options, parb_ctx, POINTER(parb_strings))),
    "parb_daemon_load_index_start": (parb_error, (parb_daemon, parb_index, parb_ref, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_daemon_load_archive": (parb_error, (parb_daemon, c_char_p, parb_options, parb_ctx, POINTER(parb_strings))),
    "parb_daemon_load_archive_start": (parb_error, (parb_daemon, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_daemon_tag": (parb_error, (parb_daemon, c_char_p, parb_ref, parb_options, parb_ctx)),
    "parb_daemon_tag_start": (parb_error, (parb_daemon, c_char_p, parb_ref, parb_options, parb_ctx, POINTER(parb_op))),
    "parb_daemon_remove": (parb_error, (parb_daemon, c_char_p, parb_options, parb_ctx)),
    "parb_daemon_remove_start": (parb_error, (parb_daemon, c_char_p, parb_options, parb_ctx, POINTER(parb_op))),
    # The registry server
    "parb_server_options_new": (parb_server_options, ()),
    "parb_server_options_free": (None, (parb_server_options,)),
    "parb_server_options_set_address": (None, (parb_server_options, c_char_p)),
    "parb_server_options_set_storage_dir": (None, (parb_server_options, c_char_p)),
    "parb_server_options_add_user": (None, (parb_server_options, c_char_p, c_char_p)),
    "parb_server_options_set_token_auth": (None, (parb_server_options, c_int64)),
    "parb_server_options_set_anonymous_read": (None, (parb_server_options,)),
    "parb_server_options_set_tls_files": (None, (parb_server_options, c_char_p, c_char_p)),
    "parb_server_options_set_tls_domain": (None, (parb_server_options, c_char_p)),
    "parb_server_options_add_fault": (None, (parb_server_options, c_char_p, c_char_p, c_uint32, c_char_p)),
    "parb_serve": (parb_error, (parb_server_options, parb_ctx, POINTER(parb_server))),
    "parb_server_url": (c_char_p, (parb_server,)),
    "parb_server_ca_pem": (c_char_p, (parb_server,)),
    "parb_server_requests": (parb_error, (parb_server, POINTER(parb_strings))),
    "parb_server_stop": (parb_error, (parb_server, parb_ctx)),
    "parb_server_free": (None, (parb_server,)),
}


def bind(lib: CDLL) -> CDLL:
    """Tells ctypes the types of every function of the library, and gives the library back.

    Raises ImportError, naming the function, where the library lacks one: it is older than this table, or another.
    """
    for name, (returns, takes) in FUNCTIONS.items():
        try:
            function = getattr(lib, name)
        except AttributeError:
            path = getattr(lib, "_name", None) or "this program"
            raise ImportError(f"{path} lacks {name}: parbuckle {VERSION} is needed", name="parbuckle") from None
        function.restype = returns
        function.argtypes = list(takes)
    return lib
