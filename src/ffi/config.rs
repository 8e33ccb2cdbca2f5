//! Image configs.

use crate::Config;
use crate::ffi::boundary::{Lent, Opaque, Pointer, call, free, get, put, slice};
use crate::ffi::error::parb_error;
use crate::ffi::image::lend_bytes;
use crate::ffi::lists::{Map, Strings, parb_map, parb_strings};
use crate::ffi::options::{options_of, parb_options};
use crate::ffi::text::{c_string, lend, text};
use bytes::Bytes;
use std::ffi::{CString, c_char};
use std::ptr::null;

/// An image's config. Immutable. Yours to free.
pub struct parb_config {
    _private: [u8; 0],
}

// SAFETY: made by `put` only.
unsafe impl Opaque for parb_config {
    type Value = ConfigHandle;
    const NAME: &'static str = "parb_config";
    const TAG: u64 = u64::from_le_bytes(*b"parbconf");
    const THREADED: bool = false;
}

pub(crate) struct ConfigHandle {
    config: Config,
    platform: Option<CString>,
    created: Option<CString>,
    user: Option<CString>,
    working_dir: Option<CString>,
    stop_signal: Option<CString>,
    entrypoint: Option<Lent<parb_strings>>,
    cmd: Option<Lent<parb_strings>>,
    env: Lent<parb_strings>,
    env_values: Vec<(CString, CString)>,
    labels: Lent<parb_map>,
    exposed_ports: Lent<parb_strings>,
    volumes: Lent<parb_strings>,
    diff_ids: Lent<parb_strings>,
}

impl ConfigHandle {
    pub(crate) fn new(config: Config) -> ConfigHandle {
        let list = |items: Option<&[String]>| items.map(|items| Lent::new(Strings::new(items)));
        let pair = |entry: &String| entry.split_once('=').map(|(k, v)| (c_string(k), c_string(v)));
        ConfigHandle {
            platform: config.platform().map(|p| c_string(&p.to_string())),
            created: config.created().map(c_string),
            user: config.user().map(c_string),
            working_dir: config.working_dir().map(c_string),
            stop_signal: config.stop_signal().map(c_string),
            entrypoint: list(config.entrypoint()),
            cmd: list(config.cmd()),
            env: Lent::new(Strings::new(config.env())),
            env_values: config.env().iter().filter_map(pair).collect(),
            labels: Lent::new(Map::new(config.labels())),
            exposed_ports: Lent::new(Strings::new(config.exposed_ports())),
            volumes: Lent::new(Strings::new(config.volumes())),
            diff_ids: Lent::new(Strings::new(config.diff_ids().iter().map(|d| d.as_str()))),
            config,
        }
    }
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }
}

/// Reads a config. Never blocks.
///
/// Errors: PARB_MALFORMED: not an image config, or a text in it holds U+0000, which no C string can.
///
/// @param options  none are read
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_config_parse(
    json: *const u8,
    len: usize,
    options: *const parb_options,
    out: *mut *mut parb_config,
) -> *mut parb_error {
    call(|| {
        put(out, || {
            options_of(options)?.only("parb_config_parse", &[])?;
            Ok(ConfigHandle::new(Config::from_bytes(Bytes::copy_from_slice(slice(json, len, "json")?))?))
        })
    })
}

/// Frees a config. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_free(config: *mut parb_config) {
    free(config)
}

/// The config's exact bytes. They live as long as the config; NULL for NULL.
///
/// @param out_len  how many there are; may be NULL
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_json(config: *const parb_config, out_len: *mut usize) -> *const u8 {
    get(null(), || Ok(lend_bytes(config.get("config")?.config.raw(), out_len)))
}

/// What the image runs on, such as "linux/arm64/v8"; NULL where that is not said. Lives as long as the config.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_platform(config: *const parb_config) -> *const c_char {
    get(null(), || Ok(lend(config.get("config")?.platform.as_ref())))
}

/// When the image was made, in RFC 3339; NULL where that is not said. Lives as long as the config.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_created(config: *const parb_config) -> *const c_char {
    get(null(), || Ok(lend(config.get("config")?.created.as_ref())))
}

/// The user; NULL where there is none. Lives as long as the config.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_user(config: *const parb_config) -> *const c_char {
    get(null(), || Ok(lend(config.get("config")?.user.as_ref())))
}

/// The working directory; NULL where there is none. Lives as long as the config.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_working_dir(config: *const parb_config) -> *const c_char {
    get(null(), || Ok(lend(config.get("config")?.working_dir.as_ref())))
}

/// The entry point; NULL where there is none. Lives as long as the config.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_entrypoint(config: *const parb_config) -> *const parb_strings {
    get(null(), || Ok(config.get("config")?.entrypoint.as_ref().map_or(null(), Lent::as_ptr)))
}

/// The command; NULL where there is none. Lives as long as the config.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_cmd(config: *const parb_config) -> *const parb_strings {
    get(null(), || Ok(config.get("config")?.cmd.as_ref().map_or(null(), Lent::as_ptr)))
}

/// The environment, each entry "NAME=VALUE", possibly none. Lives as long as the config.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_env(config: *const parb_config) -> *const parb_strings {
    get(null(), || Ok(config.get("config")?.env.as_ptr()))
}

/// One variable's value; NULL where it is not set. Lives as long as the config.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_env_get(config: *const parb_config, name: *const c_char) -> *const c_char {
    get(null(), || {
        let name = c_string(text(name, "name")?);
        let found = config.get("config")?.env_values.iter().find(|(k, _)| *k == name);
        Ok(lend(found.map(|(_, v)| v)))
    })
}

/// The labels, possibly none. Lives as long as the config.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_labels(config: *const parb_config) -> *const parb_map {
    get(null(), || Ok(config.get("config")?.labels.as_ptr()))
}

/// The exposed ports, such as "80/tcp", possibly none. Lives as long as the config.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_exposed_ports(config: *const parb_config) -> *const parb_strings {
    get(null(), || Ok(config.get("config")?.exposed_ports.as_ptr()))
}

/// The volumes, possibly none. Lives as long as the config.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_volumes(config: *const parb_config) -> *const parb_strings {
    get(null(), || Ok(config.get("config")?.volumes.as_ptr()))
}

/// The stop signal; NULL where there is none. Lives as long as the config.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_stop_signal(config: *const parb_config) -> *const c_char {
    get(null(), || Ok(lend(config.get("config")?.stop_signal.as_ref())))
}

/// The digests of the uncompressed layers, base first. Lives as long as the config.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_config_diff_ids(config: *const parb_config) -> *const parb_strings {
    get(null(), || Ok(config.get("config")?.diff_ids.as_ptr()))
}
