//! What is done about a query. Pure.

use std::net::Ipv4Addr;

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder};
use domain::base::name::ParsedName;
use domain::base::{Message, MessageBuilder, Name, Question, Ttl};
use domain::rdata::{A, Ptr};

use crate::Names;
use crate::names::{NetworkNames, ZONE};

/// An address may be another container's after it was asked for.
const TTL: Ttl = Ttl::ZERO;

/// What fits into a datagram everywhere (RFC 9715).
const PAYLOAD: u16 = 1232;

/// Payload of a datagram to somebody who did not say what fits (RFC 1035).
const LEAST_PAYLOAD: usize = 512;

/// What is done about a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// This message is the answer.
    Answer(Vec<u8>),
    /// The host's name servers are asked.
    Forward,
    /// Nothing: it is no query.
    Ignore,
}

/// Decides about a query that `asker` has sent on a bridge.
pub fn answer(names: &Names, network: &NetworkNames, asker: Ipv4Addr, packet: &[u8]) -> Decision {
    let Ok(query) = Message::from_slice(packet) else { return Decision::Ignore };
    // Two name servers that answer each other's answers would never end.
    if query.header().qr() {
        return Decision::Ignore;
    }
    if query.header().opcode() != Opcode::QUERY {
        return reply(query, Rcode::NOTIMP, Vec::new());
    }
    let Ok(question) = query.sole_question() else { return reply(query, Rcode::FORMERR, Vec::new()) };
    // A whole zone comes in many messages, and is nothing that a resolver asks for.
    if matches!(question.qtype(), Rtype::AXFR | Rtype::IXFR) {
        return reply(query, Rcode::REFUSED, Vec::new());
    }
    match own(names, network, asker, &question) {
        Own::Addresses(addresses) => {
            let wanted = matches!(question.qtype(), Rtype::A | Rtype::ANY);
            let records = if wanted { addresses } else { Vec::new() };
            reply(query, Rcode::NOERROR, records.into_iter().map(Record::Address).collect())
        }
        Own::Name(name) => {
            let wanted = matches!(question.qtype(), Rtype::PTR | Rtype::ANY);
            reply(query, Rcode::NOERROR, wanted.then_some(Record::Name(name)).into_iter().collect())
        }
        Own::Empty => reply(query, Rcode::NOERROR, Vec::new()),
        Own::Nothing => reply(query, Rcode::NXDOMAIN, Vec::new()),
        Own::NotOurs if names.of(network, asker).all(|network| network.internal) => {
            reply(query, Rcode::NXDOMAIN, Vec::new())
        }
        Own::NotOurs => Decision::Forward,
    }
}

/// What is known here of a name.
enum Own {
    /// It is that of a container, or of several.
    Addresses(Vec<Ipv4Addr>),
    /// It is that of an address, whose name is this.
    Name(String),
    /// It is there, with nothing to tell about it.
    Empty,
    /// There is no such name, and nobody else knows it.
    Nothing,
    /// Somebody else may know it.
    NotOurs,
}

fn own(
    names: &Names,
    network: &NetworkNames,
    asker: Ipv4Addr,
    question: &Question<ParsedName<&[u8]>>,
) -> Own {
    if question.qclass() != Class::IN {
        return Own::NotOurs;
    }
    let name = question.qname().to_string().to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    if let Some(address) = reversed(name) {
        return match names.of(network, asker).find_map(|network| network.at(address)) {
            Some(container) => Own::Name(network.name_for(asker, container)),
            None if names.is_own(address) => Own::Nothing,
            None => Own::NotOurs,
        };
    }
    if name == ZONE {
        return Own::Empty;
    }
    let (name, unknown) = match name.strip_suffix(ZONE).and_then(|name| name.strip_suffix('.')) {
        Some(name) => (name, Own::Nothing),
        None => (name, Own::NotOurs),
    };
    let app = network.at(asker).map(|asker| asker.app.as_str());
    let found = names.of(network, asker).map(|network| network.find(app, name));
    found.into_iter().find(|addresses| !addresses.is_empty()).map_or(unknown, Own::Addresses)
}

