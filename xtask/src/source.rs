//! One Rust file as `tidy` sees it: its text, its code without comments and literals, its
//! functions.
//!
//! Input: the text of a file. Output: facts with line numbers. The code view has exactly the
//! lines of the text; every comment, string and character literal in it is blank, so a word found
//! there is code. Raw strings and nested comments are understood, macros are not expanded.

/// A source file, scanned once.
#[derive(Debug)]
pub(crate) struct Source {
    text: String,
    code: String,
}

/// A function found in the code view.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn new(text: String) -> Self {
        let code = blank_literals(&text);
        Self { text, code }
    }

    /// Lines of the file.
    pub(crate) fn line_count(&self) -> usize {
        self.text.lines().count()
    }

    /// Whether the file begins with a `//!` line.
    pub(crate) fn has_head(&self) -> bool {
        self.text.starts_with("//!")
    }

    /// Lines (from 1) with a character that is not ASCII.
    pub(crate) fn non_ascii(&self) -> Vec<usize> {
        lines_where(&self.text, |line| !line.is_ascii())
    }

    /// Lines longer than `columns`.
    pub(crate) fn longer_than(&self, columns: usize) -> Vec<usize> {
        lines_where(&self.text, |line| line.chars().count() > columns)
    }

    /// Lines whose text, comments included, holds `word` as a whole word.
    pub(crate) fn mentions(&self, word: &str) -> Vec<usize> {
        lines_where(&self.text, |line| holds_word(line, word))
    }

    /// Lines whose code holds `word` as a whole word (a path such as `std::fs` is a word too).
    pub(crate) fn uses(&self, word: &str) -> Vec<usize> {
        lines_where(&self.code, |line| holds_word(line, word))
    }

    /// First line of the unit tests at the bottom of the file, if it has some.
    pub(crate) fn tests_start(&self) -> Option<usize> {
        let lines: Vec<&str> = self.code.lines().map(str::trim).collect();
        (0..lines.len()).find_map(|index| {
            let tests = lines[index].starts_with("#[cfg(")
                && lines[index].contains("test")
                && lines[index + 1..]
                    .iter()
                    .find(|line| !line.starts_with("#["))
                    .is_some_and(|line| {
                        line.starts_with("mod ") || line.starts_with("pub(crate) mod ")
                    });
            tests.then_some(index + 1)
        })
    }

    /// Every function with a body, in order of appearance.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(start) = next_word(&self.code, at, "fn") {
            at = start + 2;
            let rest = &self.code[at..];
            let name: String = rest
                .trim_start()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let Some(length) = (!name.is_empty()).then(|| body_end(rest)).flatten() else {
                continue;
            };
            found.push(Function {
                name,
                line: line_of(&self.code, start),
                lines: self.code[start..at + length].lines().count(),
            });
        }
        found
    }
}

/// Length of the text up to the brace that closes the first body; `None` for a bare signature.
fn body_end(rest: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut brackets = 0usize;
    for (index, byte) in rest.bytes().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets = brackets.saturating_sub(1),
            b';' if depth == 0 && brackets == 0 => return None,
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(index + 1);
                }
            }
            _ => {}
        }
    }
    None
}

fn lines_where(text: &str, holds: impl Fn(&str) -> bool) -> Vec<usize> {
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| holds(line))
        .map(|(number, _)| number)
        .collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

fn holds_word(line: &str, word: &str) -> bool {
    next_word(line, 0, word).is_some()
}

fn next_word(text: &str, from: usize, word: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text[from..]
        .match_indices(word)
        .map(|(index, _)| from + index)
        .find(|&index| {
            let before = text[..index].chars().next_back();
            let after = text[index + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
}

/// The text with comments and literals replaced by blanks; line breaks stay.
fn blank_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = literal_length(rest, code.chars().next_back());
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (literal, tail) = rest.split_at(length);
            code.extend(literal.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = tail;
        }
    }
    code
}

/// Length of the comment or literal that starts here, 0 when code does.
fn literal_length(rest: &str, before: Option<char>) -> usize {
    let in_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_length(rest);
    }
    if rest.starts_with('"') {
        return quoted_length(rest, '"');
    }
    if !in_name && (rest.starts_with('r') || rest.starts_with("br")) {
        return raw_string_length(rest);
    }
    if rest.starts_with('\'') {
        return char_length(rest);
    }
    0
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < rest.len() {
        let tail = &rest.as_bytes()[at..];
        if tail.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return index + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string_length(rest: &str) -> usize {
    let body = rest
        .strip_prefix('b')
        .unwrap_or(rest)
        .strip_prefix('r')
        .unwrap_or_default();
    let hashes = body.len() - body.trim_start_matches('#').len();
    if !body[hashes..].starts_with('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let open = rest.len() - body.len() + hashes + 1;
    rest[open..]
        .find(&close)
        .map_or(rest.len(), |index| open + index + close.len())
}

/// A character literal; a lifetime (`'a` without a closing quote) is code.
fn char_length(rest: &str) -> usize {
    let mut chars = rest.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => quoted_length(rest, '\''),
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new(text.to_owned())
    }

    #[test]
    fn words_in_comments_and_literals_are_not_code() {
        let text = "// alpha\nlet s = \"alpha \\\" alpha\"; /* alpha /* alpha */ */\n\
                    let r = r#\"alpha \" alpha\"#; let c = 'a'; alpha::<'a>(b'\\'');\nalpha_code();";
        let file = source(text);
        assert_eq!(file.uses("alpha"), [3]);
        assert_eq!(file.mentions("alpha"), [1, 2, 3]);
        assert_eq!(file.code.len(), file.text.len());
    }

    #[test]
    fn paths_are_words() {
        let file = source("use std::fs;\nstd::fs::rename(a, b);\nstd::fsx();\n");
        assert_eq!(file.uses("std::fs"), [1, 2]);
    }

    #[test]
    fn functions_are_measured_from_signature_to_brace() {
        let text = "trait T {\n    fn bare(&self, a: [u8; 4]);\n}\nfn one() -> [u8; 2] {\n    \
                    if x { y }\n}\nfn two() { fn inner() {\n} }\n";
        let found = source(text).functions();
        let told: Vec<_> = found
            .iter()
            .map(|f| (f.name.as_str(), f.line, f.lines))
            .collect();
        assert_eq!(told, [("one", 4, 3), ("two", 7, 2), ("inner", 7, 2)]);
    }

    #[test]
    fn the_unit_tests_at_the_bottom_are_found() {
        let file = source("//! Head.\nfn a() {}\n\n#[cfg(test)]\n#[allow(x)]\nmod tests {}\n");
        assert_eq!(file.tests_start(), Some(4));
        assert!(file.has_head());
        assert_eq!(source("#[cfg(test)]\nuse x;\n").tests_start(), None);
    }
}
