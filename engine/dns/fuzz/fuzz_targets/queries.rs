//! Whatever a container sends, it is answered, forwarded or ignored, and what a name server says to it is taken or not: the
//! first two bytes of an input are the length of the query, what follows it is the answer.
//!
//! Run by `scripts/fuzz 600 queries`.

#![no_main]

use std::net::Ipv4Addr;

use homeostat_dns::fuzzing::take_answer;
use homeostat_dns::{ContainerName, Decision, Names, NetworkNames, answer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((length, rest)) = input.split_first_chunk() else { return };
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (query, told) = rest.split_at(length);
    let asker = Ipv4Addr::new(172, 29, 0, 2);
    let container = ContainerName { app: "shop".to_owned(), name: "web".to_owned(), address: asker, servers: Vec::new() };
    let network = NetworkNames {
        subnet: "172.29.0.0/24".parse().unwrap(),
        internal: false,
        port: None,
        containers: vec![container],
    };
    let names = Names { networks: [("hs0".parse().unwrap(), network.clone())].into() };
    if let Decision::Answer(answered) = answer(&names, &network, asker, query) {
        assert!(answered.len() <= 512 && answered[..2] == query[..2]);
    }
    if let Some(sent) = take_answer(query, told) {
        assert!(sent.len() <= usize::from(u16::MAX));
    }
});
