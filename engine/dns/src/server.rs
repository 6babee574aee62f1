//! Asks, answers and waits: one thread, asleep in `poll` until there is something to do.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Instant;

use homeostat_network::InterfaceName;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::answer::{failed, fitted};
use crate::control::Control;
use crate::flight::{Flight, Progress};
use crate::host::Current;
use crate::listener::Listener;
use crate::stream::{Need, Stream};
use crate::{Decision, Names, Report, answer};

/// Queries in datagrams that name servers are asked about at a time, of all and of one container. More are left
/// unanswered: who has asked asks again.
const MOST_FLIGHTS: [usize; 2] = [256, 64];

/// Connections at a time, of all and of one container. More are closed at once.
const MOST_STREAMS: [usize; 2] = [64, 8];

/// Datagrams that are taken from one socket before the next has its turn.
const TURN: usize = 32;

/// More than any datagram has.
const BUFFER: usize = 1 << 16;

/// What a descriptor that is ready belongs to.
#[derive(Debug, Clone, Copy)]
enum Source {
    Control,
    Udp(usize),
    Tcp(usize),
    Flight(u64),
    Stream(u64),
}

/// The process's state.
#[derive(Debug)]
pub(crate) struct Server {
    names: Names,
    listeners: Vec<Listener>,
    flights: BTreeMap<u64, Flight>,
    streams: BTreeMap<u64, Stream>,
    /// The number of the next flight or stream.
    next: u64,
    host: Current,
    buffer: Vec<u8>,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            names: Names::default(),
            listeners: Vec::new(),
            flights: BTreeMap::new(),
            streams: BTreeMap::new(),
            next: 0,
            host: Current::default(),
            buffer: vec![0; BUFFER],
        }
    }

    /// Whether there is nobody to answer to.
    pub(crate) fn is_idle(&self) -> bool {
        self.names.networks.is_empty()
    }

    /// Reads the names in a directory, and listens where they say. What cannot be read changes nothing.
    pub(crate) fn read_names(&mut self, directory: &Path) -> Report {
        let mut report = Report::default();
        match Names::load(directory) {
            Ok(names) => self.names = names,
            Err(error) => report.troubles.push(format!("the names cannot be read: {error}")),
        }
        let networks = &self.names.networks;
        let mut before = std::mem::take(&mut self.listeners);
        // Closed before others are opened, which may want their ports.
        before
            .retain(|listener| networks.get(&listener.bridge).is_some_and(|network| listener.is_at(network)));
        for (bridge, network) in networks {
            let known = before.iter().position(|listener| listener.bridge == *bridge);
            let listener = match known.map(|position| before.swap_remove(position)) {
                Some(listener) => Ok(listener.with(network)),
                None => Listener::open(bridge, network),
            };
            match listener {
                Ok(listener) => {
                    report.ports.insert(bridge.clone(), listener.port);
                    self.listeners.push(listener);
                }
                Err(error) => {
                    report.troubles.push(format!("names are not answered on the bridge {bridge}: {error}"));
                }
            }
        }
        report
    }

    /// Answers until there is nobody left to answer to.
    pub(crate) fn run(&mut self, control: &Control, directory: &Path) {
        while !self.is_idle() {
            let mut reread = false;
            for source in self.wait(control) {
                match source {
                    Source::Control => reread = true,
                    Source::Udp(listener) => self.take_datagrams(listener),
                    Source::Tcp(listener) => self.take_connections(listener),
                    Source::Flight(flight) => self.receive(flight),
                    Source::Stream(stream) => self.advance(stream),
                }
            }
            // Last, since it changes what the numbers of listeners mean.
            if reread {
                control.serve(|| self.read_names(directory));
            }
            self.time_out();
        }
    }

    /// Sleeps until something is to be done, and says what.
    fn wait(&self, control: &Control) -> Vec<Source> {
        let mut polled = vec![PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN)];
        let mut sources = vec![Source::Control];
        for (position, listener) in self.listeners.iter().enumerate() {
            polled.push(PollFd::new(&listener.udp, PollFlags::IN));
            polled.push(PollFd::new(&listener.tcp, PollFlags::IN));
            sources.extend([Source::Udp(position), Source::Tcp(position)]);
        }
        for (number, flight) in &self.flights {
            polled.push(PollFd::new(&flight.socket, PollFlags::IN));
            sources.push(Source::Flight(*number));
        }
        for (number, stream) in &self.streams {
            let (descriptor, flags) = stream.interest();
            polled.push(PollFd::from_borrowed_fd(descriptor, flags));
            sources.push(Source::Stream(*number));
        }
        // An interrupted wait is none.
        let _ = poll(&mut polled, self.time_left().as_ref());
        let ready = polled.iter().zip(sources).filter(|(polled, _)| !polled.revents().is_empty());
        ready.map(|(_, source)| source).collect()
    }

    /// The time until something is waited for in vain; `None` when nothing is.
    fn time_left(&self) -> Option<Timespec> {
        let flights = self.flights.values().map(|flight| flight.deadline);
        let streams = self.streams.values().map(|stream| stream.deadline);
        let next = flights.chain(streams).min()?;
        Timespec::try_from(next.saturating_duration_since(Instant::now())).ok()
    }

    fn take_datagrams(&mut self, listener: usize) {
        for _ in 0..TURN {
            let Some(listener) = self.listeners.get(listener) else { return };
            let (length, asker) = match listener.udp.recv_from(&mut self.buffer) {
                Ok((length, SocketAddr::V4(asker))) => (length, asker),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // As when an answer could not be delivered.
                Ok(_) | Err(_) => continue,
            };
            if !listener.network.subnet.contains(*asker.ip()) {
                continue;
            }
            let query = &self.buffer[..length];
            match answer(&self.names, &listener.network, *asker.ip(), query) {
                Decision::Answer(answer) => send(listener, asker, query, &answer),
                Decision::Forward => {
                    let (bridge, query) = (listener.bridge.clone(), query.to_vec());
                    self.forward(&bridge, asker, &query);
                }
                Decision::Ignore => {}
            }
        }
    }

    fn forward(&mut self, bridge: &InterfaceName, asker: SocketAddrV4, query: &[u8]) {
        let [most, most_of_one] = MOST_FLIGHTS;
        let of_one = self.flights.values().filter(|flight| flight.asker.ip() == asker.ip()).count();
        if self.flights.len() >= most || of_one >= most_of_one {
            return;
        }
        let servers = self.servers(bridge, *asker.ip());
        match Flight::start(bridge, asker, query, &servers) {
            Some(flight) => {
                self.flights.insert(self.next, flight);
                self.next += 1;
            }
            None => self.conclude(bridge, asker, query, None),
        }
    }

    /// Whom to ask for somebody on a bridge: the name servers of its own, else the host's.
    fn servers(&mut self, bridge: &InterfaceName, asker: Ipv4Addr) -> Vec<SocketAddr> {
        let own = self.names.networks.get(bridge).and_then(|network| network.servers_of(asker));
        own.unwrap_or_else(|| self.host.servers().to_vec())
    }

    fn receive(&mut self, number: u64) {
        let Some(flight) = self.flights.get_mut(&number) else { return };
        let progress = flight.receive(&mut self.buffer);
        self.go_on(number, progress);
    }

    fn go_on(&mut self, number: u64, progress: Progress) {
        let answer = match progress {
            Progress::Waits => return,
            Progress::Answered(answer) => Some(answer),
            Progress::Failed => None,
        };
        if let Some(flight) = self.flights.remove(&number) {
            self.conclude(&flight.bridge, flight.asker, &flight.query, answer);
        }
    }

    /// Sends what the host's name servers have said.
    fn conclude(&self, bridge: &InterfaceName, asker: SocketAddrV4, query: &[u8], answer: Option<Vec<u8>>) {
        // The bridge may be gone meanwhile.
        let Some(listener) = self.listeners.iter().find(|listener| listener.bridge == *bridge) else {
            return;
        };
        if let Some(answer) = answer.or_else(|| failed(query)) {
            send(listener, asker, query, &answer);
        }
    }

    fn take_connections(&mut self, position: usize) {
        let [most, most_of_one] = MOST_STREAMS;
        for _ in 0..TURN {
            let Some(listener) = self.listeners.get(position) else { return };
            let Ok((client, SocketAddr::V4(asker))) = listener.tcp.accept() else { return };
            let of_one = self.streams.values().filter(|stream| stream.asker.ip() == asker.ip()).count();
            let full = self.streams.len() >= most || of_one >= most_of_one;
            if full || !listener.network.subnet.contains(*asker.ip()) {
                continue;
            }
            if let Ok(stream) = Stream::new(listener.bridge.clone(), asker, client) {
                self.streams.insert(self.next, stream);
                self.next += 1;
            }
        }
    }

    fn advance(&mut self, number: u64) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let need = stream.advance();
        self.meet(number, need);
    }

    /// Gives a connection what it needs. It goes on when it can be read from or written to.
    fn meet(&mut self, number: u64, need: Need) {
        let query = match need {
            Need::Time => return,
            Need::End => {
                self.streams.remove(&number);
                return;
            }
            Need::Decision(query) => query,
        };
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let network = self.listeners.iter().find(|listener| listener.bridge == stream.bridge);
        let decision =
            network.map(|listener| answer(&self.names, &listener.network, *stream.asker.ip(), &query));
        let (bridge, asker) = (stream.bridge.clone(), *stream.asker.ip());
        let servers = self.servers(&bridge, asker);
        let Some(stream) = self.streams.get_mut(&number) else { return };
        match decision {
            Some(Decision::Answer(answer)) => stream.answer(&answer),
            Some(Decision::Forward) => stream.forward(query, &servers),
            Some(Decision::Ignore) | None => drop(self.streams.remove(&number)),
        }
    }

    fn time_out(&mut self) {
        let now = Instant::now();
        let late = self.flights.iter().filter(|(_, flight)| flight.deadline <= now);
        for number in late.map(|(number, _)| *number).collect::<Vec<_>>() {
            let Some(flight) = self.flights.get_mut(&number) else { continue };
            let progress = flight.ask_next();
            self.go_on(number, progress);
        }
        let late = self.streams.iter().filter(|(_, stream)| stream.deadline <= now);
        for number in late.map(|(number, _)| *number).collect::<Vec<_>>() {
            let Some(stream) = self.streams.get_mut(&number) else { continue };
            let need = stream.time_out();
            self.meet(number, need);
        }
    }
}

/// A datagram that cannot be sent is lost, as any may be.
fn send(listener: &Listener, asker: SocketAddrV4, query: &[u8], answer: &[u8]) {
    if let Some(answer) = fitted(query, answer) {
        let _ = listener.udp.send_to(&answer, asker);
    }
}
