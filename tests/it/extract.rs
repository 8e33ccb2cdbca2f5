//! The file systems of images: the corpus of tests/extract, and random stacks of layers against a simple model.
//!
//! A case is a text file: remarks (`#`), layers from the lowest up (`layer`, then one entry a line), and what is to
//! come of it (`tree`, one file a line, or `error CODE TEXT`). An entry is a letter, a name, what belongs to it, and
//! attributes: `d etc mode=700`, `f etc/motd hello uid=5`, `l bin usr/bin`, `h name target`, `c dev/null 1,3`,
//! `b`, `p`; `x:user.a=b` is an extended attribute, `size=` makes a file of so many `x`, `%20` is a byte. In a tree a
//! file with several names stands under the first, with the others as `h`.

use crate::api::root;
use bytes::Bytes;
use parbuckle::{CompressionOptions, Context, Image, ImageBuilder, Layer, Options, Reader};
use std::collections::{BTreeMap, VecDeque};
use tar::{EntryType, Header};

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    kind: char,
    name: Vec<u8>,
    /// Content, target, or numbers of a device.
    value: Vec<u8>,
    mode: u32,
    uid: u64,
    gid: u64,
    xattrs: BTreeMap<String, Vec<u8>>,
}

struct Case {
    layers: Vec<Vec<Item>>,
    tree: Vec<Item>,
    error: Option<(String, String)>,
}

fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(b) = bytes.next() {
        match b {
            b'%' => {
                let hex: String = bytes.by_ref().take(2).map(char::from).collect();
                out.push(u8::from_str_radix(&hex, 16).unwrap());
            }
            b => out.push(b),
        }
    }
    out
}

fn item(line: &str) -> Item {
    let mut words = line.split_whitespace();
    let kind = words.next().unwrap().chars().next().unwrap();
    let mut item = Item { kind, name: decoded(words.next().unwrap()), ..Item::default() };
    item.mode = match kind {
        'd' => 0o755,
        'l' => 0o777,
        _ => 0o644,
    };
    for word in words {
        match word.split_once('=') {
            Some(("mode", v)) => item.mode = u32::from_str_radix(v, 8).unwrap(),
            Some(("uid", v)) => item.uid = v.parse().unwrap(),
            Some(("gid", v)) => item.gid = v.parse().unwrap(),
            Some(("size", v)) => item.value = vec![b'x'; v.parse().unwrap()],
            Some((key, v)) if key.starts_with("x:") => drop(item.xattrs.insert(key[2..].to_owned(), decoded(v))),
            _ => item.value = decoded(word),
        }
    }
    item
}

fn case(text: &str) -> Case {
    let mut case = Case { layers: Vec::new(), tree: Vec::new(), error: None };
    let mut in_tree = false;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        match line.split_once(' ') {
            None if line == "layer" => case.layers.push(Vec::new()),
            None if line == "tree" => in_tree = true,
            Some(("error", what)) => {
                let (code, text) = what.split_once(' ').unwrap_or((what, ""));
                case.error = Some((code.to_owned(), text.to_owned()));
            }
            _ if in_tree => case.tree.push(item(line)),
            _ => case.layers.last_mut().unwrap().push(item(line)),
        }
    }
    case.tree.sort_by(|a, b| a.name.cmp(&b.name));
    case
}

