//! A proxy in front of a daemon's socket, which counts what is asked and does what a bad daemon would.

mod forward;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What the proxy does with each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Hands it on to the daemon.
    #[default]
    None,
    /// Answers with `500 Internal Server Error`; the daemon hears nothing of it.
    Refuse,
    /// Hands it on, and then answers with `500 Internal Server Error` if it was to change something.
    ForgetAnswers,
    /// Tells, of the versions of the API that the daemon speaks, one that is too old for everybody.
    SpeakOldVersion,
    /// Hands it on after so long.
    Delay(Duration),
}

/// Passes requests to a daemon's API on, until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    socket: PathBuf,
    shared: Arc<Shared>,
    /// Ends every task.
    _runtime: Runtime,
}

#[derive(Debug)]
struct Shared {
    daemon: PathBuf,
    requests: Mutex<Vec<String>>,
    fault: Mutex<Fault>,
    /// Changes when all connections are to end.
    cut: watch::Sender<()>,
}

impl Proxy {
    /// Starts one that listens on `socket` and asks the daemon that listens on `daemon`.
    pub fn start(daemon: &Path, socket: PathBuf) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Arc::new(Shared {
            daemon: daemon.to_owned(),
            requests: Mutex::default(),
            fault: Mutex::default(),
            cut: watch::Sender::new(()),
        });
        let listener = {
            let _context = runtime.enter();
            UnixListener::bind(&socket).unwrap()
        };
        runtime.spawn(forward::serve(listener, Arc::clone(&shared)));
        Self { socket, shared, _runtime: runtime }
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// From now on it does this with each request.
    pub fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Ends all connections; new ones are taken.
    pub fn cut(&self) {
        self.shared.cut.send_replace(());
    }

    /// What was asked since the last call, as `GET /containers/json`: without the version and the query.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    fn count(&self, request: String) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
