//! From the events of the YAML parser to the tree ("composing", in the words of the YAML specification).

use std::collections::HashMap;
use std::fmt::Write as _;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag as Written};

use super::{Node, Place, Tag, Value};
use crate::budget::Budget;
use crate::error::Problem;

/// The deepest nesting. Compose needs some ten levels; walking a tree takes the stack.
const DEEPEST: usize = 64;

/// The most entries of one list or map.
const MOST_ENTRIES: usize = 10_000;

/// What a file says.
pub(crate) struct Document {
    /// Nothing when the file has nothing in it.
    pub(crate) root: Option<Node>,
    /// Tags that Compose does not know, with their place and the path of what they stand at.
    pub(crate) unknown_tags: Vec<(Place, String, String)>,
}

/// Reads the one document of a file.
///
/// # Errors
/// What is wrong with the syntax, a key that stands twice, nesting that is too deep, and aliases that add up to more
/// than the budget has.
pub(crate) fn compose(text: &str, file: usize, budget: &mut Budget) -> Result<Document, Problem> {
    let mut composer = Composer {
        file,
        budget,
        anchors: HashMap::new(),
        stack: Vec::new(),
        root: None,
        documents: 0,
        unknown_tags: Vec::new(),
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let line = error.marker().line();
            Problem::new(Place { file, line }, format!("this is no YAML: {}", error.info()))
        })?;
        composer.event(event, span)?;
    }
    Ok(Document { root: composer.root, unknown_tags: composer.unknown_tags })
}

struct Composer<'a> {
    file: usize,
    budget: &'a mut Budget,
    anchors: HashMap<usize, Node>,
    stack: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    unknown_tags: Vec<(Place, String, String)>,
}

/// A list or map whose end has not been seen.
struct Open {
    place: Place,
    anchor: usize,
    tag: Tag,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { entries: Vec<(String, Node)>, key: Option<(String, Place)>, merges: Vec<Node> },
}

impl Composer<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let place = Place { file: self.file, line: span.start.line() };
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::new(place, "a second YAML document begins here")
                        .hint("put each Compose file into a file of its own"));
                }
                Ok(())
            }
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).ok_or_else(|| {
                    Problem::new(place, "this alias refers to what it is part of, or to nothing")
                })?;
                self.budget.spend(target.size(), place)?;
                let node = Node::new(place, target.value.clone());
                self.put(node)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let typed = tag.as_ref().is_some_and(|tag| tag.is_yaml_core_schema());
                let plain = style == ScalarStyle::Plain && !typed;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if null { Value::Null } else { Value::Scalar(text.into_owned()) };
                let tag = self.tag(tag.as_deref(), place);
                self.finish(Node { place, value, tag }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                let tag = self.tag(tag.as_deref(), place);
                self.open(Open { place, anchor, tag, kind: OpenKind::List(Vec::new()) })
            }
            Event::MappingStart(anchor, tag) => {
                let tag = self.tag(tag.as_deref(), place);
                let kind = OpenKind::Map { entries: Vec::new(), key: None, merges: Vec::new() };
                self.open(Open { place, anchor, tag, kind })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, open: Open) -> Result<(), Problem> {
        if self.stack.len() >= DEEPEST {
            return Err(Problem::new(open.place, format!("this is nested more than {DEEPEST} levels deep")));
        }
        self.stack.push(open);
        Ok(())
    }

    /// The meaning of a tag. One that Compose does not know is noted, and means nothing.
    fn tag(&mut self, written: Option<&Written>, place: Place) -> Tag {
        Tag::of(written).unwrap_or_else(|unknown| {
            self.unknown_tags.push((place, self.path(), unknown));
            Tag::Merge
        })
    }

    /// The path of the value that comes next, as `services.web.ports[0]`.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.stack {
            match &open.kind {
                OpenKind::List(items) => {
                    let _ = write!(path, "[{}]", items.len());
                }
                OpenKind::Map { key: Some((key, _)), .. } => {
                    let dot = if path.is_empty() { "" } else { "." };
                    let _ = write!(path, "{dot}{key}");
                }
                OpenKind::Map { key: None, .. } => {}
            }
        }
        path
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(open) = self.stack.pop() else { return Ok(()) };
        let value = match open.kind {
            OpenKind::List(items) => Value::List(items),
            OpenKind::Map { entries, merges, .. } => Value::Map(self.merged(entries, merges)?),
        };
        self.finish(Node { place: open.place, value, tag: open.tag }, open.anchor)
    }

    /// The entries with those of `<<` that they do not have themselves; of several, the first wins.
    fn merged(
        &mut self,
        mut entries: Vec<(String, Node)>,
        merges: Vec<Node>,
    ) -> Result<Vec<(String, Node)>, Problem> {
        for merge in merges {
            let place = merge.place;
            let sources = match merge.value {
                Value::List(items) => items,
                value => vec![Node::new(place, value)],
            };
            for source in sources {
                let Value::Map(inherited) = source.value else {
                    return Err(Problem::new(place, "`<<` takes a mapping or a list of mappings"));
                };
                for (key, node) in inherited {
                    if !entries.iter().any(|(own, _)| *own == key) {
                        self.budget.spend(1, place)?;
                        entries.push((key, node));
                    }
                }
            }
        }
        Ok(entries)
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        if anchor != 0 {
            self.budget.spend(node.size(), node.place)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.put(node)
    }

    /// Puts a value where it belongs: into the list or map that is open, as a key, or at the root.
    fn put(&mut self, node: Node) -> Result<(), Problem> {
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node).filter(|node| !node.is_null());
            return Ok(());
        };
        let entries = match &open.kind {
            OpenKind::List(items) => items.len(),
            OpenKind::Map { entries, merges, .. } => entries.len().max(merges.len()),
        };
        if entries >= MOST_ENTRIES {
            return Err(Problem::new(
                node.place,
                format!("a list or map has more than {MOST_ENTRIES} entries"),
            ));
        }
        match &mut open.kind {
            OpenKind::List(items) => items.push(node),
            OpenKind::Map { entries, key, merges } => match key.take() {
                None => *key = Some((key_of(&node)?, node.place)),
                Some((name, place)) if name == "<<" => merges.push(Node { place, ..node }),
                Some((name, place)) => {
                    if entries.iter().any(|(other, _)| *other == name) {
                        return Err(Problem::new(place, format!("the key `{name}` stands here twice"))
                            .hint("leave one of them"));
                    }
                    entries.push((name, Node { place, ..node }));
                }
            },
        }
        Ok(())
    }
}

fn key_of(node: &Node) -> Result<String, Problem> {
    match &node.value {
        Value::Scalar(text) => Ok(text.clone()),
        _ => Err(Problem::new(node.place, "a key has to be text")),
    }
}
