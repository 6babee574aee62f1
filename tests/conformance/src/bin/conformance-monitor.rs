//! What the tests give the embedded engine as its program: `PROGRAM monitor ...` and `PROGRAM dns ...`; and `PROGRAM churn DATA RUN`, an
//! engine that is always in the middle of something, to be killed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use homeostat_conformance::{config, key};
use homeostat_embedded::{Embedded, EmbeddedConfig, RegistryConfig};
use homeostat_reconciler::PortError;
use homeostat_reconciler::ports::{ContainerRequest, Engine as _};
use homeostat_spec::{ContainerConfig, Mount, MountSource, NetworkMode, Volume};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let verb = arguments.next().unwrap_or_default();
    if verb == "monitor" {
        return homeostat_monitor::main(arguments);
    }
    if verb == "dns" {
        return homeostat_dns::main(arguments);
    }
    let (Some(data), Some(run)) = (arguments.next(), arguments.next()) else { return ExitCode::from(2) };
    match churn(data.into(), run.into()) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("{}", homeostat_reconciler::chain(&error));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn churn(
    data_directory: PathBuf,
    run_directory: PathBuf,
) -> Result<std::convert::Infallible, PortError> {
    let program = PathBuf::from("/proc/self/exe");
    let registries = RegistryConfig::default();
    let engine =
        Embedded::open(EmbeddedConfig { data_directory, run_directory, program, registries }).await?;
    let volume = Volume { retain: true, adopt: None, labels: std::collections::BTreeMap::new() };
    let mount =
        Mount { source: MountSource::Volume(key("churn").name), target: "/www".to_owned(), read_only: false };
    let request = ContainerRequest {
        key: key("churn"),
        image: "localhost/base:1".to_owned(),
        config: ContainerConfig { network: NetworkMode::Bridge, mounts: vec![mount], ..config() },
        files: PathBuf::from("/"),
        attended: false,
    };
    loop {
        engine.create_volume(&key("churn"), &volume).await?;
        engine.create_container(&request).await?;
        engine.start_container(&request.key).await?;
        engine.stop_container(&request.key, None, Duration::ZERO).await?;
        engine.remove_container(&request.key).await?;
        engine.remove_volume(&key("churn")).await?;
    }
}