/// A tar of these entries as they are.
fn tar_of(items: &[Item]) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        let mut header = Header::new_ustar();
        let is_file = item.kind == 'f' || item.kind.is_uppercase();
        let mut records = Vec::new();
        let mut record = |key: &str, value: &[u8]| {
            let rest = key.len() + value.len() + 3;
            let mut len = rest + 1;
            while len != rest + len.to_string().len() {
                len = rest + len.to_string().len();
            }
            records.extend_from_slice(format!("{len} {key}=").as_bytes());
            records.extend_from_slice(value);
            records.push(b'\n');
        };
        let fields = header.as_old_mut();
        let n = item.name.len().min(100);
        fields.name[..n].copy_from_slice(&item.name[..n]);
        if item.name.len() > 100 {
            record("path", &item.name);
        }
        if matches!(item.kind, 'l' | 'h') {
            let n = item.value.len().min(100);
            fields.linkname[..n].copy_from_slice(&item.value[..n]);
            if item.value.len() > 100 {
                record("linkpath", &item.value);
            }
        }
        for (key, value) in &item.xattrs {
            record(&format!("SCHILY.xattr.{key}"), value);
        }
        header.set_entry_type(match item.kind {
            'f' => EntryType::Regular,
            'd' => EntryType::Directory,
            'l' => EntryType::Symlink,
            'h' => EntryType::Link,
            'c' => EntryType::Char,
            'b' => EntryType::Block,
            'p' => EntryType::Fifo,
            other => EntryType::new(other as u8),
        });
        header.set_mode(item.mode);
        header.set_uid(item.uid);
        header.set_gid(item.gid);
        header.set_mtime(1_700_000_000);
        header.set_size(if is_file { item.value.len() as u64 } else { 0 });
        if matches!(item.kind, 'c' | 'b') {
            let text = String::from_utf8(item.value.clone()).unwrap();
            let (major, minor) = text.split_once(',').unwrap();
            header.set_device_major(major.parse().unwrap()).unwrap();
            header.set_device_minor(minor.parse().unwrap()).unwrap();
        }
        header.set_cksum();
        let mut block = |bytes: &[u8]| {
            out.extend_from_slice(bytes);
            out.resize(out.len().next_multiple_of(512), 0);
        };
        if !records.is_empty() {
            let mut x = Header::new_ustar();
            x.set_entry_type(EntryType::XHeader);
            x.set_path("x").unwrap();
            x.set_size(records.len() as u64);
            x.set_mode(0o644);
            x.set_cksum();
            block(x.as_bytes());
            block(&records);
        }
        block(header.as_bytes());
        if is_file {
            block(&item.value);
        }
    }
    out.extend_from_slice(&[0; 1024]);
    out
}

fn image_of(tars: Vec<Vec<u8>>, ctx: &Context) -> Image {
    let mut builder = ImageBuilder::from_scratch();
    for (i, tar) in tars.into_iter().enumerate() {
        let kind = ["gzip", "zstd", "none"][i % 3].parse().unwrap();
        let options = Options::new().compression(CompressionOptions { kind: Some(kind), level: None });
        builder.add_layer(&Layer::from_bytes(Bytes::from(tar), &options, ctx).wait().unwrap());
    }
    builder.build(&Options::new(), ctx).wait().unwrap()
}

fn read_all(mut reader: Reader, ctx: &Context) -> parbuckle::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let piece = reader.next(ctx).wait()?;
        if piece.is_empty() {
            return Ok(all);
        }
        all.extend_from_slice(&piece);
    }
}

fn exported(image: &Image, ctx: &Context) -> parbuckle::Result<Vec<u8>> {
    read_all(image.filesystem(&Options::new(), ctx).wait()?, ctx)
}

#[derive(Clone, Debug)]
enum Node {
    /// No entry made it.
    Implied,
    Directory(Item),
    /// The file's number: names may share it.
    Leaf(usize),
}

