use domain::base::Rtype;
use proptest::prelude::*;

use super::*;
use crate::ContainerName;

const WEB: Ipv4Addr = Ipv4Addr::new(172, 29, 0, 2);
const DB: Ipv4Addr = Ipv4Addr::new(172, 29, 0, 3);
const OTHER_DB: Ipv4Addr = Ipv4Addr::new(172, 29, 0, 4);

fn container(app: &str, name: &str, address: Ipv4Addr) -> ContainerName {
    ContainerName {
        app: app.to_owned(),
        name: name.to_owned(),
        aliases: Vec::new(),
        address,
        servers: Vec::new(),
    }
}

/// A bridge that two apps share, and another one.
fn names() -> Names {
    let shared = NetworkNames {
        subnet: "172.29.0.0/24".parse().unwrap(),
        internal: false,
        port: None,
        containers: vec![
            container("shop", "web", WEB),
            container("shop", "db", DB),
            container("blog", "db", OTHER_DB),
        ],
    };
    let other = NetworkNames {
        subnet: "172.29.1.0/24".parse().unwrap(),
        internal: true,
        port: None,
        containers: vec![container("shop", "hidden", Ipv4Addr::new(172, 29, 1, 2))],
    };
    let bridges = ["hs0", "hs1"].map(|name| name.parse().unwrap());
    Names { networks: bridges.into_iter().zip([shared, other]).collect() }
}

fn query(name: &str, kind: Rtype) -> Vec<u8> {
    let mut query = MessageBuilder::new_vec();
    query.header_mut().set_id(4711);
    query.header_mut().set_rd(true);
    let mut query = query.question();
    query.push((name.parse::<Name<Vec<u8>>>().unwrap(), kind)).unwrap();
    query.finish()
}

fn decide(bridge: usize, asker: Ipv4Addr, packet: &[u8]) -> Decision {
    decide_by(&names(), bridge, asker, packet)
}

fn decide_by(names: &Names, bridge: usize, asker: Ipv4Addr, packet: &[u8]) -> Decision {
    answer(names, names.networks.values().nth(bridge).unwrap(), asker, packet)
}

/// The answer in short: its code, and what its record says.
fn ask(bridge: usize, asker: Ipv4Addr, name: &str, kind: Rtype) -> String {
    ask_of(&names(), bridge, asker, name, kind)
}

