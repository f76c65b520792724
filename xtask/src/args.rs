//! Command-line words of one recipe.
//!
//! Input: the words after the recipe's name. Output: flags, options and positionals, each taken
//! out once; `done` refuses what nobody took, so a mistyped flag is never ignored.

use crate::Outcome;

/// The words not yet taken.
#[derive(Debug)]
pub(crate) struct Args {
    words: Vec<String>,
}

impl Args {
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self { words }
    }

    /// Takes `--name`; whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        match self.words.iter().position(|word| word == name) {
            Some(index) => {
                self.words.remove(index);
                true
            }
            None => false,
        }
    }

    /// Takes `--name VALUE`.
    pub(crate) fn option(&mut self, name: &str) -> Outcome<Option<String>> {
        let Some(index) = self.words.iter().position(|word| word == name) else {
            return Ok(None);
        };
        if index + 1 >= self.words.len() {
            return Err(format!("{name} needs a value"));
        }
        self.words.remove(index);
        Ok(Some(self.words.remove(index)))
    }

    /// Takes `--name NUMBER`.
    pub(crate) fn number(&mut self, name: &str) -> Outcome<Option<u64>> {
        match self.option(name)? {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(format!("{name} needs a whole number, not {text:?}")),
            },
        }
    }

    /// Takes the next word that is not a flag.
    pub(crate) fn positional(&mut self) -> Option<String> {
        let index = self.words.iter().position(|word| !word.starts_with('-'))?;
        Some(self.words.remove(index))
    }

    /// Refuses words that nobody took.
    pub(crate) fn done(self) -> Outcome {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(format!("does not know {word:?}; see cargo xtask help")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_once_and_leftovers_are_refused() {
        let words = ["corpora", "--json", "out.json", "--quick", "--typo"];
        let mut args = Args::new(words.map(str::to_owned).to_vec());
        assert!(args.flag("--quick"));
        assert!(!args.flag("--quick"));
        assert_eq!(args.option("--json").unwrap().as_deref(), Some("out.json"));
        assert_eq!(args.positional().as_deref(), Some("corpora"));
        assert!(args.done().unwrap_err().contains("--typo"));
    }

    #[test]
    fn numbers_must_be_numbers() {
        let mut args = Args::new(vec!["--minutes".into(), "ten".into()]);
        assert!(args.number("--minutes").is_err());
        let mut args = Args::new(vec!["--minutes".into()]);
        assert!(args.number("--minutes").is_err());
    }
}
