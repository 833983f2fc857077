//! A real broker that lives as long as its value: start, kill, stop, restart, pause. Called by tests.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    BrokerBuilder, Error, ErrorKind, Java, Result, folder::Folder, java::tail, node::Node,
    ports::Ports, properties,
};

/// How often a start is tried when a port was taken between looking and listening.
const ATTEMPTS: usize = 3;
/// How many lines of the broker's log an error shows.
const LOG_LINES: usize = 30;
/// What a controller says when it ends a broker's session.
const FENCED: &str = "because its session has timed out";
/// Lets it say so.
const TELL_FENCED: &str =
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller.ReplicationControlManager=info";

/// A single Kafka node, broker and controller, on a free port of the loopback address.
///
/// Dropping it kills the node and removes its folder. It also ends when this process dies in any way:
/// the node watches a pipe that only this process holds open, and removes its folder then.
///
/// ```no_run
/// # fn main() -> Result<(), kstreams_broker::Error> {
/// use kstreams_broker::Broker;
///
/// let broker = Broker::start()?;
/// println!("bootstrap.servers={}", broker.bootstrap());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Broker {
    /// First, so that the process has ended before its folder goes and its ports are free to others.
    node: Mutex<Option<Node>>,
    /// It was killed, and the controller does not know yet that it is gone.
    is_registered: AtomicBool,
    java: Java,
    settings: BrokerBuilder,
    bootstrap: String,
    config: PathBuf,
    folder: Folder,
    _ports: Ports,
}

