//! The topology crate as its users see it: faults, sub-topologies, layouts, texts.
//!
//! One binary; each file holds the cases of one part.

// Clippy lets tests unwrap where it sees that they are tests, which for functions beside the
// tests takes this line.
#![cfg(test)]

mod describe;
mod faults;
mod fingerprint;
mod layout;
mod pictures;
mod plan;
mod subtopologies;
#[allow(unreachable_pub, reason = "examples in the documentation include the same file")]
mod support;
mod text;
