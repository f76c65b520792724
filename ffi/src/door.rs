//! The door between C and the library: panics stop here, and what pointers point to is looked at
//! here.
//!
//! Input: raw arguments, wrapped by the exported functions before anything else. Output: slices,
//! texts and places, or the failure that says what is wrong with them. Invariants: nothing is read
//! before null, alignment and length were checked; lengths are bounded before they are believed; a
//! panic becomes `TREERING_ERROR_INTERNAL` and never goes on into C.
#![allow(
    unsafe_code,
    reason = "pointers from outside are followed here, and only after they were checked"
)]

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::abi::types::treering_status::{TREERING_ERROR_LIMIT, TREERING_OK};
use crate::abi::types::{
    treering_aggregation, treering_columns, treering_error, treering_label, treering_options,
    treering_query_options, treering_status, treering_string,
};
use crate::failure::{Failure, Result};
use crate::table::TABLE;

/// Longest text that is looked at, in bytes: what a selector may have; paths and queries have less.
pub(crate) const MAX_TEXT_BYTES: usize = 16 << 20;

/// Most elements of an array of labels or names: no series has more labels.
pub(crate) const MAX_LABELS: usize = 1024;

/// Largest struct of options that a later release could have.
const MAX_STRUCT_BYTES: usize = 4096;

/// Runs a call behind the door; where it failed, `error` gets an error object.
pub(crate) fn door(
    error: Out<treering_error>,
    call: impl FnOnce() -> Result<treering_status>,
) -> treering_status {
    let place = match error.optional("error") {
        Ok(place) => place,
        Err(failure) => return failure.status,
    };
    if let Some(place) = &place {
        place.set(treering_error::default());
    }
    let failure = match caught(call) {
        Ok(status) => return status,
        Err(failure) => failure,
    };
    let status = failure.status;
    if let Some(place) = place {
        let id = caught(|| TABLE.insert(Arc::new(failure))).unwrap_or(0);
        place.set(treering_error { id });
    }
    status
}

/// As [`door`], for a call that ends with nothing to say.
pub(crate) fn done(
    error: Out<treering_error>,
    call: impl FnOnce() -> Result<()>,
) -> treering_status {
    door(error, || call().map(|()| TREERING_OK))
}

/// What `call` gives; a panic is a failure.
pub(crate) fn caught<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a panic left half done is behind locks that do not poison, and is still sound: a result
    // may be short, and the status tells.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        let failure = Failure::panic(&*payload);
        // A payload may panic when it is dropped.
        std::mem::forget(payload);
        Err(failure)
    })
}

/// A pointer to where something is to be written.
#[derive(Debug)]
pub(crate) struct Out<T>(*mut T);

/// A place that was checked.
#[derive(Debug)]
pub(crate) struct Place<T>(*mut T);

impl<T> Out<T> {
    /// Wraps a pointer; nothing is looked at yet.
    ///
    /// # Safety
    ///
    /// For the time of the call, `pointer` is null, misaligned, or good for writing a `T`.
    pub(crate) unsafe fn new(pointer: *mut T) -> Self {
        Self(pointer)
    }

    /// The place; none for null.
    pub(crate) fn optional(&self, name: &str) -> Result<Option<Place<T>>> {
        if self.0.is_null() {
            return Ok(None);
        }
        aligned(self.0.cast_const(), name)?;
        Ok(Some(Place(self.0)))
    }

    /// The place; null is a failure.
    pub(crate) fn required(&self, name: &str) -> Result<Place<T>> {
        self.optional(name)?.ok_or_else(|| null(name))
    }
}

impl<T> Place<T> {
    /// Writes; what was there is overwritten, not dropped.
    pub(crate) fn set(&self, value: T) {
        // SAFETY: not null and aligned, as was checked; good for writing, as `Out::new` was told.
        unsafe { self.0.write(value) }
    }
}

/// An array: a pointer and how many elements.
#[derive(Debug)]
pub(crate) struct Slice<T> {
    first: *const T,
    len: usize,
}

impl<T: Copy> Slice<T> {
    /// Wraps an array; nothing is looked at yet.
    ///
    /// # Safety
    ///
    /// For the time of the call, `first` is null, misaligned, or good for reading `len` elements,
    /// which nobody changes meanwhile; or `len` is larger than the library takes.
    pub(crate) unsafe fn new(first: *const T, len: usize) -> Self {
        Self { first, len }
    }

