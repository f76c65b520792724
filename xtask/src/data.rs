//! The data folders outside the repository, named by environment variables only.
//!
//! Input: the environment. Output: which folders are there. A variable that is set but names no
//! folder, or an empty one, is an error: a run that silently tested nothing would look green.

use std::path::{Path, PathBuf};

use crate::Outcome;

/// Folder of the corpora.
pub(crate) const CORPORA: &str = "TREERING_CORPORA";
/// Folder of the PromQL conformance cases.
pub(crate) const PROMQLTEST: &str = "TREERING_PROMQLTEST";

/// Folder of recorded bodies of remote write.
pub(crate) const EXCHANGES: &str = "TREERING_EXCHANGES";

/// The folder that `variable` names; `None` when the variable is unset.
pub(crate) fn folder(variable: &str) -> Outcome<Option<PathBuf>> {
    match std::env::var_os(variable) {
        None => Ok(None),
        Some(value) => check(variable, Path::new(&value)).map(Some),
    }
}

/// Checks these folders and says loudly which tests will be skipped.
pub(crate) fn announce() -> Outcome {
    for (variable, needs) in [
        (CORPORA, "tests over real series"),
        (PROMQLTEST, "PromQL conformance cases"),
        (EXCHANGES, "bodies of real senders of remote write"),
    ] {
        match folder(variable)? {
            Some(path) => println!("{variable}: {}", path.display()),
            None => println!("SKIPPED: {needs}, because {variable} is not set"),
        }
    }
    Ok(())
}

fn check(variable: &str, path: &Path) -> Outcome<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(format!(
            "{variable} is set to nothing; unset it or name a folder"
        ));
    }
    let mut entries = std::fs::read_dir(path)
        .map_err(|error| format!("{variable} names {}: {error}", path.display()))?;
    if entries.next().is_none() {
        return Err(format!(
            "{variable} names {}, which is empty",
            path.display()
        ));
    }
    // Tests run in the folder of their package, so a relative name would mean another place there.
    path.canonicalize()
        .map_err(|error| format!("{variable}: {error}"))
        .and_then(|absolute| {
            if path.is_absolute() {
                Ok(absolute)
            } else {
                Err(format!(
                    "{variable} must be absolute, as {}",
                    absolute.display()
                ))
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::root;

    #[test]
    fn set_but_empty_is_an_error() {
        assert!(
            check("V", Path::new(""))
                .unwrap_err()
                .contains("set to nothing")
        );
        assert!(check("V", &root().join("no-such-folder")).is_err());
        assert_eq!(check("V", &root()).unwrap(), root().canonicalize().unwrap());
    }

    #[test]
    fn an_empty_folder_is_an_error() {
        let empty = std::env::temp_dir().join(format!("treering-empty-{}", std::process::id()));
        std::fs::create_dir_all(&empty).unwrap();
        let error = check("V", &empty).unwrap_err();
        std::fs::remove_dir(&empty).unwrap();
        assert!(error.contains("is empty"), "{error}");
    }
}
