//! Memory and CPU time of this process, as Linux tells them in /proc, and bytes of folders.
//!
//! Input: nothing. Output: bytes and seconds, or an error where /proc is not there: a bench that
//! cannot measure must not print a number.

use std::path::Path;

use crate::Result;

/// Bytes of memory this process holds now (VmRSS).
pub fn rss_bytes() -> Result<u64> {
    status_bytes("VmRSS:")
}

/// Most bytes of memory this process has held (VmHWM) since [`reset_peak`] or its start.
pub fn rss_peak_bytes() -> Result<u64> {
    status_bytes("VmHWM:")
}

/// Starts the peak anew from what is held now.
pub fn reset_peak() -> Result<()> {
    std::fs::write("/proc/self/clear_refs", "5")?;
    Ok(())
}

/// CPU seconds, user and system, of all threads of this process so far; steps of 10 ms.
pub fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the program's name in brackets and may itself hold spaces.
    let (_, fields) = stat
        .rsplit_once(") ")
        .ok_or("/proc/self/stat without a name")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |index: usize| -> Result<f64> {
        Ok(fields
            .get(index)
            .ok_or("/proc/self/stat is short")?
            .parse::<f64>()?)
    };
    // proc(5): utime and stime are fields 14 and 15; USER_HZ is 100 on Linux.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// CPU seconds of the calling thread so far: to take the bench's own work out of the sum.
pub fn thread_cpu_seconds() -> Result<f64> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = schedstat
        .split(' ')
        .next()
        .ok_or("/proc/thread-self/schedstat is empty")?;
    Ok(nanos.parse::<f64>()? / 1e9)
}

/// Bytes of all files below a folder.
pub fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() {
            folder_bytes(&entry.path())?
        } else {
            meta.len()
        };
    }
    Ok(bytes)
}

/// Copies the files of a folder into a new one, as a crash of their writer would leave them.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn status_bytes(field: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    let kib = kib.ok_or_else(|| format!("/proc/self/status has no {field}"))?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_in_use_is_seen() {
        // Other tests of this process come and go, so only what is surely held is claimed.
        let held = vec![1u8; 64 << 20];
        let rss = rss_bytes().unwrap();
        assert!(rss > held.len() as u64, "{rss} with {} held", held.len());
        assert!(rss_peak_bytes().unwrap() > held.len() as u64);
    }

    #[test]
    fn work_takes_cpu_time() {
        let before = cpu_seconds().unwrap();
        let mut random = crate::random::Random::new(1);
        let mut sum = 0u64;
        while cpu_seconds().unwrap() < before + 0.03 {
            sum = (0..100_000).fold(sum, |sum, _| sum.wrapping_add(random.bits()));
        }
        assert_ne!(sum, 0);
    }
}
