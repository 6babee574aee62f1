//! Files over HTTP.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// When all files were changed last.
const LAST_MODIFIED: &str = "Sat, 03 Jan 2009 18:15:05 GMT";

/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server of some files on a loopback address, until it is dropped.
pub struct Web {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Serves these contents at these paths, which begin with a slash, on an address; with port 0 on any free port.
    pub fn serve(address: &str, files: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let files: BTreeMap<_, _> =
            files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect();
        let ended = Arc::<AtomicBool>::default();
        let thread = {
            let ended = Arc::clone(&ended);
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if ended.load(Ordering::SeqCst) {
                        break;
                    }
                    // A client that has heard enough hangs up.
                    let _ = answer(&stream, &files);
                }
            })
        };
        Self { address, ended, thread: Some(thread) }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // It waits for somebody to come.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: &TcpStream, files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<()> {
    // One that says nothing keeps nobody waiting.
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    let (status, content) = match files.get(path) {
        Some(content) => ("200 OK", content.as_slice()),
        None => ("404 Not Found", &b""[..]),
    };
    let length = content.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\nLast-Modified: {LAST_MODIFIED}\r\n\r\n"
    )?;
    if method == "HEAD" { Ok(()) } else { stream.write_all(content) }
}
