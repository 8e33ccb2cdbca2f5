//! Holds `src/ffi` to the rules that the header promises, for every function and without exceptions but those named
//! here. Each rule is shown to find its breach.

use crate::api::{Doc, Function, Param, Source, bare_fn, exported_type, is_exported, root};
use crate::shape::Shape;
use crate::tokens;
use std::collections::{BTreeMap, BTreeSet};
use syn::{Expr, Item, Stmt};

/// They take a ctx alone and have no twin: they move one buffer, only wait, or have options of a type of their own.
const CTX_ALONE: [&str; 6] = [
    "parb_reader_read",
    "parb_layer_writer_write",
    "parb_op_wait",
    "parb_client_close",
    "parb_server_stop",
    "parb_serve",
];
/// The asynchronous form of parb_reader_read, which has another shape.
const TWIN_ALONE: [&str; 1] = ["parb_reader_next_start"];
/// Its result is memoised in the layer, and is not taken out of the operation.
const RESULT_STAYS: [&str; 3] = ["parb_layer_diff_id", "parb_index_size", "parb_layer_uncompressed_size"];

#[test]
fn every_function_keeps_the_rules() {
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(root().join("src/ffi")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        sources.push(Source::open(&format!("src/ffi/{name}")));
    }
    let mut found = findings(&sources);
    let names: BTreeSet<String> = functions(&sources).into_iter().map(|(f, _)| f.sig.ident.to_string()).collect();
    assert!(names.len() > 200, "only {} functions were found", names.len());
    for name in CTX_ALONE.iter().chain(&TWIN_ALONE).chain(&RESULT_STAYS) {
        if !names.contains(*name) {
            found.push(format!("{name}: an exception of the lint that no longer exists"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_rule_finds_its_breach() {
    assert_eq!(findings(&[Source::parse("good.rs", GOOD)]), Vec::<String>::new());
    let mut unseen = Vec::new();
    for (from, to, expected) in BREACHES {
        let bad = GOOD.replacen(from, to, 1);
        assert_ne!(bad, GOOD, "nothing to replace: {from}");
        let found = findings(&[Source::parse("bad.rs", &bad)]);
        if !found.iter().any(|f| f.contains(expected)) {
            unseen.push(format!("{from} -> {to}\n  expected: {expected}\n  found: {found:?}"));
        }
    }
    assert!(unseen.is_empty(), "{}", unseen.join("\n"));
}

fn functions(sources: &[Source]) -> Vec<(&syn::ItemFn, &Source)> {
    let items = sources.iter().flat_map(|s| s.items.iter().map(move |i| (i, s)));
    items.filter_map(|(i, s)| if let Item::Fn(f) = i { is_exported(f).then_some((f, s)) } else { None }).collect()
}

fn findings(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    let mut all = BTreeMap::new();
    for (f, source) in functions(sources) {
        let doc = Doc::of(&f.attrs);
        let function = Function::of(f, &source.title(), source);
        all.insert(function.name.clone(), function);
        let function = &all[&f.sig.ident.to_string()];
        let mut say = |what: String| found.push(format!("{}: {}: {what}", source.path, function.name));
        form(f, &mut say);
        documentation(function, &doc, &mut say);
        arguments(function, &mut say);
    }
    for function in all.values() {
        let mut say = |what: String| found.push(format!("{}: {what}", function.name));
        waiting(function, &all, &mut say);
    }
    for source in sources {
        let mut say = |what: String| found.push(format!("{}: {what}", source.path));
        items(source, &mut say);
    }
    types(sources, &all, &mut found);
    found
}

/// How a function is declared, and that its body is the boundary's.
fn form(f: &syn::ItemFn, say: &mut impl FnMut(String)) {
    let abi = f.sig.abi.as_ref().and_then(|a| a.name.as_ref()).map(syn::LitStr::value);
    if !matches!(f.vis, syn::Visibility::Public(_)) || f.sig.unsafety.is_none() || abi.as_deref() != Some("C") {
        say("is not pub unsafe extern \"C\"".into());
    }
    let called = match &f.block.stmts[..] {
        [Stmt::Expr(Expr::Call(call), None)] => match &*call.func {
            Expr::Path(p) => p.path.get_ident().map(ToString::to_string),
            _ => None,
        },
        _ => None,
    };
    let called = called.unwrap_or_default();
    if !["call", "get", "edit", "free"].contains(&called.as_str()) {
        say("its body is not one call of the boundary's call, get, edit or free".into());
    }
    let name = f.sig.ident.to_string();
    let returns = crate::api::return_shape(f);
    let owned = matches!(&returns, Shape::Pointer { constant: false, to } if matches!(**to, Shape::Opaque(_)));
    let must_use = f.attrs.iter().any(|a| a.path().is_ident("must_use"));
    if owned != must_use {
        say(if owned { "gives a handle and is not #[must_use]" } else { "is #[must_use] and gives no handle" }.into());
    }
    if f.attrs.iter().any(|a| a.path().is_ident("cfg")) {
        say("is there only under a cfg, which the header can't say".into());
    }
    if name.ends_with("_free") != (called == "free") {
        say("free is the body of every _free, and of nothing else".into());
    }
    // What takes a ctx moves something, whatever it is called.
    let waits = f.sig.inputs.iter().any(|i| matches!(i, syn::FnArg::Typed(t) if is_named(&t.pat, "ctx")));
    let setter = (name.contains("_set_") || name.contains("_add_")) && !waits;
    if setter && returns != Shape::Void {
        say("is a setter and returns something".into());
    }
    if called == "edit" && returns != Shape::Void || called == "call" && returns.handle() != Some("parb_error") {
        say(format!("{called} is not for what it returns"));
    }
    let foreign = |s: &Shape| !allowed(s) || matches!(s, Shape::Pointer { to, .. } if !allowed(to));
    if foreign(&returns) || matches!(returns, Shape::Callback(_) | Shape::Opaque(_)) {
        say(format!("returns {}, which is no type of the ABI", returns.spelling()));
    }
}

fn is_named(pattern: &syn::Pat, name: &str) -> bool {
    matches!(pattern, syn::Pat::Ident(p) if p.ident == name)
}

fn documentation(f: &Function, doc: &Doc, say: &mut impl FnMut(String)) {
    let text = f.doc.as_str();
    if text.is_empty() {
        say("has no documentation".into());
    }
    let version = |v: &str| v.split('.').map(|n| n.parse::<u32>().ok()).collect::<Option<Vec<_>>>();
    let ours = version(env!("CARGO_PKG_VERSION")).expect("Cargo's version is made of numbers");
    match version(&doc.since) {
        Some(since) if since.len() == 2 && since[..] <= ours[..2] => {}
        _ => say(format!("@since is {:?}, not a version up to ours", doc.since)),
    }
    for (name, _) in &doc.params {
        if !f.params.iter().any(|p| p.name == *name) {
            say(format!("@param {name} is none of its parameters"));
        }
    }
    let word = |word: &str| text.to_lowercase().contains(word);
    let elsewhere = f.name.ends_with("_start") && !TWIN_ALONE.contains(&f.name.as_str());
    if f.is_fallible() && !elsewhere && !text.contains("Errors:") {
        say("can fail, and its documentation has no \"Errors:\"".into());
    }
    if f.blocking && !word("block") {
        say("blocks, and its documentation does not say so".into());
    }
    let usual = ["options", "ctx", "user", "destroy", "tag"];
    for p in f.params.iter().filter(|p| p.nullable && p.kind != "out" && !usual.contains(&p.name.as_str())) {
        if !p.doc.contains("NULL") && !text.contains("NULL") {
            say(format!("{} may be NULL, and the documentation does not say what that means", p.name));
        }
    }
    for p in f.params.iter().filter(|p| !p.nullable && !p.c_type.contains("_cb")) {
        if p.doc.contains("NULL") && !["texts", "handles"].contains(&p.kind) {
            say(format!("{} may not be NULL, and the documentation says what that means", p.name));
        }
    }
}

fn arguments(f: &Function, say: &mut impl FnMut(String)) {
    let first_out = f.params.iter().position(|p| p.kind == "out").unwrap_or(f.params.len());
    for (i, p) in f.params.iter().enumerate() {
        let next = f.params.get(i + 1);
        if !allowed(&p.shape)
            || p.shape == Shape::Void
            || p.shape == Shape::Plain("bool")
            || matches!(p.shape, Shape::Opaque(_))
        {
            say(format!("{} is a {}, which is no type of a parameter", p.name, p.shape.spelling()));
            continue;
        }
        let writes = matches!(&p.shape, Shape::Pointer { constant: false, to } if !matches!(**to, Shape::Opaque(_) | Shape::Void | Shape::Plain("uint8_t")));
        if writes != (p.kind == "out") {
            say(format!("{} is an output, or is named like one, and not both", p.name));
        }
        if i > first_out && p.kind != "out" && p.kind != "len" {
            say(format!("{} comes after an output", p.name));
        }
        let counted = ["bytes", "buffer", "texts", "handles"].contains(&p.kind) || p.c_type == "void **";
        if counted && next.is_none_or(|n| n.kind != "len") {
            say(format!("{} is not followed by its length", p.name));
        }
        if p.kind == "unknown" || p.c_type == "size_t" && p.kind != "len" && p.name != "i" {
            say(format!("{} is a length without what it measures, or nothing known", p.name));
        }
        if p.kind == "callback" && p.handle_of_callback() != "parb_destroy_cb" && !ends_well(&f.params[i + 1..]) {
            say(format!("{} is not followed by user and destroy", p.name));
        }
        if p.name == "user" && p.kind == "user" && next.is_none_or(|n| n.c_type != "parb_destroy_cb") {
            say("user is not followed by destroy".into());
        }
        let is_options = p.name == "options" && i > 0;
        if is_options && p.c_type != "const parb_options *" {
            say("options is no const parb_options *".into());
        }
        if p.name == "ctx" && p.c_type != "const parb_ctx *" && !f.name.starts_with("parb_ctx_") {
            say("ctx is no const parb_ctx *".into());
        }
        if (p.name == "ctx" || is_options) && !p.nullable && i > 0 {
            say(format!("{} may not be NULL", p.name));
        }
    }
}

/// Other callbacks, then user and destroy.
fn ends_well(rest: &[Param]) -> bool {
    let rest: Vec<_> = rest.iter().skip_while(|p| p.kind == "callback" && p.name != "destroy").collect();
    matches!(&rest[..], [user, destroy, ..] if user.name == "user" && destroy.name == "destroy")
}

/// Every ctx has options before it, and every function with both has a twin that starts the same.
fn waiting(f: &Function, all: &BTreeMap<String, Function>, say: &mut impl FnMut(String)) {
    let name = f.name.as_str();
    if name.ends_with("_parse") && !f.params.iter().any(|p| p.name == "options") {
        say("is a parser without options".into());
    }
    if let Some(base) = name.strip_suffix("_start") {
        if f.params.last().is_none_or(|p| p.name != "out" || p.c_type != "parb_op **") {
            say("starts something, and its last parameter is not parb_op **out".into());
        }
        if !all.contains_key(base) && !TWIN_ALONE.contains(&name) {
            say(format!("there is no {base}"));
        }
    }
    let Some(at) = f.params.iter().position(|p| p.name == "ctx" && p.c_type == "const parb_ctx *") else { return };
    if name.starts_with("parb_ctx_") || CTX_ALONE.contains(&name) {
        return;
    }
    if at == 0 || f.params[at - 1].name != "options" {
        say("ctx is not preceded by options".into());
    }
    if name.ends_with("_start") {
        return;
    }
    let Some(twin) = all.get(&format!("{name}_start")) else { return say("has no _start twin".into()) };
    let given = |f: &Function| -> Vec<(String, String)> {
        f.params.iter().filter(|p| p.kind != "out").map(|p| (p.name.clone(), p.c_type.clone())).collect()
    };
    if given(f) != given(twin) {
        say("its twin takes other parameters".into());
    }
    let result = f.params.iter().find(|p| p.kind == "out").and_then(|p| p.handle.as_deref());
    let taker = match result {
        Some(handle) => format!("parb_op_take_{}", handle.trim_start_matches("parb_")),
        None => "parb_op_finish".into(),
    };
    if !all.contains_key(&taker) {
        say(format!("there is no {taker}"));
    }
    if !twin.doc.starts_with(&format!("{name} that returns at once")) || !twin.doc.contains(&taker) {
        say(format!("its twin's documentation is not \"{name} that returns at once\" with {taker}"));
    }
    if result.is_none() && f.params.iter().any(|p| p.kind == "out") && !RESULT_STAYS.contains(&name) {
        say("has a result that no operation gives".into());
    }
}

/// What else may stand in a file.
fn items(source: &Source, say: &mut impl FnMut(String)) {
    for item in &source.items {
        match item {
            Item::Macro(m) if m.mac.path.is_ident("macro_rules") => {
                say("has a macro, whose functions the header would lack".into());
            }
            Item::Fn(f) if f.sig.abi.is_some() && !is_exported(f) => {
                say(format!("{} is extern and not exported", f.sig.ident));
            }
            Item::Type(t) if t.ident.to_string().ends_with("_cb") => {
                let user = |f: &syn::TypeBareFn| f.inputs.first().and_then(|i| i.name.clone()).map(|n| n.0.to_string());
                match bare_fn(&t.ty) {
                    None => say(format!("{} is not Option<unsafe extern \"C\" fn>", t.ident)),
                    Some(f) if user(f).as_deref() != Some("user") => {
                        say(format!("{} is not given user first", t.ident));
                    }
                    Some(f) => {
                        let shapes = f.inputs.iter().map(|i| Shape::of(&i.ty));
                        if shapes.into_iter().any(|s| !allowed(&s) || s == Shape::Plain("bool")) {
                            say(format!("{} is given what is no type of the ABI", t.ident));
                        }
                        if Doc::of(&t.attrs).text.is_empty() {
                            say(format!("{} has no documentation", t.ident));
                        }
                    }
                }
            }
            Item::Enum(e) if matches!(e.vis, syn::Visibility::Public(_)) => {
                say(format!("{} is a public enum", e.ident))
            }
            _ => {}
        }
    }
}

/// Handles are opaque, have a name and a tag of their own, and a _free where they are given away.
fn types(sources: &[Source], all: &BTreeMap<String, Function>, found: &mut Vec<String>) {
    let mut tags = BTreeMap::new();
    for source in sources {
        let flat = tokens::flat(&source.text).join(" ");
        for item in &source.items {
            let Item::Struct(s) = item else { continue };
            if !exported_type(s) {
                continue;
            }
            let name = s.ident.to_string();
            let mut say = |what: &str| found.push(format!("{}: {name}: {what}", source.path));
            if Doc::of(&s.attrs).text.is_empty() {
                say("has no documentation");
            }
            let private = s.fields.len() == 1 && s.fields.iter().all(|f| matches!(f.vis, syn::Visibility::Inherited));
            if !private || s.attrs.iter().any(|a| a.path().is_ident("repr")) {
                say("is not opaque");
            }
            let Some((_, body)) = flat.split_once(&format!("impl Opaque for {name} {{")) else {
                say("is not Opaque");
                continue;
            };
            let body = body.split_once('}').map_or(body, |(b, _)| b);
            if !body.contains(&format!("const NAME : & ' static str = \"{name}\"")) {
                say("its NAME is another");
            }
            let tag = body.split_once("b\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(tag, _)| tag);
            if let Some(other) = tags.insert(tag.to_owned(), name.clone()) {
                say(&format!("has the tag of {other}"));
            }
            let given = |p: &Param| p.c_type == format!("{name} **");
            let returned = |f: &Function| f.returns.c_type == format!("{name} *") && name != "parb_error";
            let owned = all.values().any(|f| returned(f) || f.params.iter().any(given));
            if owned && !all.contains_key(&format!("{name}_free")) {
                say("is given away and has no _free");
            }
        }
    }
}

fn allowed(shape: &Shape) -> bool {
    match shape {
        Shape::Foreign(_) => false,
        Shape::Pointer { to, .. } => allowed(to),
        _ => true,
    }
}

impl Param {
    fn handle_of_callback(&self) -> &str {
        if self.kind == "callback" { &self.c_type } else { "" }
    }
}

/// A small ABI that keeps every rule.
const GOOD: &str = r#"
//! Things.

/// An image.
pub struct parb_image {
    _private: [u8; 0],
}
unsafe impl Opaque for parb_image {
    const NAME: &'static str = "parb_image";
    const TAG: u64 = u64::from_le_bytes(*b"parbimag");
}

/// A failure.
pub struct parb_error {
    _private: [u8; 0],
}
unsafe impl Opaque for parb_error {
    const NAME: &'static str = "parb_error";
    const TAG: u64 = u64::from_le_bytes(*b"parberro");
}

/// Called.
pub type parb_done_cb = Option<unsafe extern "C" fn(user: *mut c_void, text: *const c_char)>;

/// Pulls. Blocks.
///
/// Errors: some.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_pull(
    text: *const c_char,
    data: *const u8,
    len: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_image,
) -> *mut parb_error {
    call(|| pull(text, options_of(options)?, bounds(ctx)?))
}

/// parb_pull that returns at once; the image comes from parb_op_take_image.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_pull_start(
    text: *const c_char,
    data: *const u8,
    len: usize,
    options: *const parb_options,
    ctx: *const parb_ctx,
    out: *mut *mut parb_op,
) -> *mut parb_error {
    call(|| pull(text, options_of(options)?, bounds(ctx)?))
}

/// Takes. Errors: some.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_take_image(op: *mut parb_op, out: *mut *mut parb_image) -> *mut parb_error {
    call(|| take(op, out))
}

/// Frees.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_free(image: *mut parb_image) {
    free(image)
}

/// Sets.
///
/// @param name  what; NULL: nothing
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_set_name(image: *mut parb_image, name: *const c_char) {
    edit(image, |i| i.name = optional_text(name, "name")?)
}

/// Tells.
///
/// Errors: some.
///
/// @since 0.1
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn parb_op_on_done(
    op: *mut parb_op,
    cb: parb_done_cb,
    user: *mut c_void,
    destroy: parb_destroy_cb,
) -> *mut parb_error {
    call(|| cb.ok_or_else(|| 1))
}

/// Counts.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_image_layer_count(image: *const parb_image) -> usize {
    get(0, || Ok(1))
}
"#;

/// What to replace in it, by what, and what is to be found then.
const BREACHES: &[(&str, &str, &str)] = &[
    ("pub unsafe extern \"C\" fn parb_pull(", "pub extern \"C\" fn parb_pull(", "is not pub unsafe extern"),
    ("pub unsafe extern \"C\" fn parb_pull(", "unsafe extern \"C\" fn parb_pull(", "is not pub unsafe extern"),
    ("pub unsafe extern \"C\" fn parb_pull(", "pub unsafe extern \"system\" fn parb_pull(", "is not pub unsafe extern"),
    ("call(|| take(op, out))", "call(|| take(op, out)) as _", "its body is not one call"),
    ("call(|| take(op, out))", "let x = 1; call(|| take(op, out))", "its body is not one call"),
    ("    free(image)", "    drop(image)", "its body is not one call"),
    ("    free(image)", "    get((), || Ok(()))", "free is the body of every _free"),
    ("    get(0, || Ok(1))", "    call(|| Ok(1))", "call is not for what it returns"),
    ("/// Counts.\n///\n/// @since 0.1", "/// Counts.", "@since is \"\""),
    ("/// Counts.\n///\n/// @since 0.1", "/// @since 0.1", "has no documentation"),
    ("/// Counts.\n///\n/// @since 0.1", "/// Counts.\n///\n/// @since 9999.9", "@since is \"9999.9\""),
    ("/// Sets.\n///\n/// @param name", "/// Sets.\n///\n/// @param nome", "@param nome is none"),
    (
        "#[must_use]\npub unsafe extern \"C\" fn parb_pull(",
        "pub unsafe extern \"C\" fn parb_pull(",
        "is not #[must_use]",
    ),
    (
        "#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn parb_image_free",
        "#[unsafe(no_mangle)]\n#[must_use]\npub unsafe extern \"C\" fn parb_image_free",
        "gives no handle",
    ),
    (
        "/// @since 0.1\n#[unsafe(no_mangle)]\n#[must_use]\npub unsafe extern \"C\" fn parb_pull(",
        "/// @since 0.1\n#[cfg(unix)]\n#[unsafe(no_mangle)]\n#[must_use]\npub unsafe extern \"C\" fn parb_pull(",
        "under a cfg",
    ),
    ("/// Pulls. Blocks.\n///\n/// Errors: some.\n", "/// Pulls. Blocks.\n", "no \"Errors:\""),
    ("/// Pulls. Blocks.", "/// Pulls.", "does not say so"),
    ("/// @param name  what; NULL: nothing\n", "", "name may be NULL"),
    ("optional_text(name, \"name\")", "text(name, \"name\")", "name may not be NULL"),
    (
        "    out: *mut *mut parb_image,\n) -> *mut",
        "    out: *mut *mut parb_image,\n    more: u32,\n) -> *mut",
        "more comes after an output",
    ),
    ("    out: *mut *mut parb_image,", "    result: *mut *mut parb_image,", "result is an output"),
    (
        "image: *const parb_image) -> usize",
        "out: *const parb_image) -> usize",
        "out is an output, or is named like one",
    ),
    ("    len: usize,\n", "", "data is not followed by its length"),
    ("    data: *const u8,\n    len: usize,\n", "    len: usize,\n", "len is a length without"),
    ("name: *const c_char)", "name: bool)", "name is a bool"),
    ("name: *const c_char)", "name: Kind)", "name is a Kind"),
    ("name: *const c_char)", "name: &str)", "which is no type of a parameter"),
    ("image: *const parb_image) -> usize", "image: parb_image) -> usize", "image is a parb_image"),
    ("image: *const parb_image) -> usize", "image: *const parb_image) -> Kind", "returns Kind"),
    ("image: *const parb_image) -> usize", "image: *const parb_image) -> *const f32", "returns const f32 *"),
    ("    user: *mut c_void,\n    destroy", "    destroy", "cb is not followed by user and destroy"),
    ("    destroy: parb_destroy_cb,\n", "", "user is not followed by destroy"),
    (
        "parb_image_set_name(image: *mut parb_image, name: *const c_char) {",
        "parb_image_set_name(image: *mut parb_image, name: *const c_char) -> bool {",
        "is a setter and returns",
    ),
    ("    options: *const parb_options,\n", "", "ctx is not preceded by options"),
    ("    options: *const parb_options,", "    options: *const parb_other,", "options is no const parb_options *"),
    ("    ctx: *const parb_ctx,", "    ctx: *mut parb_ctx,", "ctx is no const parb_ctx *"),
    ("bounds(ctx)?", "ctx.get(\"ctx\")?", "ctx may not be NULL"),
    ("fn parb_pull_start(", "fn parb_pull_begin(", "has no _start twin"),
    ("fn parb_pull(", "fn parb_fetch(", "there is no parb_pull"),
    (
        "fn parb_pull(\n    text: *const c_char,",
        "fn parb_pull(\n    words: *const c_char,",
        "its twin takes other parameters",
    ),
    ("    out: *mut *mut parb_op,", "    out: *mut *mut parb_image,", "its last parameter is not parb_op **out"),
    ("fn parb_op_take_image", "fn parb_op_take_picture", "there is no parb_op_take_image"),
    ("the image comes from parb_op_take_image", "the image comes", "its twin's documentation"),
    (
        "    out: *mut *mut parb_image,\n) -> *mut parb_error {\n    call(|| pull",
        "    out: *mut u64,\n) -> *mut parb_error {\n    call(|| pull",
        "has a result that no operation gives",
    ),
    (
        "fn parb_op_take_image(op: *mut parb_op, out",
        "fn parb_image_parse(op: *mut parb_op, out",
        "is a parser without options",
    ),
    ("/// Called.\n", "macro_rules! more { () => {} }\n/// Called.\n", "has a macro"),
    (
        "#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn parb_image_layer_count",
        "pub unsafe extern \"C\" fn parb_image_layer_count",
        "is extern and not exported",
    ),
    ("/// Called.\n", "pub enum Kind { A }\n/// Called.\n", "is a public enum"),
    (
        "Option<unsafe extern \"C\" fn(user: *mut c_void, text: *const c_char)>",
        "unsafe extern \"C\" fn(user: *mut c_void)",
        "is not Option<unsafe",
    ),
    ("fn(user: *mut c_void, text: *const c_char)", "fn(text: *const c_char)", "is not given user first"),
    ("fn(user: *mut c_void, text: *const c_char)", "fn(user: *mut c_void, on: bool)", "is given what is no type"),
    ("/// Called.\n", "", "parb_done_cb has no documentation"),
    ("/// An image.\n", "", "parb_image: has no documentation"),
    ("/// An image.\n", "/// An image.\n#[repr(C)]\n", "is not opaque"),
    ("    _private: [u8; 0],", "    pub size: u64,", "is not opaque"),
    ("unsafe impl Opaque for parb_image", "unsafe impl Other for parb_image", "is not Opaque"),
    ("= \"parb_image\"", "= \"parb_picture\"", "its NAME is another"),
    ("b\"parberro\"", "b\"parbimag\"", "has the tag of"),
    ("fn parb_image_free(", "fn parb_other_free(", "is given away and has no _free"),
];
