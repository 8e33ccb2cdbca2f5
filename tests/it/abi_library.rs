//! The built library and its header, as the linker and the compilers see them.
//!
//! The library is `$OUT/libparbuckle.so` where OUT is set, else the one that cargo built beside this test.

use crate::api::{Api, root};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What may be needed at run time. Anything else is a surprise for packagers.
const NEEDED: [&str; 4] = ["libc.so.", "libm.so.", "libgcc_s.so.", "ld-linux"];
/// The oldest glibc that Debian 12 and its contemporaries can do without more.
const GLIBC: (u32, u32) = (2, 34);

#[test]
fn library_exports_what_the_header_declares_and_the_list_dates() {
    let exported = exports(&run("nm", &["-D", "--defined-only", &text(&library())]));
    let preprocessed = run("gcc", &["-E", "-P", &text(&root().join("include/parbuckle.h"))]);
    let declared = prototypes(&preprocessed);
    let list = std::fs::read_to_string(root().join("include/abi/parbuckle.symbols")).unwrap();
    let listed: BTreeSet<String> = list.lines().filter_map(|l| Some(l.split_once(' ')?.0.to_owned())).collect();
    assert_eq!(difference(&exported, &declared), "", "exported (<) and declared (>)");
    assert_eq!(difference(&declared, &listed), "", "declared (<) and listed (>)");
}

#[test]
fn differences_in_symbols_are_seen() {
    let nm = "0000 T parb_pull\n0001 T rust_eh_personality\n0002 D parb_data\n0003 B __bss\n";
    let exported = exports(nm);
    assert_eq!(exported.len(), 4);
    let declared = prototypes(
        "typedef struct parb_x parb_x;\nextern int puts(const char *s);\n __attribute__((visibility(\"default\"))) parb_error *parb_pull(parb_x *x,\n int y);\nvoid parb_more(void);",
    );
    assert_eq!(declared, ["parb_more", "parb_pull"].map(str::to_owned).into());
    assert_eq!(difference(&exported, &declared), "<__bss <parb_data <rust_eh_personality >parb_more");
}

#[test]
fn library_is_linked_as_hosts_need_it() {
    let facts = run("readelf", &["-dW", &text(&library())]);
    let versions = run("objdump", &["-T", &text(&library())]);
    assert_eq!(misfits(&facts, &versions), Vec::<String>::new());
}

#[test]
fn misfits_of_a_library_are_seen() {
    let facts = " 0x1 (SONAME) Library soname: [libparbuckle.so.9]\n 0x1 (NEEDED) Shared library: [libssl.so.3]\n 0x1 (TEXTREL) 0x0\n";
    let found = misfits(facts, "0000 DF *UND* 0000 (GLIBC_2.36) x\n").join("\n");
    for word in ["libparbuckle.so.9", "libssl.so.3", "TEXTREL", "NODELETE", "BIND_NOW", "2.36"] {
        assert!(found.contains(word), "{word} is not among {found}");
    }
}

#[test]
fn header_compiles_as_c_and_as_cpp() {
    let warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
    let c = [&warnings[..], &["-Wstrict-prototypes", "-x", "c"]].concat();
    let cpp = [&warnings[..], &["-x", "c++"]].concat();
    compiles("gcc", "-std=c99", &c);
    compiles("g++", "-std=c++11", &cpp);
    if exists("clang") {
        compiles("clang", "-std=c11", &c);
    }
}

#[test]
fn header_version_is_that_of_cargo_and_of_the_library() {
    let program = r#"
        #include <parbuckle.h>
        #include <stdio.h>
        int main(void) {
          if (parb_version_number() != PARB_VERSION_NUMBER) return 1;
          printf("%d.%d.%d %d %s", PARB_VERSION_MAJOR, PARB_VERSION_MINOR, PARB_VERSION_PATCH, PARB_VERSION_NUMBER, parb_version());
          return 0;
        }"#;
    let dir = build(program, &[]);
    let version = env!("CARGO_PKG_VERSION");
    let part = |text: &str| text.parse::<u32>().unwrap();
    let number = part(env!("CARGO_PKG_VERSION_MAJOR")) << 24
        | part(env!("CARGO_PKG_VERSION_MINOR")) << 16
        | part(env!("CARGO_PKG_VERSION_PATCH")) << 8;
    assert_eq!(run(&text(&dir.path().join("program")), &[]), format!("{version} {number} {version}"));
}

#[test]
fn python_table_fits_the_library_and_names_what_another_lacks() {
    let program = r#"
import ctypes, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import _table
lib = _table.bind(ctypes.CDLL(sys.argv[2]))
assert lib.parb_version().decode() == _table.VERSION, lib.parb_version()
for name, number in _table.CODES.items():
    assert lib.parb_error_code_name(number).decode() == name, name
out = ctypes.c_void_p()
error = lib.parb_ref_parse(b"UPPER", None, ctypes.byref(out))
assert lib.parb_error_code(error) == _table.CODES["INVALID_ARGUMENT"] and out.value is None
assert lib.parb_error_new(_table.CODES["IO"], b"x", None, _table.parb_destroy_cb())
try:
    _table.bind(ctypes.CDLL(None))
    raise SystemExit("another library was accepted")
except ImportError as e:
    assert "parb_version" in str(e), e
print(len(_table.FUNCTIONS))
"#;
    let table = text(&root().join("bindings/python/src/parbuckle"));
    let count = run("python3", &["-c", program, &table, &text(&library())]);
    assert_eq!(count.trim(), Api::read().functions.len().to_string());
}

/// Where the shared library is.
pub fn library() -> PathBuf {
    let dir = match std::env::var_os("OUT") {
        Some(out) => PathBuf::from(out),
        // target/debug/deps/it-… is this program.
        None => std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned(),
    };
    let library = dir.join("libparbuckle.so");
    assert!(
        library.exists(),
        "{} is missing: run `cargo build`, or set OUT to the directory of libparbuckle.so",
        library.display()
    );
    library
}

