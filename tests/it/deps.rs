//! The crates that come along: licences, banned ones, features that must stay off, and how many there are.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Licences that may be linked into the library.
const LICENCES: [&str; 11] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unlicense",
    "Unicode-3.0",
    "CDLA-Permissive-2.0",
];
/// Licences of what only tests use.
const LICENCES_OF_TESTS: [&str; 1] = ["MPL-2.0"];
/// A second TLS or crypto library in the host, a C toolchain for nothing, tar code with entry smuggling.
const BANNED: [&str; 9] = [
    "openssl-sys",
    "openssl",
    "native-tls",
    "aws-lc-sys",
    "aws-lc-rs",
    "tokio-tar",
    "async-tar",
    "astral-tokio-tar",
    "libz-sys",
];
/// A global SIGCHLD handler, tokio's own disk pool; bodies decoded behind the digest's back; documents reordered in
/// every Rust host.
const FEATURES_OFF: [(&str, &[&str]); 4] = [
    ("tokio", &["process", "signal", "fs", "full", "test-util"]),
    ("reqwest", &["gzip", "zstd", "brotli", "deflate", "default-tls", "native-tls", "cookies"]),
    ("serde_json", &["preserve_order", "arbitrary_precision"]),
    ("flate2", &["zlib", "zlib-ng", "miniz_oxide"]),
];
/// Fixed vulnerabilities.
const AT_LEAST: [(&str, [u64; 3]); 1] = [("tar", [0, 4, 46])];
/// There are 154 and 170 on Linux, without and with the command. Many more are a decision, not an accident.
const MOST_CRATES: usize = 160;
const MOST_CRATES_OF_THE_COMMAND: usize = 176;

#[test]
fn crates_of_the_library_are_as_agreed() {
    let found = findings(&metadata(&[]), MOST_CRATES);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_command_may_handle_signals_and_nothing_else_more() {
    let found = findings(&metadata(&["--features", "cli"]), MOST_CRATES_OF_THE_COMMAND);
    assert_eq!(found, ["tokio has the feature signal"]);
}

#[test]
fn what_should_not_come_along_is_seen() {
    let package = |name: &str, version: &str, license: &str, kind: Value, features: &[&str]| {
        let id = format!("{name}#{version}");
        (
            serde_json::json!({"id": id, "name": name, "version": version, "license": license}),
            serde_json::json!({"id": id, "features": features, "deps": []}),
            serde_json::json!({"pkg": id, "dep_kinds": [{"kind": kind}]}),
        )
    };
    let crates = [
        package("copyleft", "1.0.0", "GPL-3.0 OR (MIT AND AGPL-3.0)", Value::Null, &[]),
        package("weak", "1.0.0", "MPL-2.0", Value::Null, &[]),
        package("tester", "1.0.0", "MPL-2.0", "dev".into(), &[]),
        package("openssl-sys", "1.0.0", "MIT", "build".into(), &[]),
        package("tokio", "1.0.0", "MIT/Apache-2.0", Value::Null, &["rt", "process"]),
        package("tar", "0.4.45", "MIT", Value::Null, &[]),
    ];
    let root = serde_json::json!({"id": "root", "name": "parbuckle", "version": "0.1.0", "license": "Apache-2.0"});
    let deps: Vec<_> = crates.iter().map(|c| c.2.clone()).collect();
    let mut nodes: Vec<_> = crates.iter().map(|c| c.1.clone()).collect();
    nodes.push(serde_json::json!({"id": "root", "features": [], "deps": deps}));
    let mut packages: Vec<_> = crates.iter().map(|c| c.0.clone()).collect();
    packages.push(root);
    let found = findings(&serde_json::json!({"packages": packages, "resolve": {"root": "root", "nodes": nodes}}), 4);
    let expected = [
        "5 crates are linked, and 4 are enough",
        "copyleft: the licence GPL-3.0 OR (MIT AND AGPL-3.0)",
        "openssl-sys is banned",
        "tar 0.4.45 is older than 0.4.46",
        "tokio has the feature process",
        "weak: the licence MPL-2.0",
    ];
    assert_eq!(found, expected);
}

#[test]
fn licence_expressions_are_understood() {
    let ok = |text: &str| licence_is(text, &|one| one == "MIT" || one == "Apache-2.0 WITH LLVM-exception");
    for good in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "MIT AND MIT", "(GPL-3.0 OR MIT) AND MIT", "X AND Y OR MIT"] {
        assert!(ok(good), "{good}");
    }
    assert!(ok("Apache-2.0 WITH LLVM-exception OR GPL-3.0"));
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT AND (X OR Y)", "MIT OR (", "MIT MIT", "Apache-2.0"] {
        assert!(!ok(bad), "{bad}");
    }
}

