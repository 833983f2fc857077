//! One run of the broker's JVM: started, watched, signalled, and never left behind. Used by `Broker`.

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpStream},
    os::unix::process::CommandExt,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::{Error, ErrorKind, Pause, Result};

/// How long a start may take.
pub(crate) const START_DEADLINE: Duration = Duration::from_secs(60);
/// How long a clean stop may take before the process is killed.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// Between two looks at what a node has done.
const LOOK: Duration = Duration::from_millis(50);
/// The line that `BrokerMain` prints when it answers.
const READY: &str = "READY";

/// A running JVM. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Node {
    child: Child,
    /// One message when it is ready; disconnected when the process has ended.
    signs: Receiver<()>,
    /// While this is there the process is stopped by SIGSTOP.
    pause: Option<Pause>,
}

impl Node {
    /// Starts the command and waits for it to say that it is ready. Its stdin stays open as long as this
    /// process lives; `BrokerMain` ends when it closes.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        // A group of its own: an interrupt at the terminal ends the test, and the end of stdin the broker.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(Error::io("start the broker"))?;
        let signs = child.stdout.take().map(watch).expect("stdout was set to a pipe above");
        let node = Self { child, signs, pause: None };
        match node.signs.recv_timeout(START_DEADLINE) {
            Ok(()) => Ok(node),
            Err(RecvTimeoutError::Timeout) => {
                let message = format!("the broker was not ready within {START_DEADLINE:?}");
                Err(Error::new(ErrorKind::Start, message))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(Error::new(ErrorKind::Start, "the broker ended while it started"))
            }
        }
    }

    /// Looks again and again until something holds.
    pub(crate) fn wait_until(&self, holds: impl Fn() -> bool) -> Result<()> {
        for _ in 0..START_DEADLINE.as_millis() / LOOK.as_millis() {
            if holds() {
                return Ok(());
            }
            // The end of the process ends the wait; otherwise it is the pause between two looks.
            if self.signs.recv_timeout(LOOK) == Err(RecvTimeoutError::Disconnected) {
                return Err(Error::new(ErrorKind::Start, "a broker ended while it started"));
            }
        }
        Err(Error::new(ErrorKind::Start, "a broker was not ready in time"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let killed = self.child.kill().map_err(Error::io("kill the broker"));
        self.pause = None;
        killed?;
        self.child.wait().map_err(Error::io("wait for the broker"))?;
        Ok(())
    }

    /// SIGTERM, then SIGKILL when it takes too long.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.pause = None;
        signal("TERM", self.pid())?;
        match self.signs.recv_timeout(STOP_DEADLINE) {
            Err(RecvTimeoutError::Disconnected) => {
                self.child.wait().map_err(Error::io("wait for the broker"))?;
                Ok(())
            }
            Ok(()) | Err(RecvTimeoutError::Timeout) => self.kill(),
        }
    }

    /// SIGSTOP; nothing when it is paused already.
    pub(crate) fn pause(&mut self) -> Result<()> {
        if self.pause.is_none() {
            self.pause = Some(Pause::start(self.pid())?);
        }
        Ok(())
    }

    /// SIGCONT; nothing when it is not paused.
    pub(crate) fn resume(&mut self) {
        self.pause = None;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already, and nobody is left to tell.
        let _ = self.kill();
    }
}

/// Starts a command, waits until something listens on `port`, then stops it cleanly. For the archive of
/// classes that a JVM writes when it exits.
pub(crate) fn run_until_listening(command: &mut Command, port: u16) -> Result<()> {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(Error::io("start a broker"))?;
    let signs = child.stdout.take().map(watch).expect("stdout was set to a pipe above");
    let mut node = Node { child, signs, pause: None };
    node.wait_until(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())?;
    node.stop()
}

/// Reads a process's stdout to its end on a thread: tells readiness, then, by hanging up, the end.
fn watch(stdout: ChildStdout) -> Receiver<()> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line == READY {
                // Nobody listens any more when the start timed out.
                let _ = sender.send(());
            }
        }
    });
    receiver
}

/// Sends a signal through the shell's own `kill`.
fn signal(name: &str, pid: u32) -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", "kill -\"$0\" \"$1\"", name]).arg(pid.to_string());
    let status = command.stderr(Stdio::null()).status().map_err(Error::io("signal the broker"))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Program, format!("the broker took no SIG{name}"))),
    }
}
