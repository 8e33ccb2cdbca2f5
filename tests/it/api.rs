//! The C ABI as `src/ffi` declares it, read with `syn`: what the tables beside the header are made of, and what the
//! lint and the refusals go by.

use crate::shape::{Shape, declaration};
use crate::tokens::{self, Facts};
use serde::{Serialize, Serializer};
use std::path::PathBuf;
use syn::{Expr, FnArg, Item, Lit, Meta, Pat, ReturnType};

/// The whole ABI. Serialised, it is include/parbuckle.json.
#[derive(Serialize)]
pub struct Api {
    pub version: &'static str,
    pub codes: Codes,
    pub types: Vec<Opaque>,
    pub callbacks: Vec<Callback>,
    pub sections: Vec<Section>,
    pub functions: Vec<Function>,
}

/// The constants of `parb_code`, by number.
pub struct Codes(pub Vec<Code>);

#[derive(Serialize)]
pub struct Code {
    #[serde(skip)]
    pub name: String,
    pub value: i32,
    pub doc: String,
}

/// A type that C only has pointers to.
#[derive(Serialize)]
pub struct Opaque {
    pub name: String,
    pub doc: String,
    /// Its `_free`; none where it is only lent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<String>,
}

#[derive(Serialize)]
pub struct Callback {
    pub name: String,
    pub doc: String,
    pub returns: String,
    pub params: Vec<CallbackParam>,
    #[serde(skip)]
    pub shapes: (Shape, Vec<Shape>),
}

#[derive(Serialize)]
pub struct CallbackParam {
    pub name: String,
    #[serde(rename = "type")]
    pub c_type: String,
}

/// The exported functions of a file of `src/ffi`, and of the files after it that have the same title.
#[derive(Serialize)]
pub struct Section {
    pub title: String,
    pub functions: usize,
}

#[derive(Serialize)]
pub struct Function {
    pub name: String,
    pub section: String,
    pub doc: String,
    pub since: String,
    /// Whether a result that nobody looks at is worth a warning.
    pub check: bool,
    /// Whether it may wait.
    pub blocking: bool,
    pub returns: Returns,
    pub params: Vec<Param>,
}

#[derive(Serialize)]
pub struct Returns {
    #[serde(rename = "type")]
    pub c_type: String,
    /// "void", "error", "handle", "text", "bytes", "int", "bool" or "user".
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// Lent, not given.
    #[serde(rename = "const")]
    pub constant: bool,
    /// Whether NULL is an answer that a good handle can give.
    pub nullable: bool,
    /// What a wrong handle gives, in C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neutral: Option<String>,
    #[serde(skip)]
    pub shape: Shape,
}

#[derive(Serialize)]
pub struct Param {
    pub name: String,
    #[serde(rename = "type")]
    pub c_type: String,
    /// "handle", "handles", "text", "path", "texts", "bytes", "buffer", "len", "int", "callback", "user" or "out".
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    #[serde(rename = "const")]
    pub constant: bool,
    /// Whether NULL means something.
    pub nullable: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub doc: String,
    #[serde(skip)]
    pub shape: Shape,
}

impl Serialize for Codes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|c| (&c.name, c)))
    }
}

impl Api {
    /// What the working tree says.
    pub fn read() -> Api {
        let mut api = Api {
            version: env!("CARGO_PKG_VERSION"),
            codes: codes(),
            types: vec![],
            callbacks: vec![],
            sections: vec![],
            functions: vec![],
        };
        let mut files = vec!["foreign".to_owned()];
        files.extend(section_names());
        for name in files {
            api.add(&Source::open(&format!("src/ffi/{name}.rs")));
        }
        api.types.sort_by(|a, b| a.name.cmp(&b.name));
        let names: Vec<String> = api.functions.iter().map(|f| f.name.clone()).collect();
        for t in &mut api.types {
            t.free = Some(format!("{}_free", t.name)).filter(|f| names.contains(f));
        }
        api
    }

