//! Testing topologies: the production engine on the embedded log, with a manual clock.

mod driver;
mod ports;
pub mod sim;

pub use driver::{TestDriver, TestDriverBuilder};
pub use ports::{TestInput, TestOutput, TestRecord};
