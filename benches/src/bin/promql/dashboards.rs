//! Dashboards: the queries that typical ones ask when they are opened.
//!
//! Input: the end of the fleet. Output: panels, each a query and its times. Invariant: what
//! VictoriaMetrics computes otherwise on purpose (rates without extrapolation, windows that reach
//! back to the sample before them) is marked, and its answers are not compared there.

use treering_benches::rival::asked::Asked;

use crate::fleet::{BEGIN, DAY, HOUR, SECOND};

/// One query of a dashboard.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    pub(crate) dashboard: &'static str,
    pub(crate) text: &'static str,
    pub(crate) asked: Asked,
    /// Whether VictoriaMetrics means the same by it.
    pub(crate) is_same: bool,
}

/// When a panel is asked.
#[derive(Debug, Clone, Copy)]
enum When {
    /// The last three hours, a point a minute.
    Hours,
    /// Now.
    Now,
    /// Each of the thirty days of the rooms.
    Days,
    /// The end of those.
    AfterDays,
}

use When::{AfterDays, Days, Hours, Now};

/// Names of the dashboards, in the order of the tables.
#[cfg(test)]
pub(crate) const DASHBOARDS: [&str; 11] = [
    "node_cpu",
    "node_memory",
    "node_disk",
    "node_network",
    "node_filesystem",
    "kube_workloads",
    "service_requests",
    "service_latency",
    "slo",
    "alerts",
    "long_term",
];