    fn add(&mut self, source: &Source) {
        let title = source.title();
        let before = self.functions.len();
        for item in &source.items {
            match item {
                Item::Struct(s) if exported_type(s) => {
                    let (name, doc) = (s.ident.to_string(), Doc::of(&s.attrs).text);
                    self.types.push(Opaque { name, doc, free: None });
                }
                Item::Type(t) if t.ident.to_string().ends_with("_cb") => self.callbacks.push(callback(t)),
                Item::Fn(f) if is_exported(f) => self.functions.push(Function::of(f, &title, source)),
                _ => {}
            }
        }
        let functions = self.functions.len() - before;
        match self.sections.last_mut() {
            Some(last) if last.title == title => last.functions += functions,
            _ if functions > 0 => self.sections.push(Section { title, functions }),
            _ => {}
        }
    }
}

/// One file of Rust, parsed.
pub struct Source {
    pub path: String,
    pub text: String,
    pub items: Vec<Item>,
    doc: String,
}

impl Source {
    pub fn open(path: &str) -> Source {
        Source::parse(path, &std::fs::read_to_string(root().join(path)).unwrap())
    }
    pub fn parse(path: &str, text: &str) -> Source {
        let file = syn::parse_file(text).unwrap_or_else(|e| panic!("{path}: {e}"));
        Source { path: path.into(), text: text.into(), doc: Doc::of(&file.attrs).text, items: file.items }
    }
    /// The first words of the module's comment.
    pub fn title(&self) -> String {
        self.doc.split(['.', ':', ';']).next().unwrap_or_default().trim().to_owned()
    }
    /// What the bodies of these functions, with the helpers in this file that they call, do with their arguments.
    fn facts(&self, function: &str) -> Facts {
        tokens::facts(&self.text, function)
    }
}

/// A comment of an item: text, and what stands behind its tags.
#[derive(Default)]
pub struct Doc {
    pub text: String,
    pub params: Vec<(String, String)>,
    pub since: String,
}

impl Doc {
    pub fn of(attrs: &[syn::Attribute]) -> Doc {
        let mut doc = Doc::default();
        for line in attrs.iter().filter_map(doc_line) {
            if let Some(since) = line.strip_prefix(" @since ") {
                doc.since = since.trim().into();
            } else if let Some(param) = line.strip_prefix(" @param ") {
                let (name, text) = param.split_once(' ').unwrap_or((param, ""));
                doc.params.push((name.into(), text.trim().into()));
            } else if let Some((_, text)) = doc.params.last_mut() {
                *text = format!("{text} {}", line.trim()).trim().into();
            } else if line.trim().is_empty() {
                doc.text.push('\n');
            } else {
                let gap = if doc.text.is_empty() || doc.text.ends_with('\n') { "" } else { " " };
                doc.text = format!("{}{gap}{}", doc.text, line.trim());
            }
        }
        doc.text = doc.text.trim().into();
        doc
    }
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(n, _)| n == name).map_or("", |(_, text)| text)
    }
}

impl Function {
    pub fn of(f: &syn::ItemFn, section: &str, source: &Source) -> Function {
        let name = f.sig.ident.to_string();
        let (doc, facts) = (Doc::of(&f.attrs), source.facts(&name));
        let params = params(f, &doc, &facts);
        let fallible = matches!(return_shape(f).handle(), Some("parb_error")) && !return_shape(f).is_constant();
        let has = |name: &str| params.iter().any(|p| p.name == name);
        let bounded = has("ctx") && params[0].name != "ctx";
        Function {
            blocking: fallible && !name.ends_with("_start") && (bounded || has("timeout_ms")),
            section: section.into(),
            since: doc.since.clone(),
            check: f.attrs.iter().any(|a| a.path().is_ident("must_use")),
            returns: Returns::of(f, &doc),
            doc: doc.text,
            params,
            name,
        }
    }

    pub fn is_fallible(&self) -> bool {
        self.returns.kind == "error"
    }

    /// The prototype, without the macros before it.
    pub fn prototype(&self) -> String {
        let params: Vec<String> = self.params.iter().map(|p| declaration(&p.c_type, &p.name)).collect();
        let params = if params.is_empty() { "void".into() } else { params.join(", ") };
        format!("{}({params});", declaration(&self.returns.c_type, &self.name))
    }
}

