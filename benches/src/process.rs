//! Memory and CPU time of this process, as Linux tells them in /proc, and what folders hold.
//!
//! Input: nothing. Output: bytes and seconds, or an error where /proc is not there: a bench that
//! cannot measure must not print a number.

use std::path::Path;
use std::time::Instant;

use crate::Result;

/// Bytes of memory this process holds now (VmRSS).
pub fn rss_bytes() -> Result<u64> {
    status_bytes("VmRSS:")
}

/// Bytes of memory this process holds now that are no pages of files (RssAnon): the heap.
pub fn heap_bytes() -> Result<u64> {
    status_bytes("RssAnon:")
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
    stat_seconds("/proc/self/stat")
}

/// As [`cpu_seconds`], of another process by its number; fails when it is gone.
pub fn cpu_seconds_of(process: u32) -> Result<f64> {
    stat_seconds(&format!("/proc/{process}/stat"))
}

fn stat_seconds(path: &str) -> Result<f64> {
    let stat = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    // The second field is the program's name in brackets and may itself hold spaces.
    let (_, fields) = stat
        .rsplit_once(") ")
        .ok_or_else(|| format!("{path} without a name"))?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |index: usize| -> Result<f64> {
        Ok(fields
            .get(index)
            .ok_or_else(|| format!("{path} is short"))?
            .parse::<f64>()?)
    };
    // proc(5): utime and stime are fields 14 and 15; USER_HZ is 100 on Linux.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// CPU seconds of the calling thread so far: to take the bench's own work out of the sum.
pub fn thread_cpu_seconds() -> Result<f64> {
    schedstat_seconds(Path::new("/proc/thread-self"))
}

/// As [`thread_cpu_seconds`], exact to the microsecond: gives up the CPU for a moment, which has the
/// system bring its sums up to date. (It does so by itself a few hundred times a second.)
pub fn exact_thread_cpu_seconds() -> Result<f64> {
    std::thread::yield_now();
    thread_cpu_seconds()
}

/// What a bench does itself between the calls that it measures, to be taken out of the sums.
#[derive(Debug, Clone, Copy, Default)]
pub struct OwnWork {
    /// CPU seconds of it.
    pub cpu: f64,
    /// Seconds of it by the clock.
    pub wall: f64,
}

impl OwnWork {
    /// Does `work` and adds what it took.
    pub fn add<T>(&mut self, work: impl FnOnce() -> T) -> Result<T> {
        let (cpu, wall) = (thread_cpu_seconds()?, Instant::now());
        let made = work();
        self.wall += wall.elapsed().as_secs_f64();
        self.cpu += thread_cpu_seconds()? - cpu;
        Ok(made)
    }
}

/// CPU seconds so far of the living threads of this process whose name begins with `name`. Linux
/// keeps 15 bytes of a name.
pub fn named_cpu_seconds(name: &str) -> Result<f64> {
    let name = name.get(..15).unwrap_or(name);
    let mut seconds = 0.0;
    for entry in std::fs::read_dir("/proc/self/task")? {
        let task = entry?.path();
        // A thread may end between the two reads.
        let comm = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        if comm.starts_with(name) {
            seconds += schedstat_seconds(&task)?;
        }
    }
    Ok(seconds)
}

fn schedstat_seconds(task: &Path) -> Result<f64> {
    let path = task.join("schedstat");
    let schedstat = std::fs::read_to_string(&path)?;
    let nanos = schedstat.split(' ').next().unwrap_or_default();
    let nanos: f64 = nanos
        .parse()
        .map_err(|_| format!("{} is {schedstat:?}", path.display()))?;
    Ok(nanos / 1e9)
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

/// Files in a folder and those below it.
pub fn folder_files(folder: &Path) -> Result<u64> {
    let mut files = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files += if entry.file_type()?.is_dir() {
            folder_files(&entry.path())?
        } else {
            1
        };
    }
    Ok(files)
}

/// How many threads of the machine wanted to run in the last minute, on average.
pub fn load() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    let first = text.split(' ').next().unwrap_or_default();
    Ok(first.parse()?)
}

/// The file system that a folder lies in, as `type on mount point`.
pub fn file_system(folder: &Path) -> Result<String> {
    let folder = folder.canonicalize()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let found = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        folder.starts_with(point).then_some((point, kind))
    });
    let (point, kind) = found
        .max_by_key(|(point, _)| point.len())
        .ok_or("no file system is mounted")?;
    Ok(format!("{kind} on {point}"))
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
    fn the_work_of_a_named_thread_is_its_own() {
        let work = || {
            let before = thread_cpu_seconds().unwrap();
            while thread_cpu_seconds().unwrap() < before + 0.02 {}
            named_cpu_seconds("a-name-that-is-longer").unwrap()
        };
        let named = std::thread::Builder::new().name("a-name-that-is-longer-than-15".into());
        let seconds = named.spawn(work).unwrap().join().unwrap();
        assert!((0.02..1.0).contains(&seconds), "{seconds}");
        assert_eq!(named_cpu_seconds("no thread of that name").unwrap(), 0.0);
    }

    #[test]
    fn files_of_folders_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        for file in ["a", "below/b", "below/c"] {
            std::fs::write(folder.path().join(file), "x").unwrap();
        }
        assert_eq!(folder_files(folder.path()).unwrap(), 3);
        assert_eq!(folder_bytes(folder.path()).unwrap(), 3);
        assert!(file_system(folder.path()).unwrap().contains(" on /"));
    }

    #[test]
    fn work_takes_cpu_time() {
        let before = cpu_seconds().unwrap();
        let mut random = crate::random::Random::new(1);
        let mut sum = 0u64;
        while cpu_seconds().unwrap() < before + 0.03 {
            sum = (0..100_000).fold(sum, |sum, _| sum.wrapping_add(random.bits()));
        }
        assert!(cpu_seconds_of(std::process::id()).unwrap() >= before + 0.03);
        assert!(cpu_seconds_of(u32::MAX).is_err() && load().unwrap() >= 0.0);
        assert_ne!(sum, 0);
    }
}