/// Dashboard, times, whether VictoriaMetrics means the same, text.
const PANELS: &[(&str, When, bool, &str)] = &[
    (
        "node_cpu",
        Hours,
        false,
        "sum by (mode) (rate(node_cpu_seconds_total{instance=\"node-3\"}[5m]))",
    ),
    (
        "node_cpu",
        Hours,
        false,
        "100 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) * 100",
    ),
    (
        "node_cpu",
        Hours,
        true,
        "sum(node_load1) / count(count by (instance, cpu) (node_cpu_seconds_total))",
    ),
    (
        "node_cpu",
        Now,
        false,
        "topk(5, sum by (instance) (rate(node_cpu_seconds_total{mode!=\"idle\"}[5m])))",
    ),
    (
        "node_cpu",
        Hours,
        false,
        "avg by (mode) (irate(node_cpu_seconds_total[2m]))",
    ),
    (
        "node_memory",
        Hours,
        true,
        "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    ),
    (
        "node_memory",
        Hours,
        true,
        "avg(1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)",
    ),
    (
        "node_memory",
        Hours,
        true,
        "min_over_time(node_memory_MemAvailable_bytes[30m])",
    ),
    (
        "node_memory",
        Now,
        false,
        "predict_linear(node_memory_MemAvailable_bytes[1h], 3600)",
    ),
    (
        "node_disk",
        Hours,
        false,
        "sum by (instance) (rate(node_disk_read_bytes_total[5m]))",
    ),
    (
        "node_disk",
        Hours,
        false,
        "sum by (instance) (rate(node_disk_written_bytes_total[5m]))",
    ),
    (
        "node_disk",
        Hours,
        false,
        "rate(node_disk_io_time_seconds_total[5m]) * 100",
    ),
    (
        "node_disk",
        Hours,
        false,
        "max by (device) (rate(node_disk_io_time_seconds_total[1m]))",
    ),
    (
        "node_network",
        Hours,
        false,
        "sum by (instance) (rate(node_network_receive_bytes_total{device!=\"lo\"}[5m])) * 8",
    ),
    (
        "node_network",
        Hours,
        false,
        "sum by (instance) (rate(node_network_transmit_bytes_total{device!=\"lo\"}[5m])) * 8",
    ),
    (
        "node_network",
        Now,
        false,
        "sum(increase(node_network_receive_bytes_total[1h]))",
    ),
    (
        "node_filesystem",
        Hours,
        true,
        "100 * (1 - node_filesystem_avail_bytes{fstype!=\"tmpfs\"} / node_filesystem_size_bytes)",
    ),
    (
        "node_filesystem",
        Now,
        true,
        "node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.2",
    ),
    (
        "node_filesystem",
        Now,
        false,
        "predict_linear(node_filesystem_avail_bytes[6h], 4 * 3600) < 0",
    ),
    (
        "node_filesystem",
        Hours,
        false,
        "deriv(node_filesystem_avail_bytes{mountpoint=\"/data\"}[1h])",
    ),
    (
        "kube_workloads",
        Hours,
        false,
        "sum by (namespace) (rate(container_cpu_usage_seconds_total[5m]))",
    ),
    (
        "kube_workloads",
        Now,
        true,
        "topk(10, sum by (pod) (container_memory_working_set_bytes))",
    ),
    (
        "kube_workloads",
        Hours,
        true,
        "sum by (node) (sum by (namespace, pod) (container_memory_working_set_bytes) \
         * on (namespace, pod) group_left (node) kube_pod_info)",
    ),
    (
        "kube_workloads",
        Hours,
        false,
        "sum by (app) (label_replace(rate(container_cpu_usage_seconds_total{namespace=\"team-3\"}\
         [5m]), \"app\", \"$1\", \"pod\", \"(.*)-[0-9]+\"))",
    ),
    (
        "kube_workloads",
        Hours,
        true,
        "count by (namespace) (kube_pod_info)",
    ),
    (
        "kube_workloads",
        Now,
        false,
        "increase(kube_pod_container_status_restarts_total[1h]) > 2",
    ),
    (
        "service_requests",
        Hours,
        false,
        "sum by (service) (rate(http_requests_total[5m]))",
    ),
    (
        "service_requests",
        Hours,
        false,
        "sum by (service) (rate(http_requests_total{code=~\"5..\"}[5m])) \
         / sum by (service) (rate(http_requests_total[5m]))",
    ),
    (
        "service_requests",
        Hours,
        false,
        "sum by (code) (rate(http_requests_total{service=\"service-3\"}[1m]))",
    ),
    (
        "service_latency",
        Hours,
        false,
        "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
    ),
    (
        "service_latency",
        Hours,
        false,
        "histogram_quantile(0.5, sum by (le, service) \
         (rate(http_request_duration_seconds_bucket[5m])))",
    ),
    (
        "service_latency",
        Hours,
        false,
        "(sum(rate(http_request_duration_seconds_bucket{le=\"0.25\"}[5m])) \
         + sum(rate(http_request_duration_seconds_bucket{le=\"1\"}[5m]))) / 2 \
         / sum(rate(http_request_duration_seconds_count[5m]))",
    ),
    (
        "service_latency",
        Hours,
        false,
        "sum by (service) (rate(http_request_duration_seconds_sum[5m])) \
         / sum by (service) (rate(http_request_duration_seconds_count[5m]))",
    ),
    (
        "slo",
        Now,
        false,
        "sum(rate(http_requests_total{code=~\"5..\"}[5m])) / sum(rate(http_requests_total[5m]))",
    ),
    (
        "slo",
        Now,
        false,
        "sum(rate(http_requests_total{code=~\"5..\"}[1h])) / sum(rate(http_requests_total[1h])) \
         > 0.0001 and sum(rate(http_requests_total{code=~\"5..\"}[5m])) \
         / sum(rate(http_requests_total[5m])) > 0.0001",
    ),
    (
        "slo",
        Hours,
        false,
        "1 - sum by (service) (increase(http_requests_total{code=~\"5..\"}[6h])) \
         / sum by (service) (increase(http_requests_total[6h]))",
    ),
    (
        "slo",
        Now,
        false,
        "max_over_time(sum(rate(http_requests_total{code=~\"5..\"}[5m]))[1h:1m])",
    ),
    ("alerts", Now, true, "up == 0"),
    ("alerts", Now, true, "absent(up{job=\"nothing\"})"),
    (
        "alerts",
        Now,
        true,
        "node_load1 > on (instance) count by (instance) \
         (node_cpu_seconds_total{mode=\"idle\"})",
    ),
    ("alerts", Now, false, "changes(up[1h]) > 2"),
    (
        "alerts",
        Now,
        true,
        "time() - node_boot_time_seconds < 86400",
    ),
    ("alerts", Now, true, "avg_over_time(up[30m]) < 0.99"),
    (
        "long_term",
        AfterDays,
        true,
        "avg_over_time(room_temperature[30d])",
    ),
    (
        "long_term",
        Days,
        true,
        "avg by (building) (avg_over_time(room_temperature[1d]))",
    ),
    (
        "long_term",
        Days,
        true,
        "max_over_time(room_temperature[1d]) - min_over_time(room_temperature[1d])",
    ),
    (
        "long_term",
        AfterDays,
        false,
        "quantile_over_time(0.95, room_temperature[7d])",
    ),
];

/// All panels over a fleet that ends at `end`.
pub(crate) fn panels(end: i64) -> Vec<Panel> {
    let panel = |&(dashboard, when, is_same, text): &(&'static str, When, bool, &'static str)| {
        let asked = match when {
            Hours => Asked::Range {
                start: end - 3 * HOUR,
                end,
                step: 60 * SECOND,
            },
            Now => Asked::Instant(end),
            Days => Asked::Range {
                start: BEGIN - 29 * DAY,
                end: BEGIN,
                step: DAY,
            },
            AfterDays => Asked::Instant(BEGIN),
        };
        Panel {
            dashboard,
            text,
            asked,
            is_same,
        }
    };
    PANELS.iter().map(panel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use treering_promql::{Features, parse};

    #[test]
    fn every_dashboard_has_queries_that_are_some() {
        let panels = panels(0);
        for name in DASHBOARDS {
            assert!(panels.iter().filter(|one| one.dashboard == name).count() >= 3);
        }
        for panel in panels {
            assert!(DASHBOARDS.contains(&panel.dashboard));
            parse(panel.text, &Features::default()).unwrap();
        }
    }
}
