//! Lines of files and of standard input, one after the other, with where they stand.
//!
//! Input: names of files. Output: each line with its file and number. Invariant: memory does not
//! grow with what is read: a line longer than any sample is refused, not held.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Longest line: above what any label set that the engine takes by default needs.
const MAX_LINE_BYTES: usize = 1 << 20;

/// The name of standard input.
const STDIN: &str = "-";

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index of the file among the inputs.
    file: usize,
    /// From 1.
    line: u64,
}

impl Place {
    /// Whether another file begins here.
    pub(crate) fn begins_file(&self) -> bool {
        self.line <= 1
    }
}

/// Inputs, read one after the other.
pub(crate) struct Lines {
    files: Vec<PathBuf>,
    reader: Option<Box<dyn BufRead>>,
    at: Place,
    line: Vec<u8>,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, at, .. } = self;
        write!(f, "Lines {{ {files:?} {at:?} }}")
    }
}

impl Lines {
    /// The lines of `files`; of standard input when there is none, or for `-`. All of them must be
    /// there.
    pub(crate) fn new(files: &[PathBuf]) -> Result<Self, String> {
        let files = match files {
            [] => vec![PathBuf::from(STDIN)],
            files => files.to_vec(),
        };
        for file in files.iter().filter(|file| **file != Path::new(STDIN)) {
            let found = file.metadata();
            found.map_err(|error| format!("cannot open {}: {error}", file.display()))?;
        }
        Ok(Self {
            files,
            reader: None,
            at: Place { file: 0, line: 0 },
            line: Vec::new(),
        })
    }

    /// The next line as text; inside, why it is none. `None` at the end of the last file.
    pub(crate) fn next_line(&mut self) -> Result<Option<Result<&str, String>>, String> {
        loop {
            if self.reader.is_none() {
                let Some(file) = self.files.get(self.at.file) else {
                    return Ok(None);
                };
                self.reader = Some(open(file)?);
                self.at.line = 0;
            }
            let Some(reader) = &mut self.reader else {
                return Ok(None);
            };
            let read = read_line(reader.as_mut(), &mut self.line);
            match read.map_err(|error| format!("cannot read {}: {error}", self.name(&self.at)))? {
                Found::End => {
                    self.reader = None;
                    self.at.file += 1;
                }
                found => {
                    self.at.line += 1;
                    if found == Found::TooLong {
                        let why = format!("it is longer than {MAX_LINE_BYTES} bytes");
                        return Ok(Some(Err(why)));
                    }
                    let text = std::str::from_utf8(&self.line);
                    return Ok(Some(text.map_err(|_| "it is not UTF-8".to_owned())));
                }
            }
        }
    }

    /// Where the line stands that was read last.
    pub(crate) fn place(&self) -> Place {
        self.at.clone()
    }

    /// A place for people.
    pub(crate) fn name(&self, place: &Place) -> String {
        let file = match self.files.get(place.file) {
            Some(file) if file != Path::new(STDIN) => file.display().to_string(),
            _ => "standard input".to_owned(),
        };
        format!("{file}:{}", place.line)
    }
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, String> {
    if file == Path::new(STDIN) {
        return Ok(Box::new(io::stdin().lock()));
    }
    match File::open(file) {
        Ok(opened) => Ok(Box::new(BufReader::new(opened))),
        Err(error) => Err(format!("cannot open {}: {error}", file.display())),
    }
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Line,
    TooLong,
    End,
}

/// Reads up to the next line end, and keeps what stands before it unless that is too long.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Found> {
    line.clear();
    let (mut found, mut is_any) = (Found::Line, false);
    loop {
        let bytes = match reader.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if bytes.is_empty() {
            return Ok(if is_any { found } else { Found::End });
        }
        is_any = true;
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(bytes);
        if line.len() + part.len() > MAX_LINE_BYTES {
            found = Found::TooLong;
            line.clear();
        } else if found == Found::Line {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_they_end() {
        let long = vec![b'x'; MAX_LINE_BYTES + 1];
        let mut text = b"one\n\n".to_vec();
        text.extend_from_slice(&long);
        text.extend_from_slice(b"\nlast");
        // A small buffer: lines lie across its edges.
        let mut reader = BufReader::with_capacity(7, &*text);
        let mut line = Vec::new();
        let mut next = || {
            let found = read_line(&mut reader, &mut line).unwrap();
            (found, String::from_utf8(line.clone()).unwrap())
        };
        assert_eq!(next(), (Found::Line, "one".to_owned()));
        assert_eq!(next(), (Found::Line, String::new()));
        assert_eq!(next(), (Found::TooLong, String::new()));
        assert_eq!(next(), (Found::Line, "last".to_owned()));
        assert_eq!(next().0, Found::End);
    }
}
