//! Processes of an application: this test binary, started again with a role in its environment.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use kstreams::log::GroupProtocol;
use kstreams::prelude::*;
use kstreams::time::{Clock, SystemClock};
use kstreams_broker::Pause;

use super::soak::Usage;

/// Set for processes that run an application: `name=value` pairs, one a line.
const ROLE: &str = "KSTREAMS_KILLS_ROLE";
/// How long an application takes to end in order.
const CLOSE: Duration = Duration::from_secs(30);

/// What a process is to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Role(BTreeMap<String, String>);

impl Role {
    /// Of this process, if it is one of ours.
    pub(crate) fn own() -> Option<Self> {
        let text = std::env::var(ROLE).ok()?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Some(Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.0.insert(name.to_owned(), value.to_string());
        self
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(crate) fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(self.get(name).parse().unwrap())
    }

    /// It stays a member of its group when it ends in order.
    pub(crate) fn remains(&self) -> bool {
        !self.get("remains").is_empty()
    }

    pub(crate) fn protocol(&self) -> GroupProtocol {
        match self.get("protocol") {
            "classic" => GroupProtocol::Classic,
            _ => GroupProtocol::Auto,
        }
    }

    /// Runs an application until stdin ends; begins anew when it cannot start, as a supervisor
    /// would. It ends this process if it fails later on.
    pub(crate) fn run(&self, config: &Config, topology: impl Fn() -> Topology) {
        log_to_stderr();
        let (ended, end) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            drop(ended);
        });
        let is_over = |wait| end.recv_timeout(wait) == Err(mpsc::RecvTimeoutError::Disconnected);
        while !is_over(Duration::ZERO) {
            let config = config.clone().on_state(|_, state| {
                log::info!("state {state:?}");
                if state == State::Error {
                    std::process::exit(3);
                }
            });
            let log = KafkaLog::builder(self.get("bootstrap")).group_protocol(self.protocol());
            let log = log.build().unwrap();
            let app = Streams::new(topology(), config, log).unwrap();
            match app.start() {
                Ok(()) => {
                    let _ = end.recv();
                    let in_time =
                        if self.remains() { app.close_and_remain(CLOSE) } else { app.close(CLOSE) };
                    assert!(in_time, "the application did not close in {CLOSE:?}");
                    return;
                }
                Err(error) => log::warn!("cannot start yet: {error}"),
            }
            is_over(Duration::from_millis(200));
        }
    }
}

/// Each line begins with the time in milliseconds, so that one can measure with the log.
fn log_to_stderr() {
    let clock = SystemClock::new();
    let level = std::env::var("RUST_LOG").unwrap_or_else(|_| "info,rdkafka=error".to_owned());
    let _ = env_logger::Builder::new()
        .parse_filters(&level)
        .format(move |out, record| {
            let now = clock.now().as_millis();
            writeln!(out, "{now} {} {}", record.level(), record.args())
        })
        .try_init();
}

/// A process that a test runs; it is killed at the latest when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    role: Role,
    /// The test function that plays the role.
    test: &'static str,
    log: PathBuf,
    child: Option<Child>,
    pause: Option<Pause>,
}

impl Process {
    /// Of a role that `test` plays; not started yet. Its log is in `folder`, as is its state.
    pub(crate) fn new(test: &'static str, name: &str, folder: &Path, role: Role) -> Self {
        let role = role.with("state", folder.join(name).display());
        let log = folder.join(format!("{name}.log"));
        Self { role, test, log, child: None, pause: None }
    }

    pub(crate) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        let pairs: Vec<String> = self.role.0.iter().map(|(k, v)| format!("{k}={v}")).collect();
        command.args(["--exact", self.test, "--nocapture"]).env(ROLE, pairs.join("\n"));
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    pub(crate) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// Its process id, while it runs and is not paused.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.as_ref().filter(|_| self.pause.is_none()).map(Child::id)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// What it holds; `None` if it does not run.
    pub(super) fn usage(&self) -> Option<Usage> {
        Usage::of(self.child.as_ref()?.id())
    }

    /// SIGKILL, also while it is paused.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            self.pause = None;
            child.wait().unwrap();
        }
    }

    pub(crate) fn pause(&mut self) {
        if let Some(child) = &self.child {
            self.pause = Some(Pause::start(child.id()).unwrap());
        }
    }

    pub(crate) fn resume(&mut self) {
        self.pause = None;
    }

    /// True if it has ended although nobody killed it.
    pub(crate) fn has_died(&mut self) -> bool {
        let ended = self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some());
        if ended {
            self.child = None;
        }
        ended
    }

    /// Asks it to end in order; [`has_died`](Self::has_died) tells when it has.
    pub(crate) fn end(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.stdin.take());
        }
    }

    /// Ends it in order, and waits for that; false if it failed.
    pub(crate) fn close(&mut self) -> bool {
        self.pause = None;
        self.end();
        self.child.take().is_none_or(|mut child| child.wait().unwrap().success())
    }

    /// What it has logged over all its runs.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
