//! The main classes of Kafka 4.3.1's command line tools, for [`Broker::tool`](crate::Broker::tool).

/// `kafka-topics`: `--create`, `--list`, `--describe`, `--alter`, `--delete`.
pub const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
/// `kafka-configs`: configs of topics, groups and brokers.
pub const CONFIGS: &str = "kafka.admin.ConfigCommand";
/// `kafka-consumer-groups`: offsets and members of classic and consumer groups.
pub const CONSUMER_GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
/// `kafka-streams-groups`: offsets, members and tasks of streams groups (KIP-1071).
pub const STREAMS_GROUPS: &str = "org.apache.kafka.tools.streams.StreamsGroupCommand";
/// `kafka-groups`: all groups with their types.
pub const GROUPS: &str = "org.apache.kafka.tools.GroupsCommand";
/// `kafka-get-offsets`: end offsets of topics.
pub const OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";
/// `kafka-delete-records`: the log start offset moved up.
pub const DELETE_RECORDS: &str = "org.apache.kafka.tools.DeleteRecordsCommand";
/// `kafka-transactions`: open and hanging transactions, producers of a partition.
pub const TRANSACTIONS: &str = "org.apache.kafka.tools.TransactionsCommand";
/// `kafka-features`: finalized feature levels such as `streams.version`.
pub const FEATURES: &str = "org.apache.kafka.tools.FeatureCommand";
/// `kafka-acls`: who may do what.
pub const ACLS: &str = "org.apache.kafka.tools.AclCommand";
/// `kafka-leader-election`.
pub const LEADER_ELECTION: &str = "org.apache.kafka.tools.LeaderElectionCommand";
/// `kafka-log-dirs`: sizes of the logs on disk.
pub const LOG_DIRS: &str = "org.apache.kafka.tools.LogDirsCommand";
/// `kafka-console-producer`: records from stdin.
pub const CONSOLE_PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
/// `kafka-console-consumer`: records to stdout.
pub const CONSOLE_CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
/// `kafka-streams-application-reset`.
pub const STREAMS_RESET: &str = "org.apache.kafka.tools.StreamsResetter";
/// `kafka-dump-log`: batches of log segments; works on files, so run it with
/// [`Java::run`](crate::Java::run).
pub const DUMP_LOG: &str = "org.apache.kafka.tools.DumpLogSegments";
