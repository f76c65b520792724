//! How the live index answers the questions of `select.rs`; nothing here can fail.

use std::convert::Infallible;

use crate::labels::put_pair;
use crate::matcher::Matcher;
use crate::memory::MemIndex;
use crate::pattern::has_prefix;
use crate::postings::Postings;
use crate::select::{Index, Visit};
use crate::setops::Union;

impl Index for MemIndex {
    type Error = Infallible;
    type Name = u32;
    type Pair = u32;

    const READ_COST: usize = 4;

    fn id_end(&self) -> u32 {
        self.places.len() as u32
    }

    fn all(&self) -> Postings {
        self.free.others(self.id_end())
    }

    fn names(&self) -> Result<Vec<(String, u32)>, Infallible> {
        let mut names: Vec<(String, u32)> = self
            .symbols
            .names()
            .map(|(id, name)| (name.text.to_string(), id))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn find_name(&self, name: &str) -> Result<Option<u32>, Infallible> {
        Ok(self.symbols.find_name(name))
    }

    fn value_count(&self, name: u32) -> usize {
        self.symbols.name(name).map_or(0, |name| name.values.len())
    }

    fn present(&self, name: u32) -> Result<Postings, Infallible> {
        let Some(name) = self.symbols.name(name) else {
            return Ok(Postings::EMPTY);
        };
        if name.series as usize == self.len() {
            return Ok(self.all());
        }
        let mut union = Union::new(self.id_end());
        for pair in name.values.iter() {
            self.add_series_of(pair, &mut union)?;
        }
        Ok(union.finish())
    }

    fn find_pair(&self, name: u32, value: &str) -> Result<Option<(u32, usize)>, Infallible> {
        let mut record = Vec::with_capacity(256);
        if let Some(name) = self.symbols.name(name) {
            put_pair(&mut record, name.text.as_bytes(), value.as_bytes());
        }
        let pair = self.symbols.find(&record);
        Ok(pair.and_then(|pair| Some((pair, self.lists.get(pair)?.len()))))
    }

    fn series_of(&self, pair: u32, within: Option<&Postings>) -> Result<Postings, Infallible> {
        Ok(match (self.lists.get(pair), within) {
            (Some(list), Some(within)) => list.and(within),
            (Some(list), None) => list.clone(),
            (None, _) => Postings::EMPTY,
        })
    }

    fn add_series_of(&self, pair: u32, union: &mut Union) -> Result<(), Infallible> {
        if let Some(list) = self.lists.get(pair) {
            union.add(list);
        }
        Ok(())
    }

    fn value_text(&self, pair: u32) -> Result<&str, Infallible> {
        Ok(self.symbols.value(pair))
    }

    fn intersects(&self, pair: u32, within: &Postings) -> Result<bool, Infallible> {
        Ok(self
            .lists
            .get(pair)
            .is_some_and(|list| list.intersects(within)))
    }

    fn scan(&self, name: u32, prefix: &str, visit: &mut Visit<'_, Self>) -> Result<(), Infallible> {
        let Some(name) = self.symbols.name(name) else {
            return Ok(());
        };
        for pair in name
            .values
            .from(|pair| self.symbols.value_bytes(pair) < prefix.as_bytes())
        {
            let value = self.symbols.value_bytes(pair);
            if !has_prefix(value, prefix.as_bytes()) || !visit(value, pair)? {
                break;
            }
        }
        Ok(())
    }

    fn retain(&self, ids: &Postings, matchers: &[&Matcher]) -> Result<Postings, Infallible> {
        let meets = |id: &u32| {
            matchers.iter().all(|matcher| {
                matcher.matches_value(self.label_value(*id, matcher.name()).unwrap_or_default())
            })
        };
        Ok(Postings::from_sorted(ids.iter().filter(meets).collect()))
    }

    fn values_within(&self, ids: &Postings, name: u32) -> Result<Vec<String>, Infallible> {
        let of = |id| {
            self.pairs(id)
                .find(|pair| self.symbols.name_of(*pair) == Some(name))
        };
        let mut pairs: Vec<u32> = ids.iter().filter_map(of).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let mut values: Vec<String> = pairs
            .into_iter()
            .map(|pair| self.symbols.value(pair).to_owned())
            .collect();
        values.sort_unstable();
        Ok(values)
    }
}
