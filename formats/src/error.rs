//! Why bytes are not what they should be, and where.

use std::fmt;

/// Why a format could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The bytes are damaged, or are of something else.
    Corrupt,
    /// The bytes are of a kind that is not known here: a newer version, an encoding to come.
    Unsupported,
    /// The bytes could not be read.
    Unread,
}

/// A failure to read a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    file: Option<String>,
    offset: u64,
    what: String,
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Why.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The file, where several were handed in.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Bytes from the begin of the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn corrupt(offset: u64, what: impl Into<String>) -> Self {
        Self {
            kind: Kind::Corrupt,
            file: None,
            offset,
            what: what.into(),
        }
    }

    pub(crate) fn unsupported(offset: u64, what: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Unsupported,
            file: None,
            offset,
            what: format!("{what} is not known here"),
        }
    }

    pub(crate) fn unread(offset: u64, error: &std::io::Error) -> Self {
        Self {
            kind: Kind::Unread,
            file: None,
            offset,
            what: error.to_string(),
        }
    }

    /// The same of a part that begins `by` bytes into the whole.
    pub(crate) fn moved(mut self, by: u64) -> Self {
        self.offset = self.offset.saturating_add(by);
        self
    }

    /// The same of one of several files.
    pub(crate) fn in_file(mut self, file: String) -> Self {
        self.file = Some(file);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}, ")?;
        }
        write!(f, "byte {}: {}", self.offset, self.what)
    }
}

impl std::error::Error for Error {}
