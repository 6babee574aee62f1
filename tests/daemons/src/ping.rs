//! Whether a daemon answers.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a daemon may take until it answers. It takes half a second on a quiet machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until the daemon behind a socket answers.
pub(crate) fn wait_until_it_answers(socket: &Path) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ping(socket) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn ping(socket: &Path) -> Result<(), String> {
    let ask = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: daemon\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer: String = ask().map_err(|error: std::io::Error| error.to_string())?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer) }
}
