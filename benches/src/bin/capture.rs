//! Makes the quickstart's data file: a meaningful part of the corpus node_1s.
//!
//! Input: the corpora and the path to write. Output: compressed text in the format of the corpora
//! with a header of remarks; the same bytes each time. Run it as `cargo xtask capture`.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a recipe prints and writes"
)]

use std::fmt::Write as _;
use std::path::Path;

use treering_benches::{Result, corpus};

/// What the shipped part may weigh.
const BYTES_MAX: usize = 1 << 20;

const HEADER: &str = "\
# One hour of a 2-core Linux machine, scraped every second while it built and measured software.
# source: recorded for the Treering project with Prometheus' node exporter, job=node, 1 s;
#   this file holds some of the series, every sample of each, stale markers kept.
# licence: MIT OR Apache-2.0, as the project.
# format: '#series {labels}' opens a series, then 'MILLISECONDS,VALUE' lines; STALE is the
#   stale marker 0x7ff0000000000002.
";

/// Metrics that an operator asks about, constants among them; every series of each is taken.
const METRICS: &[&str] = &[
    "go_goroutines",
    "go_memstats_heap_alloc_bytes",
    "node_boot_time_seconds",
    "node_context_switches_total",
    "node_cpu_seconds_total",
    "node_disk_io_now",
    "node_disk_io_time_seconds_total",
    "node_disk_read_bytes_total",
    "node_disk_read_time_seconds_total",
    "node_disk_reads_completed_total",
    "node_disk_write_time_seconds_total",
    "node_disk_writes_completed_total",
    "node_disk_written_bytes_total",
    "node_entropy_available_bits",
    "node_filefd_allocated",
    "node_filefd_maximum",
    "node_filesystem_avail_bytes",
    "node_filesystem_files",
    "node_filesystem_files_free",
    "node_filesystem_free_bytes",
    "node_filesystem_size_bytes",
    "node_forks_total",
    "node_intr_total",
    "node_load1",
    "node_load15",
    "node_load5",
    "node_memory_Active_bytes",
    "node_memory_AnonPages_bytes",
    "node_memory_Buffers_bytes",
    "node_memory_Cached_bytes",
    "node_memory_Committed_AS_bytes",
    "node_memory_Dirty_bytes",
    "node_memory_Inactive_bytes",
    "node_memory_Mapped_bytes",
    "node_memory_MemAvailable_bytes",
    "node_memory_MemFree_bytes",
    "node_memory_MemTotal_bytes",
    "node_memory_Slab_bytes",
    "node_memory_SwapFree_bytes",
    "node_memory_SwapTotal_bytes",
    "node_memory_Writeback_bytes",
    "node_netstat_IpExt_InOctets",
    "node_netstat_IpExt_OutOctets",
    "node_netstat_Tcp_ActiveOpens",
    "node_netstat_Tcp_CurrEstab",
    "node_netstat_Tcp_InSegs",
    "node_netstat_Tcp_OutSegs",
    "node_netstat_Tcp_RetransSegs",
    "node_network_receive_bytes_total",
    "node_network_receive_drop_total",
    "node_network_receive_errs_total",
    "node_network_receive_packets_total",
    "node_network_transmit_bytes_total",
    "node_network_transmit_drop_total",
    "node_network_transmit_errs_total",
    "node_network_transmit_packets_total",
    "node_network_up",
    "node_pressure_cpu_waiting_seconds_total",
    "node_pressure_io_stalled_seconds_total",
    "node_pressure_io_waiting_seconds_total",
    "node_pressure_memory_stalled_seconds_total",
    "node_pressure_memory_waiting_seconds_total",
    "node_procs_blocked",
    "node_procs_running",
    "node_sockstat_TCP_alloc",
    "node_sockstat_TCP_inuse",
    "node_sockstat_TCP_tw",
    "node_sockstat_sockets_used",
    "node_time_seconds",
    "node_timex_offset_seconds",
    "node_vmstat_oom_kill",
    "node_vmstat_pgfault",
    "node_vmstat_pgmajfault",
    "node_vmstat_pgpgin",
    "node_vmstat_pgpgout",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_resident_memory_bytes",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "up",
];

fn main() -> Result<()> {
    let path = std::env::args().nth(1).ok_or("usage: capture FILE")?;
    let folder = corpus::folder().ok_or("TREERING_CORPORA is not set")?;
    let all = corpus::read(&folder, "node_1s")?;
    let mut text = HEADER.to_owned();
    let (mut series_count, mut sample_count) = (0, 0);
    for series in &all {
        let name = series.labels.iter().find(|(name, _)| name == "__name__");
        if !name.is_some_and(|(_, value)| METRICS.contains(&value.as_str())) {
            continue;
        }
        series_count += 1;
        sample_count += series.values.len();
        writeln!(text, "#series {}", corpus::labels_text(&series.labels))?;
        for (timestamp, value) in series.timestamps.iter().zip(&series.values) {
            writeln!(
                text,
                "{},{}",
                timestamp / 1_000_000,
                corpus::value_text(*value)
            )?;
        }
    }
    let bytes = zstd::bulk::compress(text.as_bytes(), 19)?;
    if bytes.len() > BYTES_MAX {
        return Err(format!("{} bytes, over {BYTES_MAX}", bytes.len()).into());
    }
    if let Some(folder) = Path::new(&path).parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, &bytes)?;
    println!(
        "{series_count} series, {sample_count} samples, {} bytes: {path}",
        bytes.len()
    );
    Ok(())
}
