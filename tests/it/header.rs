//! The header, its machine-readable twin, the symbol list and the bindings' low-level tables: all made from `src/ffi`,
//! committed, and compared here. `UPDATE=1 cargo test --features cli header` writes them anew.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn header_is_what_the_source_says() {
    let made = render_header();
    compare("include/parbuckle.h", &made);
}

/// The sections, in the order in which `src/ffi/mod.rs` names them.
fn sections() -> Vec<PathBuf> {
    let text = std::fs::read_to_string(root().join("src/ffi/mod.rs")).unwrap();
    let (_, after) = text.split_once("// In the order of the header.").expect("the marker in src/ffi/mod.rs");
    let names = after.lines().filter_map(|l| l.trim().strip_prefix("mod ")?.strip_suffix(';'));
    names.map(|n| root().join(format!("src/ffi/{n}.rs"))).collect()
}

fn render_header() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config).with_src(root().join("src/ffi/foreign.rs"));
    for file in sections() {
        builder = builder.with_src(file);
    }
    let mut out = Vec::new();
    builder.generate().expect("cbindgen can read src/ffi").write(&mut out);
    String::from_utf8(out).unwrap()
}

fn compare(path: &str, made: &str) {
    let at: &Path = &root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(at, made).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(at).unwrap_or_default();
    assert!(committed == made, "{path} is not what src/ffi says: run UPDATE=1 cargo test --features cli header");
}
