//! The stream of an answer: what a consumer of the Arrow C stream interface calls.
//!
//! Input: the calls of a consumer, one at a time, from whatever thread. Output: the schema,
//! batches, error numbers with texts. Invariants: no panic leaves; after a failure there is nothing
//! more.
#![allow(
    unsafe_code,
    reason = "the consumer gives back the pointer to what the stream owns"
)]

use std::ffi::{CString, c_char, c_int};

use super::batches::Batches;
use super::structs::{ArrowArray, ArrowArrayStream, ArrowSchema};
use crate::abi::types::treering_status::{TREERING_ERROR_CANCELLED, TREERING_ERROR_LIMIT};
use crate::answer::Answer;
use crate::door::{Out, caught};
use crate::failure::{Failure, Result};

/// Error numbers of the system, as the interface wants them: EIO, ENOMEM, EINVAL, ECANCELED.
const EIO: c_int = 5;
const ENOMEM: c_int = 12;
const EINVAL: c_int = 22;
const ECANCELED: c_int = 125;

/// What a stream owns.
struct Owned {
    batches: Batches,
    error: CString,
    failed: bool,
}

/// The rest of an answer as a stream.
pub(crate) fn export(answer: Answer) -> Result<ArrowArrayStream> {
    let owned = Box::new(Owned {
        batches: Batches::new(answer)?,
        error: CString::default(),
        failed: false,
    });
    Ok(ArrowArrayStream {
        get_schema: Some(get_schema),
        get_next: Some(get_next),
        get_last_error: Some(get_last_error),
        release: Some(release),
        private_data: Box::into_raw(owned).cast(),
    })
}

unsafe extern "C" fn get_schema(stream: *mut ArrowArrayStream, out: *mut ArrowSchema) -> c_int {
    // SAFETY: the consumer gives a stream of ours, and a place for the schema.
    let (owned, out) = unsafe { (owned(stream), Out::new(out)) };
    told(owned, |owned| {
        let place = out.required("the schema")?;
        place.set(ArrowSchema::of(owned.batches.field()));
        Ok(())
    })
}

unsafe extern "C" fn get_next(stream: *mut ArrowArrayStream, out: *mut ArrowArray) -> c_int {
    // SAFETY: the consumer gives a stream of ours, and a place for the array.
    let (owned, out) = unsafe { (owned(stream), Out::new(out)) };
    told(owned, |owned| {
        let place = out.required("the array")?;
        if owned.failed {
            place.set(ArrowArray::released());
            return Ok(());
        }
        // Until it went well.
        owned.failed = true;
        let batch = owned.batches.next()?;
        owned.failed = false;
        place.set(batch.map_or_else(ArrowArray::released, ArrowArray::of));
        Ok(())
    })
}

unsafe extern "C" fn get_last_error(stream: *mut ArrowArrayStream) -> *const c_char {
    // SAFETY: the consumer gives a stream of ours.
    match unsafe { owned(stream) } {
        Some(owned) if !owned.error.is_empty() => owned.error.as_ptr(),
        _ => std::ptr::null(),
    }
}

unsafe extern "C" fn release(stream: *mut ArrowArrayStream) {
    let release = || {
        // SAFETY: the consumer gives a stream of ours, or one that was released.
        let Some(stream) = (unsafe { stream.as_mut() }) else {
            return Ok(());
        };
        if stream.release.take().is_none() || stream.private_data.is_null() {
            return Ok(());
        }
        // SAFETY: `export` made it, and `release` was still there, so it was not taken back before.
        drop(unsafe { Box::from_raw(stream.private_data.cast::<Owned>()) });
        stream.private_data = std::ptr::null_mut();
        Ok(())
    };
    // There is nobody to tell.
    let _ = caught(release);
}

/// What a stream owns; none when it is null or was released.
///
/// # Safety
///
/// `stream` is null or a stream that `export` made, and nobody else calls it at the same time.
unsafe fn owned<'a>(stream: *mut ArrowArrayStream) -> Option<&'a mut Owned> {
    // SAFETY: what the caller promised.
    let stream = unsafe { stream.as_mut() }?;
    stream.release?;
    // SAFETY: `export` made it, and it was not released.
    unsafe { stream.private_data.cast::<Owned>().as_mut() }
}

/// Does it behind the door; an error number and the text to ask for afterwards.
fn told(owned: Option<&mut Owned>, call: impl FnOnce(&mut Owned) -> Result<()>) -> c_int {
    let Some(owned) = owned else { return EINVAL };
    let Err(failure) = caught(|| call(&mut *owned)) else {
        return 0;
    };
    owned.error = CString::new(failure.text()).unwrap_or_default();
    number_of(&failure)
}

fn number_of(failure: &Failure) -> c_int {
    match failure.status {
        TREERING_ERROR_LIMIT => ENOMEM,
        TREERING_ERROR_CANCELLED => ECANCELED,
        _ => EIO,
    }
}
