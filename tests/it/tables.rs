//! What is made from the ABI beside the header: for machines, for the linker's checks, for Python and Go.

use crate::api::{Api, Function};
use crate::shape::Shape;
use serde::Serialize;
use std::fmt::Write;

/// include/parbuckle.json, with a line for each thing that may change by itself.
pub fn json(api: &Api) -> String {
    let mut out = format!("{{\n  \"version\": {},\n", compact(&api.version));
    let codes: Vec<_> = api.codes.0.iter().map(|c| format!("    \"{}\": {}", c.name, compact(c))).collect();
    let _ = writeln!(out, "  \"codes\": {{\n{}\n  }},", codes.join(",\n"));
    let _ = writeln!(out, "  \"types\": {},", lines(&api.types, "    "));
    let _ = writeln!(out, "  \"callbacks\": {},", lines(&api.callbacks, "    "));
    let _ = writeln!(out, "  \"sections\": {},", lines(&api.sections, "    "));
    let functions: Vec<_> = api.functions.iter().map(function).collect();
    let _ = writeln!(out, "  \"functions\": [\n{}\n  ]\n}}", functions.join(",\n"));
    out
}

fn function(f: &Function) -> String {
    let facts = [("since", compact(&f.since)), ("check", compact(&f.check)), ("blocking", compact(&f.blocking))];
    let facts: Vec<_> = facts.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect();
    let lines = [
        format!("\"name\": {}, \"section\": {}", compact(&f.name), compact(&f.section)),
        format!("\"doc\": {}", compact(&f.doc)),
        facts.join(", "),
        format!("\"returns\": {}", compact(&f.returns)),
        format!("\"params\": {}", lines(&f.params, "        ")),
    ];
    format!("    {{\n      {}\n    }}", lines.join(",\n      "))
}

fn lines<T: Serialize>(items: &[T], indent: &str) -> String {
    if items.is_empty() {
        return "[]".into();
    }
    let items: Vec<_> = items.iter().map(|i| format!("{indent}{}", compact(i))).collect();
    format!("[\n{}\n{}]", items.join(",\n"), &indent[2..])
}

fn compact<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

/// include/abi/parbuckle.symbols: every exported symbol, with the version that brought it.
pub fn symbols(api: &Api) -> String {
    let mut lines: Vec<_> = api.functions.iter().map(|f| format!("{} {}\n", f.name, f.since)).collect();
    lines.sort();
    lines.concat()
}

/// bindings/go/codes.go
pub fn go(api: &Api) -> String {
    let codes = &api.codes.0[1..];
    let wide = codes.iter().map(|c| go_name(&c.name).len()).max().unwrap_or(0);
    let mut out = String::from(
        "// Code generated from cbindgen.toml by tests/it/tables.rs; DO NOT EDIT.\n\npackage parbuckle\n\n\
         // The kinds of failures.\nconst (\n",
    );
    for code in codes {
        let _ = writeln!(out, "\t{:wide$} Code = {:<2} // {}", go_name(&code.name), code.value, code.doc);
    }
    out + ")\n"
}

/// `NOT_FOUND` is `NotFound`; `IO` and `TLS` stay as they are, as Go has it.
fn go_name(name: &str) -> String {
    if name.len() <= 3 {
        return name.into();
    }
    let word = |w: &str| w.chars().take(1).chain(w.to_lowercase().chars().skip(1)).collect::<String>();
    name.split('_').map(word).collect()
}

/// bindings/python/src/parbuckle/_table.py
pub fn python(api: &Api) -> String {
    let mut out = String::from(PYTHON_HEAD);
    let _ = writeln!(out, "VERSION: Final = \"{}\"\n", api.version);
    out.push_str("#: The codes of errors by name, without their prefix.\nCODES: Final[dict[str, int]] = {\n");
    for code in &api.codes.0 {
        let note = if code.doc.is_empty() { String::new() } else { format!("  # {}", code.doc) };
        let _ = writeln!(out, "    \"{}\": {},{note}", code.name, code.value);
    }
    out.push_str("}\n\n# Handles.\n");
    for t in &api.types {
        let _ = writeln!(out, "{} = c_void_p", t.name);
    }
    out.push_str("\n# Callbacks.\n");
    for c in &api.callbacks {
        let (returns, params) = &c.shapes;
        let params: Vec<_> = std::iter::once(returns).chain(params).map(ctype).collect();
        let _ = writeln!(out, "{} = CFUNCTYPE({})", c.name, params.join(", "));
    }
    out.push_str("\n#: What each function returns and takes.\n");
    out.push_str("FUNCTIONS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {\n");
    let mut section = "";
    for f in &api.functions {
        if f.section != section {
            section = &f.section;
            let _ = writeln!(out, "    # {section}");
        }
        let params: String = f.params.iter().map(|p| ctype(&p.shape) + ", ").collect();
        let params = if f.params.len() == 1 { params.trim_end() } else { params.trim_end_matches(", ") };
        let _ = writeln!(out, "    \"{}\": ({}, ({params})),", f.name, ctype(&f.returns.shape));
    }
    out + "}\n" + PYTHON_TAIL
}

fn ctype(shape: &Shape) -> String {
    let Some(to) = shape.pointee() else {
        return match shape {
            Shape::Void => "None".into(),
            Shape::Plain(name) => match *name {
                "parb_code" => "c_int32".into(),
                "ptrdiff_t" => "c_ssize_t".into(),
                name => format!("c_{}", name.trim_end_matches("_t")).replace("c_size", "c_size_t"),
            },
            other => other.spelling(),
        };
    };
    match to {
        Shape::Void | Shape::Plain("uint8_t") => "c_void_p".into(),
        Shape::Plain("char") => "c_char_p".into(),
        Shape::Opaque(name) => name.clone(),
        to => format!("POINTER({})", ctype(to)),
    }
}

const PYTHON_HEAD: &str = r#"# Generated from src/ffi by tests/it/tables.rs; not to be edited.
"""The C library's functions as ctypes sees them.

Handles, errors among them, are plain addresses: an int, or None for NULL. Text goes in and comes out as bytes. Where
no callback is meant, an empty one says so: ``parb_destroy_cb()``.
"""

from __future__ import annotations

from ctypes import (
    CDLL,
    CFUNCTYPE,
    POINTER,
    c_bool,
    c_char,
    c_char_p,
    c_int32,
    c_int64,
    c_size_t,
    c_ssize_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Final

"#;

const PYTHON_TAIL: &str = r#"

def bind(lib: CDLL) -> CDLL:
    """Tells ctypes the types of every function of the library, and gives the library back.

    Raises ImportError, naming the function, where the library lacks one: it is older than this table, or another.
    """
    for name, (returns, takes) in FUNCTIONS.items():
        try:
            function = getattr(lib, name)
        except AttributeError:
            path = getattr(lib, "_name", None) or "this program"
            raise ImportError(f"{path} lacks {name}: parbuckle {VERSION} is needed", name="parbuckle") from None
        function.restype = returns
        function.argtypes = list(takes)
    return lib
"#;