    /// The elements, at most `max`.
    pub(crate) fn get(&self, name: &str, max: usize) -> Result<&[T]> {
        if self.len == 0 {
            return Ok(&[]);
        }
        if self.first.is_null() {
            return Err(Failure::argument(format_args!(
                "{name} is null but has the length {}",
                self.len
            )));
        }
        aligned(self.first, name)?;
        let bytes = self.len.checked_mul(size_of::<T>());
        let end = bytes.and_then(|bytes| self.first.addr().checked_add(bytes));
        if end.is_none() || bytes > Some(isize::MAX as usize) {
            return Err(Failure::argument(format_args!(
                "{name} has the length {}, which is more than memory has",
                self.len
            )));
        }
        if self.len > max {
            return Err(Failure::new(
                TREERING_ERROR_LIMIT,
                format_args!(
                    "{name} has the length {}; one call takes at most {max}",
                    self.len
                ),
            ));
        }
        // SAFETY: not null, aligned and inside of memory, as was just checked; good for reading,
        // as `Slice::new` was told.
        Ok(unsafe { std::slice::from_raw_parts(self.first, self.len) })
    }
}

/// A text: a pointer and how many bytes.
#[derive(Debug)]
pub(crate) struct Text(Slice<u8>);

impl Text {
    /// Wraps a text; nothing is looked at yet.
    ///
    /// # Safety
    ///
    /// As [`Slice::new`].
    pub(crate) unsafe fn new(text: *const c_char, len: usize) -> Self {
        // SAFETY: what the caller promised.
        Self(unsafe { Slice::new(text.cast(), len) })
    }

    /// The text; bytes that are not UTF-8 are a failure.
    pub(crate) fn get(&self, name: &str) -> Result<&str> {
        let bytes = self.0.get(name, MAX_TEXT_BYTES)?;
        std::str::from_utf8(bytes).map_err(|error| {
            let at = error.valid_up_to();
            Failure::argument(format_args!("{name} is not UTF-8 from its byte {at} on"))
        })
    }

    /// As [`Text::get`]; an empty text is a failure.
    pub(crate) fn named(&self, name: &str) -> Result<&str> {
        match self.get(name)? {
            "" => Err(Failure::argument(format_args!("{name} is empty"))),
            text => Ok(text),
        }
    }
}

/// The texts of an array of strings.
pub(crate) fn texts<'a>(strings: &'a Slice<treering_string>, name: &str) -> Result<Vec<&'a str>> {
    // SAFETY: who promised the array promised what its elements point to, for as long.
    let one = |string: &treering_string| unsafe { text_of(*string, name) };
    strings.get(name, MAX_LABELS)?.iter().map(one).collect()
}

/// The pairs of an array of labels.
pub(crate) fn pairs(labels: &Slice<treering_label>) -> Result<Vec<(&str, &str)>> {
    // SAFETY: who promised the array promised what its elements point to, for as long.
    let text = |string, name| unsafe { text_of(string, name) };
    let one = |label: &treering_label| {
        let name = text(label.name, "the name of a label")?;
        Ok((name, text(label.value, "the value of a label")?))
    };
    labels.get("labels", MAX_LABELS)?.iter().map(one).collect()
}

/// The text of a string in an array.
///
/// # Safety
///
/// As [`Text::new`]; and what it points to stays for `'a`.
unsafe fn text_of<'a>(string: treering_string, name: &str) -> Result<&'a str> {
    // SAFETY: what the caller promised.
    let text = unsafe { Text::new(string.text, string.len) };
    let text = std::ptr::from_ref(text.get(name)?);
    // SAFETY: it points to what the caller promised for `'a`, or is the empty text.
    Ok(unsafe { &*text })
}

/// A struct that begins with its size and may have grown, or will.
///
/// # Safety
///
/// `repr(C)`, begins with a `usize`, has no gaps, and every pattern of bits is good.
pub(crate) unsafe trait Measured: Copy {
    /// What people call it.
    const NAME: &'static str;
    /// Its size in the first release that had it.
    const FIRST_BYTES: usize;
}