/// What an unpacker that does nothing but follow the stream has in the end; it refuses what a careful one would.
fn unpacked(tar: &[u8]) -> Vec<Item> {
    let (mut nodes, mut files): (BTreeMap<Vec<u8>, Node>, Vec<Item>) = Default::default();
    let mut archive = tar::Archive::new(tar);
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut name = entry.path_bytes().into_owned();
        assert!(!name.starts_with(b"/") && !name.split(|b| *b == b'/').any(|p| p == b".."), "{}", text(&name));
        assert!(!name.split(|b| *b == b'/').any(|p| p.starts_with(b".wh.")), "a whiteout {}", text(&name));
        if name.ends_with(b"/") {
            name.pop();
        }
        let header = entry.header().clone();
        let mut item = Item {
            kind: match header.entry_type() {
                EntryType::Regular => 'f',
                EntryType::Directory => 'd',
                EntryType::Symlink => 'l',
                EntryType::Link => 'h',
                EntryType::Char => 'c',
                EntryType::Block => 'b',
                EntryType::Fifo => 'p',
                other => panic!("{other:?} in a merged tar"),
            },
            name: name.clone(),
            mode: header.mode().unwrap(),
            uid: header.uid().unwrap(),
            gid: header.gid().unwrap(),
            ..Item::default()
        };
        if let Some(records) = entry.pax_extensions().unwrap() {
            for record in records.map(Result::unwrap) {
                if let Some(key) = record.key().unwrap().strip_prefix("SCHILY.xattr.") {
                    item.xattrs.insert(key.to_owned(), record.value_bytes().to_vec());
                }
            }
        }
        match item.kind {
            'f' => drop(std::io::Read::read_to_end(&mut entry, &mut item.value).unwrap()),
            'l' | 'h' => item.value = entry.link_name_bytes().unwrap().into_owned(),
            'c' | 'b' => {
                let numbers = (header.device_major().unwrap().unwrap(), header.device_minor().unwrap().unwrap());
                item.value = format!("{},{}", numbers.0, numbers.1).into_bytes();
            }
            _ => {}
        }
        let parts: Vec<&[u8]> = name.split(|b| *b == b'/').collect();
        for depth in 1..parts.len() {
            let parent = parts[..depth].join(&b'/');
            if let Node::Leaf(file) = nodes.entry(parent).or_insert(Node::Implied) {
                panic!("{} lies behind {:?}", text(&name), files[*file]);
            }
        }
        if name == b"." {
            item.name = b".".to_vec();
        }
        let below = [&name[..], b"/"].concat();
        let node = match item.kind {
            'd' => Node::Directory(item),
            'h' => match nodes.get(&item.value) {
                Some(Node::Leaf(file)) => Node::Leaf(*file),
                other => panic!("{} is a hard link to {other:?}", text(&name)),
            },
            _ => {
                files.push(item);
                Node::Leaf(files.len() - 1)
            }
        };
        if matches!(node, Node::Leaf(_)) {
            assert!(!nodes.keys().any(|k| k.starts_with(&below)), "{} takes a directory's place", text(&name));
        }
        nodes.insert(name, node);
    }
    listed(&nodes, &files)
}

fn listed(nodes: &BTreeMap<Vec<u8>, Node>, files: &[Item]) -> Vec<Item> {
    let mut first: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let list = nodes.iter().map(|(name, node)| match node {
        Node::Implied => Item { kind: 'd', name: name.clone(), mode: 0o755, ..Item::default() },
        Node::Directory(item) => Item { name: name.clone(), ..item.clone() },
        Node::Leaf(file) => match first.get(file) {
            None => {
                first.insert(*file, name.clone());
                Item { name: name.clone(), ..files[*file].clone() }
            }
            Some(before) => {
                Item { kind: 'h', name: name.clone(), value: before.clone(), mode: 0o644, ..Item::default() }
            }
        },
    });
    list.collect()
}

fn shown(items: &[Item]) -> String {
    let line = |i: &Item| {
        let value = match i.value.len() {
            0..=60 => String::from_utf8_lossy(&i.value).into_owned(),
            n => format!("size={n}"),
        };
        let name = String::from_utf8_lossy(&i.name);
        format!("{} {name} {value} mode={:o} {}:{} {:?}\n", i.kind, i.mode, i.uid, i.gid, i.xattrs)
    };
    items.iter().map(line).collect()
}

