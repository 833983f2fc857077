//! Session stores: one value for each key and session, kept for a retention time.

mod builder;
mod store;
#[cfg(test)]
mod tests;

pub use builder::Sessions;
pub use store::SessionStore;
