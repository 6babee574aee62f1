//! `COPY` and `ADD`.

use std::path::PathBuf;

use homeostat_dockerfile::{Copy, Heredoc, Ignore, Pattern, Remote, Source};
use homeostat_image::Layer;

use super::StageBuild;
use super::arrival::Arrival;
use crate::StepError;
use crate::copy::{
    Content, Destination, Item, Selecting, Selection, Tree, add_to_key, ensure_room, place, select,
};
use crate::key::Key;
use crate::mounts::{View, Work, Workspace};
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
        if !words.destination.ends_with('/') && copy.sources.len() > 1 && !copy.parents {
            return Err(StepError::NoDirectory { destination: words.destination });
        }
        let how =
            Selecting { unpack: copy.unpack.unwrap_or(true), parents: copy.parents, exclude: &words.exclude };
        let chosen = words.sources.iter().map(|source| match source {
            Source::Inline(heredoc) => Ok(Chosen::Here(vec![inline(tree, heredoc)])),
            Source::Path(path) if name == "ADD" => self.choose(path, words.checksum.as_deref(), tree, how),
            Source::Path(path) => Ok(Chosen::Here(select(tree, path, Selecting { unpack: false, ..how })?)),
        });
        let chosen = chosen.collect::<Result<Vec<_>, StepError>>()?;
        let mut key = Key::new(if copy.link { "COPY --link" } else { "COPY" }, &self.state.layers);
        key.add("the destination", &words.destination);
        key.add("the owner", words.chown.as_deref().unwrap_or_default());
        key.add("the mode", words.mode.map_or_else(String::new, |mode| format!("{mode:o}")));
        for chosen in &chosen {
            match chosen {
                Chosen::Here(selections) => add_to_key(&mut key, selections)?,
                Chosen::Elsewhere(arrival) => arrival.add_to_key(&mut key),
            }
        }
        self.step(key, words.shown(name), |stage| stage.put(copy, &words, chosen, how))
    }

    /// What a source of `ADD` means.
    fn choose<'a>(
        &self,
        path: &'a str,
        checksum: Option<&str>,
        tree: &'a Tree,
        how: Selecting<'_>,
    ) -> Result<Chosen<'a>, StepError> {
        match Remote::parse(path) {
            Some(remote) => Ok(Chosen::Elsewhere(Box::new(Arrival::of(self, remote, checksum)?))),
            None if checksum.is_none() => Ok(Chosen::Here(select(tree, path, how)?)),
            None => Err(StepError::Value { value: path.to_owned(), what: "address of what has a checksum" }),
        }
    }

    /// Makes the layer of what was chosen, in its order.
    fn put(
        &self,
        copy: &Copy,
        words: &Words,
        mut chosen: Vec<Chosen<'_>>,
        how: Selecting<'_>,
    ) -> Result<Option<Layer>, StepError> {
        for chosen in &mut chosen {
            if let Chosen::Elsewhere(arrival) = chosen {
                arrival.arrive(self)?;
            }
        }
        // An archive that was fetched is unpacked only when that is asked for.
        let fetched = Selecting { unpack: copy.unpack == Some(true), ..how };
        let mut selections = Vec::new();
        for chosen in &mut chosen {
            match chosen {
                Chosen::Here(here) => selections.extend(std::mem::take(here)),
                Chosen::Elsewhere(arrival) => selections.extend(arrival.select(fetched)?),
            }
        }
        ensure_room(self.build.store, &selections)?;
        let workspace = self.workspace(copy, &selections)?;
        {
            let root = workspace.root()?;
            let owner = words.chown.as_deref().map(|text| self.owner(text)).transpose()?;
            let destination = Destination { path: words.destination.clone(), owner, mode: words.mode };
            place(&root, &destination, &selections)?;
        }
        self.commit(workspace, |_| Ok(()))
    }

    fn workspace(&self, copy: &Copy, selections: &[Selection<'_>]) -> Result<Workspace, StepError> {
        let (store, layers) = (self.build.store, &self.state.layers);
        if copy.link {
            return Workspace::alone(store, layers);
        }
        // An archive may give a file of the image one more name.
        let unpacks = selections.iter().any(|selection| selection.unpack);
        Workspace::new(store, layers, if unpacks { Work::Commands } else { Work::Files })
    }
}

/// What one source means.
enum Chosen<'a> {
    /// Files that are here.
    Here(Vec<Selection<'a>>),
    /// What may have to be fetched.
    Elsewhere(Box<Arrival<'a>>),
}

fn inline<'a>(tree: &'a Tree, heredoc: &Heredoc) -> Selection<'a> {
    let content = Content::Inline(heredoc.content.clone());
    Selection {
        tree,
        name: heredoc.name.clone().into(),
        is_directory: false,
        unpack: false,
        within: PathBuf::new(),
        items: vec![Item { path: PathBuf::new(), content }],
    }
}

/// The words of the instruction with their variables put in.
struct Words {
    sources: Vec<Source>,
    destination: String,
    chown: Option<String>,
    mode: Option<u32>,
    exclude: Vec<Pattern>,
    checksum: Option<String>,
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
                    Source::Inline(Heredoc { content, ..heredoc.clone() })
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
            checksum: copy.checksum.as_deref().map(|text| scope.expand(text)).transpose()?,
        })
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