impl Returns {
    fn of(f: &syn::ItemFn, doc: &Doc) -> Returns {
        let (shape, neutral) = (return_shape(f), neutral(f));
        let makes = f.sig.ident == "parb_error_new" || f.sig.ident == "parb_error_clone";
        let kind = match shape.handle() {
            Some("parb_error") if !shape.is_constant() && !makes => "error",
            Some(_) => "handle",
            None if shape == Shape::Void => "void",
            None if shape == Shape::Plain("bool") => "bool",
            None if shape.is_pointer_to("char") => "text",
            None if shape.is_pointer_to("uint8_t") => "bytes",
            None if shape.pointee() == Some(&Shape::Void) => "user",
            None => "int",
        };
        let told = doc.text.replace("NULL for NULL", "");
        Returns {
            c_type: shape.spelling(),
            handle: shape.handle().map(Into::into),
            constant: shape.is_constant(),
            nullable: kind != "error" && shape.pointee().is_some() && told.contains("NULL"),
            neutral,
            kind,
            shape,
        }
    }
}

fn params(f: &syn::ItemFn, doc: &Doc, facts: &Facts) -> Vec<Param> {
    let mut params: Vec<Param> = Vec::new();
    for arg in &f.sig.inputs {
        let FnArg::Typed(arg) = arg else { continue };
        let Pat::Ident(name) = &*arg.pat else { continue };
        let (name, shape) = (name.ident.to_string(), Shape::of(&arg.ty));
        let kind = kind_of(&name, &shape, params.last(), facts);
        params.push(Param {
            nullable: nullable(&name, kind, &shape, doc, facts),
            handle: match kind {
                "handle" => shape.handle(),
                "handles" | "out" => shape.pointee().and_then(Shape::handle),
                _ => None,
            }
            .map(Into::into),
            constant: shape.is_constant(),
            c_type: shape.spelling(),
            doc: doc.param(&name).into(),
            kind,
            name,
            shape,
        });
    }
    params
}

fn kind_of(name: &str, shape: &Shape, before: Option<&Param>, facts: &Facts) -> &'static str {
    let counted =
        before.is_some_and(|b| ["bytes", "buffer", "texts", "handles"].contains(&b.kind) || b.name == "out_tags");
    match shape {
        Shape::Callback(_) => "callback",
        Shape::Plain("size_t") if counted => "len",
        Shape::Plain(_) => "int",
        Shape::Pointer { constant, to } => match (&**to, constant) {
            _ if is_out(name) => "out",
            (Shape::Opaque(_), _) => "handle",
            (Shape::Void, _) => "user",
            (Shape::Plain("char"), true) if facts.paths.contains(name) => "path",
            (Shape::Plain("char"), true) => "text",
            (Shape::Plain("uint8_t"), true) => "bytes",
            (Shape::Plain("uint8_t"), false) => "buffer",
            (inner, true) if inner.is_pointer_to("char") => "texts",
            (inner, true) if inner.handle().is_some() => "handles",
            _ => "unknown",
        },
        _ => "unknown",
    }
}

pub fn is_out(name: &str) -> bool {
    name == "out" || name.starts_with("out_")
}

fn nullable(name: &str, kind: &str, shape: &Shape, doc: &Doc, facts: &Facts) -> bool {
    match kind {
        "out" => doc.param(name).contains("may be NULL") || doc.text.contains("outputs may be NULL"),
        "callback" => !facts.required.contains(name),
        "user" => true,
        "bytes" | "buffer" | "texts" | "handles" => false, // only with a length of 0
        _ => shape.pointee().is_some() && facts.optional.contains(name),
    }
}

pub fn return_shape(f: &syn::ItemFn) -> Shape {
    match &f.sig.output {
        ReturnType::Default => Shape::Void,
        ReturnType::Type(_, ty) => Shape::of(ty),
    }
}

pub fn is_exported(f: &syn::ItemFn) -> bool {
    f.attrs.iter().any(|a| match &a.meta {
        Meta::List(list) if list.path.is_ident("unsafe") => list.tokens.to_string() == "no_mangle",
        meta => meta.path().is_ident("no_mangle"),
    })
}

