//! Limits of the text of a query and of its tree.

/// Most bytes of a query.
pub const MAX_QUERY_BYTES: usize = 1 << 20;
/// Most nested parentheses, calls, signs and right operands.
pub const MAX_NESTING: usize = 200;
/// Greatest height of a tree: chains such as `a + b + c` nest to the left.
pub const MAX_HEIGHT: usize = 500;
