//! `extra_hosts` and `dns...` of `[container.*]`.

use super::Lowering;
use crate::file::ContainerTable;
use crate::problem::Problem;
use crate::{Names, NetworkMode};

/// As many name servers as resolv.conf(5) takes.
const MOST_SERVERS: usize = 3;

impl Lowering<'_> {
    pub(super) fn names(&mut self, name: &str, table: &ContainerTable, network: &NetworkMode) -> Names {
        for (index, host) in table.extra_hosts.iter() {
            if *network == NetworkMode::None && host.0.address.is_none() {
                let problem = Problem::new("with `network = \"none\"` the host cannot be reached")
                    .hint("connect the container to a network, or take the name away");
                self.document.error_at(&["container", name, "extra_hosts", &index.to_string()], problem);
            }
        }
        if table.dns.iter().count() > MOST_SERVERS {
            let problem = Problem::new(format!("more than {MOST_SERVERS} name servers are never asked"))
                .hint(format!("keep the first {MOST_SERVERS}"));
            self.document.error_at(&["container", name, "dns"], problem);
        }
        Names {
            extra_hosts: table.extra_hosts.iter().map(|(_, host)| host.0.clone()).collect(),
            servers: table.dns.iter().map(|(_, server)| server.0.0).collect(),
            search: table.dns_search.iter().map(|(_, domain)| domain.0.0.clone()).collect(),
            options: table.dns_options.iter().map(|(_, option)| option.0.0.clone()).collect(),
        }
    }
}
