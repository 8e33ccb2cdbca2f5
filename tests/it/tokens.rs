//! Rust source as a flat list of tokens, for what is easier seen there than in a syntax tree: which helper an argument
//! goes to, and which modules a file names. Comments are gone, and so is what only tests compile.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};

/// What a function does with its arguments.
#[derive(Default)]
pub struct Facts {
    /// NULL means something.
    pub optional: BTreeSet<String>,
    /// Read as a path of the platform.
    pub paths: BTreeSet<String>,
    /// A callback without which nothing works.
    pub required: BTreeSet<String>,
}

/// Of the function, and of the helpers of its file that it calls. The helpers of the boundary are given the argument's
/// name as a text, so the text is what counts, whatever the variable is called.
pub fn facts(source: &str, function: &str) -> Facts {
    let bodies = bodies(source);
    let (mut facts, mut seen, mut left) = (Facts::default(), BTreeSet::new(), vec![function.to_owned()]);
    while let Some(name) = left.pop() {
        let Some(body) = bodies.get(&name).filter(|_| seen.insert(name.clone())) else { continue };
        for (i, token) in body.iter().enumerate() {
            let after = |n: usize| body.get(i + n).map_or("", String::as_str);
            if i > 0 && body[i - 1] == "." {
                match (token.as_str(), body.get(i.wrapping_sub(2))) {
                    ("is_null", Some(value)) => drop(facts.optional.insert(value.clone())),
                    ("ok_or_else", Some(value)) => drop(facts.required.insert(value.clone())),
                    _ => {}
                }
            } else if after(1) == "(" {
                let argument = last_text(&body[i + 2..]);
                match (token.as_str(), argument) {
                    ("optional" | "optional_text", Some(argument)) => drop(facts.optional.insert(argument)),
                    ("path", Some(argument)) => drop(facts.paths.insert(argument)),
                    ("bounds" | "options_of" | "matcher_of", _) => drop(facts.optional.insert(after(2).to_owned())),
                    _ => left.push(token.clone()),
                }
            }
        }
    }
    facts
}

/// The tokens of a file, with the delimiters of groups, without items under `#[cfg(test)]`.
pub fn flat(source: &str) -> Vec<String> {
    let mut out = Vec::new();
    flatten(source.parse().expect("the compiler reads it too"), &mut out);
    out
}

fn flatten(stream: TokenStream, out: &mut Vec<String>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Punct(p) if p.as_char() == '#' && is_test(trees.peek()) => {
                // The item under the attribute ends with its braces, or with a semicolon.
                let ends = |t: &TokenTree| match t {
                    TokenTree::Group(g) => g.delimiter() == Delimiter::Brace,
                    TokenTree::Punct(p) => p.as_char() == ';',
                    _ => false,
                };
                for tree in trees.by_ref() {
                    if ends(&tree) {
                        break;
                    }
                }
            }
            TokenTree::Group(g) => {
                let (open, close) = match g.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                out.push(open.into());
                flatten(g.stream(), out);
                out.push(close.into());
            }
            other => out.push(other.to_string()),
        }
    }
}

fn is_test(tree: Option<&TokenTree>) -> bool {
    matches!(tree, Some(TokenTree::Group(g)) if g.stream().to_string().replace(' ', "").starts_with("cfg(test"))
}

/// The functions of a file and their bodies.
fn bodies(source: &str) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let mut trees = source.parse::<TokenStream>().expect("the compiler reads it too").into_iter();
    while let Some(tree) = trees.next() {
        if tree.to_string() != "fn" {
            continue;
        }
        let Some(TokenTree::Ident(name)) = trees.next() else { continue }; // else it is a type
        let body = trees.find_map(|t| match t {
            TokenTree::Group(g) if g.delimiter() == Delimiter::Brace => Some(g.stream()),
            _ => None,
        });
        let mut flat = Vec::new();
        flatten(body.unwrap_or_default(), &mut flat);
        found.insert(name.to_string(), flat);
    }
    found
}

/// The last text among the arguments that begin here.
fn last_text(tokens: &[String]) -> Option<String> {
    let mut depth = 0;
    let mut last = None;
    for token in tokens {
        match token.as_str() {
            "(" | "{" | "[" => depth += 1,
            ")" | "}" | "]" if depth == 0 => break,
            ")" | "}" | "]" => depth -= 1,
            text if depth == 0 && text.starts_with('"') => last = Some(text.trim_matches('"').to_owned()),
            _ => {}
        }
    }
    last
}

#[test]
fn arguments_are_followed_into_helpers() {
    let source = r#"
        fn outer(a: P, b: P) { get(null(), || helper(a, b, other(c, "c"))) }
        fn helper(x: P, y: P) { (optional(x, "a"), self::path(y, "b"), cb.ok_or_else(|| 1)) }
        #[cfg(test)] mod tests { fn helper() { optional(x, "no") } }
    "#;
    let facts = facts(source, "outer");
    assert_eq!(facts.optional.into_iter().collect::<Vec<_>>(), ["a"]);
    assert_eq!(facts.paths.into_iter().collect::<Vec<_>>(), ["b"]);
    assert_eq!(facts.required.into_iter().collect::<Vec<_>>(), ["cb"]);
    assert!(!flat(source).contains(&"tests".to_owned()));
}