/// The list that the library gives, in the same form; contents come from [`Image::read_file`].
fn looked_at(image: &Image, ctx: &Context, contents: bool) -> parbuckle::Result<Vec<Item>> {
    let mut items = Vec::new();
    for file in image.files(&Options::new(), ctx).wait()?.iter() {
        let mut item = Item {
            kind: file.kind.letter(),
            name: file.path.clone(),
            value: file.link.clone(),
            mode: file.mode,
            uid: file.uid,
            gid: file.gid,
            xattrs: BTreeMap::new(),
        };
        for (name, value) in &file.xattrs {
            item.xattrs.insert(String::from_utf8(name.clone()).unwrap(), value.clone());
        }
        match item.kind {
            'h' => (item.mode, item.uid, item.gid, item.xattrs) = (0o644, 0, 0, BTreeMap::new()),
            'c' | 'b' => item.value = format!("{},{}", file.device.0, file.device.1).into_bytes(),
            'f' if contents => {
                item.value = read_all(image.read_file(&file.path, &Options::new(), ctx).wait()?, ctx)?;
                assert_eq!(item.value.len() as u64, file.size, "{file:?}");
            }
            'f' => item.value = vec![b'?'; file.size as usize],
            _ => {}
        }
        items.push(item);
    }
    let names: Vec<_> = items.iter().map(|i| i.name.clone()).collect();
    items.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(names.first().is_none_or(|n| n == b"."), "the root comes first");
    Ok(items)
}

#[test]
fn the_corpus() {
    let mut count = 0;
    let mut wrong = Vec::new();
    let only = std::env::var("CASE").ok();
    let mut paths: Vec<_> =
        std::fs::read_dir(root().join("tests/extract")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|p| p.extension().is_some_and(|e| e == "case")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        count += 1;
        if let Err(why) = run(&case(&std::fs::read_to_string(path).unwrap())) {
            wrong.push(format!("--- {name}: {why}"));
        }
    }
    assert!(count >= 60 || only.is_some(), "{count} cases");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

fn run(case: &Case) -> Result<(), String> {
    let ctx = Context::new();
    let image = image_of(case.layers.iter().map(|l| tar_of(l)).collect(), &ctx);
    let stream = exported(&image, &ctx);
    let list = looked_at(&image, &ctx, true);
    if let Some((code, text)) = &case.error {
        for e in [stream.err(), list.err()] {
            let e = e.ok_or("no error")?;
            if e.code().name() != code || !e.to_string().contains(text) {
                return Err(format!("another error: {e:?}"));
            }
        }
        return Ok(());
    }
    let stream = stream.map_err(|e| format!("{e:?}"))?;
    let same = |what: &str, got: &[Item]| match shown(got) == shown(&case.tree) && got == case.tree {
        true => Ok(()),
        false => Err(format!("{what} gives\n{}instead of\n{}", shown(got), shown(&case.tree))),
    };
    same("the stream", &unpacked(&stream))?;
    let mut list = list.map_err(|e| format!("{e:?}"))?;
    if !case.tree.iter().any(|i| i.name == b".") {
        list.retain(|i| i.name != b".");
    }
    same("the list", &list)?;
    if exported(&image, &ctx).map_err(|e| e.to_string())? != stream {
        return Err("another stream the second time".into());
    }
    let flat = image.flatten(&Options::new(), &ctx).wait().map_err(|e| format!("{e:?}"))?;
    // What a layer has twice stands in the stream twice, in its order: that is all that may be found.
    let report = flat.examine(&Options::new(), &ctx).wait().map_err(|e| format!("{e:?}"))?;
    if let Some(found) = report.findings().iter().find(|f| !f.message.contains("there twice")) {
        return Err(format!("the flattened image: {found:?}"));
    }
    same("the flattened image", &unpacked(&exported(&flat, &ctx).map_err(|e| format!("{e:?}"))?))
}

// ---- Random stacks ----

/// Layers applied one on the other, lowest first, as simply as can be. `None` where an engine would give up, or where
/// a layer puts something in the place of its own directory.
fn stacked(layers: &[Vec<Item>]) -> Option<Vec<Item>> {
    let (mut nodes, mut files): (BTreeMap<Vec<u8>, Node>, Vec<Item>) = Default::default();
    for layer in layers {
        let mut own: Vec<Vec<u8>> = Vec::new();
        for item in layer {
            let (dir, base) = match item.name.iter().rposition(|b| *b == b'/') {
                Some(at) => (&item.name[..at], &item.name[at + 1..]),
                None => (&item.name[..0], &item.name[..]),
            };
            let whiteout = base.starts_with(b".wh.");
            let Some(dir) = real(&nodes, &files, dir, !whiteout)? else { continue };
            let at = |base: &[u8]| if dir.is_empty() { base.to_vec() } else { [&dir[..], b"/", base].concat() };
            let under = |parent: &[u8], name: &[u8]| {
                parent.is_empty() || name.strip_prefix(parent).is_some_and(|rest| rest.starts_with(b"/"))
            };
            if whiteout {
                let opaque = base == b".wh..wh..opq";
                let gone = if opaque { dir.clone() } else { at(&base[4..]) };
                let hit = |name: &Vec<u8>| under(&gone, name) || (!opaque && *name == gone);
                let keeps = |name: &Vec<u8>| own.iter().any(|o| o == name || under(name, o));
                let names: Vec<_> = nodes.keys().filter(|n| hit(n)).cloned().collect();
                for name in names {
                    if !keeps(&name) {
                        nodes.remove(&name);
                    } else if !own.contains(&name) {
                        nodes.insert(name, Node::Implied);
                    }
                }
                continue;
            }
            let name = at(base);
            for i in dir.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(i, _)| i).chain([dir.len()]) {
                if i > 0 && !nodes.contains_key(&dir[..i]) {
                    nodes.insert(dir[..i].to_vec(), Node::Implied);
                    own.push(dir[..i].to_vec());
                }
            }
            let directory = |n: &Node| matches!(n, Node::Implied | Node::Directory(_));
            let there = nodes.get(&name).cloned();
            if item.kind == 'd' && there.as_ref().is_some_and(directory) {
                nodes.insert(name.clone(), Node::Directory(item.clone()));
                own.push(name);
                continue;
            }
            if there.as_ref().is_some_and(directory) && own.iter().any(|o| *o == name || under(&name, o)) {
                return None;
            }
            let node = match item.kind {
                'd' => Node::Directory(item.clone()),
                'h' => {
                    let (tdir, tbase) = match item.value.iter().rposition(|b| *b == b'/') {
                        Some(at) => (&item.value[..at], &item.value[at + 1..]),
                        None => (&item.value[..0], &item.value[..]),
                    };
                    let tdir = real(&nodes, &files, tdir, false)??;
                    let target = if tdir.is_empty() { tbase.to_vec() } else { [&tdir[..], b"/", tbase].concat() };
                    match nodes.get(&target) {
                        Some(Node::Leaf(file)) if target != name && !under(&name, &target) => Node::Leaf(*file),
                        _ => return None,
                    }
                }
                _ => {
                    files.push(item.clone());
                    Node::Leaf(files.len() - 1)
                }
            };
            nodes.retain(|n, _| !under(&name, n));
            nodes.insert(name.clone(), node);
            own.push(name);
        }
    }
    Some(listed(&nodes, &files))
}

