//! `cargo xtask capture`: makes the quickstart's data file from the corpora again.
//!
//! Input: the corpus node_1s in the folder of `TREERING_CORPORA`. Output: the file
//! engine/examples/data/node.capture.zst, the same bytes each time.

use crate::shell::{self, cargo, root};
use crate::{Outcome, data};

/// Where the quickstart finds it.
const CAPTURE: &str = "engine/examples/data/node.capture.zst";

pub(crate) fn run() -> Outcome {
    if data::folder(data::CORPORA)?.is_none() {
        return Err(format!(
            "set {} to the folder of the corpora first",
            data::CORPORA
        ));
    }
    let words = [
        "run",
        "--locked",
        "--release",
        "-p",
        "treering-benches",
        "--bin",
        "capture",
    ];
    shell::run(cargo(&words).arg("--").arg(root().join(CAPTURE)))
}
