//! How a build goes on, as BuildKit tells it: messages `StatusResponse` of its API (api/services/control/control.proto).

use std::collections::HashMap;

use homeostat_reconciler::ports::{Masks, Progress, ProgressStep};

use super::protobuf::{Value, fields, text};

/// Follows a build.
pub(super) struct Trace {
    /// What nobody is told.
    masks: Masks,
    /// What is known of each vertex of the build's graph, by its digest.
    vertices: HashMap<String, Vertex>,
    /// The vertex that was told last.
    shown: String,
    /// The step that failed.
    failed: Option<String>,
    /// Of each download, how many tenths were told.
    tenths: HashMap<String, u64>,
}

#[derive(Debug, Default)]
struct Vertex {
    /// The instruction, if it is one: BuildKit has work of its own too.
    step: Option<ProgressStep>,
    has_begun: bool,
    is_cached: bool,
    /// What it has written of a line.
    begun: Vec<u8>,
}

impl Vertex {
    fn number(&self) -> Option<usize> {
        self.step.as_ref().map(|step| step.number)
    }
}

impl Trace {
    pub(super) fn new(masks: Masks) -> Self {
        Self { masks, vertices: HashMap::new(), shown: String::new(), failed: None, tenths: HashMap::new() }
    }

    /// The step at which the build failed.
    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Takes in a message.
    pub(super) fn take(&mut self, message: &[u8], progress: &dyn Progress) {
        let mut ended = Vec::new();
        for (number, value) in fields(message) {
            let Value::Bytes(part) = value else { continue };
            match number {
                1 => ended.extend(self.vertex(part, progress)),
                2 => self.download(part, progress),
                3 => self.output(part, progress),
                4 => progress.output(None, &text(part, 3)),
                _ => {}
            }
        }
        // What they have written comes in the same message.
        for digest in ended {
            let vertex = self.vertices.entry(digest).or_default();
            if !vertex.begun.is_empty() {
                say(vertex.number(), &std::mem::take(&mut vertex.begun), &self.masks, progress);
            }
        }
    }

    /// Gives the digest back if the vertex has ended.
    fn vertex(&mut self, told: &[u8], progress: &dyn Progress) -> Option<String> {
        let digest = text(told, 1);
        let (mut has_begun, mut has_ended, mut is_cached) = (false, false, false);
        for (number, value) in fields(told) {
            match (number, value) {
                (4, Value::Number(cached)) => is_cached = cached != 0,
                (5, _) => has_begun = true,
                (6, _) => has_ended = true,
                _ => {}
            }
        }
        let vertex = self.vertices.entry(digest.clone()).or_default();
        vertex.step = vertex.step.take().or_else(|| step(&text(told, 3)));
        if let Some(step) = &vertex.step {
            let is_news = is_cached && !vertex.is_cached;
            // Others may have been told since it began.
            if (has_begun && !vertex.has_begun) || (is_news && self.shown != digest) {
                progress.step(step);
                self.shown.clone_from(&digest);
            }
            if is_news {
                progress.cached(step.number);
            }
            if !text(told, 7).is_empty() {
                self.failed = Some(step.text.clone());
            }
        }
        vertex.has_begun |= has_begun;
        vertex.is_cached |= is_cached;
        has_ended.then_some(digest)
    }

    fn output(&mut self, told: &[u8], progress: &dyn Progress) {
        let vertex = self.vertices.entry(text(told, 1)).or_default();
        let written = fields(told).filter_map(|(number, value)| match value {
            Value::Bytes(bytes) if number == 4 => Some(bytes),
            _ => None,
        });
        vertex.begun.extend(written.flatten());
        let number = vertex.number();
        let lines = vertex.begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in vertex.begun.drain(..lines).as_slice().split_inclusive(|byte| *byte == b'\n') {
            say(number, line, &self.masks, progress);
        }
    }

    /// A line for each tenth: a log is no place for a bar.
    fn download(&mut self, told: &[u8], progress: &dyn Progress) {
        let (name, mut current, mut total) = (text(told, 1), 0, 0);
        for (number, value) in fields(told) {
            match (number, value) {
                (4, Value::Number(bytes)) => current = bytes,
                (5, Value::Number(bytes)) => total = bytes,
                _ => {}
            }
        }
        let Some(tenth) = current.saturating_mul(10).checked_div(total) else { return };
        if self.tenths.insert(name.clone(), tenth) != Some(tenth) {
            progress.output(None, &format!("{name}: {}%", tenth * 10));
        }
    }
}

