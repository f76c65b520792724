//! Real file systems of a test's own: on an image in a file, by a loop device.
//!
//! Input: which program makes it. Output: a folder on it, or why there is none; a power cut.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that makes it, what it is told, and the size of the image in MiB.
pub(crate) const FILE_SYSTEMS: [(&str, &[&str], u64); 2] = [
    ("mkfs.ext4", &["-q", "-F"], 96),
    ("mkfs.xfs", &["-q", "-f"], 320),
];

/// A file system on an image in a file.
pub(crate) struct Mounted {
    image: PathBuf,
    pub(crate) mount: PathBuf,
}

impl Mounted {
    #[expect(clippy::disallowed_methods, reason = "an image is a file of the test")]
    pub(crate) fn make(dir: &Path, make: &str, words: &[&str], mib: u64) -> Result<Self, String> {
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
        run("mount", &loops).map(drop)
    }

    /// Shuts the file system down as it is on the disk: 2 is `FS_GOING_FLAGS_NOLOGFLUSH`.
    pub(crate) fn cut(&self) {
        let text = "import fcntl, os, struct, sys\n\
                    dir = os.open(sys.argv[1], os.O_RDONLY)\n\
                    request = 2 << 30 | 4 << 16 | ord('X') << 8 | 125\n\
                    fcntl.ioctl(dir, request, struct.pack('I', 2))";
        run("python3", &["-c".as_ref(), text.as_ref(), &*self.mount]).unwrap();
    }

    /// Mounts what the disk holds.
    pub(crate) fn again(&self) {
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

/// Runs a program; what it printed.
pub(crate) fn run(program: &str, words: &[&Path]) -> Result<String, String> {
    let ran = Command::new(program).args(words).output();
    let ran = ran.map_err(|error| format!("{program}: {error}"))?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    Err(format!("{program}: {}", said.trim()))
}
