//! Every handle parameter of every function in turn NULL, misaligned and a handle of every other type; every text NULL
//! and not UTF-8; every output NULL: a call that can fail names the parameter, a getter gives its neutral value, a
//! setter's draft reports it, and nothing crashes. The program is made from what `src/ffi` declares.

use crate::abi_library::{build, exists, run, text};
use crate::api::{Api, Function, Param};
use crate::shape::declaration;
use std::fmt::Write;
use std::process::Command;
use tempfile::TempDir;

/// Builders and options: their setters can't fail, and the call that uses them reports.
const DRAFTS: &[&str] = &[
    "parb_options",
    "parb_client_options",
    "parb_server_options",
    "parb_image_builder",
    "parb_index_builder",
    "parb_layer_builder",
    "parb_blobs",
    "parb_matcher",
];
/// They end their subject, so they get one of their own.
const ENDINGS: [&str; 2] = ["parb_client_close", "parb_server_stop"];

#[test]
fn wrong_arguments_are_refused_by_name() {
    let program = program();
    let dir = text(program.path());
    let told = run(&format!("{dir}/program"), &[&dir]);
    let (checks, rest) = told.trim().split_once(" checks, ").unwrap();
    assert_eq!(rest, "0 failures");
    let api = Api::read();
    let handles: usize = api.functions.iter().flat_map(|f| &f.params).filter(|p| p.kind == "handle").count();
    // Each is tried with NULL or without, misaligned, and as all but a few of the other types.
    let least = handles * (api.types.len() - 2);
    println!("{checks} checks of {handles} handle parameters");
    assert!(checks.parse::<usize>().unwrap() >= least, "only {checks} checks, and {least} are due");
}

#[test]
fn wrong_arguments_do_no_harm_under_valgrind() {
    if !exists("valgrind") {
        return eprintln!("valgrind is not there");
    }
    let program = program();
    let dir = text(program.path());
    let kinds = "definite,possible";
    let shown = [format!("--show-leak-kinds={kinds}"), format!("--errors-for-leak-kinds={kinds}")];
    let fixed = ["-q", "--error-exitcode=9", "--leak-check=full", &shown[0], &shown[1]];
    let told = run("valgrind", &[&fixed[..], &[&format!("{dir}/program"), &dir]].concat());
    assert!(told.trim().ends_with(" 0 failures"), "{told}");
}

/// Without a place for the result no request is sent and no file is written.
#[test]
fn nothing_is_begun_for_nobody() {
    let program = program();
    let dir = text(program.path());
    let told = run(&format!("{dir}/program"), &[&dir, "nobody"]);
    let (checks, rest) = told.trim().split_once(" checks, ").unwrap();
    assert_eq!(rest, "0 failures");
    let api = Api::read();
    let outs = api.functions.iter().filter(|f| f.is_fallible()).flat_map(|f| &f.params).filter(|p| p.kind == "out");
    assert!(checks.parse::<usize>().unwrap() >= outs.count(), "only {checks} checks");
}

