//! Carries out single steps: the only place that turns an [`Action`] into calls of the ports.

use std::sync::Arc;

use homeostat_reconciler::ports::{BuildRequest, ContainerRequest, Engine, Progress};
use homeostat_reconciler::{Action, ErrorKind, PortError, ResourceId, ResourceKey, Step};

use crate::files::{Origin, SourceFiles};

/// What steps are carried out with.
#[derive(Clone)]
pub struct Hands {
    /// Runs the containers.
    pub engine: Arc<dyn Engine>,
    /// Files of the source that are mounted or built from.
    pub files: SourceFiles,
}

impl Hands {
    /// Carries out one step.
    ///
    /// # Errors
    /// Those of the engine and the source; [`ErrorKind::Transient`] when files of the source are
    /// needed and it could not be read since the start.
    pub async fn execute(
        &self,
        step: &Step,
        origin: Option<&Origin>,
        progress: &dyn Progress,
    ) -> Result<(), PortError> {
        match (&step.action, &step.resource) {
            (Action::BuildImage { reference, build }, _) => {
                let context = self.files.context(origin, &build.context).await?;
                let secrets = crate::secrets::read(&build.secrets).await?;
                let request = BuildRequest {
                    reference: reference.clone(),
                    context: context.path().to_owned(),
                    dockerfile: build.dockerfile.clone(),
                    dockerfile_text: None,
                    args: build.args.clone(),
                    target: build.target.clone(),
                    no_cache: false,
                    secrets,
                    ssh: build.ssh.iter().map(|(id, path)| (id.clone(), path.into())).collect(),
                };
                self.engine.build_image(&request, progress).await.map(drop)
            }
            (Action::PullImage { reference }, _) => {
                self.engine.pull_image(reference, progress).await.map(drop)
            }
            (Action::RemoveImage { reference }, _) => self.engine.remove_image(reference).await,
            (Action::ExportFile { path }, _) => self.files.export(origin, path).await,
            (Action::RemoveFile { digest }, _) => self.files.remove(digest).await,
            (action, ResourceId::Declared(_, key)) => self.change(key, action).await,
            (_, ResourceId::Image(_) | ResourceId::File(_)) => Err(PortError::new(
                ErrorKind::Internal,
                format!(
                    "the plan has a step that does not fit its resource: {} {}",
                    step.action.verb(),
                    step.resource
                ),
            )),
        }
    }

    /// Changes a volume, network or container.
    async fn change(&self, key: &ResourceKey, action: &Action) -> Result<(), PortError> {
        let engine = &self.engine;
        match action {
            Action::CreateVolume { volume } => engine.create_volume(key, volume).await,
            Action::RemoveVolume => engine.remove_volume(key).await,
            Action::CreateNetwork { network } => engine.create_network(key, network).await,
            Action::RemoveNetwork => engine.remove_network(key).await,
            Action::CreateContainer { image, config, attended } => {
                let request = ContainerRequest {
                    key: key.clone(),
                    image: image.clone(),
                    config: (**config).clone(),
                    files: self.files.directory().to_owned(),
                    attended: *attended,
                };
                engine.create_container(&request).await
            }
            Action::AdoptContainer { id, .. } => engine.adopt_container(key, id).await,
            Action::StartContainer => engine.start_container(key).await,
            Action::StopContainer { signal, grace } => {
                engine.stop_container(key, signal.as_deref(), *grace).await
            }
            Action::PauseContainer => engine.pause_container(key).await,
            Action::ResumeContainer => engine.resume_container(key).await,
            Action::UpdateContainer { resources, log } => engine.update_container(key, resources, log).await,
            Action::RemoveContainer => engine.remove_container(key).await,
            Action::BuildImage { .. }
            | Action::PullImage { .. }
            | Action::RemoveImage { .. }
            | Action::ExportFile { .. }
            | Action::RemoveFile { .. } => unreachable!("handled by execute, which is the only caller"),
        }
    }
}
