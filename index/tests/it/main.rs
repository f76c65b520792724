//! Integration tests of the index, in one binary.
//!
//! Every test compares an index with a plain scan of label sets, or feeds it damaged bytes.

mod churn;
mod golden;
mod malformed;
mod model;
mod regex;
mod text;
