//! What a build asks for that its builder has not: secrets and agents for SSH keys, which only BuildKit asks for, and
//! what in a Dockerfile takes BuildKit. The classic builder takes some of that for something else, and says of the rest
//! that it does not know it.

use homeostat_dockerfile::{Command, Copy, Remote, Run, RunCommand, Source};
use homeostat_reconciler::ports::BuildRequest;
use homeostat_reconciler::{ErrorKind, PortError};

use crate::connection::Builder;

const HINT: &str = "Docker 23 and newer have BuildKit; before that it is had with `\"features\": { \"buildkit\": true }` in its daemon.json";

/// Refuses what this builder would not do, before anything is sent.
pub(super) fn refuse_what_the_builder_has_not(
    builder: Builder,
    request: &BuildRequest,
) -> Result<(), PortError> {
    let has_more = !request.secrets.is_empty() || !request.ssh.is_empty();
    let (why, hint) = match builder {
        Builder::Classic if has_more => {
            ("which takes BuildKit, and this engine does not build with it", HINT)
        }
        Builder::Classic => return refuse_what_takes_buildkit(request),
        Builder::Buildah if has_more => (
            "which Podman's API takes only as files of the context",
            "the embedded engine and Docker with BuildKit have them in memory",
        ),
        Builder::BuildKit | Builder::Buildah => return Ok(()),
    };
    let message =
        format!("image {} cannot be built: it needs secrets or an SSH agent, {why}", request.reference);
    Err(PortError::new(ErrorKind::User, message).with_hint(hint))
}

/// Refuses a build of which the classic builder would make something else, or nothing. What cannot be read here is left
/// to the engine, which tells what is wrong with it.
fn refuse_what_takes_buildkit(request: &BuildRequest) -> Result<(), PortError> {
    let BuildRequest { context, dockerfile, dockerfile_text, reference, .. } = request;
    let text = match dockerfile_text {
        Some(text) => text.clone(),
        None => fs_err::read_to_string(context.join(dockerfile)).unwrap_or_default(),
    };
    match beyond_classic(&text) {
        Some((line, what)) => {
            let message = format!(
                "image {reference} cannot be built: line {line} of {dockerfile} has {what}, which takes BuildKit, and \
                 this engine does not build with it"
            );
            Err(PortError::new(ErrorKind::User, message).with_hint(HINT))
        }
        None => Ok(()),
    }
}

/// The first thing that the classic builder does not do, with its line.
fn beyond_classic(text: &str) -> Option<(usize, &'static str)> {
    let file = homeostat_dockerfile::parse(text).ok()?;
    let mut instructions = file.stages.iter().flat_map(|stage| &stage.instructions);
    instructions.find_map(|instruction| {
        let what = match &instruction.command {
            Command::Run(run) => of_run(run),
            Command::Copy(copy) | Command::Add(copy) => of_copy(copy),
            _ => None,
        };
        Some((instruction.line, what?))
    })
}

fn of_run(run: &Run) -> Option<&'static str> {
    let has_heredoc = match &run.command {
        // Lines that are continued are joined.
        RunCommand::Shell(text) => text.contains('\n'),
        RunCommand::Script(_) => true,
        RunCommand::Exec(_) => false,
    };
    let asked = [
        (!run.mounts.is_empty(), "RUN --mount"),
        (!run.network, "RUN --network"),
        (has_heredoc, "a here-document"),
    ];
    asked.into_iter().find_map(|(asked, what)| asked.then_some(what))
}

fn of_copy(copy: &Copy) -> Option<&'static str> {
    let has_heredoc = copy.sources.iter().any(|source| matches!(source, Source::Inline(_)));
    let is_repository = |source: &Source| matches!(source, Source::Path(path) if matches!(Remote::parse(path), Some(Remote::Repository(_))));
    let asked = [
        (copy.checksum.is_some(), "--checksum"),
        (copy.sources.iter().any(is_repository), "a git repository"),
        (copy.link, "--link"),
        (copy.chmod.is_some(), "--chmod"),
        (copy.parents, "--parents"),
        (!copy.exclude.is_empty(), "--exclude"),
        (has_heredoc, "a here-document"),
    ];
    asked.into_iter().find_map(|(asked, what)| asked.then_some(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_buildkit_is_found_with_its_line() {
        for (text, expected) in [
            ("RUN --mount=type=cache,target=/c make", Some((2, "RUN --mount"))),
            ("RUN true\nCOPY --link a b", Some((3, "--link"))),
            ("COPY --chmod=755 a b", Some((2, "--chmod"))),
            ("RUN <<END\nmake\nEND", Some((2, "a here-document"))),
            ("RUN cat <<END > a\nmake\nEND", Some((2, "a here-document"))),
            ("ADD --checksum=sha256:0 https://a/b /c", Some((2, "--checksum"))),
            ("ADD https://a/b.git /c", Some((2, "a git repository"))),
            ("ADD https://a/b /c", None),
            ("COPY <<END /a\nmake\nEND", Some((2, "a here-document"))),
            ("RUN make && \\\n  make install\nCOPY --chown=1 a b", None),
        ] {
            assert_eq!(beyond_classic(&format!("FROM base\n{text}\n")), expected, "{text}");
        }
    }
}