fn ask_of(names: &Names, bridge: usize, asker: Ipv4Addr, name: &str, kind: Rtype) -> String {
    match decide_by(names, bridge, asker, &query(name, kind)) {
        Decision::Answer(answer) => {
            let answer = Message::from_octets(answer).unwrap();
            assert!(answers(&query(name, kind), answer.as_slice()));
            let records = answer.answer().unwrap().limit_to::<domain::rdata::AllRecordData<_, _>>();
            let told: Vec<_> = records.map(|record| record.unwrap().data().to_string()).collect();
            format!("{} {}", answer.header().rcode(), told.join(" ")).trim_end().to_owned()
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn a_name_is_that_of_the_askers_app() {
    assert_eq!(ask(0, WEB, "db", Rtype::A), "NOERROR 172.29.0.3");
    assert_eq!(ask(0, OTHER_DB, "db", Rtype::A), "NOERROR 172.29.0.4");
    assert_eq!(ask(0, WEB, "DB.Homeostat.Internal.", Rtype::A), "NOERROR 172.29.0.3");
    assert_eq!(ask(0, WEB, "db.blog", Rtype::A), "NOERROR 172.29.0.4");
    assert_eq!(ask(0, WEB, "db.blog.homeostat.internal", Rtype::A), "NOERROR 172.29.0.4");
    assert_eq!(ask(0, OTHER_DB, "web", Rtype::A), "Forward");
}

#[test]
fn an_alias_is_a_name_in_its_app() {
    let mut names = names();
    let shared = names.networks.values_mut().next().unwrap();
    shared.containers[1].aliases = vec!["database".to_owned(), "db.example.org".to_owned()];
    shared.containers.push(ContainerName {
        aliases: vec!["database".to_owned()],
        ..container("shop", "replica", Ipv4Addr::new(172, 29, 0, 9))
    });
    let ask = |asker, name| ask_of(&names, 0, asker, name, Rtype::A);
    assert_eq!(ask(WEB, "db.example.org"), "NOERROR 172.29.0.3");
    assert_eq!(ask(WEB, "Database"), "NOERROR 172.29.0.3 172.29.0.9");
    assert_eq!(ask(WEB, "database.homeostat.internal"), "NOERROR 172.29.0.3 172.29.0.9");
    assert_eq!(ask(OTHER_DB, "database"), "Forward");
    assert_eq!(ask(OTHER_DB, "database.shop"), "Forward");
}

#[test]
fn who_is_on_several_networks_finds_names_of_all() {
    let mut names = names();
    let on_other = Ipv4Addr::new(172, 29, 1, 3);
    let other = names.networks.values_mut().nth(1).unwrap();
    other.containers.push(container("shop", "web", on_other));
    let ask = |bridge, asker, name: &str, kind| ask_of(&names, bridge, asker, name, kind);
    assert_eq!(ask(0, WEB, "hidden", Rtype::A), "NOERROR 172.29.1.2");
    assert_eq!(ask(0, WEB, "2.1.29.172.in-addr.arpa", Rtype::PTR), "NOERROR hidden.homeostat.internal.");
    // At its own address where it has asked.
    assert_eq!(ask(1, on_other, "web", Rtype::A), "NOERROR 172.29.1.3");
    assert_eq!(ask(1, on_other, "db", Rtype::A), "NOERROR 172.29.0.3");
    // A network that is not internal leads out; the others of that one are as shut in as before.
    assert_eq!(ask(1, on_other, "example.org", Rtype::A), "Forward");
    assert_eq!(ask(1, Ipv4Addr::new(172, 29, 1, 2), "example.org", Rtype::A), "NXDOMAIN");
    assert_eq!(ask(0, DB, "hidden", Rtype::A), "Forward");
}

#[test]
fn what_a_name_does_not_have_is_answered_with_nothing() {
    assert_eq!(ask(0, WEB, "db", Rtype::AAAA), "NOERROR");
    assert_eq!(ask(0, WEB, "homeostat.internal", Rtype::A), "NOERROR");
    assert_eq!(ask(0, WEB, "db", Rtype::AXFR), "REFUSED");
}

#[test]
fn names_of_the_own_zone_are_asked_of_nobody_else() {
    assert_eq!(ask(0, WEB, "nobody.homeostat.internal", Rtype::A), "NXDOMAIN");
    assert_eq!(ask(0, WEB, "a.b.c.homeostat.internal", Rtype::A), "NXDOMAIN");
    assert_eq!(ask(0, WEB, "nothomeostat.internal", Rtype::A), "Forward");
    assert_eq!(ask(0, WEB, "nobody", Rtype::A), "Forward");
    assert_eq!(ask(0, WEB, "example.com", Rtype::MX), "Forward");
}

#[test]
fn two_bridges_do_not_see_each_other_and_an_internal_one_asks_nobody() {
    assert_eq!(ask(0, WEB, "hidden.homeostat.internal", Rtype::A), "NXDOMAIN");
    assert_eq!(ask(0, WEB, "2.1.29.172.in-addr.arpa", Rtype::PTR), "NXDOMAIN");
    let hidden = Ipv4Addr::new(172, 29, 1, 2);
    assert_eq!(ask(1, hidden, "hidden", Rtype::A), "NOERROR 172.29.1.2");
    assert_eq!(ask(1, hidden, "web", Rtype::A), "NXDOMAIN");
    assert_eq!(ask(1, hidden, "example.com", Rtype::A), "NXDOMAIN");
}

#[test]
fn an_address_has_the_name_by_which_the_asker_knows_it() {
    assert_eq!(ask(0, WEB, "3.0.29.172.in-addr.arpa", Rtype::PTR), "NOERROR db.homeostat.internal.");
    assert_eq!(ask(0, WEB, "4.0.29.172.in-addr.arpa", Rtype::PTR), "NOERROR db.blog.homeostat.internal.");
    assert_eq!(ask(0, WEB, "4.3.2.1.in-addr.arpa", Rtype::PTR), "Forward");
}

#[test]
fn answers_and_other_things_are_no_queries() {
    let mut packet = query("db", Rtype::A);
    packet[2] |= 0x80;
    assert_eq!(decide(0, WEB, &packet), Decision::Ignore);
    assert_eq!(decide(0, WEB, &[]), Decision::Ignore);
    assert_eq!(decide(0, WEB, &[0; 11]), Decision::Ignore);
    let mut packet = query("db", Rtype::A);
    packet[5] = 2;
    assert!(matches!(decide(0, WEB, &packet), Decision::Answer(_) | Decision::Ignore));
}

#[test]
fn many_questions_are_not_repeated() {
    let mut packet = query("a.long.name.that.is.pointed.to.again.and.again", Rtype::A);
    // So many questions; and then a message that is no query.
    packet[5] = 200;
    for _ in 1..200 {
        packet.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
    }
    let mut notification = packet.clone();
    notification[2] = 0x20;
    for packet in [packet, notification] {
        let Decision::Answer(answer) = decide(0, WEB, &packet) else { panic!("it is refused with a word") };
        assert!(answer.len() <= 64, "{} bytes", answer.len());
    }
}

#[test]
fn an_answer_that_does_not_fit_a_datagram_says_so() {
    let asked = query("example.com", Rtype::TXT);
    let long = [asked.clone(), vec![0; 600]].concat();
    let short = fitted(&asked, &long).unwrap();
    assert!(short.len() <= LEAST_PAYLOAD && Message::from_octets(short).unwrap().header().tc());
    assert_eq!(fitted(&asked, &asked), Some(asked));
}

proptest! {
    #[test]
    fn bytes_of_strangers_are_decided_about(packet in prop::collection::vec(any::<u8>(), 0..600)) {
        decide(0, WEB, &packet);
        fitted(&packet, &packet);
        is_refusal(&packet);
        failed(&packet);
    }

    #[test]
    fn a_damaged_query_is_decided_about(at in 0usize..40, byte: u8) {
        let mut packet = query("db.homeostat.internal", Rtype::A);
        let length = packet.len();
        packet[at % length] = byte;
        decide(0, WEB, &packet);
        let original = query("db.homeostat.internal", Rtype::A);
        answers(&original, &packet);
        fitted(&packet, &original);
    }
}
