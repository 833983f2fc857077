//! The command line of kstreams: looks at applications on any cluster, and resets them.
//!
//! ```text
//! kstreams describe orders                      what the application runs, and where it stands
//! kstreams groups list                          the groups of the cluster
//! kstreams groups describe orders               members, tasks and lags
//! kstreams reset --application-id orders --input-topics in --dry-run
//! ```
//!
//! It works for Java applications too: their groups, topics and positions are the same.

#![forbid(unsafe_code)]

mod args;
mod describe;
mod groups;
mod positions;
mod reset;
mod table;

use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use kstreams_core::error::Error;

use args::{Args, Command, GroupsCommand};

/// Why a command has not done what it was asked for, as text for people.
#[derive(Debug)]
pub struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// 2 for a command line that makes no sense, 1 for everything else; 0 if help was asked for.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    pub(crate) fn new(text: impl fmt::Display) -> Self {
        Self { text: format!("kstreams: {text}\n"), code: 1 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error)
    }
}

/// Runs one command; `args` begins with the name of the program.
///
/// ```
/// let mut out = Vec::new();
/// kstreams_cli::run(["kstreams", "--help"], &mut out)?;
/// assert!(String::from_utf8_lossy(&out).contains("reset"));
/// # Ok::<(), kstreams_cli::Failure>(())
/// ```
///
/// # Errors
/// If the command line makes no sense, the cluster does not answer or refuses, or what was asked
/// for must not be done.
pub fn run<I>(args: I, out: &mut impl Write) -> Result<(), Failure>
where
    I: IntoIterator<Item: Into<OsString> + Clone>,
{
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(asked) if !asked.use_stderr() => return Ok(write!(out, "{asked}")?),
        Err(wrong) => return Err(Failure { text: wrong.to_string(), code: 2 }),
    };
    let cluster = args.cluster.connect()?;
    match args.command {
        Command::Describe { application } => describe::run(&cluster, &application, out),
        Command::Groups(GroupsCommand::List { kind }) => {
            groups::list(&cluster, kind.as_deref(), out)
        }
        Command::Groups(GroupsCommand::Describe { group }) => {
            groups::describe(&cluster, &group, out)
        }
        Command::Reset(reset) => reset::run(&cluster, &reset, out),
    }
}
