//! `info` for people.

use std::io::{self, Write};

use super::{RED, short};
use crate::service::Info;

/// Prints what there is altogether.
pub(crate) fn print(info: &Info) -> io::Result<()> {
    write(&mut anstream::stdout().lock(), info)
}

fn write(out: &mut impl Write, info: &Info) -> io::Result<()> {
    let (engine, host) = (&info.engine, &info.host);
    let version = engine.version.as_deref().unwrap_or_default();
    let agent = if info.agent { "an agent is running" } else { "no agent is running" };
    writeln!(out, "homeostat   {}, {agent}", info.version)?;
    writeln!(out, "engine      {} {version}", engine.name)?;
    if let Some(error) = &info.engine_error {
        writeln!(out, "            {RED}{error}{RED:#}")?;
    }
    if let Some(storage) = &engine.storage {
        writeln!(out, "storage     {}", storage.driver)?;
    }
    writeln!(out, "host        {}, Linux {}, {}", host.name, host.kernel, host.architecture)?;
    let cgroups =
        host.cgroup_version.map_or_else(|| "none".to_owned(), |version| format!("version {version}"));
    writeln!(out, "cgroups     {cgroups}")?;
    if let Some(source) = &info.source {
        writeln!(out, "source      {source}")?;
    }
    writeln!(out, "revision    {}", short(&info.revision))?;
    writeln!(out, "apps        {}", info.apps)?;
    let states = info.containers.iter().map(|(state, count)| format!("{count} {state}"));
    let states = states.collect::<Vec<_>>().join(", ");
    let all: usize = info.containers.values().sum();
    writeln!(out, "containers  {all}{}", if states.is_empty() { states } else { format!(": {states}") })?;
    writeln!(out, "images      {}", info.images)?;
    writeln!(out, "volumes     {}", info.volumes)?;
    writeln!(out, "networks    {}", info.networks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_is_counted() {
        let info: Info = serde_json::from_value(serde_json::json!({
            "version": "0.1.0", "agent": true, "source": "/srv/specs", "revision": "0123456789abcdef",
            "engine": { "name": "embedded", "version": "0.1.0", "storage": { "driver": "overlayfs", "reason": null } },
            "engine_error": null, "apps": 2, "images": 3, "volumes": 1, "networks": 0,
            "host": { "name": "edge", "kernel": "6.1.0", "architecture": "x86_64", "cgroup_version": 2 },
            "containers": { "restarting": 1, "running": 4 },
        }))
        .unwrap();
        let mut out = Vec::new();
        write(&mut out, &info).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        homeostat   0.1.0, an agent is running
        engine      embedded 0.1.0
        storage     overlayfs
        host        edge, Linux 6.1.0, x86_64
        cgroups     version 2
        source      /srv/specs
        revision    0123456789ab
        apps        2
        containers  5: 1 restarting, 4 running
        images      3
        volumes     1
        networks    0
        ");
    }
}