/// Compiles a C program and links it to the library. `program` in the directory runs as it is.
pub fn build(source: &str, more: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (file, program) = (dir.path().join("program.c"), dir.path().join("program"));
    std::fs::write(&file, source).unwrap();
    // The program asks for the library by its soname, which cargo's directory has no link for.
    let library = library().canonicalize().unwrap();
    for name in ["libparbuckle.so".to_owned(), soname()] {
        std::os::unix::fs::symlink(&library, dir.path().join(name)).unwrap();
    }
    let include = format!("-I{}", text(&root().join("include")));
    let (search, rpath) = (format!("-L{}", text(dir.path())), format!("-Wl,-rpath,{}", text(dir.path())));
    let fixed = ["-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror", &include, &text(&file), "-o", &text(&program)];
    run("gcc", &[&fixed[..], more, &[&search, &rpath, "-lparbuckle"]].concat());
    dir
}

/// What the command prints; that it fails is a failure of the test.
pub fn run(command: &str, args: &[&str]) -> String {
    let mut made = Command::new(command);
    made.args(args).env_remove("LD_LIBRARY_PATH");
    let out = made.output().unwrap_or_else(|e| panic!("{command} (of binutils, gcc, python3) can't be run: {e}"));
    let both = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command}: {}\n{both}", out.status);
    String::from_utf8(out.stdout).unwrap()
}

pub fn exists(command: &str) -> bool {
    Command::new(command).arg("--version").output().is_ok_and(|o| o.status.success())
}

pub fn text(path: &Path) -> String {
    path.to_str().expect("paths of tests are UTF-8").to_owned()
}

fn soname() -> String {
    format!("libparbuckle.so.{}", env!("CARGO_PKG_VERSION_MAJOR"))
}

/// Every symbol, of whatever kind, that leaves the library.
fn exports(nm: &str) -> BTreeSet<String> {
    nm.lines()
        .filter_map(|l| l.split_whitespace().nth(2))
        .map(|n| n.split('@').next().unwrap_or(n).to_owned())
        .collect()
}

/// The names of the functions that a preprocessed header declares for itself: it includes others.
fn prototypes(preprocessed: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for statement in preprocessed.split(';').filter(|s| !s.contains("typedef")) {
        let words = statement.split(|c: char| !c.is_alphanumeric() && c != '_');
        let name = words.into_iter().find(|w| w.starts_with("parb_") && statement.contains(&format!("{w}(")));
        found.extend(name.map(ToOwned::to_owned));
    }
    found
}

fn difference(a: &BTreeSet<String>, b: &BTreeSet<String>) -> String {
    let only_a = a.difference(b).map(|n| format!("<{n}"));
    only_a.chain(b.difference(a).map(|n| format!(">{n}"))).collect::<Vec<_>>().join(" ")
}

/// What `readelf -d` and `objdump -T` say that should not be so.
fn misfits(facts: &str, versions: &str) -> Vec<String> {
    let mut found = Vec::new();
    let bracketed = |l: &str| l.split_once('[').and_then(|(_, r)| r.split_once(']')).map(|(n, _)| n.to_owned());
    let named = |tag: &str| facts.lines().filter(|l| l.contains(tag)).filter_map(bracketed).collect::<Vec<_>>();
    if named("(SONAME)") != [soname()] {
        found.push(format!("its soname is {:?}", named("(SONAME)")));
    }
    for needed in named("(NEEDED)").iter().filter(|n| !NEEDED.iter().any(|allowed| n.starts_with(allowed))) {
        found.push(format!("needs {needed}"));
    }
    if facts.contains("TEXTREL") {
        found.push("has TEXTREL".into());
    }
    let flag = |tag: &str, names: &[&str]| {
        facts.lines().any(|l| l.contains(tag) && names.iter().any(|n| l.split_whitespace().any(|w| w == *n)))
    };
    if !flag("(FLAGS_1)", &["NODELETE"]) {
        found.push("lacks NODELETE".into());
    }
    if !flag("(FLAGS_1)", &["NOW"]) && !flag("(FLAGS)", &["BIND_NOW"]) {
        found.push("lacks BIND_NOW".into());
    }
    let number = |v: &str| {
        let (major, minor) = v.split_once('.')?;
        let minor: String = minor.chars().take_while(char::is_ascii_digit).collect();
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    let newest = versions.split("GLIBC_").skip(1).filter_map(number).max();
    if newest.is_none_or(|v| v > GLIBC) {
        found.push(format!("wants glibc {newest:?}: more than {}.{}", GLIBC.0, GLIBC.1).replace(", ", "."));
    }
    found
}

/// Alone, twice, and in two files of one program.
fn compiles(compiler: &str, standard: &str, flags: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let include = format!("-I{}", text(&root().join("include")));
    let once = "#include <parbuckle.h>\n";
    for (name, source) in [
        ("one", format!("{once}int one(void);\nint one(void) {{ return PARB_VERSION_NUMBER; }}\n")),
        ("two", format!("{once}{once}int one(void);\nint main(void) {{ return one() != PARB_VERSION_NUMBER; }}\n")),
    ] {
        let (source_at, object) = (dir.path().join(name), dir.path().join(format!("{name}.o")));
        std::fs::write(&source_at, source).unwrap();
        run(compiler, &[&[standard], flags, &[&include, "-c", &text(&source_at), "-o", &text(&object)]].concat());
    }
    let object = |name: &str| text(&dir.path().join(name));
    run(compiler, &[&object("one.o"), &object("two.o"), "-o", &object("both")]);
    run(&object("both"), &[]);
}
