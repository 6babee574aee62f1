//! Builds with what the image must not have: secrets, and an agent for SSH keys.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use futures::StreamExt as _;
use homeostat_reconciler::chain;
use homeostat_reconciler::ports::{ArchiveFormat, Engine, Progress, ProgressStep, SaveRequest, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::world::{Silent, expect};
use crate::{World, image_log, shell};

const PLANTED: &str = "correct-horse-battery-staple";

/// Keeps what a build tells.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn step(&self, step: &ProgressStep) {
        self.output(None, &step.to_string());
    }
    fn cached(&self, _step: usize) {}
    fn missed(&self, _step: usize, _cause: &str) {}
    fn output(&self, _step: Option<usize>, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

/// A step sees a secret that was given and not one that was not, and nobody sees it afterwards: not in what is told, not
/// in the image, not in its history.
pub async fn a_secret_is_seen_by_its_step_alone(engine: &dyn Engine, world: &World) {
    let lines = format!(
        "FROM {}\n\
         RUN --mount=type=secret,id=token,required=true \
         cat /run/secrets/token && wc -c < /run/secrets/token > /found\n\
         RUN --mount=type=secret,id=other [ ! -e /run/secrets/other ]\n",
        world.base
    );
    let reference = "localhost/secretive:1";
    let mut request = world.build_request(reference, &world.context("secretive", &lines));
    request.secrets.insert("token".to_owned(), Secret::new(PLANTED.into()));
    let heard = Heard::default();
    expect(engine.build_image(&request, &heard).await);
    let heard = heard.0.into_inner().unwrap().join("\n");
    assert!(heard.contains("***") && !heard.contains(PLANTED), "{heard}");

    let script = "cat /found; [ -s /run/secrets/token ] || echo gone";
    let log = image_log(engine, world, "secretive", reference, shell(script)).await;
    assert_eq!(log, [PLANTED.len().to_string().as_str(), "gone"]);
    let saved = SaveRequest { names: vec![reference.to_owned()], format: ArchiveFormat::DockerArchive };
    let archive: Vec<_> = expect(engine.save_images(&saved).await).map(expect).collect().await;
    assert!(!contains(&archive.concat(), PLANTED.as_bytes()));
    assert!(contains(&archive.concat(), b"/run/secrets/token"), "the archive has no history to look in");
}

/// A secret that a step cannot do without, and that nobody gives, fails the build with its name.
pub async fn a_secret_that_is_required_is_missed_by_its_name(engine: &dyn Engine, world: &World) {
    let lines = format!("FROM {}\nRUN --mount=type=secret,id=token,required=true true\n", world.base);
    let mut request = world.build_request("localhost/missing:1", &world.context("missing", &lines));
    request.secrets.insert("another".to_owned(), Secret::new(PLANTED.into()));
    let error = engine.build_image(&request, &Silent).await.unwrap_err();
    assert!(chain(&error).contains("token"), "{}", chain(&error));
}

/// A step talks with the agent of this host.
pub async fn a_step_talks_with_an_agent_for_keys(engine: &dyn Engine, world: &World) {
    let lines = format!(
        "FROM {}\nCOPY asker /asker\nRUN --mount=type=ssh,required=true /asker > /found\n",
        world.base
    );
    let context = world.context("asking", &lines);
    compile(&context.join("asker"));
    let path = world.directory.join("agent");
    let listener = UnixListener::bind(&path).unwrap();
    let agent = async {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut asked = [0; 3];
            client.read_exact(&mut asked).await.unwrap();
            client.write_all(&[b"asked: ", &asked[..]].concat()).await.unwrap();
        }
    };
    let reference = "localhost/asking:1";
    let mut request = world.build_request(reference, &context);
    request.ssh.insert("default".to_owned(), path);
    let built = tokio::select! {
        built = engine.build_image(&request, &Silent) => built,
        () = agent => unreachable!("the agent is there as long as it is asked"),
    };
    expect(built);
    assert_eq!(image_log(engine, world, "asking", reference, shell("cat /found")).await, ["asked: ask"]);
}

fn compile(program: &Path) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/asker.c");
    let compiled = Command::new("cc").args(["-static", "-O1", source, "-o"]).arg(program).output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
