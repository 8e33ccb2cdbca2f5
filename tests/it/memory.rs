//! Stores in memory.

use crate::parts::{Host, ctx, image, none};
use parbuckle::{
    BlobProvider, Blobs, Code, Descriptor, Digest, Error, Format, HostStream, Image, ImageBuilder, Index,
    IndexManifest, Layer, MemoryStore, Result, SinkHandle,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn memory_keeps_what_is_put_in_and_its_bound() {
    let store = MemoryStore::new(1 << 20).unwrap();
    let (one, index) = (image(2, 1), Index::random(2, 1, 20_000, 2, &none(), &ctx()).wait().unwrap());
    store.add_image(Some("one"), &one, &none(), &ctx()).wait().unwrap();
    assert_eq!(store.size(), one.size());
    store.add_image(Some("again"), &one, &none(), &ctx()).wait().unwrap();
    assert_eq!(store.size(), one.size());
    store.add_index(None, &index, &none(), &ctx()).wait().unwrap();
    assert_eq!(store.names(), ["again", "one"]);
    for name in ["one", "again", one.digest().as_str()] {
        let had = store.image(name, &none(), &ctx()).wait().unwrap();
        assert_eq!(had.digest(), one.digest());
        had.validate(&none(), &ctx()).wait().unwrap();
    }
    let had = store.index(index.digest().as_str(), &none(), &ctx()).wait().unwrap();
    had.validate(&none(), &ctx()).wait().unwrap();
    let child = had.manifest().manifests()[0].digest.clone();
    store.image(child.as_str(), &none(), &ctx()).wait().unwrap();
    let code = |e: Error| e.code();
    assert_eq!(store.index("one", &none(), &ctx()).wait().map_err(code).unwrap_err(), Code::InvalidArgument);
    assert_eq!(store.image("two", &none(), &ctx()).wait().map_err(code).unwrap_err(), Code::NotFound);

    let before = store.size();
    let large = Image::random(2, 600_000, 9, &none(), &ctx()).wait().unwrap();
    let e = store.add_image(Some("large"), &large, &none(), &ctx()).wait().unwrap_err();
    assert_eq!(e.code(), Code::LimitExceeded);
    assert_eq!(store.size(), before, "what failed keeps nothing");
    // A layer that is made into it, and one that is too large for it.
    let into = none().sink(&SinkHandle::memory(&store));
    let layer = Layer::random(10_000, 3, &into, &ctx()).wait().unwrap();
    layer.validate(&none(), &ctx()).wait().unwrap();
    let e = Layer::random(2 << 20, 3, &into, &ctx()).wait().unwrap_err();
    assert_eq!(e.code(), Code::LimitExceeded);

    store.remove("one").unwrap();
    store.image("again", &none(), &ctx()).wait().unwrap();
    store.remove("again").unwrap();
    assert_eq!(store.image("again", &none(), &ctx()).wait().map_err(code).unwrap_err(), Code::NotFound);
    let (of_index, of_layer) = (index.size(&none(), &ctx()).wait().unwrap(), layer.descriptor().size);
    assert_eq!(store.size(), of_index + of_layer, "only the index and the layer are left");
    store.remove(index.digest().as_str()).unwrap();
    assert_eq!(store.index(index.digest().as_str(), &none(), &ctx()).wait().map_err(code).unwrap_err(), Code::NotFound);
    assert_eq!(store.size(), of_index + of_layer, "values that were had keep what they need");
    had.validate(&none(), &ctx()).wait().unwrap();
    layer.validate(&none(), &ctx()).wait().unwrap();
    drop(had);
    assert_eq!(store.size(), of_layer);
    drop(layer);
    assert_eq!(store.size(), 0);
    assert_eq!(store.remove("one").unwrap_err().code(), Code::NotFound);
}

#[test]
fn memory_keeps_nothing_that_nobody_needs() {
    let random = |n, seed| Image::random(n, 100_000, seed, &none(), &ctx()).wait().unwrap();
    let put = |store: &MemoryStore, name: Option<&str>, image: &Image| {
        store.add_image(name, image, &none().jobs(1), &ctx()).wait()
    };
    // What failed, for want of room or because a blob could not be had.
    let store = MemoryStore::new(250_000).unwrap();
    assert_eq!(put(&store, Some("x"), &random(3, 5)).unwrap_err().code(), Code::LimitExceeded);
    assert_eq!((store.size(), store.names().len()), (0, 0));
    let origin = random(2, 6);
    let mut blobs = Blobs::new();
    blobs.add_layer(&origin.layers()[0]);
    blobs.provider(Arc::new(Host::default()));
    let broken = Image::from_parts(origin.manifest().raw().clone(), &blobs).unwrap();
    put(&store, Some("x"), &broken).unwrap_err();
    assert_eq!(store.size(), 0);
    put(&store, Some("y"), &random(1, 7)).unwrap();

    // A name that goes on to others.
    let store = MemoryStore::new(500_000).unwrap();
    for seed in 0..6 {
        let image = random(2, seed);
        put(&store, Some("x"), &image).unwrap();
        assert_eq!(store.size(), image.size());
    }
    store.remove("x").unwrap();
    assert_eq!(store.size(), 0);
    // A layer that was made into it, and put in with an image or not.
    let into = none().sink(&SinkHandle::memory(&store));
    drop(Layer::random(100_000, 1, &into, &ctx()).wait().unwrap());
    assert_eq!(store.size(), 0);
    let layer = Layer::random(100_000, 1, &into, &ctx()).wait().unwrap();
    let empty = Image::empty(Format::Oci).unwrap();
    let made = ImageBuilder::new(&empty).add_layer(&layer).build(&none(), &ctx()).wait().unwrap();
    put(&store, Some("made"), &made).unwrap();
    drop((layer, made));
    let had = store.image("made", &none(), &ctx()).wait().unwrap();
    had.validate(&none(), &ctx()).wait().unwrap();
    assert_eq!(store.size(), had.size());
    // A layer of what was had holds it, too.
    let layer = had.layers()[0].clone();
    drop(had);
    store.remove("made").unwrap();
    layer.validate(&none(), &ctx()).wait().unwrap();
    drop(layer);
    assert_eq!(store.size(), 0);
}

#[test]
fn memory_tells_names_from_what_was_put_in_without_one() {
    let code = |e: Error| e.code();
    let get = |store: &MemoryStore, which: &str| store.image(which, &none(), &ctx()).wait().map(drop).map_err(code);
    let one = image(2, 1);
    // It is full, and takes what it has again.
    let store = MemoryStore::new(one.size()).unwrap();
    for name in [None, Some("a"), None, Some("b")] {
        store.add_image(name, &one, &none(), &ctx()).wait().unwrap();
        assert_eq!(store.size(), one.size());
    }
    store.remove("a").unwrap();
    store.remove("b").unwrap();
    get(&store, one.digest().as_str()).unwrap();
    store.remove(one.digest().as_str()).unwrap();
    assert_eq!((get(&store, one.digest().as_str()), store.size()), (Err(Code::NotFound), 0));
    // With names alone it goes with the last of them, or with its digest.
    for remove in [&["a", "b"][..], &[one.digest().as_str()]] {
        store.add_image(Some("a"), &one, &none(), &ctx()).wait().unwrap();
        store.add_image(Some("b"), &one, &none(), &ctx()).wait().unwrap();
        remove.iter().for_each(|which| store.remove(which).unwrap());
        assert_eq!((store.names().len(), store.size()), (0, 0));
    }
    // A part goes with the whole, and says what that is.
    let store = MemoryStore::new(1 << 20).unwrap();
    let index = Index::random(2, 1, 1000, 2, &none(), &ctx()).wait().unwrap();
    let child = index.manifest().manifests()[0].digest.clone();
    store.add_index(Some("all"), &index, &none(), &ctx()).wait().unwrap();
    let e = store.remove(child.as_str()).unwrap_err();
    assert_eq!((e.code(), e.get_subject()), (Code::InvalidState, Some(child.as_str())));
    assert!(e.to_string().contains("all (sha256:"), "{e}");
    get(&store, child.as_str()).unwrap();
    let config = store.image(child.as_str(), &none(), &ctx()).wait().unwrap().manifest().config().digest.clone();
    assert_eq!(store.remove(config.as_str()).unwrap_err().code(), Code::NotFound);
    // One that was put in by itself, besides, stays until both are gone.
    let had = store.image(child.as_str(), &none(), &ctx()).wait().unwrap();
    store.add_image(None, &had, &none(), &ctx()).wait().unwrap();
    drop(had);
    store.remove("all").unwrap();
    get(&store, child.as_str()).unwrap();
    store.remove(child.as_str()).unwrap();
    assert_eq!(store.size(), 0);
}

/// Opens one blob only when it is let.
struct Held {
    host: Arc<Host>,
    held: Digest,
    asked: Mutex<std::sync::mpsc::Sender<()>>,
    let_go: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl BlobProvider for Held {
    fn open(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn HostStream>> {
        if blob.digest == self.held {
            self.asked.lock().unwrap().send(()).unwrap();
            let _ = self.let_go.lock().unwrap().recv();
        }
        self.host.open(blob, offset)
    }
}

#[test]
fn memory_keeps_what_is_on_its_way_in() {
    let store = MemoryStore::new(1 << 20).unwrap();
    let (other, origin) = (image(1, 1), image(2, 2));
    for cancelled in [false, true] {
        store.add_image(Some("other"), &other, &none(), &ctx()).wait().unwrap();
        let ((asked, was_asked), (go, let_go)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        let held = origin.layers()[1].descriptor().digest.clone();
        let (asked, let_go) = (Mutex::new(asked), Mutex::new(let_go));
        let mut blobs = Blobs::new();
        blobs.provider(Arc::new(Held { host: Host::with(&origin), held, asked, let_go }));
        let slow = Image::from_parts(origin.manifest().raw().clone(), &blobs).unwrap();
        let options = none().jobs(1);
        let ctx = ctx();
        let adding = store.add_image(Some("slow"), &slow, &options, &ctx);
        was_asked.recv_timeout(Duration::from_secs(30)).unwrap();
        store.remove("other").unwrap(); // the first layer is in
        if cancelled {
            ctx.cancel();
        }
        go.send(()).unwrap();
        match adding.wait() {
            Ok(()) => assert!(!cancelled),
            Err(e) => assert!(cancelled, "{e}"),
        }
        if !cancelled {
            let had = store.image("slow", &none(), &self::ctx()).wait().unwrap();
            had.validate(&none(), &self::ctx()).wait().unwrap();
            store.remove("slow").unwrap();
            drop(had);
            assert_eq!(store.size(), 0);
        }
    }
    // What was cancelled keeps nothing: the host's callback ends by itself.
    let start = std::time::Instant::now();
    while store.size() > 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "{} bytes stay", store.size());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn parts_of_indexes_that_are_nested_deeper() {
    let (deep, near) = (image(1, 1), image(1, 2));
    let over = |named: &[Descriptor], blobs: &Blobs| {
        let mut edit = IndexManifest::empty(true).edit();
        named.iter().for_each(|d| edit.append(d.clone()));
        Index::from_parts(edit.finish().unwrap().raw().clone(), blobs).unwrap()
    };
    let mut blobs = Blobs::new();
    let lowest = over(&[deep.descriptor().clone()], blobs.add_image(&deep));
    let mut blobs = Blobs::new();
    let middle = over(&[lowest.descriptor().clone()], blobs.add_index(&lowest));
    let mut blobs = Blobs::new();
    blobs.add_image(&near).add_index(&middle);
    let top = over(&[middle.descriptor().clone(), near.descriptor().clone()], &blobs);
    // All that is known is the outermost one; each of what is below it is named by itself.
    let mut blobs = Blobs::new();
    blobs.add_index(&top);
    for named in [middle.descriptor(), lowest.descriptor(), deep.descriptor(), near.descriptor()] {
        let made = over(std::slice::from_ref(named), &blobs);
        made.validate(&none(), &ctx()).wait().unwrap_or_else(|e| panic!("{named:?}: {e}"));
    }
    let made = over(&[image(1, 3).descriptor().clone()], &blobs);
    assert_eq!(made.validate(&none(), &ctx()).wait().unwrap_err().code(), Code::NotFound);
}
