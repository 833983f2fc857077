//! Window stores: one value for each key and start of a window, kept for a retention time.

mod builder;
mod store;
#[cfg(test)]
mod tests;

pub use builder::Windows;
pub use store::{TimestampedWindowStore, WindowStore};
