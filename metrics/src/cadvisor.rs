//! What containers use, under the names and labels that cAdvisor gave them
//! (<https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md>).

use homeostat_reconciler::{ObservedContainer, ResourceKey};
use prometheus::Registry;

use crate::StatusInputs;
use crate::series::{counter, gauge, number};

/// Labels of every series: the engine's id, the reference of the image, `APP/NAME`, and our labels of the container as cAdvisor
/// writes labels.
const LABELS: [&str; 5] =
    ["id", "image", "name", "container_label_io_homeostat_app", "container_label_io_homeostat_container"];

pub(crate) fn collect(registry: &Registry, status: &StatusInputs<'_>) {
    collect_cpu(registry, status);
    collect_memory(registry, status);
    collect_processes(registry, status);
    collect_traffic(registry, status);
}

fn collect_cpu(registry: &Registry, status: &StatusInputs<'_>) {
    let labels: Vec<&str> = LABELS.into_iter().chain(["cpu"]).collect();
    let cpu =
        counter(registry, "container_cpu_usage_seconds_total", "CPU time used in all, in seconds.", &labels);
    for (key, container) in &status.observed.containers {
        if let Some(usage) = status.usage.get(key) {
            let name = key.to_string();
            let values: Vec<&str> = values(key, &name, container).into_iter().chain(["total"]).collect();
            cpu.with_label_values(&values).inc_by(usage.cpu.as_secs_f64());
        }
    }
}

fn collect_memory(registry: &Registry, status: &StatusInputs<'_>) {
    let bytes = |name, help| gauge(registry, name, help, &LABELS);
    let working_set =
        bytes("container_memory_working_set_bytes", "Memory without inactive page cache, in bytes.");
    let in_all = bytes("container_memory_usage_bytes", "Memory with page cache, in bytes.");
    let limit =
        bytes("container_spec_memory_limit_bytes", "Memory limit of the container in bytes; 0 for none.");
    let help = "How often the out-of-memory killer ended a process of the container.";
    let oom = counter(registry, "container_oom_events_total", help, &LABELS);
    for (key, container) in &status.observed.containers {
        if let Some(usage) = status.usage.get(key) {
            let name = key.to_string();
            let values = values(key, &name, container);
            working_set.with_label_values(&values).set(number(usage.memory_working_set));
            in_all.with_label_values(&values).set(number(usage.memory_usage));
            limit.with_label_values(&values).set(number(usage.memory_limit.unwrap_or(0)));
            oom.with_label_values(&values).inc_by(number(usage.oom_kills));
        }
    }
}

fn collect_processes(registry: &Registry, status: &StatusInputs<'_>) {
    let threads = gauge(registry, "container_threads", "Threads of all processes of the container.", &LABELS);
    let help = "When the container was started, in seconds since 1970.";
    let started = gauge(registry, "container_start_time_seconds", help, &LABELS);
    let help = "When the container was last seen running, in seconds since 1970.";
    let seen = gauge(registry, "container_last_seen", help, &LABELS);
    for (key, container) in &status.observed.containers {
        if let Some(usage) = status.usage.get(key) {
            let name = key.to_string();
            let values = values(key, &name, container);
            threads.with_label_values(&values).set(number(usage.pids));
            seen.with_label_values(&values).set(status.now.as_duration().as_secs_f64());
            if let Some(start) = container.started_at {
                started.with_label_values(&values).set(start.as_duration().as_secs_f64());
            }
        }
    }
}

fn collect_traffic(registry: &Registry, status: &StatusInputs<'_>) {
    let bytes = |name, help| counter(registry, name, help, &LABELS);
    let network = [
        bytes("container_network_receive_bytes_total", "Bytes received over the container's own network."),
        bytes("container_network_transmit_bytes_total", "Bytes sent over the container's own network."),
    ];
    let block = [
        bytes("container_fs_reads_bytes_total", "Bytes read from block devices."),
        bytes("container_fs_writes_bytes_total", "Bytes written to block devices."),
    ];
    for (key, container) in &status.observed.containers {
        let Some(usage) = status.usage.get(key) else { continue };
        let name = key.to_string();
        let values = values(key, &name, container);
        for ([input, output], traffic) in [(&network, usage.network), (&block, usage.block)] {
            if let Some(traffic) = traffic {
                input.with_label_values(&values).inc_by(number(traffic.input));
                output.with_label_values(&values).inc_by(number(traffic.output));
            }
        }
    }
}

fn values<'a>(
    key: &'a ResourceKey,
    name: &'a str,
    container: &'a ObservedContainer,
) -> [&'a str; LABELS.len()] {
    [&container.id, &container.image, name, key.app.as_str(), key.name.as_str()]
}