fn say(step: Option<usize>, line: &[u8], masks: &Masks, progress: &dyn Progress) {
    let line = String::from_utf8_lossy(line);
    progress.output(step, &masks.cover(line.trim_end_matches(['\r', '\n'])));
}

/// `[2/3] COPY page /www/`, or `[base 2/3] COPY page /www/` where there are several stages.
fn step(name: &str) -> Option<ProgressStep> {
    let (place, text) = name.strip_prefix('[')?.split_once("] ")?;
    let (stage, count) = place.rsplit_once(' ').unwrap_or(("", place));
    let (number, total) = count.split_once('/')?;
    let (number, total) = (number.parse().ok()?, total.parse().ok()?);
    let stage = (!stage.is_empty()).then(|| stage.to_owned());
    Some(ProgressStep { number, total, stage, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use homeostat_reconciler::ports::Secret;

    use super::super::protobuf::message_of;
    use super::super::telling::Told;
    use super::*;

    fn within(field: u8, message: &[u8]) -> Vec<u8> {
        let mut all = vec![field << 3 | 2, u8::try_from(message.len()).unwrap()];
        all.extend(message);
        all
    }

    fn vertex(digest: &str, name: &str, more: &[u8]) -> Vec<u8> {
        within(1, &[message_of(&[(1, digest), (3, name)]), more.to_vec()].concat())
    }

    const BEGUN: &[u8] = &[5 << 3 | 2, 0];
    const ENDED: &[u8] = &[5 << 3 | 2, 0, 6 << 3 | 2, 0];
    const CACHED: &[u8] = &[4 << 3, 1, 5 << 3 | 2, 0, 6 << 3 | 2, 0];

    fn told(messages: &[Vec<u8>]) -> (Vec<String>, Trace) {
        let (told, mut trace) =
            (Told::default(), Trace::new(Masks::new([Secret::new(b"hunter2".to_vec())].iter())));
        for message in messages {
            trace.take(message, &told);
        }
        (told.lines(), trace)
    }

    #[test]
    fn a_step_is_told_once_with_what_it_writes_line_by_line() {
        let log = |text: &str| within(3, &message_of(&[(1, "a"), (4, text)]));
        let (told, trace) = told(&[
            vertex("a", "[2/3] RUN make", &[]),
            vertex("a", "[2/3] RUN make", BEGUN),
            vertex("x", "[internal] load remote build context", BEGUN),
            log("one\ntw"),
            log("o\r\nthree hunter2"),
            vertex("a", "[2/3] RUN make", ENDED),
        ]);
        assert_eq!(told, ["[2/3] RUN make", "> one", "> two", "> three ***"]);
        assert_eq!(trace.failed(), None);
    }

    #[test]
    fn a_cached_step_is_told_as_such_also_when_another_was_told_meanwhile() {
        let (told, _) = told(&[
            vertex("a", "[base 1/2] FROM a", BEGUN),
            vertex("b", "[base 2/2] RUN b", BEGUN),
            vertex("a", "[base 1/2] FROM a", CACHED),
            vertex("a", "[base 1/2] FROM a", CACHED),
        ]);
        assert_eq!(told, ["[1/2 base] FROM a", "[2/2 base] RUN b", "[1/2 base] FROM a", "cached"]);
    }

    #[test]
    fn the_step_that_failed_is_known() {
        let error = message_of(&[(7, "exit code: 9")]);
        let (_, trace) = told(&[vertex("a", "[2/3] RUN make", &error)]);
        assert_eq!(trace.failed(), Some("RUN make"));
    }

    #[test]
    fn a_download_is_told_in_tenths() {
        let at = |percent: u8| {
            within(2, &[message_of(&[(1, "layer")]), vec![4 << 3, percent, 5 << 3, 100]].concat())
        };
        assert_eq!(told(&[at(1), at(2), at(11)]).0, ["> layer: 0%", "> layer: 10%"]);
    }
}