/// The address of a name of `in-addr.arpa`.
fn reversed(name: &str) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = name.strip_suffix(".in-addr.arpa")?.parse().ok()?;
    let [a, b, c, d] = address.octets();
    Some(Ipv4Addr::new(d, c, b, a))
}

/// A record of an answer.
enum Record {
    Address(Ipv4Addr),
    Name(String),
}

fn reply(query: &Message<[u8]>, rcode: Rcode, records: Vec<Record>) -> Decision {
    build(query, rcode, records).map_or(Decision::Ignore, Decision::Answer)
}

/// `None` when the question cannot be repeated, as it cannot be read.
fn build(query: &Message<[u8]>, rcode: Rcode, records: Vec<Record>) -> Option<Vec<u8>> {
    let mut answer = begin(query, rcode)?;
    let header = answer.header_mut();
    header.set_ra(true);
    header.set_aa(!records.is_empty());
    for record in records {
        let name = query.sole_question().ok()?.into_qname();
        match record {
            Record::Address(address) => answer.push((name, Class::IN, TTL, A::new(address))).ok()?,
            Record::Name(text) => {
                let told: Name<Vec<u8>> = text.parse().ok()?;
                answer.push((name, Class::IN, TTL, Ptr::new(told))).ok()?;
            }
        }
    }
    Some(finish(query, answer.additional()))
}

/// Repeats the question. Several are not: each can be two bytes that stand for a name of 255, so that a short message would
/// have a long answer.
fn begin(query: &Message<[u8]>, rcode: Rcode) -> Option<AnswerBuilder<Vec<u8>>> {
    let mut answer = MessageBuilder::new_vec();
    if query.header_counts().qdcount() == 1 {
        return answer.start_answer(query, rcode).ok();
    }
    let header = answer.header_mut();
    header.set_id(query.header().id());
    header.set_qr(true);
    header.set_opcode(query.header().opcode());
    header.set_rd(query.header().rd());
    header.set_rcode(rcode);
    Some(answer.answer())
}

/// Who asks with EDNS is answered with EDNS (RFC 6891).
fn finish(query: &Message<[u8]>, mut answer: AdditionalBuilder<Vec<u8>>) -> Vec<u8> {
    if query.opt().is_some() {
        // A message that has only a question and one record has room.
        let _ = answer.opt(|opt| {
            opt.set_udp_payload_size(PAYLOAD);
            Ok(())
        });
    }
    answer.finish()
}

/// The answer to a query that nobody could be asked about.
pub(crate) fn failed(query: &[u8]) -> Option<Vec<u8>> {
    build(Message::from_slice(query).ok()?, Rcode::SERVFAIL, Vec::new())
}

/// An answer as it fits into a datagram to who has asked: whole, or only a word that it does not fit.
pub(crate) fn fitted(query: &[u8], answer: &[u8]) -> Option<Vec<u8>> {
    let query = Message::from_slice(query).ok()?;
    let offered = query.opt().map_or(0, |opt| usize::from(opt.udp_payload_size()));
    if answer.len() <= offered.max(LEAST_PAYLOAD) {
        return Some(answer.to_vec());
    }
    let rcode = Message::from_slice(answer).ok()?.header().rcode();
    let mut short = begin(query, rcode)?;
    short.header_mut().set_ra(true);
    short.header_mut().set_tc(true);
    Some(finish(query, short.additional()))
}

/// Whether a message is the answer to this query.
pub(crate) fn answers(query: &[u8], answer: &[u8]) -> bool {
    let (Ok(query), Ok(answer)) = (Message::from_slice(query), Message::from_slice(answer)) else {
        return false;
    };
    // A server that does not like a query may leave the question out.
    let without_question = answer.header().qr()
        && answer.header().id() == query.header().id()
        && answer.header_counts().qdcount() == 0
        && answer.header().rcode() != Rcode::NOERROR;
    without_question || answer.is_answer(query)
}

/// Whether another server may know better.
pub(crate) fn is_refusal(answer: &[u8]) -> bool {
    Message::from_slice(answer).is_ok_and(|answer| {
        matches!(answer.header().rcode(), Rcode::SERVFAIL | Rcode::REFUSED | Rcode::NOTIMP)
    })
}

#[cfg(test)]
mod tests;
