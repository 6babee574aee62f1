//! Logs of containers and of apps.

use futures::stream::{self, BoxStream, StreamExt as _};
use homeostat_reconciler::ports::{LogLine, LogQuery};
use homeostat_reconciler::{PortError, ResourceKey};
use homeostat_spec::Name;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Service;
use crate::interleave::Interleaved;
use crate::view::View;

/// A line of an app's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppLogLine {
    /// The container that wrote it, by its name within the app.
    pub container: Name,
    /// The line.
    #[serde(flatten)]
    pub line: LogLine,
}

impl Service {
    /// `logs APP/CONTAINER`.
    pub fn logs(
        &self,
        key: &ResourceKey,
        query: &LogQuery,
    ) -> BoxStream<'static, Result<LogLine, PortError>> {
        self.engine.logs(key, query)
    }

    /// `logs APP`: of all its containers, by time; those that come later included where an agent runs. The tail is
    /// counted for each container.
    ///
    /// # Errors
    /// When there is no container of it, declared or existing.
    pub async fn app_logs(
        &self,
        app: &Name,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<AppLogLine, PortError>>, PortError> {
        let now = self.clock.now();
        let mut logs = Interleaved::new(query.follows_for(now).is_some());
        for key in self.select(app.as_str()).await? {
            logs.add(key.name.clone(), self.engine.logs(&key, query));
        }
        // What a container that is declared later has written in an earlier life is not asked for.
        let since = query.since.map_or(now, |since| since.max(now));
        let views = query.follow.then(|| self.agent.as_ref().map(|agent| agent.view.clone())).flatten();
        let query = LogQuery { tail: None, since: Some(since), ..query.clone() };
        let newcomers = Newcomers { service: self.clone(), app: app.clone(), query, views };
        let lines = stream::unfold((logs, newcomers), |(mut logs, mut newcomers)| async move {
            let (container, line) = newcomers.next_line(&mut logs).await?;
            Some((line.map(|line| AppLogLine { container, line }), (logs, newcomers)))
        });
        Ok(lines.boxed())
    }
}

/// Looks for containers of an app that were not there before.
struct Newcomers {
    service: Service,
    app: Name,
    query: LogQuery,
    /// What the loop knows, as long as it is looked for.
    views: Option<watch::Receiver<Option<View>>>,
}

impl Newcomers {
    async fn next_line(&mut self, logs: &mut Interleaved) -> Option<(Name, Result<LogLine, PortError>)> {
        loop {
            let Some(views) = &mut self.views else { return logs.next().await };
            tokio::select! {
                biased;
                line = logs.next() => return line,
                changed = views.changed() => match changed {
                    Ok(()) => self.add_to(logs),
                    Err(_) => self.views = None,
                },
            }
        }
    }

    fn add_to(&mut self, logs: &mut Interleaved) {
        let Some(views) = &mut self.views else { return };
        let keys = views.borrow_and_update().as_ref().map(View::keys).unwrap_or_default();
        for key in keys.into_iter().filter(|key| key.app == self.app) {
            if !logs.has(&key.name) {
                logs.add(key.name.clone(), self.service.engine.logs(&key, &self.query));
            }
        }
    }
}
