//! What holds for every document, tried with documents made at random.

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;
use bytes::Bytes;
use parbuckle::oci::{AnyManifest, Extra, Time};
use parbuckle::{Config, Digest, IndexManifest, Manifest, MediaType, Platform};
use std::fmt::Write as _;

const KEYS: [&str; 14] = [
    "architecture",
    "os",
    "config",
    "rootfs",
    "history",
    "Env",
    "Labels",
    "diff_ids",
    "created",
    "x",
    "<&>",
    "é",
    "empty_layer",
    "a\\\"b",
];
const SCALARS: [&str; 12] = [
    "null",
    "true",
    "-0",
    "1e3",
    "1.50",
    "18446744073709551616",
    "\"\"",
    "\"A=1\"",
    "\"\\u00e9\\ud83d\\ude00\"",
    "\"<>&\"",
    "\"2024-01-01T00:00:00Z\"",
    "\"\\u0000\"",
];

/// Any JSON, with keys that mean something and blanks in odd places. Keys are not twice in one object.
fn json(u: &mut Unstructured<'_>, depth: u32, out: &mut String) -> Result<()> {
    let blank = *u.choose(&["", "", "", " ", "\n\t"])?;
    match u.int_in_range(0..=if depth == 0 { 0 } else { 2 })? {
        0 => out.push_str(u.choose(&SCALARS)?),
        1 => {
            out.push('[');
            for i in 0..u.int_in_range(0..=3)? {
                out.push_str(if i == 0 { blank } else { "," });
                json(u, depth - 1, out)?;
            }
            out.push(']');
        }
        _ => object(u, depth - 1, blank, out)?,
    }
    Ok(())
}
fn object(u: &mut Unstructured<'_>, depth: u32, blank: &str, out: &mut String) -> Result<()> {
    out.push('{');
    let mut first = true;
    for key in KEYS {
        if u.ratio(1, 4)? {
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            write!(out, "{comma}{blank}\"{key}\"{blank}:{blank}").unwrap();
            json(u, depth, out)?;
        }
    }
    out.push_str(blank);
    out.push('}');
    Ok(())
}
fn document(u: &mut Unstructured<'_>) -> Result<String> {
    let mut out = String::new();
    object(u, 4, "", &mut out)?;
    Ok(out)
}

