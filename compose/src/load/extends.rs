//! `extends`.

use super::{DEEPEST, Loader};
use crate::error::Problem;
use crate::merge::merge;
use crate::yaml::{Node, Value};

impl Loader<'_, '_> {
    /// Replaces every service by what it is with what it extends.
    pub(super) fn extend_all(&mut self, root: &mut Node) -> Result<(), Problem> {
        let Value::Map(parts) = &mut root.value else { return Ok(()) };
        let Some((_, services)) = parts.iter_mut().find(|(part, _)| part == "services") else {
            return Ok(());
        };
        let siblings = services.entries().to_vec();
        if siblings.iter().all(|(_, service)| service.get("extends").is_none()) {
            return Ok(());
        }
        let mut extended = Vec::new();
        for (name, service) in &siblings {
            extended.push((name.clone(), self.extend(service.clone(), &siblings, 0)?));
        }
        services.value = Value::Map(extended);
        Ok(())
    }

    fn extend(
        &mut self,
        mut service: Node,
        siblings: &[(String, Node)],
        depth: usize,
    ) -> Result<Node, Problem> {
        let Some(extends) = service.get("extends").cloned() else { return Ok(service) };
        if depth >= DEEPEST {
            return Err(Problem::new(extends.place, "services extend each other too deep, or in a circle"));
        }
        if let Value::Map(entries) = &mut service.value {
            entries.retain(|(key, _)| key != "extends");
        }
        let name = extends.get("service").unwrap_or(&extends).text().unwrap_or_default().to_owned();
        let missing = || Problem::new(extends.place, format!("there is no service {name:?} to extend"));
        let find = |services: &[(String, Node)]| {
            services
                .iter()
                .find(|(other, _)| *other == name)
                .map(|(_, node)| node.clone())
                .ok_or_else(missing)
        };
        let base = match extends.get("file").and_then(Node::text) {
            None => self.extend(find(siblings)?, siblings, depth + 1)?,
            Some(path) => {
                let (file, text) = self.read_required(path, extends.place)?;
                let root = self.plain(&text, file)?.root;
                let others = root.get("services").map(|node| node.entries().to_vec()).unwrap_or_default();
                self.extend(find(&others)?, &others, depth + 1)?
            }
        };
        self.files.budget.spend(base.size(), extends.place)?;
        Ok(merge("", base, service))
    }
}
