//! Which variables an instruction sees.

use std::collections::BTreeMap;

use crate::{Argument, Dockerfile, DockerfileError, ExpandError, Problem, expand_word};

/// The arguments that Docker knows without a declaration, in lower case. They reach `RUN`, but neither the cache nor
/// the history: what proxy a host needs says nothing about the image.
const PROXY_ARGUMENTS: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// Whether an argument of this name, in any case, is one of the proxy's.
pub fn is_proxy_argument(name: &str) -> bool {
    PROXY_ARGUMENTS.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

/// What an image is built for, in the words of the OCI image specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, `arm`, ...
    pub architecture: String,
    /// `v7` and the like; empty when there is none.
    pub variant: String,
}

impl Platform {
    /// The platform this program runs on.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", ""),
            "x86" => ("386", ""),
            "aarch64" => ("arm64", ""),
            "arm" => ("arm", "v7"),
            "powerpc64" => ("ppc64le", ""),
            other => (other, ""),
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: variant.to_owned() }
    }

    /// `TARGETPLATFORM`, `BUILDARCH` and so on, which are global arguments without being declared.
    pub fn arguments(&self) -> impl Iterator<Item = (String, String)> {
        ["TARGET", "BUILD"].into_iter().flat_map(|side| {
            [
                (format!("{side}PLATFORM"), self.to_string()),
                (format!("{side}OS"), self.os.clone()),
                (format!("{side}ARCH"), self.architecture.clone()),
                (format!("{side}VARIANT"), self.variant.clone()),
            ]
        })
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

/// The arguments above the first stage. `FROM` sees them; a stage sees one only after declaring it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Globals {
    values: BTreeMap<String, String>,
    given: BTreeMap<String, String>,
    escape: char,
}

impl Globals {
    /// Works out the arguments above the first `FROM`: the build's values before the file's.
    ///
    /// # Errors
    /// When a default value cannot be expanded.
    pub fn new(
        file: &Dockerfile,
        given: &BTreeMap<String, String>,
        platform: &Platform,
    ) -> Result<Self, DockerfileError> {
        let escape = file.directives.escape;
        let mut values: BTreeMap<String, String> = platform.arguments().collect();
        values.extend(
            given.iter().filter(|(name, _)| values.contains_key(*name)).map(owned).collect::<Vec<_>>(),
        );
        for (line, argument) in &file.globals {
            let value = match (given.get(&argument.name), &argument.default) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(default)) => Some(
                    expand_word(default, escape, &|name| values.get(name).cloned())
                        .map_err(|error| Problem::Expand(error).at(*line))?,
                ),
                (None, None) => None,
            };
            if let Some(value) = value {
                values.insert(argument.name.clone(), value);
            }
        }
        Ok(Self { values, given: given.clone(), escape })
    }

    /// Puts variables into a word of `FROM`.
    ///
    /// # Errors
    /// As [`expand_word`].
    pub fn expand(&self, word: &str) -> Result<String, ExpandError> {
        expand_word(word, self.escape, &|name| self.values.get(name).cloned())
    }
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

/// The arguments that were declared, with their values and whether an `ENV` of the same name hides them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments(BTreeMap<String, (String, bool)>);

/// The variables of one stage at one instruction. Of an `ENV` and an `ARG` with one name, the later is seen.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    globals: &'a Globals,
    arguments: Arguments,
    environment: Vec<(String, String)>,
}

impl<'a> Scope<'a> {
    /// The scope of a stage at its beginning: the environment of its base, and the arguments if that is a stage.
    pub fn new(globals: &'a Globals, environment: Vec<(String, String)>, arguments: Arguments) -> Self {
        Self { globals, arguments, environment }
    }

    /// The arguments, for stages on this one.
    pub fn into_arguments(self) -> Arguments {
        self.arguments
    }

    /// `ARG`: the build's value, else the default, else that of the argument above the first stage.
    ///
    /// # Errors
    /// As [`expand_word`].
    pub fn declare(&mut self, argument: &Argument) -> Result<(), ExpandError> {
        let name = self.expand(&argument.name)?;
        let value = match (self.globals.given.get(&name), &argument.default) {
            (Some(value), _) => Some(value.clone()),
            (None, Some(default)) => Some(self.expand(default)?),
            (None, None) => self.globals.values.get(&name).cloned(),
        };
        if let Some(value) = value {
            self.arguments.0.insert(name, (value, false));
        }
        Ok(())
    }

