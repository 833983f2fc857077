//! The command line, and the cluster that it names.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args as Group, Parser, Subcommand};
use kstreams_kafka::{GroupAdmin, KafkaLog};
use kstreams_runtime::transport::{Admin, Log};

use crate::Failure;

/// Looks at Kafka Streams applications, of Rust and of Java, and resets them.
#[derive(Debug, Parser)]
#[command(name = "kstreams", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What an application runs, its topics, and where it stands in them.
    Describe {
        /// The application's id.
        application: String,
    },
    /// The groups of a cluster.
    #[command(subcommand)]
    Groups(GroupsCommand),
    /// Sets an application back, so that it processes its input anew: positions, internal topics
    /// and local state. All its instances must be stopped.
    Reset(Box<ResetArgs>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupsCommand {
    /// All groups with their kind and state.
    List {
        /// Only groups of this kind: streams, consumer, share, ..
        #[arg(long)]
        kind: Option<String>,
    },
    /// The members of a group, their tasks or partitions, and the lag of each partition.
    Describe {
        /// The group's id: that of the application.
        group: String,
    },
}

/// What to set back to where; the options of Kafka's own reset tool, and the local state.
#[derive(Debug, Group)]
pub(crate) struct ResetArgs {
    /// The application's id.
    #[arg(long)]
    pub(crate) application_id: String,
    /// Topics whose positions are set, by commas; to the earliest offset unless told otherwise.
    #[arg(long, value_delimiter = ',')]
    pub(crate) input_topics: Vec<String>,
    /// Topics that the application writes and reads itself, by commas: they are skipped to their end.
    #[arg(long, value_delimiter = ',')]
    pub(crate) intermediate_topics: Vec<String>,
    /// Internal topics to delete, by commas; all that the application has unless told.
    #[arg(long, value_delimiter = ',')]
    pub(crate) internal_topics: Vec<String>,
    #[command(flatten)]
    pub(crate) to: ResetTo,
    /// Also delete the local state in this directory, on this machine.
    #[arg(long)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Take members that have not left out of the group. Stop all instances first.
    #[arg(long)]
    pub(crate) force: bool,
    /// Tell what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Where the positions of input topics are set to.
#[derive(Clone, Debug, Default, Group)]
#[group(multiple = false)]
pub(crate) struct ResetTo {
    /// To the earliest offset; the default.
    #[arg(long)]
    pub(crate) to_earliest: bool,
    /// To the end.
    #[arg(long)]
    pub(crate) to_latest: bool,
    /// To this offset, or the nearest one there is.
    #[arg(long, value_name = "OFFSET")]
    pub(crate) to_offset: Option<i64>,
    /// So many records forward, or back with a negative number.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) shift_by: Option<i64>,
    /// To the first record of this time: 2026-01-31T12:00:00.000, in UTC unless it says otherwise.
    #[arg(long, value_name = "TIME")]
    pub(crate) to_datetime: Option<String>,
    /// To the first record of the last so long: P1DT12H.
    #[arg(long, value_name = "DURATION")]
    pub(crate) by_duration: Option<String>,
    /// To what a file says: lines of topic,partition,offset.
    #[arg(long, value_name = "FILE")]
    pub(crate) from_file: Option<PathBuf>,
}

/// Which cluster, and how it is talked to.
#[derive(Debug, Group)]
pub(crate) struct ClusterArgs {
    /// Brokers to ask first, by commas.
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9092", global = true)]
    bootstrap_server: String,
    /// A file with properties of librdkafka, a `name=value` a line (security.protocol, sasl.username,
    /// ..).
    #[arg(long, value_name = "FILE", global = true)]
    config_file: Option<PathBuf>,
    /// A property of librdkafka; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", global = true)]
    property: Vec<String>,
    /// For each request, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "30", global = true)]
    timeout: u64,
}

/// A cluster to ask.
#[derive(Debug)]
pub(crate) struct Cluster {
    log: KafkaLog,
    pub(crate) groups: GroupAdmin,
    pub(crate) timeout: Duration,
}

impl ClusterArgs {
    pub(crate) fn connect(&self) -> Result<Cluster, Failure> {
        let mut builder = KafkaLog::builder(&self.bootstrap_server);
        let from_file = match &self.config_file {
            Some(path) => read(path)?,
            None => String::new(),
        };
        let lines = from_file.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        for property in lines.chain(self.property.iter().map(String::as_str)) {
            let (name, value) = property.split_once('=').ok_or_else(|| {
                Failure::new(format!("`{property}` is no property: write name=value"))
            })?;
            builder = builder.set(name.trim(), value.trim());
        }
        let log = builder.build()?;
        let groups = log.group_admin()?;
        Ok(Cluster { log, groups, timeout: Duration::from_secs(self.timeout) })
    }
}

impl Cluster {
    pub(crate) fn admin(&self) -> Result<Arc<dyn Admin>, Failure> {
        Ok(self.log.admin()?)
    }
}

/// The text of a file that the user named.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))
}
