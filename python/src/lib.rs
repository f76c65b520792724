//! The native part of the Python module `treering`: calls of Python to calls of the engine.
//!
//! Input: Python objects. Output: Python objects, numpy arrays and Arrow streams, or an exception of
//! `treering._errors`. Invariants: no panic leaves `door`; whatever may block runs detached from the
//! interpreter; `unsafe` stands in `lend.rs` alone.
#![deny(unsafe_code)]

mod append;
mod arrays;
mod batches;
mod column;
mod database;
mod door;
mod failure;
mod frame;
mod groups;
mod held;
mod lend;
mod options;
mod question;
mod report;
mod result;
mod rows;
mod scan;
mod time;
mod words;

use pyo3::prelude::*;

/// The native part of `treering`.
#[pymodule(name = "_native")]
mod native {
    use pyo3::prelude::*;
    use pyo3::types::PyModule;

    #[pymodule_export]
    use crate::database::{Database, in_memory, open, repair, restore};
    #[pymodule_export]
    use crate::held::{SeriesRef, close_all};
    #[pymodule_export]
    use crate::result::Result;
    #[pymodule_export]
    use crate::scan::Scan;
    #[pymodule_export]
    use crate::time::timestamp;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::at_exit(module)
    }
}

/// Has every database closed before the interpreter ends, while threads can still be joined.
fn at_exit(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    let close = module.getattr("_close_all")?;
    let atexit = module.py().import("atexit")?;
    atexit.call_method1("register", (close,)).map(drop)
}
