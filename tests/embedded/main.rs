//! Whole topologies on the embedded log, as a user writes them: public API only, memory stores.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

mod handlers;
mod processors;
mod punctuation;
mod record_choice;
mod sinks;
mod stores;
mod timestamps;

mod commit;
mod damage;
mod exactly_once;
mod failures;
mod faults;
#[cfg(feature = "rocksdb")]
mod full_disk;
mod life_cycle;
mod peers;
mod restoring;
mod sharing;
mod slow_close;
mod standbys;
mod state;
#[cfg(feature = "rocksdb")]
mod storms;

mod golden;

mod global;
mod internal_topics;
mod start_faults;
mod topology_faults;

mod hostile;

mod compile_fail;
mod tidy;
