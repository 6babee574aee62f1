//! What names mean in a container: lines of `/etc/hosts`, name servers, domains to search, and options.

use std::net::IpAddr;

use super::Scalar;
use super::hostname::is_domain;
use crate::ExtraHost;
use crate::names::HOST_GATEWAY;
use crate::problem::Problem;

impl Scalar for ExtraHost {
    const FORMAT: &'static str = "extra-host";
    const EXAMPLES: &'static [&'static str] = &["db:10.0.0.9", "host:host-gateway"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let bad = || {
            Problem::new(format!("{text:?} is no name with an address"))
                .hint("write `NAME:ADDRESS`, as `db:10.0.0.9`, or `NAME:host-gateway` for this host")
        };
        let (name, address) = text.split_once([':', '=']).ok_or_else(bad)?;
        if !is_domain(name) {
            return Err(bad());
        }
        let unbracketed = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
        let address = match unbracketed.unwrap_or(address) {
            HOST_GATEWAY => None,
            address => Some(address.parse().map_err(|_| bad())?),
        };
        Ok(Self { name: name.to_owned(), address })
    }
}

/// The address of a name server.
pub(crate) struct NameServer(pub(crate) IpAddr);

impl Scalar for NameServer {
    const FORMAT: &'static str = "name-server";
    const EXAMPLES: &'static [&'static str] = &["9.9.9.9"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let address = text.parse().ok().filter(|address: &IpAddr| !address.is_unspecified());
        address.map(Self).ok_or_else(|| {
            Problem::new(format!("{text:?} is no address of a name server"))
                .hint("write an address, as `9.9.9.9`")
        })
    }
}

/// A domain to search, or `.` for none.
pub(crate) struct SearchDomain(pub(crate) String);

impl Scalar for SearchDomain {
    const FORMAT: &'static str = "search-domain";
    const EXAMPLES: &'static [&'static str] = &["example.org", "."];

    fn parse(text: &str) -> Result<Self, Problem> {
        if text == "." || is_domain(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::new(format!("{text:?} is no domain"))
            .hint("write a domain, as `example.org`, or `.` for none"))
    }
}

/// An option of resolv.conf(5).
pub(crate) struct ResolverOption(pub(crate) String);

impl Scalar for ResolverOption {
    const FORMAT: &'static str = "resolver-option";
    const EXAMPLES: &'static [&'static str] = &["ndots:2", "use-vc"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.');
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::new(format!("{text:?} is no option of a resolver"))
            .hint("write one of resolv.conf(5), as `ndots:2`"))
    }
}
