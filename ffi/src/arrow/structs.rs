//! The structs of the Arrow C data interface, and who owns what they point to.
//!
//! Input: fields and arrays as plain data. Output: C structs that own them until their `release` is
//! called, once, by whoever has them then. Layout and duties are those of the interface as Arrow
//! specifies it. Invariant: a child that was moved out (its `release` is null) is not released
//! again by its parent.
#![allow(
    unsafe_code,
    reason = "memory handed to C is owned by raw pointers until C gives it back"
)]

use std::ffi::{CString, c_char, c_int, c_void};

use super::tree::{Array, Buffer, Field};
use crate::door::caught;

/// A type, as the interface lays it out.
#[repr(C)]
#[derive(Debug)]
pub struct ArrowSchema {
    pub(crate) format: *const c_char,
    pub(crate) name: *const c_char,
    pub(crate) metadata: *const c_char,
    pub(crate) flags: i64,
    pub(crate) n_children: i64,
    pub(crate) children: *mut *mut ArrowSchema,
    pub(crate) dictionary: *mut ArrowSchema,
    pub(crate) release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    pub(crate) private_data: *mut c_void,
}

/// A column, as the interface lays it out.
#[repr(C)]
#[derive(Debug)]
pub struct ArrowArray {
    pub(crate) length: i64,
    pub(crate) null_count: i64,
    pub(crate) offset: i64,
    pub(crate) n_buffers: i64,
    pub(crate) n_children: i64,
    pub(crate) buffers: *mut *const c_void,
    pub(crate) children: *mut *mut ArrowArray,
    pub(crate) dictionary: *mut ArrowArray,
    pub(crate) release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    pub(crate) private_data: *mut c_void,
}

/// A stream of columns, as the interface lays it out.
#[repr(C)]
#[derive(Debug)]
pub struct ArrowArrayStream {
    pub(crate) get_schema:
        Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowSchema) -> c_int>,
    pub(crate) get_next:
        Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowArray) -> c_int>,
    pub(crate) get_last_error: Option<unsafe extern "C" fn(*mut ArrowArrayStream) -> *const c_char>,
    pub(crate) release: Option<unsafe extern "C" fn(*mut ArrowArrayStream)>,
    pub(crate) private_data: *mut c_void,
}

const NULLABLE: i64 = 2;

/// What a schema owns.
struct OwnedSchema {
    _name: CString,
    children: Vec<*mut ArrowSchema>,
    dictionary: *mut ArrowSchema,
}

/// What an array owns.
struct OwnedArray {
    _memory: Vec<Buffer>,
    buffers: Vec<*const c_void>,
    children: Vec<*mut ArrowArray>,
    dictionary: *mut ArrowArray,
}

impl ArrowSchema {
    /// Gives a field away.
    pub(crate) fn of(field: Field) -> Self {
        let child = |field| Box::into_raw(Box::new(Self::of(field)));
        let dictionary = field.dictionary.map(|field| child(*field));
        let mut owned = Box::new(OwnedSchema {
            _name: field.name,
            children: field.children.into_iter().map(child).collect(),
            dictionary: dictionary.unwrap_or(std::ptr::null_mut()),
        });
        Self {
            format: field.format.as_ptr(),
            name: owned._name.as_ptr(),
            metadata: std::ptr::null(),
            flags: if field.nullable { NULLABLE } else { 0 },
            n_children: owned.children.len() as i64,
            children: owned.children.as_mut_ptr(),
            dictionary: owned.dictionary,
            release: Some(release_schema),
            private_data: Box::into_raw(owned).cast(),
        }
    }
}

