//! Images that go elsewhere and come from there: registries and archives.

use bollard::query_parameters::{ImportImageOptionsBuilder, PushImageOptionsBuilder};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use homeostat_reconciler::ports::{
    ArchiveFormat, ArchiveToLoad, LoadedImage, Progress, SaveRequest, SavedArchive,
};
use homeostat_reconciler::{ErrorKind, PortError, registry, repository, spelled_out};
use tokio::sync::mpsc;

use crate::cache::List;
use crate::credentials;
use crate::engine::Inner;
use crate::failure::Failure;

/// Pieces of an archive that wait for a slow reader.
pub(crate) const PIECES_AHEAD: usize = 8;

impl Inner {
    pub(crate) async fn push_image(
        &self,
        reference: &str,
        progress: &dyn Progress,
    ) -> Result<String, PortError> {
        let about = |failure: Failure| failure.about(format!("image {reference} cannot be pushed"));
        let api = self.api().await.map_err(about)?;
        let (full, name, asked) = (spelled_out(reference), repository(reference), registry(reference));
        let tag = full[name.len()..].trim_start_matches(':');
        let found = tokio::task::spawn_blocking(move || credentials::for_registry(&asked)).await;
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let mut told = Box::pin(api.push_image(&name, Some(options), found.unwrap_or_default()));
        let mut last = String::new();
        while let Some(told) = told.next().await {
            let told = told.map_err(|error| about(Failure::new(error, &self.endpoint)))?;
            if let Some(message) = told.error_detail.and_then(|detail| detail.message) {
                return Err(about(Failure::Refused { code: 500, message }));
            }
            // What moves says the same again and again; which layer it is of, the API's types leave out.
            if let Some(status) = told.status.filter(|status| *status != last) {
                progress.output(None, &status);
                last = status;
            }
        }
        let image = self.answer(api.inspect_image(&full)).await.map_err(about)?;
        let is_of_it = |digest: &String| repository(digest) == name;
        let digest = image.repo_digests.unwrap_or_default().into_iter().rfind(is_of_it);
        let digest = digest.and_then(|digest| Some(digest.split_once('@')?.1.to_owned()));
        self.changed(List::Images);
        digest.ok_or_else(|| {
            let message = "the engine does not tell the digest".to_owned();
            about(Failure::Refused { code: 500, message })
        })
    }

    pub(crate) async fn save_images(&self, request: &SaveRequest) -> Result<SavedArchive, PortError> {
        if request.format == ArchiveFormat::OciArchive {
            let message = format!("{} saves images in Docker's archive only", self.flavour.name());
            let hint = "leave --format out; Docker 25 and newer have an OCI image layout in that archive";
            return Err(PortError::new(ErrorKind::User, message).with_hint(hint));
        }
        let about = |failure: Failure| failure.about("the images cannot be saved");
        let api = self.api().await.map_err(about)?;
        for name in &request.names {
            self.answer(api.inspect_image(name)).await.map_err(about)?;
        }
        let (names, endpoint) = (request.names.clone(), self.endpoint.to_string());
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(async move {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut archive = Box::pin(api.export_images(&names));
            while let Some(piece) = archive.next().await {
                let piece =
                    piece.map_err(|error| Failure::new(error, &endpoint).about("the images cannot be saved"));
                // Where nobody listens any more, nobody needs the rest.
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        });
        Ok(received(pieces))
    }

    pub(crate) async fn load_images(&self, archive: ArchiveToLoad) -> Result<Vec<LoadedImage>, PortError> {
        let about = |failure: Failure| failure.about("the archive cannot be loaded");
        let api = self.api().await.map_err(about)?;
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let mut told = Box::pin(api.import_image_stream(options, archive, None));
        let mut names = Vec::new();
        while let Some(told) = told.next().await {
            let told = told.map_err(|error| about(Failure::new(error, &self.endpoint)))?;
            names.extend(told.stream.iter().flat_map(|text| loaded(text)));
        }
        self.changed(List::Images);
        let mut images = Vec::new();
        for name in names {
            let image = self.answer(api.inspect_image(&name)).await.map_err(about)?;
            let references = if name.starts_with("sha256:") { Vec::new() } else { vec![name] };
            images.push(LoadedImage { id: image.id.map(|id| crate::read::image_id(&id)), references });
        }
        Ok(images)
    }
}

/// An archive as it comes.
pub(crate) fn received(pieces: mpsc::Receiver<Result<Bytes, PortError>>) -> SavedArchive {
    stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) }).boxed()
}

/// The names in what an engine says at the end of a load: `Loaded image: NAME`, by Podman with several names.
fn loaded(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| {
        line.strip_prefix("Loaded image ID: ").or_else(|| line.strip_prefix("Loaded image: "))
    });
    lines.flat_map(|names| names.split(',')).map(|name| name.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_what_was_loaded_are_understood() {
        assert_eq!(loaded("Loaded image: busybox:latest\n"), ["busybox:latest"]);
        assert_eq!(loaded("Loaded image: localhost/a:1,localhost/b:2"), ["localhost/a:1", "localhost/b:2"]);
        assert_eq!(loaded("Loaded image ID: sha256:00\n"), ["sha256:00"]);
        assert!(loaded("anything else").is_empty());
    }
}
