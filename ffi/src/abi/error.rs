//! Errors and versions.
//!
//! Input: error handles. Output: their status and sentence; what the library is.

use std::ffi::c_char;

use super::types::treering_error;
use super::types::treering_status::{self, TREERING_OK};
use crate::door::{Out, caught, done};
use crate::failure::Failure;
use crate::table::TABLE;

/// The version of the ABI: a program that was compiled with another one needs to be compiled again.
pub const TREERING_ABI_VERSION: u32 = 0;

/// The version of the library as text, ended by a zero byte: "0.1.0". Never null.
#[unsafe(no_mangle)]
pub extern "C" fn treering_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The TREERING_ABI_VERSION that the library was built with.
#[unsafe(no_mangle)]
pub extern "C" fn treering_abi_version() -> u32 {
    TREERING_ABI_VERSION
}

/// The status of an error; TREERING_OK for null, TREERING_ERROR_HANDLE for what is no error.
#[unsafe(no_mangle)]
pub extern "C" fn treering_error_status(error: treering_error) -> treering_status {
    if error.id == 0 {
        return TREERING_OK;
    }
    match caught(|| TABLE.get::<Failure>(error.id)) {
        Ok(failure) => failure.status,
        Err(failure) => failure.status,
    }
}

/// What went wrong, in a sentence that ends with a zero byte; good until the error is freed. Never
/// null: of what is no error it says so.
#[unsafe(no_mangle)]
pub extern "C" fn treering_error_message(error: treering_error) -> *const c_char {
    match caught(|| TABLE.get::<Failure>(error.id)) {
        // The table has it, so it stays until it is freed.
        Ok(failure) => failure.text_with_zero().as_ptr().cast(),
        Err(_) if error.id == 0 => c"no error".as_ptr(),
        Err(_) => c"not an error, or one that was freed".as_ptr(),
    }
}

/// The same with its length in bytes, for messages with characters that C strings cannot hold.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn treering_error_text(
    error: treering_error,
    text: *mut *const c_char,
    len: *mut usize,
) -> treering_status {
    // SAFETY: places are null, misaligned or good for writing, as the header asks.
    let (text, len, nowhere) = unsafe {
        let nowhere = Out::new(std::ptr::null_mut());
        (Out::new(text), Out::new(len), nowhere)
    };
    done(nowhere, || {
        let (text, len) = (text.required("text")?, len.required("len")?);
        let failure = TABLE.get::<Failure>(error.id)?;
        text.set(failure.text().as_ptr().cast());
        len.set(failure.text().len());
        Ok(())
    })
}

/// Frees an error. Null is TREERING_OK; a second time is TREERING_ERROR_HANDLE and does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn treering_error_free(error: treering_error) -> treering_status {
    if error.id == 0 {
        return TREERING_OK;
    }
    match caught(|| TABLE.remove::<Failure>(error.id)) {
        Ok(_) => TREERING_OK,
        Err(failure) => failure.status,
    }
}
