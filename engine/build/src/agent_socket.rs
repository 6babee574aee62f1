//! The socket of an agent for SSH keys, as a command sees it.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use fs_err as fs;
use homeostat_files::Permissions;

use crate::StepError;
use crate::memory::allow;

/// A socket of its own owner and mode, whose connections are led to the agent's. Dropped, it takes no more of them.
pub(crate) struct AgentSocket {
    path: PathBuf,
    listener: Arc<OwnedFd>,
    accepting: Option<JoinHandle<()>>,
}

impl AgentSocket {
    /// Listens in `directory` under this name.
    pub(crate) fn open(
        directory: &Path,
        name: &str,
        agent: PathBuf,
        permissions: Permissions,
    ) -> Result<Self, StepError> {
        // The name of a socket may have 107 bytes, and those of directories have more.
        let place = fs::File::open(directory)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", place.file().as_raw_fd())).join(name);
        let listener = UnixListener::bind(short)?;
        let path = directory.join(name);
        allow(&path, permissions)?;
        let shared = Arc::new(OwnedFd::from(listener.try_clone()?));
        let accepting = thread::Builder::new().name("ssh-agent".to_owned()).spawn(move || {
            listener.incoming().map_while(Result::ok).for_each(|client| lead(client, &agent));
        })?;
        Ok(Self { path, listener: shared, accepting: Some(accepting) })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        // It makes the wait for a connection fail, which ends the thread.
        let _ = nix::sys::socket::shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

/// Passes on what both sides say until one of them ends. A client without an agent is left alone at once.
fn lead(client: UnixStream, agent: &Path) {
    let connected =
        UnixStream::connect(agent).and_then(|agent| Ok((client.try_clone()?, agent.try_clone()?, agent)));
    let Ok((reading, answering, agent)) = connected else { return };
    let pass = |mut from: UnixStream, mut to: UnixStream| {
        move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        }
    };
    // Both end with their connection, and so with the command at the latest.
    thread::spawn(pass(reading, agent));
    thread::spawn(pass(answering, client));
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_client_talks_with_the_agent_until_the_socket_is_closed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("agent");
        let agent = UnixListener::bind(&path).unwrap();
        let socket = AgentSocket::open(place.path(), "socket", path, Permissions::root(0o600)).unwrap();
        let mut client = UnixStream::connect(socket.path()).unwrap();
        let (mut answering, _) = agent.accept().unwrap();
        client.write_all(b"ask").unwrap();
        let mut asked = [0; 3];
        answering.read_exact(&mut asked).unwrap();
        answering.write_all(b"answer").unwrap();
        drop(answering);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!((&asked, answer.as_str()), (b"ask", "answer"));
        let path = socket.path().to_owned();
        drop(socket);
        assert!(UnixStream::connect(path).is_err());
    }
}