    /// `ENV`: sets a variable to a value that is expanded already.
    pub fn set(&mut self, name: &str, value: &str) {
        if let Some((_, hidden)) = self.arguments.0.get_mut(name) {
            *hidden = true;
        }
        match self.environment.iter_mut().find(|(own, _)| own == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.environment.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<String> {
        let of_build = self.arguments.0.get(name).filter(|(_, hidden)| !hidden).map(|(value, _)| value);
        let of_image = || self.environment.iter().find(|(own, _)| own == name).map(|(_, value)| value);
        of_build.or_else(of_image).cloned()
    }

    /// Puts variables into one word.
    ///
    /// # Errors
    /// As [`expand_word`].
    pub fn expand(&self, word: &str) -> Result<String, ExpandError> {
        expand_word(word, self.globals.escape, &|name| self.get(name))
    }

    /// Puts variables into a text and splits it into words.
    ///
    /// # Errors
    /// As [`expand_word`].
    pub fn expand_words(&self, text: &str) -> Result<Vec<String>, ExpandError> {
        crate::expand_words(text, self.globals.escape, &|name| self.get(name))
    }

    /// Puts variables into the text of a heredoc.
    ///
    /// # Errors
    /// As [`crate::expand_text`].
    pub fn expand_text(&self, text: &str) -> Result<String, ExpandError> {
        crate::expand_text(text, self.globals.escape, &|name| self.get(name))
    }

    /// The variables set by `ENV`, in order: those of the image.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// The arguments in scope that no later `ENV` hides, by name: with the environment, what `RUN` depends on.
    pub fn arguments(&self) -> impl Iterator<Item = (&str, &str)> {
        let seen = self.arguments.0.iter().filter(|(_, (_, hidden))| !hidden);
        seen.map(|(name, (value, _))| (name.as_str(), value.as_str()))
    }

    /// The proxy arguments that the build gives and that this stage does not declare: `RUN` gets them, but nothing
    /// depends on them.
    pub fn proxies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.globals
            .given
            .iter()
            .filter(|(name, _)| is_proxy_argument(name) && self.get(name).is_none())
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn argument(name: &str, default: Option<&str>) -> Argument {
        Argument { name: name.into(), default: default.map(Into::into) }
    }

    fn globals(file: &str, given: &[(&str, &str)]) -> Globals {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let platform = Platform { os: "linux".into(), architecture: "arm".into(), variant: "v7".into() };
        Globals::new(&parse(file).unwrap(), &given, &platform).unwrap()
    }

    #[test]
    fn a_stage_sees_a_global_argument_only_after_declaring_it() {
        let globals = globals("ARG A=1\nARG B=$A-2\nFROM x:$B", &[]);
        assert_eq!(globals.expand("x:$B").unwrap(), "x:1-2");
        let mut scope = Scope::new(&globals, vec![], Arguments::default());
        assert_eq!(scope.get("B"), None);
        scope.declare(&argument("B", None)).unwrap();
        assert_eq!(scope.get("B").as_deref(), Some("1-2"));
    }

    #[test]
    fn the_builds_value_beats_the_default_which_beats_the_global_one() {
        let globals = globals("ARG A=global\nARG B=global\nFROM x", &[("A", "given"), ("C", "given")]);
        let mut scope = Scope::new(&globals, vec![], Arguments::default());
        for name in ["A", "B", "C", "D"] {
            scope.declare(&argument(name, Some("default"))).unwrap();
        }
        let values = ["A", "B", "C", "D"].map(|name| scope.get(name).unwrap());
        assert_eq!(values, ["given", "default", "given", "default"]);
        assert_eq!(globals.expand("$A $B $C").unwrap(), "given global ");
    }

    #[test]
    fn the_later_of_env_and_arg_is_seen() {
        let globals = globals("FROM x", &[("A", "given")]);
        let mut scope = Scope::new(&globals, vec![("A".into(), "base".into())], Arguments::default());
        assert_eq!(scope.get("A").as_deref(), Some("base"));
        scope.declare(&argument("A", Some("default"))).unwrap();
        assert_eq!(scope.get("A").as_deref(), Some("given"));
        scope.set("A", "env");
        assert_eq!(scope.get("A").as_deref(), Some("env"));
        assert_eq!(scope.arguments().count(), 0);
    }

    #[test]
    fn platform_arguments_are_global() {
        let globals = globals("FROM x", &[]);
        assert_eq!(globals.expand("$TARGETPLATFORM $BUILDARCH").unwrap(), "linux/arm/v7 arm");
        let mut scope = Scope::new(&globals, vec![], Arguments::default());
        assert_eq!(scope.get("TARGETARCH"), None);
        scope.declare(&argument("TARGETARCH", None)).unwrap();
        assert_eq!(scope.get("TARGETARCH").as_deref(), Some("arm"));
    }

    #[test]
    fn proxies_reach_run_without_a_declaration() {
        let globals = globals("FROM x", &[("HTTP_PROXY", "p"), ("A", "a")]);
        let mut scope = Scope::new(&globals, vec![], Arguments::default());
        assert_eq!(scope.proxies().collect::<Vec<_>>(), [("HTTP_PROXY", "p")]);
        scope.declare(&argument("HTTP_PROXY", None)).unwrap();
        assert_eq!(scope.proxies().count(), 0);
        assert_eq!(scope.arguments().collect::<Vec<_>>(), [("HTTP_PROXY", "p")]);
    }
}
