//! A bare cdylib has no soname and may be unloaded; both would hurt hosts (docs/ABI.md).
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets it");
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux") => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libparbuckle.so.{major}");
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,now");
        }
        Ok("macos") => println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libparbuckle.{major}.dylib"),
        _ => {}
    }
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = std::process::Command::new(rustc).arg("--version").output();
    let version = version.ok().and_then(|o| String::from_utf8(o.stdout).ok()).unwrap_or_default();
    println!("cargo:rustc-env=PARB_RUSTC={}", version.trim());
}