/// The structs that stand for handles.
pub fn exported_type(s: &syn::ItemStruct) -> bool {
    s.ident.to_string().starts_with("parb_")
}

/// The first argument of the `get` that a function consists of, in C.
fn neutral(f: &syn::ItemFn) -> Option<String> {
    let [syn::Stmt::Expr(Expr::Call(call), None)] = &f.block.stmts[..] else { return None };
    let Expr::Path(called) = &*call.func else { return None };
    if !called.path.is_ident("get") {
        return None;
    }
    match call.args.first()? {
        Expr::Lit(lit) => match &lit.lit {
            Lit::Int(n) => Some(n.base10_digits().into()),
            Lit::Bool(b) => Some(b.value.to_string()),
            _ => None,
        },
        Expr::Unary(u) => match &*u.expr {
            Expr::Lit(lit) => match &lit.lit {
                Lit::Int(n) => Some(format!("-{}", n.base10_digits())),
                _ => None,
            },
            _ => None,
        },
        Expr::Call(_) => Some("NULL".into()),
        Expr::MethodCall(_) => Some("\"\"".into()),
        Expr::Path(_) => Some("UINT64_MAX".into()),
        _ => None,
    }
}

fn callback(t: &syn::ItemType) -> Callback {
    let f = bare_fn(&t.ty).unwrap_or_else(|| panic!("{} is not Option<unsafe extern \"C\" fn>", t.ident));
    let returns = match &f.output {
        ReturnType::Default => Shape::Void,
        ReturnType::Type(_, ty) => Shape::of(ty),
    };
    let shapes: Vec<Shape> = f.inputs.iter().map(|i| Shape::of(&i.ty)).collect();
    let name = |i: &syn::BareFnArg| i.name.as_ref().map(|(n, _)| n.to_string()).unwrap_or_default();
    let params = f.inputs.iter().zip(&shapes).map(|(i, s)| CallbackParam { name: name(i), c_type: s.spelling() });
    Callback {
        name: t.ident.to_string(),
        doc: Doc::of(&t.attrs).text,
        returns: returns.spelling(),
        params: params.collect(),
        shapes: (returns, shapes),
    }
}

/// The function type in `Option<unsafe extern "C" fn(…)>`.
pub fn bare_fn(ty: &syn::Type) -> Option<&syn::TypeBareFn> {
    let syn::Type::Path(p) = ty else { return None };
    let last = p.path.segments.last().filter(|s| s.ident == "Option")?;
    let syn::PathArguments::AngleBracketed(args) = &last.arguments else { return None };
    match args.args.first()? {
        syn::GenericArgument::Type(syn::Type::BareFn(f)) if f.unsafety.is_some() && f.abi.is_some() => Some(f),
        _ => None,
    }
}

/// The codes as cbindgen.toml lists them for the header.
fn codes() -> Codes {
    let text = std::fs::read_to_string(root().join("cbindgen.toml")).unwrap();
    let code = |line: &str| {
        let (name, rest) = line.trim().strip_prefix("PARB_")?.split_once(" = ")?;
        let (value, doc) = rest.split_once("/*").unwrap_or((rest, ""));
        let value = value.trim().trim_end_matches(',').parse().ok()?;
        Some(Code { name: name.into(), value, doc: doc.trim_end_matches("*/").trim().into() })
    };
    Codes(text.lines().filter_map(code).collect())
}

fn doc_line(attr: &syn::Attribute) -> Option<String> {
    match &attr.meta {
        Meta::NameValue(m) if m.path.is_ident("doc") => match &m.value {
            Expr::Lit(lit) => match &lit.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// The files of `src/ffi` in the order of the header.
pub fn section_names() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("src/ffi/mod.rs")).unwrap();
    let (_, after) = text.split_once("// In the order of the header.").expect("the marker in src/ffi/mod.rs");
    let name = |line: &str| Some(line.trim().strip_prefix("mod ")?.strip_suffix(';')?.to_owned());
    after.lines().filter_map(name).collect()
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
