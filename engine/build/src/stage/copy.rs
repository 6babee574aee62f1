//! `COPY` and `ADD`.

use homeostat_dockerfile::{Copy, Ignore, Source, is_remote};
use homeostat_image::Layer;

use super::StageBuild;
use crate::StepError;
use crate::copy::{Content, Destination, Item, Selection, Tree, add_to_key, place, refuse_archives, select};
use crate::key::Key;
use crate::mounts::{View, Workspace};
use crate::owner;
use crate::stages::{self, Origin};

impl StageBuild<'_> {
    pub(super) fn copy(&mut self, copy: &Copy, name: &'static str) -> Result<(), StepError> {
        match &copy.from {
            None => self.copy_from(copy, name, &self.build.context),
            Some(from) => {
                let view = View::new(self.build.store, &self.layers_of(from)?)?;
                let tree = Tree { root: view.root()?, ignore: Ignore::default(), keep_owner: true };
                self.copy_from(copy, name, &tree)
            }
        }
    }

    fn layers_of(&self, from: &str) -> Result<Vec<Layer>, StepError> {
        Ok(match stages::copied(self.build.file, self.place, from) {
            Origin::Scratch => Vec::new(),
            Origin::Stage(place) => self.done[&place].layers.clone(),
            Origin::Image(reference) => self.build.image(&reference)?.layers,
        })
    }

    fn copy_from(&mut self, copy: &Copy, name: &'static str, tree: &Tree) -> Result<(), StepError> {
        let words = Words::expand(self, copy)?;
        if name == "ADD" {
            words.refuse_remote()?;
        }
        let selections = words.select(tree)?;
        if name == "ADD" {
            refuse_archives(tree, &selections)?;
        }
        if !words.destination.ends_with('/') && copy.sources.len() > 1 {
            return Err(StepError::NoDirectory { destination: words.destination });
        }
        let mut key = Key::new("COPY", &self.state.layers);
        key.add(&words.destination);
        key.add(words.chown.as_deref().unwrap_or_default());
        key.add(words.mode.map_or_else(String::new, |mode| format!("{mode:o}")));
        add_to_key(&mut key, tree, &selections)?;
        self.step(key, words.shown(name, copy), |stage| {
            let workspace = Workspace::new(stage.build.store, &stage.state.layers)?;
            {
                let root = workspace.root()?;
                let owner = words.chown.as_deref().map(|text| owner::owner(&root, text)).transpose()?;
                let destination = Destination { path: words.destination.clone(), owner, mode: words.mode };
                place(&root, &destination, tree, &selections)?;
            }
            stage.commit(workspace, |_| Ok(()))
        })
    }
}

/// The words of the instruction with their variables put in.
struct Words {
    sources: Vec<Source>,
    destination: String,
    chown: Option<String>,
    mode: Option<u32>,
}

impl Words {
    fn expand(stage: &StageBuild<'_>, copy: &Copy) -> Result<Self, StepError> {
        let scope = &stage.scope;
        let expand = |source: &Source| -> Result<Source, StepError> {
            Ok(match source {
                Source::Path(path) => Source::Path(scope.expand(path)?),
                Source::Inline(heredoc) if heredoc.expand => {
                    let content = scope.expand_text(&heredoc.content)?;
                    Source::Inline(homeostat_dockerfile::Heredoc { content, ..heredoc.clone() })
                }
                Source::Inline(heredoc) => Source::Inline(heredoc.clone()),
            })
        };
        let sources = copy.sources.iter().map(expand).collect::<Result<Vec<_>, _>>()?;
        let mode = match &copy.chmod {
            None => None,
            Some(text) => Some(mode(&scope.expand(text)?)?),
        };
        Ok(Self {
            sources,
            destination: stage.absolute(&scope.expand(&copy.destination)?),
            chown: copy.chown.as_deref().map(|text| scope.expand(text)).transpose()?,
            mode,
        })
    }

    /// Those that the parser could not see behind their variables.
    fn refuse_remote(&self) -> Result<(), StepError> {
        let remote = self.sources.iter().find_map(|source| match source {
            Source::Path(path) if is_remote(path) => Some(path.clone()),
            _ => None,
        });
        remote.map_or(Ok(()), |path| Err(StepError::Remote { path }))
    }

    fn select(&self, tree: &Tree) -> Result<Vec<Selection>, StepError> {
        let mut selections = Vec::new();
        for source in &self.sources {
            match source {
                Source::Path(path) => selections.extend(select(tree, path)?),
                Source::Inline(heredoc) => selections.push(Selection {
                    name: heredoc.name.clone().into(),
                    is_directory: false,
                    items: vec![Item {
                        path: std::path::PathBuf::new(),
                        content: Content::Inline(heredoc.content.clone()),
                    }],
                }),
            }
        }
        Ok(selections)
    }

    /// For the history.
    fn shown(&self, name: &str, copy: &Copy) -> String {
        let mut words = vec![name.to_owned()];
        words.extend(copy.from.as_ref().map(|from| format!("--from={from}")));
        words.extend(self.chown.as_ref().map(|chown| format!("--chown={chown}")));
        words.extend(self.mode.map(|mode| format!("--chmod={mode:o}")));
        words.extend(self.sources.iter().map(|source| match source {
            Source::Path(path) => path.clone(),
            Source::Inline(heredoc) => format!("<<{}", heredoc.name),
        }));
        words.push(self.destination.clone());
        words.join(" ")
    }
}

fn mode(text: &str) -> Result<u32, StepError> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o7777) => Ok(mode),
        _ => Err(StepError::Value { value: text.to_owned(), what: "octal mode" }),
    }
}