// SAFETY: integers only, without gaps.
unsafe impl Measured for treering_options {
    const NAME: &'static str = "treering_options";
    const FIRST_BYTES: usize = 88;
}

// SAFETY: integers only, without gaps.
unsafe impl Measured for treering_query_options {
    const NAME: &'static str = "treering_query_options";
    const FIRST_BYTES: usize = 56;
}

// SAFETY: numbers and pointers only, without gaps.
unsafe impl Measured for treering_aggregation {
    const NAME: &'static str = "treering_aggregation";
    const FIRST_BYTES: usize = 72;
}

// SAFETY: numbers and pointers only, without gaps.
unsafe impl Measured for treering_columns {
    const NAME: &'static str = "treering_columns";
    const FIRST_BYTES: usize = 56;
}

/// A pointer to a struct that begins with its size.
#[derive(Debug)]
pub(crate) struct Struct<T>(*mut T);

impl<T: Measured> Struct<T> {
    /// Wraps a pointer to a struct that is read; nothing is looked at yet.
    ///
    /// # Safety
    ///
    /// For the time of the call, `pointer` is null, misaligned, or good for reading the size that
    /// stands at its beginning and, unless that is over 4096, so many bytes.
    pub(crate) unsafe fn new(pointer: *const T) -> Self {
        Self(pointer.cast_mut())
    }

    /// Wraps a pointer to a struct that is written.
    ///
    /// # Safety
    ///
    /// As [`Struct::new`], and good for writing as much.
    pub(crate) unsafe fn writable(pointer: *mut T) -> Self {
        Self(pointer)
    }

    /// The struct; none for null. What an older header has not is zero; what a newer one has more
    /// must be.
    pub(crate) fn get(&self) -> Result<Option<T>> {
        let Some(size) = self.size()? else {
            return Ok(None);
        };
        let known = size.min(size_of::<T>());
        let mut value = MaybeUninit::<T>::zeroed();
        let from = self.0.cast_const().cast::<u8>();
        // SAFETY: `size` bytes are good for reading, as `Struct::new` was told; `known` are not
        // more than that, nor than `T` has.
        unsafe { std::ptr::copy_nonoverlapping(from, value.as_mut_ptr().cast(), known) };
        // SAFETY: `known <= size`, and `size` bytes are good for reading.
        let rest = unsafe { std::slice::from_raw_parts(from.add(known), size - known) };
        if rest.iter().any(|byte| *byte != 0) {
            return Err(Failure::argument(format_args!(
                "{} sets what this release does not know: it is older than the header",
                T::NAME
            )));
        }
        // SAFETY: all bytes are zero or the caller's, and any are good, as the trait says.
        Ok(Some(unsafe { value.assume_init() }))
    }

    /// Checks that there is a struct; its size.
    pub(crate) fn required(&self) -> Result<usize> {
        self.size()?.ok_or_else(|| null(T::NAME))
    }

    /// Writes as much of `value` as the caller's struct has; it was checked by
    /// [`Struct::required`].
    pub(crate) fn set(&self, value: &T) -> Result<()> {
        let known = self.required()?.min(size_of::<T>());
        let from = std::ptr::from_ref(value).cast::<u8>();
        // SAFETY: so many bytes are good for writing, as `Struct::writable` was told, and `T` has
        // as many; ours is not theirs.
        unsafe { std::ptr::copy_nonoverlapping(from, self.0.cast::<u8>(), known) };
        Ok(())
    }

    /// The size that stands at the beginning; none for null.
    fn size(&self) -> Result<Option<usize>> {
        if self.0.is_null() {
            return Ok(None);
        }
        aligned(self.0.cast_const(), T::NAME)?;
        // SAFETY: not null and aligned, as was just checked; good for reading a size, as
        // `Struct::new` was told, and a `T` begins with one.
        let size = unsafe { self.0.cast::<usize>().read() };
        if !(T::FIRST_BYTES..=MAX_STRUCT_BYTES).contains(&size) {
            return Err(Failure::argument(format_args!(
                "{}.size is {size}: set it to sizeof({})",
                T::NAME,
                T::NAME
            )));
        }
        Ok(Some(size))
    }
}

fn aligned<T>(pointer: *const T, name: &str) -> Result<()> {
    if pointer.is_aligned() {
        return Ok(());
    }
    Err(Failure::argument(format_args!(
        "{name} is misaligned: its address must be a multiple of {}",
        align_of::<T>()
    )))
}

