//! `COPY` and `ADD`.

use homeostat_dockerfile::{Copy, Ignore, Pattern, Source, is_remote};
use homeostat_image::Layer;

use super::StageBuild;
use crate::StepError;
use crate::copy::{
    Content, Destination, Item, Selecting, Selection, Tree, add_to_key, ensure_room, place, select,
};
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
                let title = format!("file of {from}:");
                let tree = Tree { root: view.root()?, ignore: Ignore::default(), title, keep_owner: true };
                self.copy_from(copy, name, &tree)
            }
        }
    }

    /// The owner that a text means, by the users of the image so far.
    fn owner(&self, text: &str) -> Result<(u32, u32), StepError> {
        owner::owner(&View::new(self.build.store, &self.state.layers)?.root()?, text)
    }

    pub(super) fn layers_of(&self, from: &str) -> Result<Vec<Layer>, StepError> {
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
        let how = Selecting {
            unpack: name == "ADD" && copy.unpack.unwrap_or(true),
            parents: copy.parents,
            exclude: &words.exclude,
        };
        let selections = words.select(tree, how)?;
        if !words.destination.ends_with('/') && copy.sources.len() > 1 && !copy.parents {
            return Err(StepError::NoDirectory { destination: words.destination });
        }
        let mut key = Key::new(if copy.link { "COPY --link" } else { "COPY" }, &self.state.layers);
        key.add("the destination", &words.destination);
        key.add("the owner", words.chown.as_deref().unwrap_or_default());
        key.add("the mode", words.mode.map_or_else(String::new, |mode| format!("{mode:o}")));
        add_to_key(&mut key, tree, &selections)?;
        self.step(key, words.shown(name), |stage| {
            ensure_room(stage.build.store, &selections)?;
            let layers = &stage.state.layers;
            let make = if copy.link { Workspace::alone } else { Workspace::new };
            let workspace = make(stage.build.store, layers)?;
            {
                let root = workspace.root()?;
                let owner = words.chown.as_deref().map(|text| stage.owner(text)).transpose()?;
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
    exclude: Vec<Pattern>,
    shown_destination: String,
    shown_mode: Option<String>,
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
        let shown_mode = copy.chmod.as_deref().map(|text| scope.expand(text)).transpose()?;
        let mode = shown_mode.as_deref().map(mode).transpose()?;
        let pattern = |text: &String| Ok(Pattern::for_ignore(scope.expand(text)?.trim_start_matches("./"))?);
        let shown_destination = scope.expand(&copy.destination)?;
        Ok(Self {
            sources,
            exclude: copy.exclude.iter().map(pattern).collect::<Result<_, StepError>>()?,
            destination: stage.absolute(&shown_destination),
            shown_destination,
            shown_mode,
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

    fn select(&self, tree: &Tree, how: Selecting<'_>) -> Result<Vec<Selection>, StepError> {
        let mut selections = Vec::new();
        for source in &self.sources {
            match source {
                Source::Path(path) => selections.extend(select(tree, path, how)?),
                Source::Inline(heredoc) => selections.push(Selection {
                    name: heredoc.name.clone().into(),
                    is_directory: false,
                    unpack: false,
                    within: std::path::PathBuf::new(),
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
    fn shown(&self, name: &str) -> String {
        let mut words = vec![name.to_owned()];
        words.extend(self.chown.as_ref().map(|chown| format!("--chown={chown}")));
        words.extend(self.shown_mode.as_ref().map(|mode| format!("--chmod={mode}")));
        words.extend(self.sources.iter().map(|source| match source {
            Source::Path(path) => path.clone(),
            Source::Inline(heredoc) => format!("<<{}", heredoc.name),
        }));
        words.push(self.shown_destination.clone());
        words.join(" ")
    }
}

fn mode(text: &str) -> Result<u32, StepError> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o7777) => Ok(mode),
        _ => Err(StepError::Value { value: text.to_owned(), what: "octal mode" }),
    }
}
