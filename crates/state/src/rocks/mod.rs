//! Stores on disk: RocksDB as the base under the overlay.

mod bulk;
mod database;
mod fault;
mod memory;
mod options;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use kstreams_core::store::StoreContext;
use kstreams_core::{Error, ErrorKind, Result};

use crate::bytes::ByteStore;
use crate::overlay::{Keys, Overlay};

pub use memory::RocksMemory;
pub(crate) use options::Settings;

/// Opens the store `name` of a task, at Java's place: `<task directory>/rocksdb/<name>`.
pub(crate) fn open(
    name: &Arc<str>,
    settings: &Settings,
    format: &str,
    keys: Keys,
    context: &StoreContext,
) -> Result<Arc<dyn ByteStore>> {
    let Some(dir) = &context.dir else {
        return Err(Error::new(
            ErrorKind::StateDir,
            format!("store {name} is persistent, but nothing may be written to disk here"),
        ));
    };
    let rocks = database::Rocks::open(database::Place {
        name: Arc::clone(name),
        path: dir.join("rocksdb").join(&**name),
        format: format.to_owned(),
        offset_key: format!("{}-{}", context.changelog_topic, context.task.partition),
        settings: settings.clone(),
    })?;
    Ok(Arc::new(Overlay::new(rocks, keys)))
}