fn null(name: &str) -> Failure {
    Failure::argument(format_args!("{name} is null"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::types::treering_status::{TREERING_ERROR_ARGUMENT, TREERING_ERROR_INTERNAL};

    fn slice<T: Copy>(first: *const T, len: usize) -> Slice<T> {
        // SAFETY: each test gives a pointer that is good for its length, or must be refused.
        unsafe { Slice::new(first, len) }
    }

    #[test]
    fn a_panic_becomes_an_error_object() {
        let mut error = treering_error::default();
        // SAFETY: a place of this test's own.
        let out = unsafe { Out::new(&raw mut error) };
        let status = door(out, || panic!("on purpose: {}", 7));
        assert_eq!(status, TREERING_ERROR_INTERNAL);
        let failure = TABLE.remove::<Failure>(error.id).unwrap();
        let text = String::from_utf8_lossy(failure.text()).into_owned();
        assert!(text.contains("on purpose: 7"), "{text}");
    }

    #[test]
    fn lengths_are_held_against_memory_and_limits_before_anything_is_read() {
        let one = [1_i64];
        let status = |slice: Slice<i64>| slice.get("it", 10).map(<[i64]>::len).unwrap_err().status;
        for len in [usize::MAX, usize::MAX / 8 + 2, isize::MAX as usize] {
            assert_eq!(status(slice(one.as_ptr(), len)), TREERING_ERROR_ARGUMENT);
        }
        assert_eq!(status(slice(one.as_ptr(), 11)), TREERING_ERROR_LIMIT);
        assert_eq!(status(slice(std::ptr::null(), 1)), TREERING_ERROR_ARGUMENT);
        let crooked = one.as_ptr().cast::<u8>().wrapping_add(1).cast::<i64>();
        assert_eq!(status(slice(crooked, 1)), TREERING_ERROR_ARGUMENT);
        let nothing = slice::<i64>(std::ptr::null(), 0);
        assert!(nothing.get("it", 10).unwrap().is_empty());
        assert_eq!(slice(one.as_ptr(), 1).get("it", 10).unwrap(), [1]);
    }

    #[test]
    fn sizes_stand_as_the_first_release_had_them() {
        assert_eq!(treering_options::FIRST_BYTES, size_of::<treering_options>());
        let size = size_of::<treering_query_options>();
        assert_eq!(treering_query_options::FIRST_BYTES, size);
        let size = size_of::<treering_aggregation>();
        assert_eq!(treering_aggregation::FIRST_BYTES, size);
        assert_eq!(treering_columns::FIRST_BYTES, size_of::<treering_columns>());
    }

    #[test]
    fn a_struct_of_a_newer_header_may_have_more_if_it_is_zero() {
        let (known, size) = (size_of::<treering_query_options>(), 128);
        let mut words = [0_u64; 16];
        words[0] = size;
        words[1] = 7;
        let read = |words: &[u64; 16]| {
            // SAFETY: 128 bytes, aligned for the struct.
            let options = unsafe { Struct::<treering_query_options>::new(words.as_ptr().cast()) };
            options
                .get()
                .map(|found| found.map(|found| found.max_series))
        };
        assert_eq!(read(&words).unwrap(), Some(7));
        words[known / 8] = 1;
        assert_eq!(read(&words).unwrap_err().status, TREERING_ERROR_ARGUMENT);
        for size in [0, 8, known as u64 - 8, 5000, u64::MAX] {
            words[0] = size;
            assert_eq!(read(&words).unwrap_err().status, TREERING_ERROR_ARGUMENT);
        }
    }

    #[test]
    fn texts_are_utf8() {
        let text = |bytes: &[u8]| {
            // SAFETY: a slice of this test's own.
            let text = unsafe { Text::new(bytes.as_ptr().cast(), bytes.len()) };
            text.named("it").map(str::to_owned).map_err(|e| e.status)
        };
        assert_eq!(text("f\u{fc}r".as_bytes()), Ok("f\u{fc}r".to_owned()));
        assert_eq!(text(b"a\xff"), Err(TREERING_ERROR_ARGUMENT));
        assert_eq!(text(b""), Err(TREERING_ERROR_ARGUMENT));
    }
}
