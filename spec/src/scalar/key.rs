//! Keys of `env`, `args`, `labels` and `variables`. The types only stand for their rules; the keys stay text.

use super::Scalar;
use crate::document::is_variable_name;
use crate::problem::Problem;

/// The longest key, in bytes.
const LONGEST: usize = 255;

/// The labels that homeostat sets itself.
const OWN_LABELS: &str = "io.homeostat.";

/// Name of an environment variable, by the rule of Kubernetes: POSIX, and `-` and `.`
/// which some programs expect.
pub(crate) struct EnvironmentName;

impl Scalar for EnvironmentName {
    const FORMAT: &'static str = "environment-name";
    const EXAMPLES: &'static [&'static str] = &["PORT"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let good = !text.is_empty()
            && text.len() <= LONGEST
            && text.chars().all(allowed)
            && !text.starts_with(|c: char| c.is_ascii_digit());
        if good {
            return Ok(Self);
        }
        Err(Problem::new(format!("{text:?} is no name of an environment variable"))
            .hint("it has letters, digits, `_`, `-` and `.`, and does not begin with a digit"))
    }
}

/// Name of a build argument.
pub(crate) struct ArgumentName;

impl Scalar for ArgumentName {
    const FORMAT: &'static str = "argument-name";
    const EXAMPLES: &'static [&'static str] = &["VERSION"];

    fn parse(text: &str) -> Result<Self, Problem> {
        check_variable_name(text, "a build argument").map(|()| Self)
    }
}

/// Name of a variable of `homeostat.toml`.
pub(crate) struct VariableName;

impl Scalar for VariableName {
    const FORMAT: &'static str = "variable-name";
    const EXAMPLES: &'static [&'static str] = &["DOMAIN"];

    fn parse(text: &str) -> Result<Self, Problem> {
        check_variable_name(text, "a variable").map(|()| Self)
    }
}

/// Id of a secret or an SSH agent of a build.
pub(crate) struct SecretId;

impl Scalar for SecretId {
    const FORMAT: &'static str = "secret-id";
    const EXAMPLES: &'static [&'static str] = &["npm-token"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !text.is_empty() && text.len() <= LONGEST && text.chars().all(allowed) {
            return Ok(Self);
        }
        Err(Problem::new(format!("{text:?} is no id of a secret"))
            .hint("it has letters, digits, `_`, `-` and `.`"))
    }
}

fn check_variable_name(text: &str, what: &str) -> Result<(), Problem> {
    if text.len() <= LONGEST && is_variable_name(text) {
        return Ok(());
    }
    Err(Problem::new(format!("{text:?} is no name of {what}"))
        .hint("it has letters, digits and `_`, and does not begin with a digit"))
}

/// Key of a label, by Docker's guidelines for object labels, which also the OCI annotation keys follow.
pub(crate) struct LabelKey;

impl Scalar for LabelKey {
    const FORMAT: &'static str = "label-key";
    const EXAMPLES: &'static [&'static str] = &["org.example.team"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let edge = |c: char| c.is_ascii_alphanumeric();
        let inner = |c: char| edge(c) || matches!(c, '.' | '-' | '_' | '/');
        if !(text.len() <= LONGEST
            && text.starts_with(edge)
            && text.ends_with(edge)
            && text.chars().all(inner))
        {
            return Err(Problem::new(format!("{text:?} is no key of a label"))
                .hint("it has letters, digits, `.`, `-`, `_` and `/`, as `org.example.team`"));
        }
        if text.starts_with(OWN_LABELS) {
            return Err(Problem::new(format!("the label {text:?} is set by homeostat itself"))
                .hint(format!("use a key that does not begin with `{OWN_LABELS}`")));
        }
        Ok(Self)
    }
}
