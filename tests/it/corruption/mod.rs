//! Every byte of every medium is changed once, and everything is read: an error that names what is damaged, or what was
//! there before; never another image, and never more memory for it.
//!
//! What can be another without an error is listed with each medium: bytes that nothing in it vouches for. They are what
//! an image is called and how its layers are compressed, never what is in it; but for the archives of the first
//! docker, which have no digests at all.
//!
//! * `made`: the images that are damaged;
//! * `reading`: everything that can be read of a medium, and how it has to compare;
//! * `files`, `streams`: the media.

mod files;
mod made;
mod reading;
mod streams;

use std::process::Command;

/// Set for the processes that the tests start: the test that is to be run there.
const ALONE: &str = "PARB_TEST_CORRUPTION";
/// What the address space of such a process may grow to, in KiB. Its threads have stacks, so it is not little.
const MAX_ADDRESSES: u64 = 3 << 20;
/// What such a process may have in memory, in KiB: the program, and buffers for a few KiB of image.
const MAX_MEMORY: u64 = 128 << 10;

/// Runs a test in a process of its own, whose memory is bounded and in which no thread may panic.
fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var(ALONE).is_ok_and(|alone| alone == name) {
        std::panic::set_hook(Box::new(|panic| {
            eprintln!("{panic}");
            std::process::abort(); // where the library would have caught it, too
        }));
        test();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim_end_matches("kB").trim();
        assert!(peak.parse::<u64>().unwrap() < MAX_MEMORY, "{peak} KiB in memory");
        return;
    }
    let path = format!("corruption::{name}");
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -v {MAX_ADDRESSES} && exec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &path, "--nocapture", "--test-threads=1"])
        .env(ALONE, name)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{}", text.lines().filter(|l| l.contains("flips")).collect::<Vec<_>>().join("\n"));
    assert!(output.status.success(), "{}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{path} is no test: {text}");
}