impl Broker {
    /// Starts a broker with the harness's settings.
    ///
    /// # Errors
    /// As [`BrokerBuilder::start`].
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Settings for a broker to start.
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder::default()
    }

    /// The address for `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The Java this broker runs on.
    pub fn java(&self) -> &Java {
        &self.java
    }

    /// The process id of the node while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.node().as_ref().map(Node::pid)
    }

    /// SIGKILL: the node ends at once, its data stays. Nothing when it is not running.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the process cannot be killed.
    pub fn kill(&self) -> Result<()> {
        let Some(mut node) = self.node().take() else { return Ok(()) };
        self.is_registered.store(true, Ordering::Relaxed);
        node.kill()
    }

    /// SIGTERM: the node shuts down cleanly, and is killed if that takes too long. Its data stays.
    /// Nothing when it is not running.
    ///
    /// # Errors
    /// [`ErrorKind::Program`] when the process does not take the signal.
    pub fn stop(&self) -> Result<()> {
        self.node().take().map_or(Ok(()), |mut node| node.stop())
    }

    /// Starts the node again on the same folder and port, after stopping it if it runs. After
    /// [`kill`](Self::kill) this takes some three seconds longer: first a controller alone ends the
    /// session of the last incarnation, as those of a cluster do, which outlive a broker. A node that
    /// is both takes itself for the leader that it was until then, and Kafka 4.3.1 ends transactions
    /// without their markers in this time ("these partitions are likely deleted already and hence can
    /// be skipped").
    ///
    /// # Errors
    /// As [`BrokerBuilder::start`].
    pub fn restart(&self) -> Result<()> {
        let mut node = self.node();
        if let Some(mut running) = node.take() {
            running.stop()?;
        }
        if self.is_registered.swap(false, Ordering::Relaxed) {
            self.end_session()?;
        }
        *node = Some(self.launch(&self.config)?);
        Ok(())
    }

    /// SIGSTOP: connections stay open and nothing answers. Nothing when it is paused or not running.
    ///
    /// # Errors
    /// [`ErrorKind::Program`] when the process does not take the signal.
    pub fn pause(&self) -> Result<()> {
        self.node().as_mut().map_or(Ok(()), Node::pause)
    }

    /// SIGCONT: the node goes on after [`pause`](Self::pause).
    pub fn resume(&self) {
        if let Some(node) = self.node().as_mut() {
            node.resume();
        }
    }

    /// The last `count` lines of the node's log, over all its runs.
    pub fn log_tail(&self, count: usize) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        tail(&String::from_utf8_lossy(&log), count)
    }

    /// Where the node keeps its log and its data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs one of Kafka's command line tools against this broker, see [`tools`](crate::tools);
    /// `--bootstrap-server` is put in front of the arguments.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when it cannot be run. A tool that fails is not an error here: its exit code and
    /// what it printed are in the output.
    pub fn tool<I, S>(&self, main_class: &str, args: I) -> Result<Output>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = self.java.command(main_class);
        // In front: tools with sub-commands do not take it behind them.
        command.arg("--bootstrap-server").arg(&self.bootstrap).args(args).stdin(Stdio::null());
        command.output().map_err(Error::io(format!("run {main_class}")))
    }

    pub(crate) fn start_with(settings: BrokerBuilder) -> Result<Self> {
        let java = Java::prepare()?;
        let mut attempt = 1;
        loop {
            let broker = Self::new(java.clone(), settings.clone())?;
            match broker.restart() {
                Ok(()) => return Ok(broker),
                Err(_) if attempt < ATTEMPTS && broker.lost_its_port() => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn new(java: Java, settings: BrokerBuilder) -> Result<Self> {
        let folder = Folder::new()?;
        let ports = Ports::reserve(java.folder())?;
        let config = properties::write(folder.path(), &ports, &settings.properties)?;
        let bootstrap = format!("127.0.0.1:{}", ports.broker);
        let node = Mutex::new(None);
        let is_registered = AtomicBool::new(false);
        Ok(Self { node, is_registered, java, settings, bootstrap, config, folder, _ports: ports })
    }

    /// Runs the controller alone until it has fenced the broker.
    fn end_session(&self) -> Result<()> {
        let is_fenced = || self.log_tail(usize::MAX).matches(FENCED).count();
        let n_before = is_fenced();
        let config = properties::controller_alone(&self.config)?;
        let mut controller = self.launch(&config)?;
        controller.wait_until(|| is_fenced() > n_before)?;
        // It says so before it is written; what is written after the next record is behind it.
        for _ in 0..2 {
            let before = self.metadata_bytes();
            controller.wait_until(|| self.metadata_bytes() > before)?;
        }
        controller.stop()
    }

    /// How long the controller's log is; it writes something twice a second.
    fn metadata_bytes(&self) -> u64 {
        let files = fs::read_dir(self.folder.path().join("data/__cluster_metadata-0"));
        let logs = files.into_iter().flatten().flatten();
        let logs = logs.filter(|file| file.path().extension().is_some_and(|name| name == "log"));
        logs.filter_map(|file| file.metadata().ok()).map(|found| found.len()).sum()
    }

    fn launch(&self, config: &Path) -> Result<Node> {
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.map_err(Error::io("open the broker's log"))?;
        let mut options = vec!["-Xmx768m".to_owned(), TELL_FENCED.to_owned()];
        options.extend_from_slice(&self.settings.jvm_options);
        let mut command = self.java.launch(&options, "kstreams.BrokerMain");
        command.arg(config).arg(properties::CLUSTER_ID).arg(self.folder.path()).stderr(log);
        Node::start(&mut command).map_err(|error| match error.kind() {
            ErrorKind::Start => {
                let message = format!("{error}; its log:\n{}", self.log_tail(LOG_LINES));
                Error::new(ErrorKind::Start, message)
            }
            _ => error,
        })
    }

    fn lost_its_port(&self) -> bool {
        self.log_tail(LOG_LINES).contains("Address already in use")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("broker.log")
    }

    /// A test that panicked while it held the lock left nothing half done.
    fn node(&self) -> MutexGuard<'_, Option<Node>> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The broker that all tests of this process share, started by the first that asks. It ends with the
/// process. Tests that stop or pause a broker start their own.
///
/// # Errors
/// The error of the one start, again at every call.
pub fn shared() -> Result<&'static Broker, &'static Error> {
    static SHARED: OnceLock<Result<Broker>> = OnceLock::new();
    SHARED.get_or_init(Broker::start).as_ref()
}
