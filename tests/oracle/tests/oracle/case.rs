//! One case: a Dockerfile, what it is built with, and how the two builders are meant to differ, if they are.

/// What a builder came to: an image, or why there is none.
pub(crate) type Outcome = Result<(), String>;

/// The base image that cases may begin with; see [`crate::context`].
pub(crate) const BASE: &str = "base";

/// Something that is built by both.
#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    /// What is so, as a sentence.
    pub(crate) name: String,
    pub(crate) dockerfile: String,
    /// The .dockerignore file.
    pub(crate) ignore: Option<String>,
    /// A Dockerfile of an image `parent-NUMBER`, which `FROM parent` means.
    pub(crate) parent: Option<String>,
    pub(crate) args: Vec<(String, String)>,
    pub(crate) target: Option<String>,
    /// Files beside or instead of those that every context has: paths and contents.
    pub(crate) files: Vec<(String, String)>,
    /// Both refuse to build it.
    pub(crate) refused: bool,
    /// How differences begin that are meant, and why they are.
    pub(crate) meant: Vec<(String, &'static str)>,
}

impl Case {
    pub(crate) fn new(name: &str, dockerfile: &str) -> Self {
        Self { name: name.to_owned(), dockerfile: dockerfile.to_owned(), ..Self::default() }
    }

    pub(crate) fn arg(mut self, name: &str, value: &str) -> Self {
        self.args.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn target(mut self, stage: &str) -> Self {
        self.target = Some(stage.to_owned());
        self
    }

    pub(crate) fn parent(mut self, dockerfile: &str) -> Self {
        self.parent = Some(dockerfile.to_owned());
        self
    }

    pub(crate) fn ignore(mut self, text: &str) -> Self {
        self.ignore = Some(text.to_owned());
        self
    }

    pub(crate) fn file(mut self, path: &str, content: &str) -> Self {
        self.files.push((path.to_owned(), content.to_owned()));
        self
    }

    pub(crate) fn refused(mut self) -> Self {
        self.refused = true;
        self
    }

    /// A difference that begins so is meant, for this reason. It must be there.
    pub(crate) fn differs(mut self, beginning: &str, reason: &'static str) -> Self {
        self.meant.push((beginning.to_owned(), reason));
        self
    }

    /// What it builds, for a message.
    pub(crate) fn shown(&self) -> String {
        let lines = self.ignore.as_deref().unwrap_or(&self.dockerfile).lines();
        lines.map(|line| ["    | ", line, "\n"].concat()).collect()
    }
}

/// What the image of a case is called.
pub(crate) fn tag(number: usize) -> String {
    format!("case-{number}")
}

/// What the image is called that a case is built on.
pub(crate) fn parent_tag(tag: &str) -> String {
    format!("parent-of-{tag}")
}
