//! The topology crate as its users see it: faults, sub-topologies, layouts, texts.
//!
//! One binary; each file holds the cases of one part.

mod describe;
mod faults;
mod fingerprint;
mod internal_topics;
mod layout;
mod pictures;
mod plan;
mod subtopologies;
mod support;
mod text;
