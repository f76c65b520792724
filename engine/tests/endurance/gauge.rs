//! What the process and its files take, and whether that grows.
//!
//! Input: this process, a directory. Output: figures; the line that fits them best.

use std::path::Path;

/// Figures of one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Figures {
    /// Seconds since the start.
    pub(crate) at: f64,
    pub(crate) rss_bytes: f64,
    pub(crate) open_files: f64,
    /// Files in the directory, and their bytes.
    pub(crate) files: f64,
    pub(crate) disk_bytes: f64,
}

impl Figures {
    pub(crate) fn take(at: f64, dir: &Path) -> Self {
        let (mut files, mut disk_bytes) = (0.0, 0.0);
        let mut folders = vec![dir.to_path_buf()];
        while let Some(folder) = folders.pop() {
            // What maintenance removes meanwhile is not counted.
            let Ok(entries) = std::fs::read_dir(folder) else {
                continue;
            };
            for entry in entries.flatten() {
                match entry.metadata() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(kind) => {
                        files += 1.0;
                        disk_bytes += kind.len() as f64;
                    }
                    Err(_) => {}
                }
            }
        }
        let open_files = std::fs::read_dir("/proc/self/fd").unwrap().count();
        Self {
            at,
            rss_bytes: status_bytes("VmRSS"),
            open_files: open_files as f64,
            files,
            disk_bytes,
        }
    }
}

/// A line of `/proc/self/status` in bytes: `VmRSS` now, `VmHWM` at most so far.
pub(crate) fn status_bytes(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024.0
}

/// Mean of the values and slope per unit of `x`, by least squares.
pub(crate) fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
    let across = points.iter().map(|&(x, y)| (x - mean_x) * (y - mean_y));
    let along = points.iter().map(|&(x, _)| (x - mean_x).powi(2));
    let along = along.sum::<f64>();
    let slope = if along > 0.0 {
        across.sum::<f64>() / along
    } else {
        0.0
    };
    (mean_y, slope)
}

#[test]
fn the_best_line_of_points_on_a_line() {
    let points: Vec<_> = (0..10)
        .map(|x| (f64::from(x), 3.0 + 2.0 * f64::from(x)))
        .collect();
    let (mean, slope) = line(&points);
    assert!((mean - 12.0).abs() < 1e-9 && (slope - 2.0).abs() < 1e-9);
    assert_eq!(line(&[(1.0, 5.0)]), (5.0, 0.0));
}