#[test]
fn wrong_answers_are_seen() {
    let program = program();
    let dir = text(program.path());
    let out = Command::new(program.path().join("program")).args([&dir, "self-test"]).output().unwrap();
    let told = String::from_utf8(out.stdout).unwrap();
    assert!(told.trim().ends_with(" checks, 6 failures"), "{told}{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(1));
}

/// The program, built, in a directory that has what it reads.
fn program() -> TempDir {
    let api = Api::read();
    let parts = tempfile::tempdir().unwrap();
    std::fs::write(parts.path().join("types.inc"), types(&api)).unwrap();
    std::fs::write(parts.path().join("checks.inc"), checks(&api)).unwrap();
    let made = build(include_str!("refusals.c"), &[&format!("-I{}", text(parts.path()))]);
    std::fs::create_dir(made.path().join("empty")).unwrap();
    made
}

fn types(api: &Api) -> String {
    let numbers: String = api.types.iter().map(|t| format!("T_{}, ", t.name)).collect();
    let names: String = api.types.iter().map(|t| format!("\"{}\", ", t.name)).collect();
    format!("enum {{ {numbers}N_TYPES }};\nstatic const char *const TYPE_NAMES[] = {{ {names} }};\n")
}

fn checks(api: &Api) -> String {
    let mut out = String::from("static void discard(int type, void *handle) {\n  switch (type) {\n");
    for t in &api.types {
        if let Some(free) = &t.free {
            let _ = writeln!(out, "    case T_{}: {free}(handle); break;", t.name);
        }
    }
    out.push_str("    default: break;\n  }\n}\n\n");
    for f in &api.functions {
        let _ = write!(out, "static void check_{}(void) {{\n{}}}\n", f.name, function(f));
    }
    let calls: String = api.functions.iter().map(|f| format!("  check_{}();\n", f.name)).collect();
    out = out + "static void checks(void) {\n" + &calls + "}\n\nstatic void for_nobody(void) {\n";
    for f in api.functions.iter().filter(|f| f.is_fallible()) {
        for (i, _) in f.params.iter().enumerate().filter(|(_, p)| p.kind == "out") {
            out.push_str(&one(f, i, "NULL", "NULL", false, Outcome::Refused));
        }
    }
    out + "}\n"
}

fn function(f: &Function) -> String {
    let mut out = String::new();
    for (i, p) in f.params.iter().enumerate() {
        let draft = i > 0 && is_setter(f);
        match p.kind {
            "handle" => out.push_str(&every_wrong_handle(f, i, draft)),
            "text" | "path" => {
                let nothing = if p.nullable { Outcome::NotNamed } else { Outcome::Refused };
                out.push_str(&one(f, i, "NULL", "NULL", draft, nothing));
                if p.kind == "text" && f.name != "parb_error_new" {
                    out.push_str(&one(f, i, "\"\\xff\"", "not UTF-8", draft, Outcome::Refused));
                }
            }
            // With a length that is not 0.
            "bytes" | "buffer" | "texts" | "handles" => {
                out.push_str(&one(f, i, "NULL", "NULL", draft, Outcome::Refused))
            }
            "out" if f.is_fallible() => out.push_str(&one(f, i, "NULL", "NULL", false, Outcome::Refused)),
            _ => {}
        }
        if p.kind == "handles" {
            let element = p.handle.as_deref().unwrap();
            let list = format!("(const {element} *const[]){{bad}}");
            out.push_str(&looped(element, 0, f, i, &one(f, i, &list, "", draft, Outcome::Refused)));
        }
        if p.kind == "texts" {
            out.push_str(&one(f, i, "(const char *const[]){NULL}", "a list with NULL", draft, Outcome::Refused));
        }
    }
    if f.params.iter().any(|p| p.nullable && p.kind == "handle") && !is_setter(f) {
        out.push_str(&accepted(f));
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    /// An error that names it, or the neutral value.
    Refused,
    /// No error that names it.
    NotNamed,
}

fn is_setter(f: &Function) -> bool {
    let subject = f.params.first().filter(|p| !p.constant).and_then(|p| p.handle.as_deref());
    f.returns.kind == "void" && f.params.len() > 1 && subject.is_some_and(|s| DRAFTS.contains(&s))
}

fn every_wrong_handle(f: &Function, i: usize, draft: bool) -> String {
    let p = &f.params[i];
    let handle = p.handle.as_deref().unwrap();
    let mut out = looped(
        handle,
        usize::from(p.nullable || f.name.ends_with("_free")),
        f,
        i,
        &one(f, i, "bad", "", draft, Outcome::Refused),
    );
    if f.name.ends_with("_free") {
        out.push_str(&one(f, i, "NULL", "NULL", draft, Outcome::Refused));
    } else if p.nullable && draft {
        out.push_str(&one(f, i, "NULL", "NULL", draft, Outcome::NotNamed));
    }
    out
}

fn looped(handle: &str, from: usize, f: &Function, i: usize, body: &str) -> String {
    let begin = format!("    begin(\"{}\", \"{}\", what);\n", f.name, f.params[i].name);
    format!(
        "  for (int w = {from}; w < N_WRONG; w++) {{\n    void *bad;\n    const char *what;\n    \
         if (!wrong(T_{handle}, w, &bad, &what)) continue;\n{begin}{body}  }}\n"
    )
}

/// One call with one argument that is special, and what must come of it. Without `what`, the caller has begun it.
fn one(f: &Function, i: usize, special: &str, what: &str, draft: bool, outcome: Outcome) -> String {
    let mut out = String::from("  {\n");
    if !what.is_empty() {
        let _ = writeln!(out, "    begin(\"{}\", \"{}\", \"{what}\");", f.name, f.params[i].name);
    }
    let owned = draft || i > 0 && f.params[0].kind == "handle" && !f.params[0].constant;
    let subject = f.params[0].handle.as_deref().unwrap_or_default();
    if owned {
        let _ = writeln!(out, "    void *subject = fresh(T_{subject});");
    }
    let call = call(f, &mut out, |j, p| match j {
        _ if j == i => Some(special.to_owned()),
        0 if owned => Some("subject".into()),
        _ if p.kind == "out" => None,
        _ => Some(valid(f, p)),
    });
    let refused = outcome == Outcome::Refused;
    if draft {
        let _ = writeln!(
            out,
            "    {call};\n    {}(use(T_{subject}, subject));",
            if refused { "refused" } else { "not_named" }
        );
    } else if f.is_fallible() {
        let _ = writeln!(out, "    {}({call});", if refused { "refused" } else { "accepted" });
        for p in f.params.iter().enumerate().filter(|(j, p)| *j != i && p.kind == "out").map(|(_, p)| p) {
            if refused {
                let _ = writeln!(out, "    expect({}, \"{} is untouched\");", untouched(p), p.name);
            } else if let Some(handle) = &p.handle {
                let _ = writeln!(out, "    if ({0} != UNTOUCHED) discard(T_{handle}, {0});", p.name);
            }
        }
    } else {
        out.push_str(&result(f, &call, refused));
    }
    if f.params.iter().any(|p| p.name == "destroy") && f.params[i].kind == "handle" {
        out.push_str("    expect(destroyed == 1, \"destroy was called once\");\n");
    }
    if owned {
        let _ = writeln!(out, "    discard(T_{subject}, subject);");
    }
    out + "  }\n"
}

/// What a function that can't fail answers: its neutral value, or for once something.
fn result(f: &Function, call: &str, neutral: bool) -> String {
    let Some(value) = f.returns.neutral.as_deref().filter(|_| f.returns.kind != "void") else {
        return format!("    {call};\n    expect(1, \"it returned\");\n");
    };
    let declared = declaration(&f.returns.c_type, "result");
    let test = match (value, neutral) {
        ("\"\"", true) => "result != NULL && *result == 0".to_owned(),
        (value, true) => format!("result == {value}"),
        (_, false) if f.returns.kind == "handle" => "result != NULL".to_owned(),
        (_, false) => "1".to_owned(),
    };
    let (test, shown) = (&test, test.replace('"', "'"));
    let mut out = format!("    {declared} = {call};\n    expect({test}, \"{shown}\");\n");
    if let Some(handle) = f.returns.handle.as_deref().filter(|_| !f.returns.constant) {
        let _ = writeln!(out, "    discard(T_{handle}, result);");
    }
    out
}

/// Everything in order, and NULL wherever NULL means something.
fn accepted(f: &Function) -> String {
    let mut out = format!("  {{\n    begin(\"{}\", \"options and ctx\", \"NULL\");\n", f.name);
    let owned = !f.params[0].constant || ENDINGS.contains(&f.name.as_str());
    let owned = f.params[0].handle.as_deref().filter(|_| owned && f.params[0].kind == "handle");
    if let Some(subject) = owned {
        let _ = writeln!(out, "    void *subject = fresh(T_{subject});");
    }
    let call = call(f, &mut out, |j, p| match j {
        0 if owned.is_some() => Some("subject".into()),
        _ if p.kind == "handle" && p.nullable => Some("NULL".into()),
        _ if p.kind == "out" => None,
        _ => Some(valid(f, p)),
    });
    if f.is_fallible() {
        let _ = writeln!(out, "    accepted({call});");
        for p in f.params.iter().filter(|p| p.kind == "out") {
            if let Some(handle) = &p.handle {
                let _ = writeln!(out, "    if ({0} != UNTOUCHED) discard(T_{handle}, {0});", p.name);
            }
        }
    } else {
        out.push_str(&result(f, &call, false));
    }
    if let Some(subject) = owned {
        let _ = writeln!(out, "    discard(T_{subject}, subject);");
    }
    out + "  }\n"
}

/// The call, with these arguments; for `None` a variable to write to is declared.
fn call(f: &Function, out: &mut String, argument: impl Fn(usize, &Param) -> Option<String>) -> String {
    let mut arguments = Vec::new();
    for (i, p) in f.params.iter().enumerate() {
        arguments.push(argument(i, p).unwrap_or_else(|| {
            let base = p.c_type.strip_suffix('*').expect("an output is a pointer").trim_end();
            let (value, array) = match (p.name.as_str(), base.ends_with('*')) {
                ("out_tags", _) => ("{UNTOUCHED}", "[4]"),
                (_, true) => ("UNTOUCHED", ""),
                _ => ("77", ""),
            };
            let _ = writeln!(out, "    {}{array} = {value};", declaration(base, &p.name));
            if array.is_empty() { format!("&{}", p.name) } else { p.name.clone() }
        }));
    }
    format!("{}({})", f.name, arguments.join(", "))
}

fn untouched(p: &Param) -> String {
    match (p.name.as_str(), p.c_type.ends_with("**")) {
        ("out_tags", _) => "out_tags[0] == UNTOUCHED".into(),
        (name, true) => format!("{name} == UNTOUCHED"),
        (name, false) => format!("{name} == 77"),
    }
}

/// An argument that is right, or does no harm.
fn valid(f: &Function, p: &Param) -> String {
    let name = p.name.as_str();
    match p.kind {
        "handle" if name == "options" || name == "ctx" => "NULL".into(),
        "handle" if f.name.starts_with("parb_pull_index") && name == "reference" => "index_reference".into(),
        "handle" => format!("live[T_{}]", p.handle.as_deref().unwrap()),
        "handles" => format!("(const {0} *const[]){{live[T_{0}]}}", p.handle.as_deref().unwrap()),
        "callback" => p.c_type.trim_start_matches("parb_").into(),
        "user" => "UNTOUCHED".into(),
        "bytes" if f.name == "parb_config_parse" => "(const uint8_t *)CONFIG".into(),
        "bytes" => "tar".into(),
        "buffer" => "(uint8_t[64]){0}".into(),
        "texts" => "(const char *const[]){\"a\"}".into(),
        "len" => match name {
            "count" => "1".into(),
            "cap" if f.params.iter().any(|p| p.name == "out_tags") => "4".into(),
            "cap" => "64".into(),
            _ if f.name == "parb_config_parse" => "sizeof CONFIG - 1".into(),
            _ => "sizeof tar".into(),
        },
        "int" => match name {
            "i" | "level" | "timeout_ms" => "0".into(),
            "fd" => "nothing".into(),
            _ => "1".into(),
        },
        "text" | "path" => match name {
            "text" if f.name == "parb_ref_parse" => "reference".into(),
            "path" if f.name.starts_with("parb_layer_from_file") => "tar_file".into(),
            "path" if f.name.starts_with("parb_layer_from_dir") => "directory".into(),
            "path" if f.name.starts_with("parb_layout_") => "layout_directory".into(),
            "path" if f.name.starts_with("parb_cache_open") => "cache_directory".into(),
            "diff_id" | "name_or_digest" => "DIGEST".into(),
            "path" if f.name == "parb_server_options_set_storage_dir" => "directory".into(),
            "path" if f.name.starts_with("parb_archive_open") => "archive_file".into(),
            "host" => "host".into(),
            "path" if f.name.starts_with("parb_archive_write") => "written_archive".into(),
            "digest" => "DIGEST".into(),
            "oci_or_docker" => "\"oci\"".into(),
            "digest_or_platform" | "platform" => "\"linux/amd64\"".into(),
            "name" if f.name == "parb_options_set_compression" => "\"gzip\"".into(),
            "registry" => "\"localhost:1\"".into(),
            "rfc3339" => "\"2020-01-01T00:00:00Z\"".into(),
            "fault" => "\"500\"".into(),
            _ => "\"x\"".into(),
        },
        kind => panic!("{}: {name} is a {kind}, which the refusals do not know", f.name),
    }
}
