//! The header, its machine-readable twin, the symbol list and the bindings' low-level tables: all made from `src/ffi`,
//! committed, and compared here. `UPDATE=1 cargo test --features cli header` writes them anew.

use crate::api::{Api, root, section_names};
use crate::shape::declaration;
use crate::tables;
use std::path::Path;
use std::sync::Mutex;

#[test]
fn header_is_what_the_source_says() {
    compare("include/parbuckle.h", &header(&Api::read()));
}

#[test]
fn header_json_is_what_the_source_says() {
    let (api, made) = (Api::read(), tables::json(&Api::read()));
    let parsed: serde_json::Value = serde_json::from_str(&made).unwrap();
    assert_eq!(parsed, serde_json::to_value(&api).unwrap());
    compare("include/parbuckle.json", &made);
}

#[test]
fn header_symbols_are_what_the_source_says() {
    compare("include/abi/parbuckle.symbols", &tables::symbols(&Api::read()));
}

#[test]
fn header_python_table_is_what_the_source_says() {
    compare("bindings/python/src/parbuckle/_table.py", &tables::python(&Api::read()));
}

#[test]
fn header_go_codes_are_what_the_source_says() {
    compare("bindings/go/codes.go", &tables::go(&Api::read()));
}

#[test]
fn header_codes_are_those_of_the_crate() {
    let codes = Api::read().codes.0;
    assert_eq!((codes[0].name.as_str(), codes[0].value), ("OK", 0));
    let ours: Vec<_> = codes[1..].iter().map(|c| (c.name.as_str(), c.value)).collect();
    let theirs: Vec<_> = parbuckle::Code::ALL.into_iter().map(|c| (c.name(), c as i32)).collect();
    assert_eq!(ours, theirs);
    assert!(codes.iter().skip(1).all(|c| !c.doc.is_empty()));
}

#[test]
fn header_is_plain_text() {
    let header = header(&Api::read());
    for (n, line) in header.lines().enumerate() {
        assert!(line.is_ascii(), "line {}: not ASCII, which some compilers warn of: {line}", n + 1);
        assert!(line.len() <= 120, "line {}: {} columns: {line}", n + 1, line.len());
        assert_eq!(line, line.trim_end(), "line {}", n + 1);
    }
    assert!(header.ends_with("#endif /* PARB_H */\n"));
}

#[test]
fn header_refuses_what_cbindgen_warns_of() {
    let source = "pub type parb_x = i32;\n#[unsafe(no_mangle)]\npub extern \"C\" fn parb_x(t: (u8, u8)) {}\n";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.rs");
    std::fs::write(&file, source).unwrap();
    assert!(!render(&[file]).1.is_empty(), "nothing that cbindgen says arrives here");
}

/// The header: what cbindgen makes of `src/ffi`, set out in sections.
pub fn header(api: &Api) -> String {
    let mut files = vec![root().join("src/ffi/foreign.rs")];
    files.extend(section_names().iter().map(|n| root().join(format!("src/ffi/{n}.rs"))));
    let (made, warnings) = render(&files);
    assert!(warnings.is_empty(), "cbindgen: {warnings:#?}");
    let (made, found) = arrange(&made, api);
    let expected: Vec<_> = api.functions.iter().map(crate::api::Function::prototype).collect();
    assert_eq!(found, expected, "the prototypes of the header are not the exported functions of src/ffi, in order");
    for callback in &api.callbacks {
        let params: Vec<_> = callback.params.iter().map(|p| declaration(&p.c_type, &p.name)).collect();
        let line = format!("typedef {}(*{})({});", spaced(&callback.returns), callback.name, params.join(", "));
        assert!(made.contains(&line), "the header lacks {line}");
    }
    made
}

/// What cbindgen writes, and its warnings.
fn render(files: &[std::path::PathBuf]) -> (String, Vec<String>) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let _ = log::set_logger(&WARNINGS).map(|()| log::set_max_level(log::LevelFilter::Warn));
    WARNINGS.0.lock().unwrap().clear();
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let numbers = [
        ("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR")),
        ("@MINOR@", env!("CARGO_PKG_VERSION_MINOR")),
        ("@PATCH@", env!("CARGO_PKG_VERSION_PATCH")),
    ];
    for (place, number) in numbers {
        config.after_includes = config.after_includes.map(|text| text.replace(place, number));
    }
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in files {
        builder = builder.with_src(file);
    }
    let mut out = Vec::new();
    match builder.generate() {
        Ok(bindings) => bindings.write(&mut out),
        Err(e) => WARNINGS.0.lock().unwrap().push(e.to_string()),
    }
    (String::from_utf8(out).unwrap(), WARNINGS.0.lock().unwrap().clone())
}

