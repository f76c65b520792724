//! The table of handles: numbers outside, objects inside.
//!
//! Input: objects of a few kinds. Output: ids, and the objects of ids that are good. An id has the
//! kind in its top 8 bits, the generation of its slot in the next 24 and the slot in the low 32.
//! Invariants: 0 is no id; an id that was freed is never good again, as the generation of a slot
//! only grows and a slot whose generations are used up is not used again. Objects are dropped
//! outside of the lock, by whoever had them last.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::failure::{Failure, Result};

/// What a kind of handle stands for.
pub(crate) trait Held: Any + Send + Sync {
    /// A number of its own, 1 to 255.
    const KIND: u8;
    /// What people call it.
    const NAME: &'static str;
}

/// Objects by id.
pub(crate) struct Table {
    slots: RwLock<Slots>,
}

/// The table of the process.
pub(crate) static TABLE: Table = Table::new();

struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    object: Option<Arc<dyn Any + Send + Sync>>,
}

const KIND_SHIFT: u32 = 56;
const GENERATION_SHIFT: u32 = 32;
const LAST_GENERATION: u32 = (1 << 24) - 1;

impl Table {
    pub(crate) const fn new() -> Self {
        let slots = Slots {
            slots: Vec::new(),
            free: Vec::new(),
        };
        Self {
            slots: RwLock::new(slots),
        }
    }

    /// Takes an object in; its id.
    pub(crate) fn insert<T: Held>(&self, object: Arc<T>) -> Result<u64> {
        let mut slots = self.slots.write();
        let number = match slots.free.pop() {
            Some(number) => number,
            None => {
                let number = u32::try_from(slots.slots.len()).map_err(|_| full())?;
                slots.slots.push(Slot {
                    generation: 1,
                    object: None,
                });
                number
            }
        };
        let slot = slots.slots.get_mut(number as usize).ok_or_else(full)?;
        slot.object = Some(object);
        let (kind, generation) = (u64::from(T::KIND), u64::from(slot.generation));
        Ok(kind << KIND_SHIFT | generation << GENERATION_SHIFT | u64::from(number))
    }

    /// The object of an id.
    pub(crate) fn get<T: Held>(&self, id: u64) -> Result<Arc<T>> {
        let object = self.slots.read().find::<T>(id)?.map(Arc::clone);
        let object = object.ok_or_else(|| freed::<T>())?;
        object.downcast::<T>().map_err(|_| freed::<T>())
    }

    /// What `take` makes of each of several objects, under one hold of the lock; the error names
    /// the first bad one by its place.
    pub(crate) fn each<T: Held, R>(&self, ids: &[u64], take: impl Fn(&T) -> R) -> Result<Vec<R>> {
        let slots = self.slots.read();
        let one = |(at, id): (usize, &u64)| {
            let found = slots.find::<T>(*id);
            let found = found.and_then(|object| object.ok_or_else(|| freed::<T>()));
            let object = found.map_err(|error| {
                let text = String::from_utf8_lossy(error.text()).into_owned();
                Failure::handle(format_args!("handle {at} of the array: {text}"))
            })?;
            object.downcast_ref().map(&take).ok_or_else(freed::<T>)
        };
        ids.iter().enumerate().map(one).collect()
    }

    /// Makes an id bad; its object.
    pub(crate) fn remove<T: Held>(&self, id: u64) -> Result<Arc<T>> {
        let mut slots = self.slots.write();
        slots.find::<T>(id)?;
        let number = slot_of(id);
        let slot = slots.slots.get_mut(number as usize);
        let slot = slot.ok_or_else(|| freed::<T>())?;
        let object = slot.object.take().ok_or_else(|| freed::<T>())?;
        if slot.generation < LAST_GENERATION {
            slot.generation += 1;
            slots.free.push(number);
        }
        drop(slots);
        object.downcast::<T>().map_err(|_| freed::<T>())
    }
}

impl Slots {
    /// The object of an id of kind `T`; none when it was freed.
    fn find<T: Held>(&self, id: u64) -> Result<Option<&Arc<dyn Any + Send + Sync>>> {
        if id == 0 {
            return Err(Failure::handle(format_args!("the {} is null", T::NAME)));
        }
        if id >> KIND_SHIFT != u64::from(T::KIND) {
            return Err(Failure::handle(format_args!(
                "the handle {id:#x} is not one of a {}",
                T::NAME
            )));
        }
        let generation = (id >> GENERATION_SHIFT) as u32 & LAST_GENERATION;
        let slot = self.slots.get(slot_of(id) as usize);
        match slot {
            Some(slot) if slot.generation == generation => Ok(slot.object.as_ref()),
            _ => Err(freed::<T>()),
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

/// The low half of an id.
fn slot_of(id: u64) -> u32 {
    id as u32
}

fn freed<T: Held>() -> Failure {
    Failure::handle(format_args!(
        "there is no such {}: it was closed or freed before, or never made",
        T::NAME
    ))
}

fn full() -> Failure {
    Failure::handle("there are four billion handles: free some")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Cat(&'static str);
    struct Dog;

    impl Held for Cat {
        const KIND: u8 = 1;
        const NAME: &'static str = "cat";
    }

    impl Held for Dog {
        const KIND: u8 = 2;
        const NAME: &'static str = "dog";
    }

    #[test]
    fn freed_null_and_mistaken_handles_are_told_apart() {
        let table = Table::new();
        let cat = table.insert(Arc::new(Cat("tom"))).unwrap();
        assert_eq!(table.get::<Cat>(cat).unwrap().0, "tom");
        let text = |error: Failure| String::from_utf8(error.text().to_vec()).unwrap();
        let said = |id: u64| text(table.get::<Dog>(id).map(|_| ()).unwrap_err());
        assert!(said(cat).contains("is not one of a dog"));
        assert!(said(0).contains("is null"));
        table.remove::<Cat>(cat).unwrap();
        assert!(text(table.remove::<Cat>(cat).map(|_| ()).unwrap_err()).contains("freed before"));
        assert!(table.get::<Cat>(u64::MAX).is_err());
    }

    #[test]
    fn a_slot_used_again_gives_another_handle() {
        let table = Table::new();
        let first = table.insert(Arc::new(Cat("tom"))).unwrap();
        table.remove::<Cat>(first).unwrap();
        let second = table.insert(Arc::new(Cat("kit"))).unwrap();
        assert_eq!(slot_of(first), slot_of(second));
        assert!(table.get::<Cat>(first).is_err());
        assert_eq!(table.get::<Cat>(second).unwrap().0, "kit");
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_is_left_alone() {
        let table = Table::new();
        let first = table.insert(Arc::new(Cat("tom"))).unwrap();
        table.slots.write().slots[0].generation = LAST_GENERATION;
        let last = first | u64::from(LAST_GENERATION) << GENERATION_SHIFT;
        table.remove::<Cat>(last).unwrap();
        let next = table.insert(Arc::new(Cat("kit"))).unwrap();
        assert_eq!((slot_of(first), slot_of(next)), (0, 1));
        assert!(table.get::<Cat>(last).is_err());
    }

    #[test]
    fn many_handles_are_looked_up_at_once_or_the_bad_one_is_named() {
        let table = Table::new();
        let cats = ["a", "b"].map(|name| table.insert(Arc::new(Cat(name))).unwrap());
        let names = table.each(&cats, |cat: &Cat| cat.0).unwrap();
        assert_eq!(names, ["a", "b"]);
        let error = table.each(&[cats[0], 0], |cat: &Cat| cat.0).unwrap_err();
        assert!(error.text().starts_with(b"handle 1 of the array"));
    }
}
