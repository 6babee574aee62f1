//! Images: builds, references, prunes.

use std::sync::Mutex;

use homeostat_reconciler::ports::{Engine, Progress, ProgressStep};

use crate::world::expect;
use crate::{World, image_log, key};

/// Remembers how a build went on.
#[derive(Default)]
struct Told {
    steps: Mutex<Vec<String>>,
    cached: Mutex<usize>,
    output: Mutex<Vec<String>>,
}

impl Progress for Told {
    fn step(&self, step: &ProgressStep) {
        self.steps.lock().unwrap().push(step.text.clone());
    }
    fn cached(&self, _step: usize) {
        *self.cached.lock().unwrap() += 1;
    }
    fn missed(&self, _step: usize, _cause: &str) {}
    fn output(&self, _step: Option<usize>, line: &str) {
        self.output.lock().unwrap().push(line.to_owned());
    }
}

/// A build without a change takes everything from the cache and gives the same image.
pub async fn the_same_build_twice_gives_the_same_id(engine: &dyn Engine, world: &World) {
    let dockerfile = format!("FROM {}\nCOPY page /www/\nRUN date +%N > /made; echo made\n", world.base);
    let context = world.context("site", &dockerfile);
    fs_err::write(context.join("page"), "a page").unwrap();
    let request = world.build_request("localhost/site:1", &context);
    let told = Told::default();
    let first = expect(engine.build_image(&request, &told).await);
    assert!(told.output.lock().unwrap().iter().any(|line| line == "made"));
    assert!(told.steps.lock().unwrap().iter().any(|step| step.contains("COPY page /www/")));

    let again = Told::default();
    assert_eq!(expect(engine.build_image(&request, &again).await), first);
    assert!(*again.cached.lock().unwrap() >= 2);
    assert!(again.output.lock().unwrap().is_empty());
    assert_eq!(expect(engine.observe().await).images["localhost/site:1"].id, first);
}

/// Another content of a copied file gives another image.
pub async fn a_changed_context_gives_another_id(engine: &dyn Engine, world: &World) {
    let context = world.context("site", &format!("FROM {}\nCOPY page /www/\n", world.base));
    fs_err::write(context.join("page"), "a page").unwrap();
    let first = expect(world.build(engine, "localhost/site:1", &context).await);
    fs_err::write(context.join("page"), "another page").unwrap();
    let second = expect(world.build(engine, "localhost/site:1", &context).await);
    assert_ne!(first, second);
    let asked = crate::shell("cat /www/page");
    assert_eq!(image_log(engine, world, "reader", "localhost/site:1", asked).await, ["another page"]);
}

/// A failed build says at which step, tells what it wrote, and gives the reference to nothing.
pub async fn a_failed_build_says_which_step_and_leaves_no_image(engine: &dyn Engine, world: &World) {
    let context = world.context("broken", &format!("FROM {}\nRUN echo so far; exit 9\n", world.base));
    let told = Told::default();
    let request = world.build_request("localhost/broken:1", &context);
    let error = engine.build_image(&request, &told).await.unwrap_err();
    let message = homeostat_reconciler::chain(&error);
    assert!(message.contains("exit 9") && message.contains('9'), "{message}");
    assert!(told.output.lock().unwrap().iter().any(|line| line == "so far"));
    assert!(!expect(engine.observe().await).images.contains_key("localhost/broken:1"));
}

/// `ARG` takes the value of the request.
pub async fn a_build_argument_reaches_the_step(engine: &dyn Engine, world: &World) {
    let dockerfile = format!("FROM {}\nARG VERSION=0\nRUN echo $VERSION > /version\n", world.base);
    let context = world.context("versioned", &dockerfile);
    let mut request = world.build_request("localhost/versioned:1", &context);
    request.args.insert("VERSION".to_owned(), "1.4".to_owned());
    expect(engine.build_image(&request, &Told::default()).await);
    let asked = crate::shell("cat /version");
    assert_eq!(image_log(engine, world, "version", &request.reference, asked).await, ["1.4"]);
}

/// A removed reference is gone; what it meant stays while a container needs it.
pub async fn a_removed_reference_is_gone_and_can_be_removed_twice(engine: &dyn Engine, world: &World) {
    let image = world.image(engine, "short-lived", "RUN echo here > /file").await;
    let key = key("user");
    let asked = crate::shell("cat /file");
    expect(engine.create_container(&world.request(&key, &image, asked)).await);
    expect(engine.remove_image(&image).await);
    expect(engine.remove_image(&image).await);
    assert!(!expect(engine.observe().await).images.contains_key(&image));
    expect(engine.start_container(&key).await);
    crate::wait_exited(engine, &key).await;
    assert_eq!(crate::log_lines(engine, &key).await, ["here"]);
}
