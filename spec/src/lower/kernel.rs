//! `ulimits`, `sysctls` and `shm_size` of `[container.*]`.

use super::Lowering;
use crate::file::{ContainerTable, UlimitValue};
use crate::problem::Problem;
use crate::{Device, Kernel, NetworkMode, SysctlNamespace, sysctl_namespace};

impl Lowering<'_> {
    pub(super) fn kernel(&mut self, name: &str, table: &ContainerTable, network: &NetworkMode) -> Kernel {
        let sysctls = table.sysctls.as_written();
        for (key, value) in sysctls {
            let path = ["container", name, "sysctls", key];
            if *network == NetworkMode::Host && sysctl_namespace(key) == Some(SysctlNamespace::Network) {
                let problem = Problem::new(format!("`{key}` is the host's with `network = \"host\"`"))
                    .hint("set it on the host, or connect the container to a network");
                self.document.error_at(&path, problem);
            }
            if value.is_empty() || value.contains(['\n', '\0']) {
                let problem = Problem::new(format!("{value:?} is no value of a parameter"))
                    .hint("write one line, as `1024`");
                self.document.error_at(&path, problem);
            }
        }
        let mut devices: Vec<_> = table.devices.iter().map(|(_, device)| device.0.clone()).collect();
        devices.sort();
        for (index, device) in table.devices.iter() {
            let same = |other: &&Device| other.container == device.0.container;
            if devices.iter().filter(same).count() > 1 {
                let problem = Problem::new(format!("two devices are to be {}", device.0.container))
                    .hint("give one of them another path in the container");
                self.document.error_at(&["container", name, "devices", &index.to_string()], problem);
            }
        }
        let ulimits = table.ulimits.as_written().iter();
        Kernel {
            ulimits: ulimits.map(|(name, value)| (name.clone(), UlimitValue::limit(value))).collect(),
            sysctls: sysctls.clone(),
            shm_size: table.shm_size.as_ref().map(|size| size.bytes),
            devices,
        }
    }
}
