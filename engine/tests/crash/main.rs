//! Power cuts: every call of every workload is the last one, once for each way the disk may have
//! ended; and the recovery from it is cut as well.
#![allow(
    clippy::print_stderr,
    reason = "the number of images checked belongs to the result"
)]

mod beside;
mod check;
mod copies;
mod enumerate;
mod faults;
mod followed;
mod full;
mod history;
mod lifecycle;
#[path = "../shared/mixed.rs"]
mod mixed;
#[path = "../shared/number.rs"]
mod number;
mod run;
mod scripts;
mod stage;
#[path = "../shared/watchdog.rs"]
mod watchdog;
mod workloads;
