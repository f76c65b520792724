//! Power cuts of a real kernel: a file system on a loop image is shut down under the writing process,
//! without writing out anything (`FS_IOC_GOINGDOWN`), mounted again, and the database compared.
//!
//! Needs root, loop devices, `mkfs.ext4` or `mkfs.xfs`, and Python 3 for the ioctl; says what it
//! skipped. `TREERING_POWER_CUTS` is the number of cuts on each file system.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::PoisonError;

use super::{Acks, Lives, TURN, number};

/// The program that makes it, what it is told, and the size of the image in MiB.
const FILE_SYSTEMS: [(&str, &[&str], u64); 2] = [
    ("mkfs.ext4", &["-q", "-F"], 96),
    ("mkfs.xfs", &["-q", "-f"], 320),
];

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let cuts = number("TREERING_POWER_CUTS").unwrap_or(12);
    let seed = number("TREERING_SEED").unwrap_or(1);
    for (make, words, mib) in FILE_SYSTEMS {
        let dir = tempfile::tempdir().unwrap();
        let mounted = match Mounted::make(dir.path(), make, words, mib) {
            Ok(mounted) => mounted,
            Err(why) => {
                eprintln!("SKIPPED: power cuts on what {make} makes: {why}");
                continue;
            }
        };
        let mut lives = Lives::new(mounted.mount.join("db"), seed);
        for _ in 0..cuts {
            lives.live(
                &mut |child| {
                    mounted.cut();
                    child.kill().unwrap();
                },
                // An fsync that is under way when the ioctl aborts the journal may return Ok with
                // nothing written (ext4); no power cut does that. What was read before, counts.
                Acks::MayCount,
                &mut || mounted.again(),
            );
        }
        eprintln!("power cuts: {cuts} ({make}), {lives}");
    }
}

/// A file system on an image in a file.
struct Mounted {
    image: PathBuf,
    mount: PathBuf,
}

impl Mounted {
    #[expect(clippy::disallowed_methods, reason = "an image is a file of the test")]
    fn make(dir: &Path, make: &str, words: &[&str], mib: u64) -> Result<Self, String> {
        let (image, mount) = (dir.join("image"), dir.join("mount"));
        let made = std::fs::File::create(&image).and_then(|file| file.set_len(mib << 20));
        made.and_then(|()| std::fs::create_dir(&mount))
            .map_err(|error| error.to_string())?;
        run("python3", &["-c".as_ref(), "pass".as_ref()])?;
        let mut all: Vec<&Path> = words.iter().map(Path::new).collect();
        all.push(&image);
        let install = "install e2fsprogs or xfsprogs";
        run(make, &all).map_err(|why| format!("{why}; {install}"))?;
        let mounted = Self { image, mount };
        mounted
            .mount()
            .map_err(|why| format!("{why}; run as root with loop devices"))?;
        Ok(mounted)
    }

    fn mount(&self) -> Result<(), String> {
        let loops: [&Path; 4] = ["-o".as_ref(), "loop".as_ref(), &self.image, &self.mount];
        run("mount", &loops)
    }

    /// Shuts the file system down as it is on the disk: 2 is `FS_GOING_FLAGS_NOLOGFLUSH`.
    fn cut(&self) {
        let text = "import fcntl, os, struct, sys\n\
                    dir = os.open(sys.argv[1], os.O_RDONLY)\n\
                    request = 2 << 30 | 4 << 16 | ord('X') << 8 | 125\n\
                    fcntl.ioctl(dir, request, struct.pack('I', 2))";
        run("python3", &["-c".as_ref(), text.as_ref(), &*self.mount]).unwrap();
    }

    /// Mounts what the disk holds.
    fn again(&self) {
        run("umount", &[&*self.mount]).unwrap();
        self.mount().unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Best effort: the test has ended.
        let _ = run("umount", &["-l".as_ref(), &*self.mount]);
    }
}

fn run(program: &str, words: &[&Path]) -> Result<(), String> {
    let ran = Command::new(program).args(words).output();
    let ran = ran.map_err(|error| format!("{program}: {error}"))?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    Err(format!("{program}: {}", said.trim()))
}