impl ArrowArray {
    /// Gives an array away.
    pub(crate) fn of(array: Array) -> Self {
        let child = |array| Box::into_raw(Box::new(Self::of(array)));
        let dictionary = array.dictionary.map(|array| child(*array));
        let buffers = array.buffers.iter().map(Buffer::first).collect();
        let mut owned = Box::new(OwnedArray {
            _memory: array.buffers,
            buffers,
            children: array.children.into_iter().map(child).collect(),
            dictionary: dictionary.unwrap_or(std::ptr::null_mut()),
        });
        Self {
            length: array.len as i64,
            null_count: array.nulls as i64,
            offset: 0,
            n_buffers: owned.buffers.len() as i64,
            n_children: owned.children.len() as i64,
            buffers: owned.buffers.as_mut_ptr(),
            children: owned.children.as_mut_ptr(),
            dictionary: owned.dictionary,
            release: Some(release_array),
            private_data: Box::into_raw(owned).cast(),
        }
    }

    /// What stands for the end of a stream: an array that was released.
    pub(crate) fn released() -> Self {
        Self {
            length: 0,
            null_count: 0,
            offset: 0,
            n_buffers: 0,
            n_children: 0,
            buffers: std::ptr::null_mut(),
            children: std::ptr::null_mut(),
            dictionary: std::ptr::null_mut(),
            release: None,
            private_data: std::ptr::null_mut(),
        }
    }
}

impl ArrowArrayStream {
    /// A stream that was released.
    pub(crate) fn released() -> Self {
        Self {
            get_schema: None,
            get_next: None,
            get_last_error: None,
            release: None,
            private_data: std::ptr::null_mut(),
        }
    }
}

impl Buffer {
    /// Where its memory begins; it does not move until the buffer is dropped.
    fn first(&self) -> *const c_void {
        match self {
            Buffer::Absent => std::ptr::null(),
            Buffer::Bytes(all) => all.as_ptr().cast(),
            Buffer::Ints(all) => all.as_ptr().cast(),
            Buffer::Longs(all) => all.as_ptr().cast(),
            Buffer::Doubles(all) => all.as_ptr().cast(),
        }
    }
}

/// Takes a schema back; one that was released is left alone.
unsafe extern "C" fn release_schema(schema: *mut ArrowSchema) {
    let release = || {
        // SAFETY: the interface calls it with a schema of ours, or one that was released.
        let Some(schema) = (unsafe { schema.as_mut() }) else {
            return Ok(());
        };
        if schema.release.take().is_none() || schema.private_data.is_null() {
            return Ok(());
        }
        // SAFETY: `of` made it, and `release` was still there, so it was not taken back before.
        let owned = unsafe { Box::from_raw(schema.private_data.cast::<OwnedSchema>()) };
        schema.private_data = std::ptr::null_mut();
        let dictionary = [owned.dictionary];
        for child in owned
            .children
            .iter()
            .chain(&dictionary)
            .filter(|one| !one.is_null())
        {
            // SAFETY: `of` boxed it; whoever moved its content out left a null `release`.
            unsafe {
                if let Some(release) = (**child).release {
                    release(*child);
                }
                drop(Box::from_raw(*child));
            }
        }
        Ok(())
    };
    // There is nobody to tell.
    let _ = caught(release);
}

/// Takes an array back; one that was released is left alone.
unsafe extern "C" fn release_array(array: *mut ArrowArray) {
    let release = || {
        // SAFETY: the interface calls it with an array of ours, or one that was released.
        let Some(array) = (unsafe { array.as_mut() }) else {
            return Ok(());
        };
        if array.release.take().is_none() || array.private_data.is_null() {
            return Ok(());
        }
        // SAFETY: `of` made it, and `release` was still there, so it was not taken back before.
        let owned = unsafe { Box::from_raw(array.private_data.cast::<OwnedArray>()) };
        array.private_data = std::ptr::null_mut();
        let dictionary = [owned.dictionary];
        for child in owned
            .children
            .iter()
            .chain(&dictionary)
            .filter(|one| !one.is_null())
        {
            // SAFETY: `of` boxed it; whoever moved its content out left a null `release`.
            unsafe {
                if let Some(release) = (**child).release {
                    release(*child);
                }
                drop(Box::from_raw(*child));
            }
        }
        Ok(())
    };
    // There is nobody to tell.
    let _ = caught(release);
}