/// A directory's own path, links followed: `Some(None)` where there is none, `None` where that is an error.
#[allow(clippy::option_option)]
fn real(nodes: &BTreeMap<Vec<u8>, Node>, files: &[Item], path: &[u8], make: bool) -> Option<Option<Vec<u8>>> {
    let split =
        |p: &[u8]| p.split(|b| *b == b'/').filter(|p| !p.is_empty()).map(<[u8]>::to_vec).collect::<VecDeque<_>>();
    let (mut at, mut rest, mut links) = (Vec::<Vec<u8>>::new(), split(path), 0);
    while let Some(part) = rest.pop_front() {
        if part == b".." {
            at.pop();
            continue;
        }
        at.push(part);
        match nodes.get(&at.join(&b'/')) {
            None if !make => return Some(None),
            Some(Node::Leaf(file)) if files[*file].kind == 'l' => {
                at.pop();
                links += 1;
                if links > 200 {
                    return None;
                }
                let target = &files[*file].value;
                if target.starts_with(b"/") {
                    at.clear();
                }
                let mut more = split(target);
                more.append(&mut rest);
                rest = more;
            }
            Some(Node::Leaf(_)) => return if make { None } else { Some(None) },
            _ => {}
        }
    }
    Some(Some(at.join(&b'/')))
}