/// What cargo knows of the crates that this build has.
fn metadata(more: &[&str]) -> Value {
    let platform = if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let fixed = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", platform];
    let out = Command::new(cargo).args(fixed).args(more).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn findings(metadata: &Value, most: usize) -> Vec<String> {
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let text = |v: &Value, key: &str| v[key].as_str().unwrap_or_default().to_owned();
    let by_id = |v: &Value| list(v).into_iter().map(|p| (text(&p, "id"), p)).collect::<BTreeMap<_, _>>();
    let (packages, nodes) = (by_id(&metadata["packages"]), by_id(&metadata["resolve"]["nodes"]));
    let root = text(&metadata["resolve"], "root");
    // Everything that `root` leads to, with or without what only its tests use.
    let closure = |with_tests: bool| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![root.clone()]);
        while let Some(id) = left.pop() {
            for dep in list(&nodes[&id]["deps"]) {
                let linked = list(&dep["dep_kinds"]).iter().any(|k| k["kind"] != "dev" || with_tests && id == root);
                if linked && seen.insert(text(&dep, "pkg")) {
                    left.push(text(&dep, "pkg"));
                }
            }
        }
        seen
    };
    let (linked, all) = (closure(false), closure(true));
    let mut found = BTreeSet::new();
    for id in &all {
        let (package, features) = (&packages[id], list(&nodes[id]["features"]));
        let (name, licence) = (text(package, "name"), text(package, "license"));
        let allowed = |one: &str| LICENCES.contains(&one) || !linked.contains(id) && LICENCES_OF_TESTS.contains(&one);
        if !licence_is(&licence, &allowed) {
            found.insert(format!("{name}: the licence {licence}"));
        }
        if BANNED.contains(&name.as_str()) {
            found.insert(format!("{name} is banned"));
        }
        for feature in FEATURES_OFF.iter().filter(|(n, _)| *n == name).flat_map(|(_, off)| *off) {
            if features.iter().any(|f| f == feature) {
                found.insert(format!("{name} has the feature {feature}"));
            }
        }
        let version = text(package, "version");
        let numbers: Vec<u64> = version.split('.').filter_map(|n| n.parse().ok()).collect();
        for (_, least) in AT_LEAST.iter().filter(|(n, least)| *n == name && numbers < least.to_vec()) {
            found.insert(format!("{name} {version} is older than {}.{}.{}", least[0], least[1], least[2]));
        }
    }
    if linked.len() > most {
        found.insert(format!("{} crates are linked, and {most} are enough", linked.len()));
    }
    found.into_iter().collect()
}

/// Whether an SPDX expression (or the old `A/B`) can be met by licences that are allowed.
fn licence_is(text: &str, allowed: &impl Fn(&str) -> bool) -> bool {
    let text = text.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "\u{a0}WITH\u{a0}");
    let words: Vec<String> =
        text.split([' ', '\n']).filter(|w| !w.is_empty()).map(|w| w.replace('\u{a0}', " ")).collect();
    let mut at = 0;
    either(&words, &mut at, allowed) == Some(true) && at == words.len()
}

fn either(words: &[String], at: &mut usize, allowed: &impl Fn(&str) -> bool) -> Option<bool> {
    let mut ok = both(words, at, allowed)?;
    while words.get(*at).is_some_and(|w| w == "OR") {
        *at += 1;
        ok |= both(words, at, allowed)?;
    }
    Some(ok)
}

fn both(words: &[String], at: &mut usize, allowed: &impl Fn(&str) -> bool) -> Option<bool> {
    let mut ok = one(words, at, allowed)?;
    while words.get(*at).is_some_and(|w| w == "AND") {
        *at += 1;
        ok &= one(words, at, allowed)?;
    }
    Some(ok)
}

fn one(words: &[String], at: &mut usize, allowed: &impl Fn(&str) -> bool) -> Option<bool> {
    let word = words.get(*at)?;
    *at += 1;
    if word != "(" {
        return Some(allowed(word));
    }
    let ok = either(words, at, allowed)?;
    let closed = words.get(*at).is_some_and(|w| w == ")");
    *at += 1;
    closed.then_some(ok)
}