#[test]
fn bytes_stay_without_a_change_and_unknown_members_with_any() {
    arbtest(|u| {
        let (mut a, mut b) = (String::new(), String::new());
        json(u, 3, &mut a)?;
        json(u, 3, &mut b)?;
        let text =
            format!(r#"{{"u1" :{a}, "config":{{"u2":{b},"Env":["A=1"],"Labels":{{"l":"1"}}}},"os":"linux","u3":{a}}}"#);
        let config = Config::from_bytes(text.clone().into()).unwrap();
        assert_eq!(config.edit().finish().unwrap().raw(), text.as_bytes());
        let mut edit = config.edit();
        for _ in 0..u.int_in_range(1..=4)? {
            match u.int_in_range(0..=6)? {
                0 => edit.set_env("A", "2"),
                1 => edit.unset_env("A"),
                2 => edit.set_label("u1", "<"),
                3 => edit.set_cmd(Some(vec!["x".into()])),
                4 => edit.set_platform(&Platform::default()),
                5 => edit.append_layer(Digest::sha256(b""), Default::default()),
                _ => edit.set_created(Time::default()),
            }
        }
        let edited = edit.finish().unwrap();
        let trimmed = |extra: &Extra| extra.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<Vec<_>>();
        let (a, b) = (a.trim(), b.trim());
        assert_eq!(trimmed(&edited.doc().extra), [("u1".to_owned(), a.to_owned()), ("u3".to_owned(), a.to_owned())]);
        assert_eq!(trimmed(&edited.doc().config.extra), [("u2".to_owned(), b.to_owned())]);
        // What was written once is written the same again.
        let mut again = edited.edit();
        again.doc_mut();
        assert_eq!(again.finish().unwrap().raw(), edited.raw());
        Ok(())
    });
}

/// A descriptor with members that are known and some that are not.
fn descriptor(u: &mut Unstructured<'_>, kind: &str) -> Result<String> {
    let (size, digest) = (u.int_in_range(0..=1u64 << 53)?.min((1 << 53) - 1), Digest::sha256(&[u.arbitrary()?]));
    let mut members =
        vec![format!(r#""mediaType":"{kind}""#), format!(r#""size": {size}"#), format!(r#""digest":"{digest}""#)];
    for more in [
        r#""data":"aGk=""#,
        r#""urls":["https://example.com/<&>"]"#,
        r#""annotations":{"b":"<","a":null,"\u00e9":"\u2028"}"#,
        r#""platform":{"os":"linux","architecture":"arm","variant":"v7","os.features":["x"],"new":1.50}"#,
        r#""artifactType":"a/b""#,
    ] {
        if u.ratio(1, 3)? {
            members.push(more.to_owned());
        }
    }
    if u.ratio(1, 2)? {
        let mut value = String::new();
        json(u, 2, &mut value)?;
        members.push(format!(r#""unknown":{value}"#));
    }
    let from = u.choose_index(members.len())?;
    members.rotate_left(from);
    Ok(format!("{{{}}}", members.join(" ,")))
}

#[test]
fn manifests_and_indexes_are_written_as_they_are_read() {
    arbtest(|u| {
        let (oci, layer) = (MediaType::OCI_MANIFEST, MediaType::OCI_LAYER_GZIP);
        let mut list = Vec::new();
        for _ in 0..u.int_in_range(0..=3)? {
            let kind = *u.choose(&[oci.as_str(), layer.as_str()])?;
            list.push(descriptor(u, kind)?);
        }
        let list = list.join(", ");
        let mut more = String::new();
        for member in
            [r#","annotations":{"x":"\ud83d\ude00"}"#, r#","artifactType":"t""#, r#","un<known":[1.0, "\u0041"]"#]
        {
            more.push_str(if u.arbitrary()? { member } else { "" });
        }
        if u.arbitrary()? {
            write!(more, r#","subject":{}"#, descriptor(u, oci.as_str())?).unwrap();
        }
        let config = descriptor(u, MediaType::OCI_CONFIG.as_str())?;
        let text = format!(r#"{{"schemaVersion":2{more},"layers":[{list}],"config":{config}}}"#);
        let read = Manifest::from_bytes(text.clone().into(), None).unwrap();
        assert_eq!(read.raw(), text.as_bytes());
        assert_eq!(read.edit().finish().unwrap().raw(), text.as_bytes(), "nothing changed");
        let mut edit = read.edit();
        edit.doc_mut();
        let written = edit.finish().unwrap();
        assert_eq!(written.doc(), read.doc());
        let again = Manifest::from_bytes(written.raw().clone(), None).unwrap();
        let mut edit = again.edit();
        edit.doc_mut();
        assert_eq!((again.doc(), edit.finish().unwrap().raw()), (read.doc(), written.raw()));

        let text = format!(r#"{{"manifests":[{list}]{more},"schemaVersion":2}}"#);
        let read = IndexManifest::from_bytes(text.clone().into(), None).unwrap();
        assert_eq!((read.raw(), read.edit().finish().unwrap().raw()), (&text.clone().into(), &text.into()));
        let mut edit = read.edit();
        edit.doc_mut();
        let written = edit.finish().unwrap();
        assert_eq!(written.doc(), read.doc());
        let again = IndexManifest::from_bytes(written.raw().clone(), None).unwrap();
        let mut edit = again.edit();
        edit.doc_mut();
        assert_eq!((again.doc(), edit.finish().unwrap().raw()), (read.doc(), written.raw()));
        Ok(())
    });
}

#[test]
fn nothing_makes_the_readers_panic() {
    arbtest(|u| {
        let mut bytes = document(u)?.into_bytes();
        // Sometimes broken: a byte changed, or the end cut off.
        if !bytes.is_empty() && u.arbitrary()? {
            let i = u.choose_index(bytes.len())?;
            if u.arbitrary()? { bytes[i] = u.arbitrary()? } else { bytes.truncate(i) }
        }
        let bytes = Bytes::from(bytes);
        let _ = Config::from_bytes(bytes.clone());
        let _ = AnyManifest::from_bytes(bytes.clone(), None);
        let _ = AnyManifest::from_bytes(bytes, Some(MediaType::OCI_INDEX.as_str()));
        let text: String = u.arbitrary()?;
        let _ = text.parse::<Time>();
        if let Ok(platform) = text.parse::<Platform>() {
            assert_eq!(platform.to_string(), text.trim());
            assert!(platform.satisfies(&platform));
        }
        Ok(())
    });
}

#[test]
fn a_key_twice_is_refused_wherever_it_is() {
    arbtest(|u| {
        let mut path = String::from("@");
        for _ in 0..u.int_in_range(0..=20)? {
            let outer = u.choose(&["[0,@]", r#"{"a":1,"b":@}"#, r#"[{"x":@}]"#])?;
            path = path.replace('@', outer);
        }
        let twice = *u.choose(&[r#"{"k":1,"k":1}"#, r#"{"k":1,"j":{},"\u006b":2}"#])?;
        let text = format!(r#"{{"unknown":{}}}"#, path.replace('@', twice));
        let error = Config::from_bytes(text.into()).unwrap_err();
        assert!(error.message().contains("is there twice"), "{error}");
        let once = format!(r#"{{"unknown":{}}}"#, path.replace('@', r#"{"k":1,"j":1}"#));
        assert!(Config::from_bytes(once.into()).is_ok());
        Ok(())
    });
}