#[test]
fn random_stacks_equal_the_model() {
    let (mut good, mut bad) = (0, 0);
    let millis = std::env::var("RANDOM_MILLIS").ok().and_then(|v| v.parse().ok()).unwrap_or(3000);
    let check = arbtest::arbtest(|u| {
        let mut layers = Vec::new();
        let tidy: bool = u.arbitrary()?; // names its directories first, as most layers do
        for _ in 0..u.int_in_range(1..=4)? {
            let mut layer = Vec::new();
            for _ in 0..u.int_in_range(0..=7)? {
                let part = |u: &mut arbtest::arbitrary::Unstructured<'_>| u.choose(&["a", "b", "c"]).copied();
                let mut name = Vec::new();
                for _ in 0..u.int_in_range(0..=2)? {
                    name.push(part(u)?);
                    let dir = Item { kind: 'd', name: name.join("/").into(), mode: 0o755, ..Item::default() };
                    if tidy && !layer.contains(&dir) {
                        layer.push(dir);
                    }
                }
                let base = part(u)?;
                let kind = *u.choose(&['f', 'f', 'f', 'd', 'd', 'l', 'h', 'w', 'o'])?;
                name.push(base);
                let target = |u: &mut arbtest::arbitrary::Unstructured<'_>| {
                    u.choose(&["a", "b", "c", "a/b", "b/a", "a/c", "../b", "/a", "c/a/b"])
                        .map(|t| t.as_bytes().to_vec())
                };
                let mut item = Item { kind, name: name.join("/").into(), mode: 0o644, ..Item::default() };
                match kind {
                    'd' => item.mode = *u.choose(&[0o755, 0o700])?,
                    'l' => (item.mode, item.value) = (0o777, target(u)?),
                    'h' => {
                        item.value = target(u)?;
                        if item.value.starts_with(b".") || item.value.starts_with(b"/") {
                            item.value = b"a".to_vec();
                        }
                    }
                    'w' => {
                        let last = name.len() - 1;
                        let base = format!(".wh.{base}");
                        name[last] = &base;
                        item = Item { kind: 'f', name: name.join("/").into(), ..Item::default() };
                    }
                    'o' => {
                        let last = name.len() - 1;
                        name[last] = ".wh..wh..opq";
                        item = Item { kind: 'f', name: name.join("/").into(), ..Item::default() };
                    }
                    _ => item.value = format!("{}", u.int_in_range(0..=999)?).into_bytes(),
                }
                layer.push(item);
            }
            layers.push(layer);
        }
        let ctx = Context::new();
        let image = image_of(layers.iter().map(|l| tar_of(l)).collect(), &ctx);
        let stream = exported(&image, &ctx);
        let list = looked_at(&image, &ctx, false);
        let stack = || layers.iter().map(|l| format!("layer\n{}", shown(l))).collect::<String>();
        match stacked(&layers) {
            None => {
                bad += 1;
                assert!(list.is_err(), "{}lists\n{}", stack(), shown(&list.unwrap()));
                // Where upper layers hide all of it, nobody need know.
                if let Ok(stream) = stream {
                    unpacked(&stream);
                }
            }
            Some(expected) => {
                good += 1;
                let stream = unpacked(&stream.unwrap_or_else(|e| panic!("{}{e:?}", stack())));
                assert_eq!(shown(&stream), shown(&expected), "{}", stack());
                let mut list = list.unwrap_or_else(|e| panic!("{}{e:?}", stack()));
                list.retain(|i| i.name != b".");
                let names = |items: &[Item]| items.iter().map(|i| (i.kind, i.name.clone(), i.mode)).collect::<Vec<_>>();
                assert_eq!(names(&list), names(&expected), "{}", stack());
            }
        }
        Ok(())
    })
    .budget_ms(millis);
    drop(check);
    assert!(good > 20 && bad > 0, "{good} good ones, {bad} bad ones");
}