struct Warnings(Mutex<Vec<String>>);
static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.target().starts_with("cbindgen")
    }
    fn log(&self, record: &log::Record) {
        let text = record.args().to_string();
        // Private constants and statics are none of the header's business; it says of each that it is left out.
        let expected = text.starts_with("Skip ") && text.contains(" - (not `");
        if self.enabled(record.metadata()) && record.level() <= log::Level::Warn && !expected {
            self.0.lock().unwrap().push(text);
        }
    }
    fn flush(&self) {}
}

/// How wide a prototype may be on one line.
const WIDTH: usize = 100;

/// Sets out cbindgen's header: a banner before each section, one form for all prototypes, no spare lines. Also gives
/// the prototypes.
fn arrange(made: &str, api: &Api) -> (String, Vec<String>) {
    let starts = section_starts(api);
    let (mut out, mut held, mut prototypes) = (String::new(), Vec::new(), Vec::new());
    let (mut lines, mut types_begun) = (made.lines(), false);
    while let Some(line) = lines.next() {
        if line.starts_with("/**") || !held.is_empty() && !line.starts_with("PARB_API") && !line.starts_with("typedef")
        {
            held.push(line.to_owned());
        } else if line.starts_with("PARB_API") {
            let mut text = line.to_owned();
            while !text.ends_with(';') {
                text = format!("{text} {}", lines.next().expect("a prototype ends").trim());
            }
            let words: Vec<&str> = text.split_whitespace().collect();
            let text = words.join(" ").replace("( ", "(");
            let prototype = text.trim_start_matches("PARB_API ").trim_start_matches("PARB_CHECK ");
            if let Some(banner) = starts.iter().find(|(name, _)| prototype.contains(&format!("{name}("))) {
                out.push_str(&banner.1);
            }
            push_all(&mut out, &mut held);
            push_prototype(&mut out, &text);
            prototypes.push(prototype.to_owned());
        } else {
            if line.starts_with("typedef") && !types_begun {
                types_begun = true;
                out.push_str(&banner("Types"));
            }
            push_all(&mut out, &mut held);
            let mut joined = line.to_owned();
            while line.starts_with("typedef") && line.contains("(*") && !joined.ends_with(';') {
                joined = format!("{joined} {}", lines.next().expect("a callback's type ends").trim());
            }
            let line = match joined.as_str() {
                "#endif // __cplusplus" | "#endif  // __cplusplus" => "#endif",
                "}  // extern \"C\"" => "}",
                line => line,
            };
            if !(line.is_empty() && out.ends_with("\n\n")) {
                out.push_str(&line.replace("#endif  /*", "#endif /*"));
                out.push('\n');
            }
        }
    }
    push_all(&mut out, &mut held);
    (out, prototypes)
}

/// The first function of each section, and the line that goes before it.
fn section_starts(api: &Api) -> Vec<(String, String)> {
    let mut starts = Vec::new();
    let mut at = 0;
    for (n, section) in api.sections.iter().enumerate() {
        let many = if section.functions == 1 { "" } else { "s" };
        let title = format!("{}. {} ({} function{many})", n + 1, section.title, section.functions);
        // With the blank before it, no other function's name ends like this one.
        let first = declaration(&api.functions[at].returns.c_type, &api.functions[at].name);
        starts.push((first, banner(&title)));
        at += section.functions;
    }
    starts
}

fn banner(title: &str) -> String {
    format!("/* ---- {title} {} */\n\n", "-".repeat(WIDTH.saturating_sub(title.len() + 12)))
}

fn push_all(out: &mut String, held: &mut Vec<String>) {
    for line in held.drain(..) {
        out.push_str(&line);
        out.push('\n');
    }
}

/// On one line where it fits; else the parameters go on lines of their own.
fn push_prototype(out: &mut String, text: &str) {
    if text.len() <= WIDTH {
        out.push_str(text);
        out.push('\n');
        return;
    }
    let (head, params) = text.split_once('(').expect("a prototype has parameters");
    out.push_str(&format!("{head}(\n"));
    let mut line = String::from("   ");
    for param in params.split_inclusive(", ") {
        if line.len() + 1 + param.trim_end().len() > WIDTH {
            out.push_str(&format!("{line}\n"));
            line = String::from("   ");
        }
        line = format!("{line} {}", param.trim_end());
    }
    out.push_str(&format!("{line}\n"));
}

fn spaced(spelling: &str) -> String {
    declaration(spelling, "")
}

fn compare(path: &str, made: &str) {
    let at: &Path = &root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, made).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(at).unwrap_or_default();
    let differs = committed.lines().zip(made.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or(committed.lines().count().min(made.lines().count())) + 1;
    assert!(
        committed == made,
        "{path} is not what src/ffi says, from line {line} on: run UPDATE=1 cargo test --features cli header"
    );
}
