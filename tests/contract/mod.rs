//! What every log must do, whatever it is made of: the same named tests run on the log in memory
//! and on Kafka, so that the model cannot drift from the broker.
//!
//! A test target includes this file as its module `contract`, implements [`Fixture`] and calls
//! [`contract_tests`].

mod support;

pub(crate) mod groups;
pub(crate) mod offsets;
pub(crate) mod records;
pub(crate) mod transactions;

use std::sync::Arc;

use kstreams_runtime::transport::Log;

/// A log to be tested.
pub(crate) trait Fixture {
    /// The log; all clients of one test come from it.
    fn log(&self) -> Arc<dyn Log>;

    /// Makes a topic and waits until it can be used.
    fn create_topic(&self, name: &str, n_partitions: i32);

    /// A name that no other test uses, for topics, groups and transactional ids.
    fn unique(&self, name: &str) -> String;
}

/// Makes a test of each case: `contract_tests!(expression that makes a fixture)`.
macro_rules! contract_tests {
    ($fixture:expr) => {
        $crate::contract::contract_tests! { $fixture;
            records {
                records_come_in_order_per_partition,
                nulls_headers_and_timestamps_survive,
                keys_choose_partitions_as_in_java,
                records_without_key_go_somewhere,
                batches_are_bounded,
                position_and_lag_at_the_end,
                seek_reads_again,
                a_position_out_of_range_is_told,
                an_unknown_topic_is_told_to_readers,
                an_unknown_topic_is_told_to_writers,
                a_record_that_is_too_large_is_refused,
                the_last_offset_is_the_one_above_the_line,
                a_line_is_reached_while_more_is_sent,
                lanes_are_independent,
                a_waker_ends_a_wait,
            }
            offsets {
                earliest_and_latest,
                offsets_by_timestamp,
                topics_are_listed,
                creating_a_topic_again_is_fine,
                deleting_a_topic_that_is_not_there_is_fine,
                deleted_records_move_the_earliest_offset,
            }
            transactions {
                a_commit_makes_records_visible,
                a_commit_goes_on_beside_the_caller,
                a_refused_commit_is_told_by_its_poll,
                an_abort_hides_records,
                an_open_transaction_blocks_what_lies_behind,
                markers_take_offsets,
                an_empty_transaction_can_be_committed,
                a_second_producer_fences_the_first,
                a_second_producer_aborts_what_the_first_left_open,
                offsets_become_visible_with_the_commit,
                offsets_of_an_aborted_transaction_are_forgotten,
                offsets_of_a_stranger_are_fenced,
            }
            groups {
                one_member_gets_all_tasks,
                a_second_member_shares_and_gives_back,
                committed_offsets_come_back,
                a_commit_of_positions_goes_on_beside_the_caller,
                a_partition_without_commit_has_none,
                a_member_that_left_cannot_commit,
                a_shutdown_reaches_every_member,
                missing_source_topics_are_named,
            }
        }
    };
    ($fixture:expr; $($area:ident { $($test:ident,)* })*) => {
        $(mod $area {
            use super::*;
            $(#[test] fn $test() {
                $crate::contract::$area::$test(&$fixture);
            })*
        })*
    };
}
pub(crate) use contract_tests;
