//! `parb registry serve --disk`, killed at random moments of a push: what was acknowledged is there, and nothing is
//! there that is not whole.

use crate::support::block_on;
use parbuckle::{Client, ClientOptions, Context, Digest, ImageBuilder, Keychain, Layer, Options, Reference, Result};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often the server is killed.
const KILLS: u32 = 50;

struct Serve {
    child: Child,
    host: String,
}

impl Serve {
    fn start(folder: &Path) -> Serve {
        let url_file = folder.join("url");
        let _ = std::fs::remove_file(&url_file);
        let child = Command::new(env!("CARGO_BIN_EXE_parb"))
            .args(["registry", "serve", "--address", "127.0.0.1:0", "--disk"])
            .arg(folder.join("store"))
            .arg("--url-file")
            .arg(&url_file)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            match std::fs::read_to_string(&url_file) {
                Ok(url) if !url.is_empty() => {
                    let host = url.trim().trim_start_matches("http://").to_owned();
                    return Serve { child, host };
                }
                _ => assert!(Instant::now() < until, "the server did not come up"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    fn kill(mut self) {
        self.child.kill().unwrap(); // SIGKILL
        self.child.wait().unwrap();
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client() -> Client {
    let quick = ClientOptions::new().keychain(&Keychain::anonymous()).retry(1, Duration::ZERO);
    Client::new(&quick).unwrap()
}

/// Pushes an image of two layers that no other round has.
fn push(host: &str, round: u32, ctx: &Context) -> Result<Digest> {
    let client = client();
    let name = Reference::parse(&format!("{host}/app:{round}"))?;
    let mut builder = ImageBuilder::from_scratch();
    for n in 0..2u32 {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        let data: Vec<u8> =
            (0..400_000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) ^ round ^ n).to_le_bytes()).collect();
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, "file", &data[..]).unwrap();
        builder.add_layer(&Layer::from_bytes(tar.into_inner().unwrap().into(), &Options::new(), ctx).wait()?);
    }
    let image = builder.build(&Options::new(), ctx).wait()?;
    client.push(&name, &image, &Options::new(), ctx).wait()?;
    Ok(image.digest().clone())
}

#[test]
fn kill_at_random_moments_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let ctx = Context::with_timeout(Duration::from_secs(300));
    let mut acknowledged: Vec<(u32, Digest)> = Vec::new();
    let mut serve = Serve::start(folder.path());
    let began = Instant::now();
    acknowledged.push((1000, push(&serve.host, 1000, &ctx).unwrap()));
    let usual = began.elapsed();
    for round in 0..KILLS {
        let host = serve.host.clone();
        let pushing = {
            let ctx = ctx.clone();
            std::thread::spawn(move || push(&host, round, &ctx))
        };
        // Spread over the whole push, and a little beyond its end.
        let moment = usual.mul_f64(1.2 * f64::from(round * 37 % KILLS) / f64::from(KILLS));
        std::thread::sleep(moment);
        while round % 10 == 9 && !pushing.is_finished() {
            std::thread::sleep(Duration::from_millis(1)); // however busy the machine is, some are acknowledged
        }
        serve.kill();
        if let Ok(digest) = pushing.join().unwrap() {
            acknowledged.push((round, digest));
        }
        whole(&folder.path().join("store"));
        serve = Serve::start(folder.path());
    }
    // Whatever tag there is names an image that is whole; and all that were acknowledged are there.
    let client = client();
    let mut there = 0;
    for round in (0..KILLS).chain([1000]) {
        let name = Reference::parse(&format!("{}/app:{round}", serve.host)).unwrap();
        let known = acknowledged.iter().find(|(r, _)| *r == round).map(|(_, d)| d);
        match client.pull(&name, &Options::new(), &ctx).wait() {
            Ok(image) => {
                image.validate(&Options::new(), &ctx).wait().unwrap();
                assert!(known.is_none_or(|d| d == image.digest()));
                there += 1;
            }
            Err(e) => assert!(known.is_none(), "round {round} was acknowledged: {e:?}"),
        }
    }
    let sessions =
        block_on(async { crate::support::http().get(format!("http://{}/v2/", serve.host)).send().await.unwrap() });
    assert_eq!(sessions.status(), 200);
    println!("{} of {KILLS} pushes acknowledged, {there} images there", acknowledged.len() - 1);
    assert!(acknowledged.len() > 1 && there <= KILLS as usize + 1);
}

/// Every file that is named by a digest has that digest; a manifest's follows a line with its media type.
fn whole(store: &Path) {
    let mut checked = 0;
    for entry in walkdir::WalkDir::new(store) {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.len() != 64 || !entry.file_type().is_file() {
            continue;
        }
        let bytes = std::fs::read(entry.path()).unwrap();
        let is_manifest = entry.path().components().any(|c| c.as_os_str() == "_manifests");
        let after_line = bytes.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
        let content = if is_manifest { &bytes[after_line..] } else { &bytes[..] };
        assert_eq!(Digest::sha256(content).hex(), name, "{}", entry.path().display());
        checked += 1;
    }
    assert!(checked >= 3, "the store's layout is another than this test knows");
}
