//! Builds: what Dockerfiles can do beyond the instructions that every builder has.

use homeostat_daemons::Web;
use homeostat_reconciler::ports::{BuildRequest, Engine};

use crate::world::{Silent, expect};
use crate::{World, image_log, shell};

/// Builds the base with these lines of Dockerfile and gives what a script in it writes.
async fn told(engine: &dyn Engine, world: &World, name: &str, lines: &str, script: &str) -> Vec<String> {
    let context = world.context(name, &format!("FROM {}\n{lines}\n", world.base));
    fs_err::write(context.join("page"), "a page").unwrap();
    let reference = format!("localhost/{name}:1");
    expect(world.build(engine, &reference, &context).await);
    image_log(engine, world, name, &reference, shell(script)).await
}

/// What a step leaves in a cache the next one finds, and no layer has it.
pub async fn a_cache_is_mounted_from_step_to_step(engine: &dyn Engine, world: &World) {
    let lines = "RUN --mount=type=cache,target=/cache echo kept > /cache/file\n\
                 RUN --mount=type=cache,target=/cache cp /cache/file /found";
    let script = "cat /found; ls -A /cache 2>/dev/null | wc -l";
    assert_eq!(told(engine, world, "cached", lines, script).await, ["kept", "0"]);
}

/// A file of the context is there for a step without being copied.
pub async fn the_context_is_mounted_for_a_step(engine: &dyn Engine, world: &World) {
    let lines = "RUN --mount=type=bind,source=page,target=/mounted cp /mounted /found";
    let script = "echo $(cat /found); [ -s /mounted ] || echo gone";
    assert_eq!(told(engine, world, "bound", lines, script).await, ["a page", "gone"]);
}

/// What a step writes to memory is in no layer.
pub async fn memory_is_mounted_for_a_step(engine: &dyn Engine, world: &World) {
    let lines = "RUN --mount=type=tmpfs,target=/scratch echo a > /scratch/file && ls /scratch > /found";
    let script = "cat /found; ls -A /scratch 2>/dev/null | wc -l";
    assert_eq!(told(engine, world, "scratch", lines, script).await, ["file", "0"]);
}

/// A script and a file can stand in the Dockerfile itself.
pub async fn a_here_document_is_run_and_copied(engine: &dyn Engine, world: &World) {
    let lines = "RUN <<END\nset -e\nprintf one > /first\nprintf two > /second\nEND\n\
                 COPY <<END /third\nthree\nEND";
    let script = "echo $(cat /first) $(cat /second) $(cat /third)";
    assert_eq!(told(engine, world, "here", lines, script).await, ["one two three"]);
}

/// `--link` copies into a layer of its own; the result is the same.
pub async fn a_file_is_copied_with_link(engine: &dyn Engine, world: &World) {
    let lines = "COPY --link page /linked/page";
    assert_eq!(told(engine, world, "linked", lines, "cat /linked/page").await, ["a page"]);
}

/// `--chmod` sets the mode of what is copied.
pub async fn a_file_is_copied_with_a_mode(engine: &dyn Engine, world: &World) {
    let lines = "COPY --chmod=640 page /page";
    assert_eq!(told(engine, world, "moded", lines, "stat -c %a /page").await, ["640"]);
}

/// What a URL gives is copied, for its owner alone, under the last name of its path.
pub async fn a_file_is_fetched_from_its_url(engine: &dyn Engine, world: &World) {
    let web = Web::serve("127.0.0.1:0", &[("/sub/page.txt", b"from elsewhere")]);
    let lines = format!("ADD {} /fetched/", web.url("/sub/page.txt?raw=1"));
    let script = "echo $(cat /fetched/page.txt) $(stat -c '%a %u' /fetched/page.txt)";
    assert_eq!(told(engine, world, "fetched", &lines, script).await, ["from elsewhere 600 0"]);
}

/// A Dockerfile that is given as a text builds, and is not copied with the context.
pub async fn a_dockerfile_is_no_file_of_the_context(engine: &dyn Engine, world: &World) {
    let context = world.context("text", "this is not what is built");
    let text = format!("FROM {}\nCOPY . /all/\n", world.base);
    let request = BuildRequest {
        dockerfile: "standard input".to_owned(),
        dockerfile_text: Some(text),
        ..world.build_request("localhost/text:1", &context)
    };
    expect(engine.build_image(&request, &Silent).await);
    let files = image_log(engine, world, "text", "localhost/text:1", shell("ls -A /all")).await;
    assert_eq!(files, ["Dockerfile"]);
}
