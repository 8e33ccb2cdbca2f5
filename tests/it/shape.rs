//! The types that the ABI is made of, and how C writes them.

/// The types that the ABI is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    Void,
    /// A plain value, by its name in C.
    Plain(&'static str),
    Opaque(String),
    Callback(String),
    Pointer {
        constant: bool,
        to: Box<Shape>,
    },
    /// Nothing that may cross.
    Foreign(String),
}

impl Shape {
    pub fn of(ty: &syn::Type) -> Shape {
        match ty {
            syn::Type::Ptr(p) => Shape::Pointer { constant: p.const_token.is_some(), to: Box::new(Shape::of(&p.elem)) },
            syn::Type::Tuple(t) if t.elems.is_empty() => Shape::Void,
            syn::Type::Path(p) => match p.path.get_ident().map(ToString::to_string) {
                Some(name) => Shape::named(&name),
                None => Shape::Foreign(format!("{:?}", p.path.segments.last().map(|s| s.ident.to_string()))),
            },
            other => Shape::Foreign(format!("{other:?}")),
        }
    }

    fn named(name: &str) -> Shape {
        match name {
            "c_void" => Shape::Void,
            "bool" => Shape::Plain("bool"),
            "c_char" => Shape::Plain("char"),
            "u8" => Shape::Plain("uint8_t"),
            "i32" => Shape::Plain("int32_t"),
            "u32" => Shape::Plain("uint32_t"),
            "i64" => Shape::Plain("int64_t"),
            "u64" => Shape::Plain("uint64_t"),
            "usize" => Shape::Plain("size_t"),
            "isize" => Shape::Plain("ptrdiff_t"),
            "parb_code" => Shape::Plain("parb_code"),
            _ if name.starts_with("parb_") && name.ends_with("_cb") => Shape::Callback(name.into()),
            _ if name.starts_with("parb_") => Shape::Opaque(name.into()),
            _ => Shape::Foreign(name.into()),
        }
    }

    /// As C writes it.
    pub fn spelling(&self) -> String {
        match self {
            Shape::Void => "void".into(),
            Shape::Plain(name) => (*name).into(),
            Shape::Opaque(name) | Shape::Callback(name) | Shape::Foreign(name) => name.clone(),
            Shape::Pointer { constant, to } if matches!(**to, Shape::Pointer { .. }) => {
                format!("{}{}*", to.spelling(), if *constant { "const " } else { "" })
            }
            Shape::Pointer { constant, to } => {
                format!("{}{} *", if *constant { "const " } else { "" }, to.spelling())
            }
        }
    }

    pub fn pointee(&self) -> Option<&Shape> {
        match self {
            Shape::Pointer { to, .. } => Some(to),
            _ => None,
        }
    }

    /// The handle's type, where this is a pointer to one.
    pub fn handle(&self) -> Option<&str> {
        match self.pointee() {
            Some(Shape::Opaque(name)) => Some(name),
            _ => None,
        }
    }

    pub fn is_pointer_to(&self, name: &str) -> bool {
        matches!(self.pointee(), Some(Shape::Plain(n)) if *n == name)
    }

    pub fn is_constant(&self) -> bool {
        matches!(self, Shape::Pointer { constant: true, .. })
    }
}

/// `parb_image **` and `out` are `parb_image **out`.
pub fn declaration(spelling: &str, name: &str) -> String {
    let gap = if spelling.ends_with('*') { "" } else { " " };
    format!("{spelling}{gap}{name}")
}
