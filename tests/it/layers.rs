//! Dependencies between the modules of `src` point one way: a module uses those before it in [`ORDER`], and no others.

use crate::api::root;
use crate::tokens::flat;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// From the ground up. Modules on one line know each other.
const ORDER: &[&[&str]] = &[
    &["error"],
    &["sys"],
    &["context"],
    &["digest"],
    &["name"],
    &["block"],
    &["engine", "pool"],
    // The server stands apart: it is no client, and nothing but the boundary and the command uses it.
    &["registry"],
    &["oci"],
    &["stream"],
    &["auth"],
    &["transport"],
    &["report", "matcher"],
    // The values, where their bytes come from and go to. `Home` and `Place` name a repository of the client, so the
    // client is one of them.
    &[
        "source",
        "sink",
        "reader",
        "layer",
        "image",
        "index",
        "options",
        "validate",
        "writer",
        "builder",
        "remote",
        "transfer",
        "content",
        "index_builder",
        "lazy",
    ],
    // What is made of values, and the media that keep them.
    &["compare", "parts", "random", "mutate"],
    &["cache", "layout", "memory"],
    &["archive"],
    &["daemon"],
    &["ffi"],
    &["cli"],
];

/// What the order would allow and is not meant.
const NEVER: &[(&str, &str)] = &[
    ("cli", "ffi"),
    // Values are made and read without knowing how they are changed.
    ("source", "builder"),
    ("source", "writer"),
    ("layer", "remote"),
    ("layer", "writer"),
    ("layer", "builder"),
    ("image", "remote"),
    ("image", "writer"),
    ("image", "builder"),
    ("image", "index"),
    ("index", "remote"),
    ("index", "index_builder"),
    ("image", "index_builder"),
    ("builder", "index_builder"),
    ("index_builder", "remote"),
    ("index_builder", "builder"),
    ("index_builder", "writer"),
    ("reader", "remote"),
    ("reader", "layer"),
    ("validate", "remote"),
    ("builder", "remote"),
    ("builder", "writer"),
    ("builder", "sink"),
    ("writer", "remote"),
    ("writer", "builder"),
    ("remote", "builder"),
    ("remote", "writer"),
];
/// Nobody builds on these.
const TOPS: [&str; 3] = ["ffi", "cli", "registry"];

#[test]
fn dependencies_point_one_way() {
    let modules: BTreeSet<&str> = ORDER.iter().flat_map(|group| group.iter().copied()).collect();
    let reexports = reexports(&std::fs::read_to_string(root().join("src/lib.rs")).unwrap());
    assert_eq!(reexports.get("Image").map(String::as_str), Some("image"));
    let (mut uses, mut there) = (BTreeMap::new(), BTreeSet::new());
    walk(&root().join("src"), &mut |path, module| {
        let text = std::fs::read_to_string(path).unwrap();
        uses.entry(module.clone()).or_insert_with(BTreeSet::new).extend(used(&text, &reexports));
        there.insert(module);
    });
    let order: BTreeSet<String> = modules.iter().map(|m| (*m).to_owned()).collect();
    assert_eq!(there, order, "the modules of src (left) and those that have a place in the order");
    assert!(uses["remote"].contains("transport") && uses["registry"].contains("digest"), "{uses:?}");
    assert_eq!(against(&uses), Vec::<String>::new());
}

#[test]
fn dependencies_the_wrong_way_are_seen() {
    let reexports = reexports("pub use image::Image;\npub use oci::{\n    Config, Descriptor as D,\n};\n");
    let text = r#"
        //! [`crate::writer`]
        use crate::{error::Result, Image, stream::{self, gzip}};
        use crate::D;
        fn f() { crate::remote::push(); other::ffi::x(); }
        #[cfg(test)]
        mod tests { use crate::builder::B; }
    "#;
    let found = used(text, &reexports);
    let expected = ["error", "image", "oci", "remote", "stream"];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    let uses = |a: &str, b: &str| BTreeMap::from([(a.to_owned(), BTreeSet::from([b.to_owned()]))]);
    for (a, b) in [
        ("oci", "stream"),
        ("registry", "remote"),
        ("image", "ffi"),
        ("error", "context"),
        ("cli", "ffi"),
        ("stream", "registry"),
        ("remote", "registry"),
    ] {
        assert_eq!(against(&uses(a, b)), [format!("{a} uses {b}")]);
    }
    for (a, b) in [("stream", "oci"), ("pool", "engine"), ("ffi", "registry"), ("cli", "registry"), ("oci", "oci")] {
        assert_eq!(against(&uses(a, b)), Vec::<String>::new());
    }
}

/// What breaks the order.
fn against(uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let place = |m: &str| ORDER.iter().position(|group| group.contains(&m));
    let mut found = Vec::new();
    for (from, all) in uses {
        for to in all.iter().filter(|to| *to != from) {
            let downwards = matches!((place(from), place(to)), (Some(from), Some(to)) if to <= from);
            let top = TOPS.contains(&to.as_str()) && from != "ffi" && from != "cli";
            if !downwards || top || NEVER.contains(&(from, to)) {
                found.push(format!("{from} uses {to}"));
            }
        }
    }
    found
}

/// Every file with the module it belongs to: lib.rs and main.rs, which only join the parts, belong to none.
fn walk(dir: &Path, each: &mut impl FnMut(&Path, String)) {
    let src = root().join("src");
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, each);
            continue;
        }
        let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
        let module = first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if path.extension().is_some_and(|e| e == "rs") && module != "lib" && module != "main" {
            each(&path, module);
        }
    }
}

/// The names that lib.rs shows at the top, and where they come from.
fn reexports(lib: &str) -> BTreeMap<String, String> {
    let tokens = flat(lib);
    let mut found = BTreeMap::new();
    for (i, _) in tokens.iter().enumerate().filter(|(i, t)| *t == "use" && tokens.get(i + 2).is_some_and(|t| t == ":"))
    {
        let module = &tokens[i + 1];
        for name in tokens[i + 4..].iter().take_while(|t| *t != ";").filter(|t| t.chars().all(char::is_alphanumeric)) {
            found.insert(name.clone(), module.clone());
        }
    }
    found
}

/// The modules that a file names after `crate::`.
fn used(text: &str, reexports: &BTreeMap<String, String>) -> BTreeSet<String> {
    let tokens = flat(text);
    let is = |i: usize, t: &str| tokens.get(i).is_some_and(|x| x == t);
    let mut found = BTreeSet::new();
    for i in (0..tokens.len()).filter(|i| is(*i, "crate") && is(i + 1, ":") && is(i + 2, ":")) {
        if !is(i + 3, "{") {
            found.extend(tokens.get(i + 3).cloned());
            continue;
        }
        // The first name of each branch.
        let (mut depth, mut first) = (0, true);
        for token in &tokens[i + 3..] {
            match token.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                "," => first = depth == 1,
                name if first && depth == 1 => {
                    found.insert(name.to_owned());
                    first = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.into_iter().map(|name| reexports.get(&name).cloned().unwrap_or(name)).collect()
}
