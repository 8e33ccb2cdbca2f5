//! derive BASE TARGET LAYER.tar: pulls an image, puts a layer on it, changes its config, pushes it.
use parbuckle::{Client, ClientOptions, Context, ImageBuilder, Layer, Options, Reference, SinkHandle};
use std::time::Duration;

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [base, target, tar] = &args[..] else {
        eprintln!("usage: derive BASE TARGET LAYER.tar");
        return std::process::ExitCode::from(2);
    };
    match derive(base, target, tar) {
        Ok(digest) => println!("rust {digest}"),
        Err(e) => {
            eprintln!("{e:?}");
            return std::process::ExitCode::FAILURE;
        }
    }
    std::process::ExitCode::SUCCESS
}

fn derive(base: &str, target: &str, tar: &str) -> parbuckle::Result<String> {
    let (none, ctx) = (Options::new(), Context::with_timeout(Duration::from_secs(120)));
    let client = Client::new(&ClientOptions::new().user_agent("example-rust"))?;
    let (from, to) = (Reference::parse(base)?, Reference::parse(target)?);

    let base = client.pull(&from, &none, &ctx).wait()?;
    let config = base.config(&ctx).wait()?;
    println!("pulled {from}: {}", config.platform().map(|p| p.to_string()).unwrap_or_default());
    for layer in base.layers() {
        println!("  layer {} {:>11} bytes", layer.descriptor().digest, layer.descriptor().size);
    }

    // The layer goes straight to the target, compressed on the way; build and push find it there.
    let into = Options::new().sink(&SinkHandle::repository(&client, &to));
    let layer = Layer::from_file(tar.as_ref(), &into, &ctx).wait()?;
    let made = ImageBuilder::new(&base)
        .add_layer(&layer)
        .set_env("APP_MODE", Some("production"))?
        .set_label("org.example.derived", Some("yes"))?
        .set_working_dir("/app")
        .build(&none, &ctx)
        .wait()?;
    client.push(&to, &made, &none, &ctx).wait()?;
    Ok(made.digest().to_string())
}
