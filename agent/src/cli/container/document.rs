//! Options are checked as what a spec says: they become one.

use homeostat_reconciler::{ErrorKind, PortError};
use homeostat_spec::{App, Name, Node, Severity, SpecFile, Tree, TreeEntry, compile};
use toml::{Table, Value};

/// A spec of one container.
#[derive(Debug, Default)]
pub(super) struct Document {
    root: Table,
    container: Table,
}

impl Document {
    /// Says this of the container; `path` is where, as `["health", "command"]`.
    pub(super) fn set(&mut self, path: &[&str], value: impl Into<Value>) {
        put(&mut self.container, path, value.into());
    }

    /// As [`set`](Self::set), if there is anything to say.
    pub(super) fn set_if(&mut self, path: &[&str], value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(path, value);
        }
    }

    /// Says these of the container, if there are any.
    pub(super) fn set_all(&mut self, path: &[&str], values: &[String]) {
        if !values.is_empty() {
            self.set(path, values.to_vec());
        }
    }

    /// Declares a volume or network.
    pub(super) fn declare(&mut self, kind: &str, name: &str, content: Table) {
        put(&mut self.root, &[kind, name], content.into());
    }

    /// The app with nothing but this container and what was declared.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(super) fn compile(mut self, app: &Name, container: &Name) -> Result<App, PortError> {
        put(&mut self.root, &["container", container.as_str()], self.container.into());
        self.root.iter_mut().for_each(|(_, value)| escape(value));
        let text = self.root.to_string();
        let file = SpecFile { path: format!("{app}.toml"), content: text.into_bytes() };
        let mut compiled = compile(&[file], &Empty, &Node::default());
        if let Some(app) = compiled.apps.remove(app) {
            return Ok(app);
        }
        let mut diagnostics = compiled.diagnostics.into_iter();
        let wrong = diagnostics.find(|diagnostic| diagnostic.severity == Severity::Error);
        Err(match wrong {
            Some(wrong) => {
                let error = PortError::new(ErrorKind::User, wrong.message);
                wrong.hint.into_iter().fold(error, PortError::with_hint)
            }
            None => PortError::new(ErrorKind::Internal, "the options give no container"),
        })
    }
}

fn put(table: &mut Table, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => drop(table.insert((*key).to_owned(), value)),
        [key, rest @ ..] => {
            let inner = table.entry(*key).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// What a spec would take for a reference to a variable is text on a command line.
fn escape(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("${", "$${"),
        Value::Array(values) => values.iter_mut().for_each(escape),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| escape(value)),
        _ => {}
    }
}

/// No files belong to a command line.
struct Empty;

impl Tree for Empty {
    fn entry(&self, _: &str) -> Result<Option<TreeEntry>, String> {
        Ok(None)
    }
}
