//! The table is kept as desired, and nobody else's.
#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but takes no helper of theirs for one"
)]

mod support;

use homeostat_network::{Applied, BridgeRules, DesiredRules, RulesError, Table};
use homeostat_reconciler::ErrorKind;
use homeostat_spec::Protocol;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use support::{Namespace, bridge_rules, name, port, rules, socket};

fn desired() -> DesiredRules {
    let mut desired = rules(&["hs0", "hs1"]);
    desired.bridges.insert(name("hs1"), bridge_rules(1, true));
    desired.published.insert(port(Protocol::Tcp, "8080"), socket("172.29.0.2:80"));
    desired.published.insert(port(Protocol::Udp, "53"), socket("172.29.0.2:5353"));
    desired.published.insert(port(Protocol::Tcp, "127.0.0.1:9000"), socket("172.29.0.3:9000"));
    desired.published.insert(port(Protocol::Udp, "192.0.2.1:9000"), socket("172.29.0.3:9000"));
    desired
}

fn apply(host: &Namespace, desired: &DesiredRules) -> Applied {
    host.run(|| Table::new(name("homeostat")).apply(desired).unwrap())
}

/// The rules' words, sorted: nft lists the elements of a set in no order.
fn words(host: &Namespace) -> Vec<String> {
    let mut words: Vec<_> =
        host.command("nft list ruleset").split([' ', ',', '\t', '\n']).map(str::to_owned).collect();
    words.sort();
    words
}

#[test]
fn applying_twice_changes_nothing() {
    let host = Namespace::new();
    assert_eq!(apply(&host, &desired()), Applied::Replaced);
    let first = host.command("nft -a list ruleset");
    assert_eq!(apply(&host, &desired()), Applied::Unchanged);
    assert_eq!(host.command("nft -a list ruleset"), first);
}

#[test]
fn only_what_differs_is_changed() {
    let host = Namespace::new();
    apply(&host, &desired());
    let mut changed = desired();
    changed.published.remove(&port(Protocol::Udp, "53"));
    changed.published.insert(port(Protocol::Tcp, "8080"), socket("172.29.0.9:81"));
    changed.published.insert(port(Protocol::Tcp, "443"), socket("172.29.0.9:443"));
    changed.bridges.insert(name("hs1"), bridge_rules(1, false));
    changed.bridges.insert(name("hs2"), bridge_rules(2, true));
    let half = BridgeRules { subnet: "172.29.0.0/25".parse().unwrap(), internal: false };
    changed.bridges.insert(name("hs0"), half);
    assert_eq!(apply(&host, &changed), Applied::Updated);
    let changed_by_parts = words(&host);
    host.command("nft delete table ip homeostat");
    assert_eq!(apply(&host, &changed), Applied::Replaced);
    assert_eq!(changed_by_parts, words(&host));
    assert_eq!(apply(&host, &DesiredRules::default()), Applied::Updated);
    assert_eq!(apply(&host, &DesiredRules::default()), Applied::Unchanged);
}

#[test]
fn what_somebody_did_to_our_table_is_put_right() {
    let host = Namespace::new();
    let mut table = Table::new(name("homeostat"));
    host.run(|| table.apply(&desired()).unwrap());
    let good = host.command("nft list ruleset");
    for (damage, repair) in [
        ("nft delete table ip homeostat", Applied::Replaced),
        ("nft flush ruleset", Applied::Replaced),
        ("nft flush chain ip homeostat forward", Applied::Replaced),
        ("nft add rule ip homeostat forward drop", Applied::Replaced),
        ("nft add rule ip homeostat forward drop comment '\"within a bridge\"'", Applied::Replaced),
        ("nft add set ip homeostat more '{ type ifname; }'", Applied::Replaced),
        ("nft flush map ip homeostat tcp_at", Applied::Updated),
        ("nft add element ip homeostat bridges '{ eth7 }'", Applied::Updated),
    ] {
        host.command(damage);
        assert_eq!(host.run(|| table.apply(&desired()).unwrap()), repair, "{damage}");
        assert_eq!(host.command("nft list ruleset"), good, "{damage}");
        assert_eq!(host.run(|| table.apply(&desired()).unwrap()), Applied::Unchanged, "{damage}");
    }
}

#[test]
fn tables_of_others_are_left_alone() {
    let host = Namespace::new();
    host.command(
        "nft add table ip mine && nft add chain ip mine c '{ type filter hook forward priority 0; }'",
    );
    let before = host.command("nft list ruleset");
    let mut other = Table::new(name("homeostat_two"));
    host.run(|| other.apply(&desired()).unwrap());
    apply(&host, &desired());
    assert_eq!(host.run(|| other.apply(&desired()).unwrap()), Applied::Unchanged);
    host.run(|| other.remove().unwrap());
    host.run(|| Table::new(name("homeostat")).remove().unwrap());
    host.run(|| Table::new(name("homeostat")).remove().unwrap());
    assert_eq!(host.command("nft list ruleset"), before);
}

#[test]
fn a_thousand_published_ports_are_applied_and_read_back() {
    let host = Namespace::new();
    let mut many = rules(&["hs0"]);
    for number in 1..=1000 {
        many.published.insert(port(Protocol::Tcp, &number.to_string()), socket("172.29.0.2:80"));
    }
    assert_eq!(apply(&host, &many), Applied::Replaced);
    assert_eq!(apply(&host, &many), Applied::Unchanged);
}

/// Hides the directory that nft is in from the calling thread and its children.
fn hide_nft() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).unwrap();
    for directory in ["/usr/sbin", "/sbin"] {
        mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), nothing).unwrap();
    }
}

#[test]
fn a_host_without_nft_is_told_what_to_install() {
    let host = Namespace::new();
    let error = host.run(|| {
        hide_nft();
        Table::new(name("homeostat")).apply(&desired()).unwrap_err()
    });
    assert!(matches!(error, RulesError::Missing), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.hint(), Some("install the package nftables"));
}

#[test]
fn nft_is_not_run_when_neither_wish_nor_rules_have_changed() {
    let host = Namespace::new();
    let mut table = Table::new(name("homeostat"));
    host.run(|| table.apply(&desired()).unwrap());
    host.run(|| {
        hide_nft();
        assert_eq!(table.apply(&desired()).unwrap(), Applied::Unchanged);
        table.apply(&rules(&["hs0"])).unwrap_err();
    });
    assert_eq!(apply(&host, &desired()), Applied::Unchanged, "an error changes nothing");
}
